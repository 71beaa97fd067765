"""The arithmetic of a recipe: float32, TF32, or bfloat16 by autocast."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from dcbench.config.recipe import Recipe


def configure_precision(recipe: Recipe, device: torch.device) -> None:
    """Set the process up for the recipe's arithmetic, and for the same result every time."""
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Deterministic mode would fill every new tensor with NaN, a kernel each.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    _allow_tf32(recipe.precision == "tf32", recipe.precision == "tf32")


def _allow_tf32(products: bool, convolutions: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = products
    torch.backends.cudnn.allow_tf32 = convolutions


def used_precision(recipe: Recipe, device: torch.device) -> str:
    """What a device makes of the recipe's precision: a CPU has no TF32."""
    on_cpu = recipe.precision == "tf32" and device.type != "cuda"
    return "float32" if on_cpu else recipe.precision


def autocast(recipe: Recipe, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """The context that forward passes run in under the recipe's precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16")


@contextlib.contextmanager
def arithmetic(recipe: Recipe, device: torch.device) -> Iterator[None]:
    """Passes within are in the recipe's precision, whatever another run has set the process to."""
    with contextlib.ExitStack() as stack:
        if device.type == "cuda":
            before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
            stack.callback(_allow_tf32, *before)
            configure_precision(recipe, device)
        stack.enter_context(autocast(recipe, device))
        yield
