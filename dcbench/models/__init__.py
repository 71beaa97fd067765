"""Networks by name; `build_model("wrn-16-8", num_classes=10)`."""

from dcbench.models import digits, resnet, resnet_cifar, wide_resnet  # noqa: F401  (they register)
from dcbench.models.registry import (
    build_model,
    build_outline,
    find_model,
    forget_files,
    model_names,
    model_origin,
    register_model,
)

__all__ = [
    "build_model",
    "build_outline",
    "find_model",
    "forget_files",
    "model_names",
    "model_origin",
    "register_model",
]
