"""What a leaderboard has to hold before it is published; see `check`."""

from dcbench.leaderboard.checks.check import CheckResult, check

__all__ = ["CheckResult", "check"]
