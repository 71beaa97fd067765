"""Networks before a run begins: whether there is one, and whether a third party's works."""

from __future__ import annotations

import torch

from dcbench.config.plugins import file_of
from dcbench.config.third_party import third_party
from dcbench.errors import RunError
from dcbench.models.registry import build_model, build_outline, third_party_builder

_IMAGES = 2


def check_network(name: str, num_classes: int, image_size: tuple[int, int]) -> None:
    """Build a network; pass two black images through it, in both modes, if it is a third party's.

    Raises
    ------
    UsageError
        There is none of this name.
    RunError
        A third party's cannot be built, raises something, or gives other than float logits
        [2, num_classes] that depend on weights.
    """
    builder = third_party_builder(name)
    if builder is None:
        build_outline(name, num_classes)
        return
    guarded = third_party(f"network {name}: ", file_of(builder), RunError)
    with torch.random.fork_rng(devices=()), guarded:
        network = build_model(name, num_classes).cpu()
        if not any(each.requires_grad for each in network.parameters()):
            raise ValueError("has no weights that learn")
        images = torch.zeros(_IMAGES, 3, *image_size)
        for training in (True, False):
            _check_logits(network.train(training)(images), num_classes, image_size)


def _check_logits(logits: object, num_classes: int, image_size: tuple[int, int]) -> None:
    height, width = image_size
    wanted = (
        f"should give logits [{_IMAGES}, {num_classes}] of images [{_IMAGES}, 3, {height}, {width}]"
    )
    if not isinstance(logits, torch.Tensor):
        raise TypeError(f"{wanted}, and gives a {type(logits).__name__}")
    if tuple(logits.shape) != (_IMAGES, num_classes) or not logits.is_floating_point():
        raise ValueError(f"{wanted}, and gives {logits.dtype} {list(logits.shape)}")
    if not logits.requires_grad:
        raise ValueError(f"{wanted} that depend on its weights")
