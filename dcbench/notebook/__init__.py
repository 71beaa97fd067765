"""The notebook's front door: what `import dcbench` offers, as functions that return objects."""
