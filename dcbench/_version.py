"""The version of dcbench."""

__version__ = "0.1.0"
