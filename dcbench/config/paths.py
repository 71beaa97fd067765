"""Where the facts lie: `splits/`, `baselines/` and `leaderboard/`.

In a source tree they stand beside the package; in an installed wheel, inside it.
"""

from __future__ import annotations

import os
from pathlib import Path

from dcbench.errors import UsageError

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
    return expanded(Path(cache, "dcbench")).absolute()


def data_root(option: str | Path | None = None) -> Path:
    """Return the data folder or bundle: the option, ``$DCBENCH_DATA``, or the user's cache."""
    chosen = option or os.environ.get("DCBENCH_DATA") or default_data_root()
    return expanded(chosen).absolute()


def default_data_root() -> Path:
    """The data folder that nobody has to name, nor to make."""
    return cache_root() / "data"


def results_root(option: str | Path | None = None) -> Path:
    """The results folder: the option, `DCBENCH_RESULTS`, or `results` here."""
    return expanded(option or os.environ.get("DCBENCH_RESULTS") or "results")


def expanded(path: str | Path, of: str = "") -> Path:
    """A path whose `~` or `~name` is the user's home; `of` begins the message where there is none.

    Raises
    ------
    UsageError
        There is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"{of}{path}: there is no such home; write the path without ~") from None


def files_in(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that fit a pattern, in order, without hidden ones.

    Some systems put a hidden `._name.csv` beside a file that they copy.
    """
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, in order, without hidden ones."""
    return [path for path in files_in(folder, "*") if path.is_dir()]
