"""Features of a run's images, stored where they are asked for: what the last layer is given.

`features/<name>.npz` has the array `features`, float32 [N, D]; `features/<name>.json` says of which
images and weights, and is written last.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dcbench.config.base import Config, validated
from dcbench.config.reading import parse_json
from dcbench.errors import DataError
from dcbench.records import files
from dcbench.records.atomic import write_bytes, writing
from dcbench.records.files import FEATURES, read_whole
from dcbench.records.schema import ImagesUsed, Record, StoredPredictions


class StoredFeatures(Config):
    """The content of `features/<name>.json`."""

    schema_version: Literal[1] = 1
    name: str
    model_sha256: str
    images: ImagesUsed
    dimensions: int
    features: StoredPredictions
    device: str
    finished: str


def write_features(
    folder: Path,
    record: Record,
    name: str,
    features: NDArray[np.float32],
    used: ImagesUsed,
    *,
    device: str,
    finished: str,
) -> StoredFeatures:
    """Store the features [N, D] of an image set; from then on they are there."""
    with writing(folder / FEATURES):
        (folder / FEATURES).mkdir(exist_ok=True)
    found = StoredFeatures(
        name=name,
        model_sha256=record.model.sha256,
        images=used,
        dimensions=features.shape[1],
        features=files.write_arrays(folder, {"features": features}, f"{FEATURES}/{name}.npz"),
        device=device,
        finished=finished,
    )
    text = json.dumps(found.model_dump(mode="json"), indent=2)
    write_bytes(folder / FEATURES / f"{name}.json", f"{text}\n".encode())
    return found


def find_features(folder: Path, record: Record, name: str) -> StoredFeatures | None:
    """What is stored of an image set, or None.

    Raises
    ------
    DataError
        It is damaged, or of other weights.
    """
    path = folder / FEATURES / f"{name}.json"
    if not path.exists():
        return None
    found = validated(StoredFeatures, parse_json(read_whole(path), path), path, DataError)
    if found.model_sha256 != record.model.sha256:
        raise DataError(
            f"{path}: is of other weights than those of the record beside it; remove "
            f"{folder / FEATURES}"
        )
    return found


def read_features(folder: Path, record: Record, name: str) -> NDArray[np.float32]:
    """The stored features [N, D] of an image set: `fit`, `test`, or an OOD set.

    Raises
    ------
    DataError
        There are none, or they are damaged.
    """
    found = find_features(folder, record, name)
    if found is None:
        raise DataError(
            f"{folder / FEATURES}: holds no features of {name}; store them with `dcbench predict "
            f"{folder} --features`"
        )
    _, arrays = files.read_arrays(folder, found.features)
    return np.asarray(arrays["features"], dtype=np.float32)
