"""torch, imported when a method first computes: a list of methods does not wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch as torch
    from torch.nn import functional as functional
else:
    import importlib
    from types import ModuleType

    class _Lazy(ModuleType):
        """Stands in for a module until something of it is asked for."""

        def __getattr__(self, name):
            return getattr(importlib.import_module(self.__name__), name)

    torch, functional = _Lazy("torch"), _Lazy("torch.nn.functional")
