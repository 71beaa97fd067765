"""Random numbers of a corruption: for each image the same ones, however many are made at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcbench.draws import stream


class Chance:
    """The named streams of a corruption; every severity begins them anew.

    Numbers are drawn image by image in a row, so batches of any size get the same.
    """

    def __init__(self, corruption: str, device: torch.device) -> None:
        self._corruption, self._device = corruption, device
        self._streams: dict[str, np.random.RandomState] = {}

    def _of(self, name: str) -> np.random.RandomState:
        if name not in self._streams:
            self._streams[name] = stream(0, f"corruption/{self._corruption}/{name}")
        return self._streams[name]

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers, float64."""
        return self._sent(self._of(name).normal(size=tuple(shape)))

    def uniform(self, name: str, shape: Sequence[int]) -> Tensor:
        """Numbers uniform in [0, 1), float64."""
        return self._sent(self._of(name).uniform(size=tuple(shape)))

    def integers(self, name: str, high: int, shape: Sequence[int]) -> Tensor:
        """Whole numbers from 0 to `high` - 1, int64."""
        return self._sent(self._of(name).randint(high, size=tuple(shape)))

    def poisson(self, name: str, means: Tensor) -> Tensor:
        """Poisson counts, float64 of the shape of their means."""
        return self._sent(self._of(name).poisson(means.cpu().numpy()).astype(np.float64))

    def _sent(self, drawn: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(drawn).to(self._device)
