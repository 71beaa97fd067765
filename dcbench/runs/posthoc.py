"""Detectors, adjusted logits and ensembles of finished runs; nothing is trained."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from dcbench.config.image_sets import CORRUPTIONS, OOD_MEANS
from dcbench.config.progress import NoProgress, Progress
from dcbench.data.load import load_images
from dcbench.data.parts import ImageSet, MissingData, Source, UnverifiedData
from dcbench.data.splits import Split, load_split
from dcbench.errors import DcbenchError, RunError, UsageError, unknown
from dcbench.metrics.measure import Predictions, measure
from dcbench.records.files import read_predictions
from dcbench.records.posthoc import (
    TEST,
    Posthoc,
    detections_of,
    finish_posthoc,
    read_posthoc,
    write_posthoc,
)
from dcbench.records.schema import ImagesUsed, Record
from dcbench.records.set_files import read_completed
from dcbench.records.store import locked
from dcbench.runs.detectors import (
    DETECTORS,
    FITTED,
    Fitting,
    NotApplicable,
    Scorer,
    require_pytorch_ood,
)
from dcbench.runs.further import Request, SetImages, check_weights, threads_of
from dcbench.runs.machine import describe_environment, device_title, threads_set
from dcbench.runs.prepare import now
from dcbench.runs.representations import Tap
from dcbench.runs.trained import load_network

ADJUSTMENT = "logit-adjustment"


@dataclass(frozen=True)
class PosthocOutcome:
    """What became of a detector or an adjustment for a run.

    Attributes
    ----------
    state : str
        `inapplicable`: the network or the split has not what it takes; `message` says what.
    absent : dict of str to str
        OOD sets whose images are not on this machine, and what to do.
    """

    run: Path
    name: str
    state: Literal["fitted", "there", "inapplicable", "failed"]
    found: Posthoc | None = None
    message: str = ""
    exit_code: int = 0
    absent: dict[str, str] = field(default_factory=dict)


def known_names(asked: Sequence[str]) -> list[str]:
    """The detectors and adjustments that are asked for; all, if none are.

    Raises
    ------
    UsageError
        There is none of a name, or pytorch-ood is not installed.
    """
    known = [*DETECTORS, ADJUSTMENT]
    for name in asked:
        if name not in known:
            raise unknown("detector or adjustment", name, known)
    names = list(dict.fromkeys(asked or known))
    if names != [ADJUSTMENT]:
        require_pytorch_ood()
    return names


def posthoc(
    requests: Sequence[Request],
    names: Sequence[str],
    source: Source,
    device: torch.device,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[PosthocOutcome]:
    """Fit what is asked for each run, unless it is there for all the sets that are asked.

    `threads`, and runs that fail, as for `predict_sets`.

    Raises
    ------
    UsageError
        A corruption is asked for.
    """
    for name in dict.fromkeys(name for request in requests for name in request.names):
        if name in CORRUPTIONS:
            raise UsageError(f"image set {name}: is a corruption; detectors take OOD sets")
    for request in requests:
        own = threads_of(request.record, threads)
        try:
            with locked(request.folder), threads_set(device, own):
                yield from _of_run(request, names, source, device, progress or NoProgress())
        except DcbenchError as problem:
            code, said = problem.exit_code, ", ".join(names)
            yield PosthocOutcome(
                request.folder, said, "failed", message=str(problem), exit_code=code
            )


def _of_run(
    request: Request,
    names: Sequence[str],
    source: Source,
    device: torch.device,
    progress: Progress,
) -> Iterator[PosthocOutcome]:
    folder, record = request.folder, read_completed(request.folder)
    there = {each.name: each for each in read_posthoc(folder, record)}
    if ADJUSTMENT in names:
        yield there_or_adjusted(folder, record, there.get(ADJUSTMENT))
    sets = _sets_of(record, request.names)
    detectors = [name for name in names if name in DETECTORS]
    waiting = [
        name for name in detectors if name not in there or set(sets) - there[name].ood.keys()
    ]
    for name in detectors:
        if name not in waiting:
            yield PosthocOutcome(folder, name, "there", there[name])
    if waiting:
        run = _Detection(folder, record, source, device, progress)
        yield from run.completed({name: there.get(name) for name in waiting}, sets)


def _sets_of(record: Record, asked: Sequence[str]) -> list[str]:
    """The OOD sets that are asked for, or those that the run has numbers of."""
    measured = [name for name, scores in record.metrics.ood.items() if scores]
    return list(asked or (name for name in measured if name not in OOD_MEANS))


@dataclass(frozen=True, eq=False)
class _Detection:
    """Detectors of one run: fitted on its training images, scored on its test images and sets."""

    folder: Path
    record: Record
    source: Source
    device: torch.device
    progress: Progress

    def completed(
        self, there: Mapping[str, Posthoc | None], sets: Sequence[str]
    ) -> Iterator[PosthocOutcome]:
        """Detectors, by what is there of each, for these sets and those that it has already.

        What is there stays where no new set is at hand, or a set that it has is not.
        """
        split = load_split(self.record.split, self.record.subset)
        images = SetImages(split, self.source, self.device)
        before = {name for each in there.values() if each for name in each.ood}
        asked, absent = self._images(images, [*sets, *sorted(before - set(sets))])
        names = []
        for name, each in there.items():
            if each and (each.ood.keys() >= asked.keys() - {TEST} or each.ood.keys() - asked):
                yield PosthocOutcome(self.folder, name, "there", each, absent=absent)
            else:
                names.append(name)
        if names:
            yield from self._fitted(split, images.test, names, asked, absent)

    def _fitted(
        self,
        split: Split,
        test: ImageSet,
        names: Sequence[str],
        asked: Mapping[str, NDArray[np.uint8]],
        absent: dict[str, str],
    ) -> Iterator[PosthocOutcome]:
        began = time.monotonic()
        trained = load_network(self.folder, str(self.device))
        check_weights(self.folder, self.record, trained, test)
        trained_on = split.fit_of(self.record.recipe.fit, self.record.index_sha256)
        fit = load_images(split, self.source, fit=trained_on).fit
        total = len(fit.labels) + sum(map(len, asked.values()))
        shown = self.progress.task(f"detect {self.folder.name}", total, unit="images")
        tap = Tap(trained)
        represented = tap.represent(fit.images, shown.advance)
        labels = torch.from_numpy(fit.labels).to(self.device)
        fittings = {name: Fitting(tap, represented, labels, {}) for name in names}
        scorers: dict[str, Scorer] = {}
        for name, fitting in fittings.items():
            try:
                scorers[name] = DETECTORS[name](fitting)
            except NotApplicable as reason:
                yield PosthocOutcome(self.folder, name, "inapplicable", message=str(reason))
        scores: dict[str, dict[str, NDArray[Any]]] = {name: {} for name in scorers}
        for image_set, pixels in asked.items():
            seen = tap.represent(pixels, shown.advance)
            for name, score in scorers.items():
                # The package's scores grow with foreignness.
                outlying = score(seen, pixels).detach().cpu().numpy()
                scores[name][image_set] = -outlying.astype(np.float64)
        shown.close()
        seconds = (time.monotonic() - began) / max(len(scorers), 1)
        for name in scorers:
            found = self._written(name, scores[name], fittings[name].settings, fit, seconds)
            yield PosthocOutcome(self.folder, name, "fitted", found, absent=absent)

    def _images(
        self, images: SetImages, sets: Sequence[str]
    ) -> tuple[dict[str, NDArray[np.uint8]], dict[str, str]]:
        """The test images and those of the sets by name, and why a set is not among them."""
        found, absent = {TEST: images.test.images}, {}
        for name in sets:
            try:
                found[name] = images.load(name).parts[0]
            except (MissingData, UnverifiedData) as problem:
                absent[name] = str(problem)
        return found, absent

    def _written(
        self,
        name: str,
        scores: dict[str, NDArray[Any]],
        settings: dict[str, Any],
        fit: ImageSet,
        seconds: float,
    ) -> Posthoc:
        if not all(np.isfinite(each).all() for each in scores.values()):
            raise RunError(f"{self.folder}: {name} gives scores that are not finite")
        used = ImagesUsed(images=len(fit.labels), sha256=fit.sha256(), official=fit.official)
        found = Posthoc.model_validate(
            {
                "name": name,
                "kind": "detector",
                "settings": settings,
                "model_sha256": self.record.model.sha256,
                "fit": used if name in FITTED else None,
                "predictions": write_posthoc(self.folder, name, scores),
                "ood": detections_of(scores),
                "seconds": round(seconds, 3),
                "device": device_title(self.device),
                "environment": _environment(self.device),
                "finished": now(),
            }
        )
        finish_posthoc(self.folder, found)
        return found


def _environment(device: torch.device) -> dict[str, Any]:
    from importlib.metadata import version

    return {**describe_environment(device), "pytorch-ood": version("pytorch-ood")}


def there_or_adjusted(folder: Path, record: Record, there: Posthoc | None) -> PosthocOutcome:
    """Logits minus the logarithm of the training classes' frequencies, from stored predictions.

    Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, with tau = 1, after the fact.
    """
    if there is not None:
        return PosthocOutcome(folder, ADJUSTMENT, "there", there)
    began = time.monotonic()
    predictions = read_predictions(folder, record)
    counts = predictions.class_counts
    if counts.min() == counts.max():
        same = "the training classes are of one size: it would change no prediction"
        return PosthocOutcome(folder, ADJUSTMENT, "inapplicable", message=same)
    if not counts.min():
        message = "a class has no training image"
        return PosthocOutcome(folder, ADJUSTMENT, "inapplicable", message=message)
    logits = (predictions.logits - np.log(counts / counts.sum())).astype(np.float32)
    adjusted = Predictions(logits, predictions.labels, counts, {})
    config = load_split(record.split, record.subset).config
    stored = {"logits": logits, "labels": predictions.labels}
    device = torch.device("cpu")
    found = Posthoc(
        name=ADJUSTMENT,
        kind="adjustment",
        settings={"tau": 1.0},
        model_sha256=record.model.sha256,
        fit=None,
        predictions=write_posthoc(folder, ADJUSTMENT, stored),
        ood={},
        metrics=measure(adjusted, long_tailed=config.long_tailed, ood_sets=()),
        seconds=round(time.monotonic() - began, 3),
        device=device_title(device),
        environment=describe_environment(device),
        finished=now(),
    )
    finish_posthoc(folder, found)
    return PosthocOutcome(folder, ADJUSTMENT, "fitted", found)
