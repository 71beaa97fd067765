"""A search for settings on held-out training images: its space, its trials, its study on disk.

`space` says what is searched, `plan` what a search is, `halving` which trials go on, `study` who
has which trial, and `trial` trains one. `work` is what a worker does, and `tune` has an engine of
`sweep` do it for all trials. The test set is never opened.
"""
