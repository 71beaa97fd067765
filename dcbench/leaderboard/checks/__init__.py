"""What a leaderboard has to hold before it is published; see `check`."""

from dcbench.leaderboard.checks.check import Report, check

__all__ = ["Report", "check"]
