"""dcbench: a benchmark for image classification with little or unbalanced data.

A split, a method and a seed go in; a record whose every number can be recomputed comes out.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dcbench._version import __version__

if TYPE_CHECKING:
    from dcbench.errors import DataError, DcbenchError, OutOfTimeError, RunError, UsageError
    from dcbench.methods import Method, register
    from dcbench.notebook.loading import (
        compare,
        list_methods,
        list_splits,
        load_leaderboard,
        load_model,
        load_posthoc,
        load_records,
        load_split,
    )
    from dcbench.notebook.running import run, run_many
    from dcbench.records.schema import Record

__all__ = [
    "DataError",
    "DcbenchError",
    "Method",
    "OutOfTimeError",
    "Record",
    "RunError",
    "UsageError",
    "__version__",
    "compare",
    "list_methods",
    "list_splits",
    "load_leaderboard",
    "load_model",
    "load_posthoc",
    "load_records",
    "load_split",
    "register",
    "run",
    "run_many",
]

_FROM = {
    "dcbench.errors": ("DataError", "DcbenchError", "OutOfTimeError", "RunError", "UsageError"),
    "dcbench.methods": ("Method", "register"),
    "dcbench.notebook.loading": (
        *("compare", "list_methods", "list_splits", "load_leaderboard"),
        *("load_model", "load_posthoc", "load_records", "load_split"),
    ),
    "dcbench.notebook.running": ("run", "run_many"),
    "dcbench.records.schema": ("Record",),
}
_MODULES = {name: module for module, names in _FROM.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: `import dcbench` itself is quick."""
    if name not in _MODULES:
        raise AttributeError(f"module 'dcbench' has no attribute '{name}'")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What a notebook offers after `dcbench.`: these names and nothing else."""
    return __all__
