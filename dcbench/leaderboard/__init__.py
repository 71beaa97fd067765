"""Leaderboards: rows from records, and tables from rows."""
