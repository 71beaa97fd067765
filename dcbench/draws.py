"""Every random number of a run, drawn ahead from (seed, stream, epoch).

Each use of chance has a named stream of its own, so two methods with one seed share their initial
weights, the order of the images and the crops, and differ only where they must. Nothing is carried
from one epoch to the next, so a run resumes at any epoch without the state of a generator.

The generators are `numpy.random.RandomState` over Philox: NumPy promises that their streams never
change (NEP 19), which it does not promise of `numpy.random.Generator`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

NUMERICS = 2
"""Raised when one seed gives other draws, weights, losses or logits than before, on one machine."""


def stream(seed: int, name: str, epoch: int = 0) -> np.random.RandomState:
    """The generator of one named stream of a seed, in one epoch."""
    digest = hashlib.sha256(f"dcbench/{seed}/{name}/{epoch}".encode()).digest()
    key = np.frombuffer(digest[:16], dtype="<u8")  # the same key whatever a machine's byte order
    return np.random.RandomState(np.random.Philox(key=key))


def weights_seed(seed: int, stage: int = 0) -> int:
    """The seed for torch's generator while a network, or what a stage resets, is being built."""
    name = f"weights/stage-{stage}" if stage else "weights"
    return int(stream(seed, name).randint(2**31))


class BetaMixing(NamedTuple):
    """Mixing coefficients from Beta(alpha, alpha), one for a batch or one for each image."""

    alpha: float
    per: Literal["batch", "sample"] = "batch"


_COLUMNS = ("order", "offsets", "flips", "angles", "partners", "coefficients")


class Uniform(NamedTuple):
    """Independent numbers, uniform in [low, high)."""

    low: float = 0.0
    high: float = 1.0
    shape: tuple[int, ...] = ()
    per: Literal["sample", "batch"] = "sample"


class Normal(NamedTuple):
    """Independent numbers from a normal distribution."""

    mean: float = 0.0
    std: float = 1.0
    shape: tuple[int, ...] = ()
    per: Literal["sample", "batch"] = "sample"


class Beta(NamedTuple):
    """Independent numbers from Beta(a, b)."""

    a: float
    b: float
    shape: tuple[int, ...] = ()
    per: Literal["sample", "batch"] = "sample"


class Categorical(NamedTuple):
    """Independent whole numbers from 0, by their probabilities."""

    probs: tuple[float, ...]
    shape: tuple[int, ...] = ()
    per: Literal["sample", "batch"] = "sample"


class Permutation(NamedTuple):
    """For each image of a batch another place in it, each place once."""


Law = Uniform | Normal | Beta | Categorical | Permutation
"""A law of random numbers that a method declares: one value, of some shape, an image or a batch."""


@dataclass(frozen=True, eq=False)
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
    per_sample : dict
        What the method's own laws drew for each image, [N, ...], by name.
    per_batch : dict
        What its laws that draw once a batch drew, [batches, ...]; of one batch, [...].
    """

    order: NDArray[np.int64]
    offsets: NDArray[np.int64]
    flips: NDArray[np.bool_]
    angles: NDArray[np.float64]
    partners: NDArray[np.int64]
    coefficients: NDArray[np.float32]
    per_sample: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    per_batch: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)

    def batches(self, batch_size: int, start: int = 0) -> Iterator[Draws]:
        """The batches of the epoch from number `start` on; the last one may be short."""
        for first in range(start * batch_size, len(self.order), batch_size):
            rows = slice(first, first + batch_size)
            yield Draws(
                **{name: getattr(self, name)[rows] for name in _COLUMNS},
                per_sample={name: each[rows] for name, each in self.per_sample.items()},
                per_batch={
                    name: np.asarray(each[first // batch_size])
                    for name, each in self.per_batch.items()
                },
            )


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
    laws: Mapping[str, Law] | None = None,
    owner: str = "",
    balanced: NDArray[np.int64] | None = None,
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
    laws, owner
        Further laws, and the name that their streams begin with.
    balanced : int64 [N], optional
        Labels: every class is then drawn as often as the others, and an image of it with
        replacement.
    """
    sizes = [min(batch_size, num_images - first) for first in range(0, num_images, batch_size)]
    partner_stream = stream(seed, "partners", epoch)
    laws = laws or {}
    own = {
        name: _drawn(stream(seed, f"{owner}/{name}", epoch), sizes, law)
        for name, law in laws.items()
    }
    once = {name for name, law in laws.items() if getattr(law, "per", "sample") == "batch"}
    return Draws(
        order=_order(seed, epoch, num_images, balanced),
        offsets=stream(seed, "crops", epoch).randint(2 * padding + 1, size=(num_images, 2)),
        flips=flip & (stream(seed, "flips", epoch).randint(2, size=num_images) == 1),
        angles=stream(seed, "angles", epoch).uniform(-rotation, rotation, size=num_images),
        partners=np.concatenate([partner_stream.permutation(size) for size in sizes]),
        coefficients=_coefficients(stream(seed, "coefficients", epoch), sizes, mixing),
        per_sample={name: each for name, each in own.items() if name not in once},
        per_batch={name: each for name, each in own.items() if name in once},
    )


def _order(
    seed: int, epoch: int, num_images: int, balanced: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    if balanced is None:
        return stream(seed, "order", epoch).permutation(num_images)
    generator = stream(seed, "balanced-order", epoch)
    members = [np.flatnonzero(balanced == label) for label in np.unique(balanced)]
    classes = generator.randint(len(members), size=num_images)
    shares = generator.uniform(size=num_images)
    sizes = np.array([len(each) for each in members])
    starts = np.cumsum(sizes) - sizes
    places = (shares * sizes[classes]).astype(np.int64)
    order: NDArray[np.int64] = np.concatenate(members)[starts[classes] + places]
    return order


def _drawn(generator: np.random.RandomState, sizes: list[int], law: Law) -> NDArray[np.generic]:
    if isinstance(law, Permutation):
        return np.concatenate([generator.permutation(size) for size in sizes])
    shape = (sum(sizes) if law.per == "sample" else len(sizes), *law.shape)
    if isinstance(law, Uniform):
        return generator.uniform(law.low, law.high, shape).astype(np.float32)
    if isinstance(law, Normal):
        return generator.normal(law.mean, law.std, shape).astype(np.float32)
    if isinstance(law, Beta):
        return generator.beta(law.a, law.b, shape).astype(np.float32)
    return generator.choice(len(law.probs), shape, p=law.probs).astype(np.int64)


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
