"""Data: datasets, and the splits that are listed of them."""

from dcbench.data.splits import Split, load_split, split_names

__all__ = ["Split", "load_split", "split_names"]
