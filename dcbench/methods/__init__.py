"""Methods: how a batch becomes a loss."""

from dcbench.config.names import parse_method, parse_settings
from dcbench.methods import (  # noqa: F401  (they register)
    architectures,
    averages,
    cutmix,
    infinite_class,
    labels,
    long_tailed,
    mixup,
    penalties,
    sharpness,
    two_stage,
)
from dcbench.methods.base import Batch, Method, Network, Stage, Task
from dcbench.methods.registry import build_method, is_own, method_class, method_names, register

__all__ = [
    "Batch",
    "Method",
    "Network",
    "Stage",
    "Task",
    "build_method",
    "is_own",
    "method_class",
    "method_names",
    "parse_method",
    "parse_settings",
    "register",
]
