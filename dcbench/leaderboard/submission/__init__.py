"""Submissions: the runs of a method as one file, and what has to hold of such a file.

`pack` writes one from a results folder, `unpacked` reads one that somebody sent, `verify` says what
is wrong with it and which rows it would make.
"""

from dcbench.leaderboard.submission.archive import unpacked
from dcbench.leaderboard.submission.pack import Packed, pack
from dcbench.leaderboard.submission.verify import Verified, verify

__all__ = ["Packed", "Verified", "pack", "unpacked", "verify"]
