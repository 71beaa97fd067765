"""Every random number of a run, drawn ahead from (seed, stream, epoch).

Each use of chance has a named stream of its own, so two methods with one seed share their initial
weights, the order of the images and the crops, and differ only where they must. Nothing is carried
from one epoch to the next, so a run resumes at any epoch without the state of a generator.

The generators are `numpy.random.RandomState` over Philox: NumPy promises that their streams never
change (NEP 19), which it does not promise of `numpy.random.Generator`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray


def stream(seed: int, name: str, epoch: int = 0) -> np.random.RandomState:
    """The generator of one named stream of a seed, in one epoch."""
    digest = hashlib.sha256(f"dcbench/{seed}/{name}/{epoch}".encode()).digest()
    key = np.frombuffer(digest[:16], dtype="<u8")
    return np.random.RandomState(np.random.Philox(key=key))


def weights_seed(seed: int) -> int:
    """The seed for torch's generator while a network is being built."""
    return int(stream(seed, "weights").randint(2**31))


class BetaMixing(NamedTuple):
    """Mixing coefficients from Beta(alpha, alpha), one for a batch or one for each image."""

    alpha: float
    per: Literal["batch", "sample"] = "batch"


@dataclass(frozen=True)
class Draws:
    """The draws of an epoch, or of one batch of it: arrays of one length N.

    Attributes
    ----------
    order : int64 [N]
        Rows of the training set, in the order in which they are visited.
    offsets : int64 [N, 2]
        Top and left corner of the crop in the padded image.
    flips : bool [N]
        Whether the crop is mirrored left to right.
    angles : float64 [N]
        Counter-clockwise rotation in degrees.
    partners : int64 [N]
        With which image of its own batch each image is mixed, by position in the batch.
    coefficients : float32 [N]
        The share of the image itself in the mixture; 1 where a method does not mix.
    """

    order: NDArray[np.int64]
    offsets: NDArray[np.int64]
    flips: NDArray[np.bool_]
    angles: NDArray[np.float64]
    partners: NDArray[np.int64]
    coefficients: NDArray[np.float32]

    def batches(self, batch_size: int, start: int = 0) -> Iterator[Draws]:
        """The batches of the epoch from number `start` on; the last one may be short."""
        for first in range(start * batch_size, len(self.order), batch_size):
            rows = slice(first, first + batch_size)
            yield Draws(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def draw_epoch(
    seed: int,
    epoch: int,
    num_images: int,
    batch_size: int,
    *,
    padding: int = 0,
    flip: bool = False,
    rotation: float = 0.0,
    mixing: BetaMixing | None = None,
) -> Draws:
    """All draws of one epoch.

    Parameters
    ----------
    padding
        Border in pixels around the images; crops start at 0 to 2 * padding.
    flip
        Mirror half of the images.
    rotation
        Largest angle in degrees; angles are uniform in [-rotation, rotation].
    mixing
        The law of the mixing coefficients, or None for a method that does not mix.
    """
    sizes = [min(batch_size, num_images - first) for first in range(0, num_images, batch_size)]
    partner_stream = stream(seed, "partners", epoch)
    return Draws(
        order=stream(seed, "order", epoch).permutation(num_images),
        offsets=stream(seed, "crops", epoch).randint(2 * padding + 1, size=(num_images, 2)),
        flips=flip & (stream(seed, "flips", epoch).randint(2, size=num_images) == 1),
        angles=stream(seed, "angles", epoch).uniform(-rotation, rotation, size=num_images),
        partners=np.concatenate([partner_stream.permutation(size) for size in sizes]),
        coefficients=_coefficients(stream(seed, "coefficients", epoch), sizes, mixing),
    )


def _coefficients(
    generator: np.random.RandomState, sizes: list[int], mixing: BetaMixing | None
) -> NDArray[np.float32]:
    if mixing is None:
        return np.ones(sum(sizes), dtype=np.float32)
    if mixing.per == "sample":
        drawn = generator.beta(mixing.alpha, mixing.alpha, size=sum(sizes))
    else:
        drawn = np.repeat(generator.beta(mixing.alpha, mixing.alpha, size=len(sizes)), sizes)
    return drawn.astype(np.float32)
