"""The leaderboard as one static page that opens from `file://` and needs no network."""

from dcbench.reports.page.write import write_page

__all__ = ["write_page"]
