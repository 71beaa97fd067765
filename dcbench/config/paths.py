"""Where the facts lie: `splits/`, `baselines/` and `leaderboard/`.

In a source tree they stand beside the package; in an installed wheel, inside it.
"""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_root() -> Path:
    """The folder that holds `splits/`, `baselines/` and `leaderboard/`."""
    source_tree = _PACKAGE.parent
    if (source_tree / "splits").is_dir() and (source_tree / "pyproject.toml").is_file():
        return source_tree
    return _PACKAGE / "_facts"


def cache_root() -> Path:
    """The user's cache folder of dcbench; it need not exist."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache, "dcbench").expanduser().absolute()


def data_root(option: str | Path | None = None) -> Path:
    """Return the data folder or bundle: the option, ``$DCBENCH_DATA``, or the user's cache."""
    chosen = option or os.environ.get("DCBENCH_DATA") or cache_root() / "data"
    return Path(chosen).expanduser().absolute()


def results_root(option: str | Path | None = None) -> Path:
    """The results folder: the option, `DCBENCH_RESULTS`, or `results` here."""
    return Path(option or os.environ.get("DCBENCH_RESULTS") or "results")
