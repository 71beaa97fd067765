"""Where the facts lie: `splits/`, `baselines/` and `leaderboard/`.

In a source tree they stand beside the package; in an installed wheel, inside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def facts_root() -> Path:
    """The folder that holds `splits/`, `baselines/` and `leaderboard/`."""
    source_tree = _PACKAGE.parent
    if (source_tree / "splits").is_dir() and (source_tree / "pyproject.toml").is_file():
        return source_tree
    return _PACKAGE / "_facts"
