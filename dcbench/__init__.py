"""dcbench: a benchmark for image classification with little or unbalanced data.

A split, a method and a seed go in; a record whose every number can be recomputed comes out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcbench._version import __version__

if TYPE_CHECKING:
    from dcbench.notebook.running import run
    from dcbench.records.schema import Record

__all__ = ["Record", "__version__", "run"]


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for."""
    if name == "run":
        from dcbench.notebook.running import run

        return run
    if name == "Record":
        from dcbench.records.schema import Record

        return Record
    raise AttributeError(f"module 'dcbench' has no attribute '{name}'")
