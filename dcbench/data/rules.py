"""The rules that subsets are drawn by: labels and a subset's number in, row numbers out.

Subsets are drawn once and listed under `splits/`; a run reads the lists. These rules derive the
lists again, to prove them.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dcbench.config.base import Config
from dcbench.errors import UsageError

Rows = NDArray[np.int64]

Subset = Annotated[int, Field(ge=0, lt=2**32)]
"""Which draw: what NumPy's legacy generator takes as a seed."""

NO_ROWS: Rows = np.empty(0, dtype=np.int64)
NO_ROWS.flags.writeable = False

HELD_OUT = 5
"""A split without a validation part holds one in so many training images of a class out."""


class Selection(NamedTuple):
    """Rows of a dataset's training part, class after class.

    Attributes
    ----------
    held_out
        Of `train`, those that are for tuning; none where `val` is there for that.
    """

    train: Rows
    val: Rows
    held_out: Rows = NO_ROWS


class ByPosition(Config):
    """The first images of each class in file order, in blocks of train + val for each subset.

    The rule of DEIC and GEM (Brigato et al. 2021, 2022): with 30 + 20 images, subset 0 takes the
    positions 0 to 49 of each class, subset 1 those from 50 to 99, subset 2 those from 100 to 149.
    """

    kind: Literal["by-position"]
    train: int = Field(gt=0)
    val: int = Field(ge=0)

    def select(self, labels: Rows, num_classes: int, subset: int) -> Selection:
        """Rows of a subset.

        Raises
        ------
        UsageError
            A class has too few images.
        """
        first = subset * (self.train + self.val)
        members = [np.flatnonzero(labels == label) for label in range(num_classes)]
        for label, rows in enumerate(members):
            if len(rows) < first + self.train + self.val:
                raise UsageError(
                    f"subset {subset} needs {first + self.train + self.val} images of each class; "
                    f"class {label} has {len(rows)}"
                )
        return Selection(
            np.concatenate([rows[first : first + self.train] for rows in members]),
            np.concatenate([rows[first + self.train :][: self.val] for rows in members]),
        )


class LongTailed(Config):
    """Fewer images of later classes than of earlier ones.

    The rules of LDAM-DRW (Cao et al. 2019, `imbalance_cifar.py`): class k of C keeps
    int(n_max * ratio ** (k / (C - 1))) images where `shape` is `exp`; where it is `step`, the
    first half of the classes keeps n_max and the others int(n_max * ratio). They are the first of
    a shuffle by NumPy's legacy generator seeded with `rand_number`, classes in ascending order.
    The subset's number is `rand_number`. Subsets of one number are nested: a smaller ratio keeps a
    prefix of each class. There is no validation part: all are trained on. For tuning, the last of
    each class in that shuffled order are held out: one in five, rounded down, but one at least
    where the class has two.
    """

    kind: Literal["long-tailed"]
    ratio: float = Field(gt=0, le=1)
    shape: Literal["exp", "step"] = "exp"

    def select(self, labels: Rows, num_classes: int, subset: int) -> Selection:
        """Rows of a subset."""
        generator = np.random.RandomState(subset)
        chosen, held_out = [], []
        for label, share in enumerate(self.shares(len(labels), num_classes)):
            rows = np.flatnonzero(labels == label)
            generator.shuffle(rows)
            rows = rows[:share]
            chosen.append(rows)
            held_out.append(rows[len(rows) - max(len(rows) // HELD_OUT, int(len(rows) > 1)) :])
        return Selection(np.concatenate(chosen), NO_ROWS, np.concatenate(held_out))

    def shares(self, num_images: int, num_classes: int) -> list[int]:
        """Number of images that each class keeps, if it has them; n_max is that of even classes."""
        largest = num_images / num_classes
        return [
            int(largest * self.ratio ** self._power(label, num_classes))
            for label in range(num_classes)
        ]

    def _power(self, label: int, num_classes: int) -> float:
        if self.shape == "step":
            return float(label >= num_classes // 2)
        return label / (num_classes - 1)


class Listed(Config):
    """Rows that somebody has chosen: the lists are all there is, and no rule gives them again."""

    kind: Literal["listed"]

    def select(self, labels: Rows, num_classes: int, subset: int) -> Selection:
        """There is nothing to draw.

        Raises
        ------
        UsageError
            Always.
        """
        raise UsageError("a listed split has no rule to derive it by: its lists are what it is")


class Everything(Config):
    """The whole training part; the last `val` images of each class in file order are for tuning."""

    kind: Literal["everything"]
    val: int = Field(ge=0)

    def select(self, labels: Rows, num_classes: int, subset: int) -> Selection:
        """Rows in file order; `subset` makes no difference."""
        held_out = [
            np.flatnonzero(labels == label)[-self.val :] if self.val else NO_ROWS
            for label in range(num_classes)
        ]
        val = np.sort(np.concatenate(held_out)).astype(np.int64)
        return Selection(np.setdiff1d(np.arange(len(labels), dtype=np.int64), val), val)


Rule = Annotated[ByPosition | LongTailed | Listed | Everything, Field(discriminator="kind")]
