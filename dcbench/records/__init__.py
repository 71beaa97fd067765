"""Records: what a run leaves on disk, how it gets there whole, and how it is read back."""
