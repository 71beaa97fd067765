"""A small network and batches of it, for the tests of methods."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dcbench.draws import draw_epoch
from dcbench.methods import Batch, Method
from dcbench.models.layers import Network

CLASSES = 4
COUNTS = [100, 50, 20, 5]


class Small(Network):
    """Two stages of one convolution each; without BatchNorm a row does not depend on the others."""

    def __init__(self, *, batch_norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        norm = nn.BatchNorm2d(6) if batch_norm else nn.Identity()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3), norm, nn.Tanh(), nn.Conv2d(6, 5, 2))
        self.fc = nn.Linear(5, CLASSES)

    @property
    def stage_ends(self) -> tuple[nn.Module, nn.Module]:
        return self.layers[2], self.layers[3]

    def features(self, images: Tensor) -> Tensor:
        return self.layers(images).flatten(1)


def a_batch(method: Method | None = None, size: int = 10, **changes: Tensor) -> Batch:
    """A batch with what the method's laws draw for it."""
    generator = torch.Generator().manual_seed(0)
    laws = {} if method is None else method.draws
    [drawn] = draw_epoch(0, 0, size, size, laws=laws, owner="test").batches(size)
    own = {**drawn.per_sample, **drawn.per_batch}
    given = {
        "images": torch.randn(size, 3, 4, 4, generator=generator),
        "labels": torch.randint(CLASSES, (size,), generator=generator),
        "partners": torch.randperm(size, generator=generator),
        "coefficients": torch.rand(1, generator=generator).expand(size).clone(),
        "class_counts": torch.tensor(COUNTS, dtype=torch.float32),
        "progress": torch.tensor(0.5),
    }
    draws = {key: torch.from_numpy(values) for key, values in own.items()}
    return Batch(**{**given, **changes}, draws=draws)
