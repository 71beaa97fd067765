"""Datasets of torchvision by the names of their classes: whatever gives pictures with a label."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from dcbench.config.text import in_brief
from dcbench.data.formats import Piece
from dcbench.data.own_images import OwnImages, check_labels
from dcbench.data.pictures import in_rgb, in_size
from dcbench.errors import DataError, DcbenchError, MissingData, UsageError, unknown

FOLDER = "torchvision"
_BASES = {"VisionDataset", "DatasetFolder", "ImageFolder"}
_TESTED = ("test", "val", "valid")


class _Call(NamedTuple):
    """How a class of torchvision is called."""

    kind: Callable[..., Any]
    parameters: frozenset[str]


@dataclass(frozen=True)
class TorchvisionImages(OwnImages):
    """A dataset of torchvision, under `torchvision/<name>` in the data folder.

    A class with a parameter `train` has both parts, and so has one with `split`, whose part to test
    on is `test`, or `val` where there is no `test`. Of others, `test` says what is held out.

    Attributes
    ----------
    arguments : tuple
        Further arguments of the class, by name: `torchvision:EMNIST[size=28,split=letters]`.
    """

    arguments: tuple[tuple[str, Any], ...] = ()

    def folder(self, root: Path) -> Path:
        """Where its files lie."""
        return root / FOLDER / self.place

    def files(self, root: Path) -> Path | None:
        """The folder; None for a dataset that has no files."""
        return self.folder(root) if "root" in self._call.parameters else None

    def class_names(self, root: Path) -> tuple[str, ...]:
        """Those that the dataset has; else the numbers of the classes."""
        opened = self._opened(root, "train")
        named = getattr(opened, "classes", None)
        if named:
            return tuple(each[0] if isinstance(each, tuple) else str(each) for each in named)
        labels = [int(opened[row][1]) for row in range(len(opened))]
        return tuple(map(str, range(max(labels) + 1)))

    def sizes(self, root: Path) -> set[tuple[int, int]]:
        """Heights and widths of the pictures to train on."""
        opened = self._opened(root, "train")
        pictures = (self._sample(opened, row)[0] for row in range(len(opened)))
        return {(each.height, each.width) for each in pictures}

    def read(self, root: Path, part: str) -> Piece:
        """The pictures of a part, in the order of the dataset."""
        assert self.size is not None
        opened = self._opened(root, part)
        count = len(opened)
        images = np.empty((count, *self.size, 3), dtype=np.uint8)
        labels = np.empty(count, dtype=np.int64)
        for row in range(count):
            picture, labels[row] = self._sample(opened, row)
            images[row] = in_size(picture, self.size)
        check_labels(labels, int(labels.max(initial=0)) + 1, f"{FOLDER}:{self.place}")
        if self._is_divided:
            self.refuse_share("is divided into train and test")
            return Piece(images, labels)
        rows = self.rows(part, list(map(str, range(count))), labels)
        return Piece(images[rows], labels[rows])

    def download(self, root: Path) -> None:
        """Download it, as torchvision does, which checks what comes.

        Raises
        ------
        DataError
            It cannot be had, or has to be put there by hand.
        """
        for part in ("train", "test") if self._is_divided else ("train",):
            self._opened(root, part, download=True)

    @property
    def _call(self) -> _Call:
        """The class, and the names of its parameters, with those of the classes that it extends."""
        from torchvision import datasets

        kinds = {
            name: each
            for name in datasets.__all__
            if name not in _BASES and inspect.isclass(each := getattr(datasets, name))
        }
        if self.place not in kinds:
            raise unknown("dataset of torchvision", self.place, kinds)
        found = kinds[self.place]
        parameters: set[str] = set()
        for each in found.__mro__:
            if "__init__" not in vars(each):
                continue
            own = inspect.signature(vars(each)["__init__"]).parameters
            parameters |= set(own)
            if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in own.values()):
                break
        return _Call(found, frozenset(parameters))

    @property
    def _is_divided(self) -> bool:
        given, parameters = dict(self.arguments), self._call.parameters
        return "train" in parameters or ("split" in parameters and "split" not in given)

    def _opened(self, root: Path, part: str, *, download: bool = False) -> Any:
        """The dataset of a part."""
        kind, parameters = self._call
        given: dict[str, Any] = dict(self.arguments)
        foreign = sorted(given.keys() - parameters)
        if foreign:
            raise UsageError(
                f"dataset {FOLDER}:{self.place}: setting '{foreign[0]}': there are size, test and "
                f"{', '.join(sorted(parameters - {'self', 'root', 'args', 'kwargs'}))}"
            )
        if "root" in parameters:
            given["root"] = str(self.folder(root))
        if download and "download" in parameters:
            given["download"] = True
        if "train" in parameters:
            return self._made(kind, [{**given, "train": part == "train"}], root)
        if self._is_divided:
            values = ("train",) if part == "train" else _TESTED
            return self._made(kind, [{**given, "split": each} for each in values], root)
        return self._made(kind, [given], root)

    def _made(self, kind: Callable[..., Any], choices: list[dict[str, Any]], root: Path) -> Any:
        """The dataset by the first choice of arguments that it knows."""
        problem: Exception | None = None
        for arguments in choices:
            try:
                return kind(**arguments)
            except ValueError as refused:  # a value of `split` that there is not
                problem = problem or refused
            except ImportError as lacking:
                raise DataError(f"{FOLDER}:{self.place}: {in_brief(lacking)}") from None
            except TypeError as wrong:  # an argument that it needs
                raise UsageError(f"dataset {FOLDER}:{self.place}: {in_brief(wrong)}") from None
            except Exception as missing:  # mostly RuntimeError, with advice for Python
                problem = missing
                break
        where = self.folder(root)
        raise MissingData(
            f"{FOLDER}:{self.place} cannot be read from {where}: {in_brief(problem or OSError())}; "
            f"run `dcbench data fetch {FOLDER}:{self.place}`"
        )

    def _sample(self, opened: Any, row: int) -> tuple[Image.Image, int]:
        try:
            picture, label = opened[row][:2]
            if isinstance(picture, Image.Image):
                return in_rgb(picture), int(label)
        except DcbenchError:
            raise
        except Exception as problem:
            raise DataError(f"{FOLDER}:{self.place}, image {row}: {in_brief(problem)}") from None
        kind = type(picture).__name__
        raise DataError(
            f"{FOLDER}:{self.place}, image {row}: is a {kind}; should be a picture with a label"
        )
