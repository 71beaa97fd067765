"""How often something is called: what grows faster than the work would show here first."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest


def counted(patch: pytest.MonkeyPatch, holder: Any, name: str, calls: Counter[str]) -> None:
    """Have every call of a function counted under its name; it does what it did."""
    real: Callable[..., Any] = getattr(holder, name)

    def call(*given: Any, **named: Any) -> Any:
        calls[name] += 1
        return real(*given, **named)

    patch.setattr(holder, name, call)
