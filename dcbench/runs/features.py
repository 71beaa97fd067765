"""Features of the training, test and OOD images of finished runs, by their stored weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from dcbench.config.image_sets import CORRUPTIONS, OOD_MEANS
from dcbench.config.progress import NoProgress, Progress
from dcbench.data.load import load_images
from dcbench.data.ood_sets import load_ood_set
from dcbench.data.parts import ImageSet, MissingData, Source, UnverifiedData
from dcbench.data.splits import load_split
from dcbench.records.features import find_features, write_features
from dcbench.records.schema import ImagesUsed, Record
from dcbench.records.set_files import read_completed
from dcbench.records.store import locked
from dcbench.runs.further import Request, check_weights, threads_of
from dcbench.runs.machine import device_title, threads_set
from dcbench.runs.prepare import now
from dcbench.runs.representations import Tap
from dcbench.runs.trained import load_network


class FeaturesOutcome(NamedTuple):
    """What became of the features of an image set of a run, as for a `SetOutcome`."""

    run: Path
    name: str
    state: Literal["stored", "there", "absent", "inapplicable"]
    message: str = ""


def store_features(
    requests: Sequence[Request],
    source: Source,
    device: torch.device,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[FeaturesOutcome]:
    """Store the features of `fit`, `test` and the OOD sets of each run, unless they are there.

    The OOD sets are those that the run has predicted, and those that are asked for; corrupted
    images have none stored. `threads` as for `predict_sets`.

    Raises
    ------
    DataError, RunError
        As `predict_sets`.
    """
    for request in requests:
        own = threads_of(request.record, threads)
        with locked(request.folder), threads_set(device, own):
            yield from _of_run(request, source, device, progress or NoProgress())


def _of_run(
    request: Request, source: Source, device: torch.device, progress: Progress
) -> Iterator[FeaturesOutcome]:
    folder, record = request.folder, read_completed(request.folder)
    names = ["fit", "test", *_ood_names(request, record)]
    waiting = [name for name in names if find_features(folder, record, name) is None]
    for name in names:
        if name not in waiting:
            yield FeaturesOutcome(folder, name, "there")
    if not waiting:
        return
    split = load_split(record.split, record.subset)
    fit = split.fit_of(record.recipe.fit, record.index_sha256)
    images = load_images(split, source, fit=fit)
    trained = load_network(folder, str(device))
    check_weights(folder, record, trained, images.test)
    tap = Tap(trained)
    for name in waiting:
        try:
            found = _images(name, record, source, {"fit": images.fit, "test": images.test})
        except (MissingData, UnverifiedData) as problem:
            yield FeaturesOutcome(folder, name, "absent", str(problem))
            continue
        shown = progress.task(f"features of {name}", len(found.labels), unit="images")
        features = tap.represent(found.images, shown.advance).features
        shown.close()
        if features is None:
            message = "the network has no last layer `fc`"
            yield FeaturesOutcome(folder, name, "inapplicable", message)
            return
        used = ImagesUsed(images=len(found.labels), sha256=found.sha256(), official=found.official)
        write_features(
            folder,
            record,
            name,
            features.cpu().numpy(),
            used,
            device=device_title(device),
            finished=now(),
        )
        yield FeaturesOutcome(folder, name, "stored")


def _ood_names(request: Request, record: Record) -> list[str]:
    measured = [name for name, scores in record.metrics.ood.items() if scores]
    names = dict.fromkeys([*measured, *request.names])
    return [name for name in names if name not in OOD_MEANS and name not in CORRUPTIONS]


def _images(name: str, record: Record, source: Source, own: dict[str, ImageSet]) -> ImageSet:
    if name in own:
        return own[name]
    return load_ood_set(name, load_split(record.split, record.subset).config, source)
