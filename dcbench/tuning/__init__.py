"""A search for settings on held-out training images: its space, its trials, its study on disk.

`space` says what is searched, `plan` what a search is, `halving` which trials go on, `study` who
has which trial, `trial` trains one, and `tune` does them all. The test set is never opened.
"""
