"""Configuration: what is read from files and typed on command lines, checked where it enters."""
