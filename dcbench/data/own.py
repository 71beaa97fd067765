"""Datasets of one's own, as a split names them: a folder, an npz file, a dataset of torchvision.

`./photos[size=32,test=0.2]`, `./set.npz[size=28]`, `torchvision:SVHN[size=32]`: a path has a slash
or ends with .npz; in brackets stand the size that the images have or get, and the share of each
class that is tested on where the images are not divided into train and test.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from dcbench.config.names import parse_settings, shortened, split_list
from dcbench.config.paths import expanded
from dcbench.data.image_folder import FolderImages
from dcbench.data.npz_file import NpzImages
from dcbench.data.own_images import LARGEST, OwnImages
from dcbench.data.published import Dataset
from dcbench.data.torchvision_sets import TorchvisionImages
from dcbench.errors import UsageError

TORCHVISION = "torchvision:"
_NPZ = ".npz"


class OwnName(NamedTuple):
    """The name of a dataset of one's own, taken apart.

    Attributes
    ----------
    place : str
        A path, or `torchvision:` and the name of a class.
    settings : dict
        What stands in the brackets.
    """

    place: str
    settings: dict[str, Any]

    def __str__(self) -> str:
        pairs = ",".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{self.place}[{pairs}]" if pairs else self.place

    @property
    def is_path(self) -> bool:
        """Whether it lies in a file or folder of one's own."""
        return not self.place.startswith(TORCHVISION)

    def beside(self, folder: Path) -> OwnName:
        """The same dataset, its path taken from this folder on and written in full."""
        if not self.is_path:
            return self
        place = Path(folder.absolute(), expanded(self.place, "dataset "))
        # Not resolved: a link in the place of a folder may point elsewhere tomorrow.
        return self._replace(place=str(Path(*_without_dots(place))))


def is_own(name: str) -> bool:
    """Whether a name is that of a dataset of one's own, and no plain name."""
    place = name.partition("[")[0]
    return name.startswith(TORCHVISION) or "/" in name or place.endswith(_NPZ)


def parse_own(name: str) -> OwnName:
    """Take a name apart.

    Raises
    ------
    UsageError
        What stands in brackets is no list of settings.
    """
    match = re.fullmatch(r"(.*?)(?:\[([^\[\]]*)\])?", name.strip(), re.DOTALL)
    assert match is not None  # whatever is not in brackets at the end belongs to the place
    return OwnName(match[1], parse_settings(split_list(match[2] or "")))


def beside(name: str, folder: Path) -> str:
    """A dataset's name as a file in this folder means it."""
    return str(parse_own(name).beside(folder)) if is_own(name) else name


def own_images(name: str) -> OwnImages:
    """The images that a name stands for; nothing is read.

    Raises
    ------
    UsageError
        A setting that there is not, or a value that it cannot have.
    """
    place, settings = own = parse_own(name)
    size = _size(settings.pop("size", None), own)
    test = _share(settings.pop("test", None), own)
    if place.startswith(TORCHVISION):
        title = place.removeprefix(TORCHVISION)
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,80}", title):
            raise UsageError(f"dataset {shortened(name)}: write torchvision:NAME, as in its manual")
        return TorchvisionImages(title, size, test, tuple(settings.items()))
    if settings:
        raise UsageError(f"dataset {place}: setting '{next(iter(settings))}': there are size, test")
    kind = NpzImages if place.endswith(_NPZ) else FolderImages
    return kind(str(expanded(place, "dataset ").absolute()), size, test)


@functools.lru_cache(maxsize=256)
def own_dataset(name: str) -> Dataset:
    """A dataset of one's own, whose name says the size of its images.

    Raises
    ------
    UsageError
        It does not, or is wrong in another way.
    """
    images = own_images(name)
    if images.size is None:
        place = images.place
        raise UsageError(
            f"dataset {place}: say the size in pixels that its images have or are to get, "
            f"{LARGEST} at most, as in {place}[size=32]; `dcbench splits new` finds it"
        )
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(images.place.rpartition(":")[2]).stem).strip("-")
    digest = hashlib.sha256(os.fsencode(str(parse_own(name)))).hexdigest()
    return Dataset(
        name=f"{stem[:40] or 'own'}-{digest[:8]}",
        title=images.title,
        num_classes=0,  # as many as a split gives names to
        parts={"train": (), "test": ()},
        downloads=(),
        source=images.place,
        licence="",
        image_size=images.size,
        own=images,
    )


def _size(value: Any, own: OwnName) -> tuple[int, int] | None:
    """Height and width of `32` or `24x32`."""
    if value is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]?)(?:x([1-9][0-9]?))?", str(value))
    sides = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 0 < max(sides) <= LARGEST or min(sides) < 4:
        raise UsageError(
            f"dataset {own.place}: size={value}: should be pixels, 4 to {LARGEST}: 32, or 24x32 "
            "for height x width"
        )
    return sides


def _share(value: Any, own: OwnName) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise UsageError(
            f"dataset {own.place}: test={value}: should be the share of each class that is tested "
            "on, between 0 and 1"
        )
    return float(value)


def _without_dots(path: Path) -> list[str]:
    """The parts of an absolute path, where `..` takes the part before it away."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part not in ("..", "."):
            parts.append(part)
    return parts
