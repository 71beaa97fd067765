"""Parts of datasets of one's own, decoded once and then opened as memory maps."""

from __future__ import annotations

import logging
from pathlib import Path

from dcbench.data.maps import origin_of, read_map, write_map
from dcbench.data.parts import Part, joined
from dcbench.data.published import Dataset

_log = logging.getLogger(__name__)


def read_own(root: Path, dataset: Dataset, part: str) -> Part:
    """Read one part of a dataset of one's own.

    Parameters
    ----------
    root : Path
        The data folder, or a bundle: where datasets of torchvision and what was decoded are kept.

    Raises
    ------
    DataError
        Its images are not there, damaged, or too large.
    """
    own = dataset.own
    assert own is not None
    files = own.files(root)
    origin = origin_of(files) if files else None
    origins = (origin,) if origin else None
    mapped = read_map(root, dataset, part, origins)
    if mapped is not None:
        return mapped
    _log.info("reading the images of %s (%s)", own.title, part)
    whole = joined(f"{dataset.name}/{part}", [own.read(root, part)])
    write_map(root, whole, origins)
    return whole
