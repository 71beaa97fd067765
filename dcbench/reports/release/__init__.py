"""Releases: leaderboards as a folder that stands for itself, frozen and hashed."""

from dcbench.reports.release.write import Release, write_release

__all__ = ["Release", "write_release"]
