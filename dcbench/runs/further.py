"""Further image sets, predicted by the stored weights of finished runs; nothing is trained."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from dcbench.config.image_sets import CORRUPTIONS, SEVERITIES
from dcbench.config.progress import NoProgress, Progress, ProgressTask
from dcbench.data.load import load_test
from dcbench.data.ood_sets import fitting_members, load_ood_set
from dcbench.data.parts import ImageSet, MissingData, Source, UnverifiedData
from dcbench.data.splits import Split, load_split
from dcbench.errors import DataError, DcbenchError, RunError, UsageError
from dcbench.metrics.measure import Predictions
from dcbench.metrics.shift import verdicts
from dcbench.records.arrays import Arrays
from dcbench.records.files import read_predictions, read_record
from dcbench.records.schema import ImagesUsed, Record
from dcbench.records.set_files import read_sets, write_arrays, write_set
from dcbench.records.sets import FurtherSet, measure_set
from dcbench.records.store import locked, record_paths
from dcbench.runs.machine import describe_environment, device_title, threads_set
from dcbench.runs.prepare import now
from dcbench.runs.trained import TrainedNetwork, load_network
from dcbench.training.corruptions import corrupt

_CHECKED = 50
"""Test images that are predicted again before anything else is."""


@dataclass(frozen=True)
class SetOutcome:
    """What became of a set for a run.

    Attributes
    ----------
    state : str
        `there`: it was predicted before, by the run itself or later. `absent`: its images are not
        on this machine, and `message` says what to do. `failed`: the run is damaged, or has no
        weights; the others go on.
    exit_code : int
        What a command should end with for it.
    """

    run: Path
    name: str
    state: Literal["predicted", "there", "absent", "failed"]
    found: FurtherSet | None = None
    message: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class Request:
    """The sets that are asked for a run."""

    folder: Path
    record: Record
    names: list[str]


def run_folders(paths: Sequence[Path]) -> list[Path]:
    """The folders of finished runs that some paths are, or hold.

    Raises
    ------
    UsageError
        There is none at one of them.
    """
    found: dict[Path, None] = {}
    for path in paths:
        folder = path.parent if path.is_file() else path
        below = [each.parent for each in record_paths(folder)]
        if not below:
            raise UsageError(f"{path}: holds no finished run; name a run's folder, or one above")
        found.update(dict.fromkeys(below))
    return list(found)


def lacking(record: Record) -> list[str]:
    """The OOD sets of a run's split that were not there when it predicted."""
    return list(record.missing)


def requests_of(
    paths: Sequence[Path],
    sets: Sequence[str] = (),
    default: Callable[[Record], list[str]] = lacking,
) -> list[Request]:
    """What is asked of each run: the named sets, or else those that `default` says.

    Raises
    ------
    UsageError
        There is no run at a path, no set of a name, or a set is none for a run's split.
    DataError
        A record is damaged.
    """
    requests = []
    for folder in run_folders(paths):
        record = read_record(folder)
        split = load_split(record.split, record.subset).config
        named = dict.fromkeys(name for word in sets for name in fitting_members(word, split))
        requests.append(Request(folder, record, list(named) if sets else default(record)))
    return requests


def predict_sets(
    requests: Sequence[Request],
    source: Source,
    device: torch.device,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[SetOutcome]:
    """Predict what is asked of each run and not there; images are read once for all runs.

    Parameters
    ----------
    threads
        Of a CPU; where none are asked for, as many as each run had.

    A run that fails is an outcome: it is damaged, has no weights or others than its predictions
    are of, was tested on other images than are here, or gives logits that are not finite.
    """
    of_split: dict[tuple[str, int], list[Request]] = defaultdict(list)
    for request in requests:
        of_split[request.record.split, request.record.subset].append(request)
    for (name, subset), together in of_split.items():
        images = SetImages(load_split(name, subset), source, device)
        wanted = dict.fromkeys(each for request in together for each in request.names)
        for image_set in wanted:
            asked = [request for request in together if image_set in request.names]
            yield from _predict_set(image_set, asked, images, threads, progress or NoProgress())


def threads_of(record: Record, asked: int | None) -> int:
    """The threads that are asked for, or as many as the run had."""
    return asked or int(record.environment.get("threads") or 1)


def _predict_set(
    name: str,
    requests: Sequence[Request],
    images: SetImages,
    threads: int | None,
    progress: Progress,
) -> Iterator[SetOutcome]:
    waiting = [each for each in requests if not _has(each.folder, each.record, name)]
    for each in requests:
        if each not in waiting:
            yield SetOutcome(each.folder, name, "there")
    if not waiting:
        return
    try:
        loaded = images.load(name)
    except (MissingData, UnverifiedData) as problem:
        for each in waiting:
            code = problem.exit_code
            yield SetOutcome(each.folder, name, "absent", message=str(problem), exit_code=code)
        return
    for each in waiting:
        shown = progress.task(f"predict {name}", sum(map(len, loaded.parts)), unit="images")
        try:
            yield _predict_run(each, loaded, images, threads, shown)
        except DcbenchError as problem:
            code = problem.exit_code
            yield SetOutcome(each.folder, name, "failed", message=str(problem), exit_code=code)
        finally:
            shown.close()


def _predict_run(
    request: Request,
    loaded: LoadedSet,
    images: SetImages,
    threads: int | None,
    shown: ProgressTask,
) -> SetOutcome:
    folder, record = request.folder, request.record
    with locked(folder), threads_set(images.device, threads_of(record, threads)):
        if _has(folder, record, loaded.name):
            return SetOutcome(folder, loaded.name, "there")
        found = _Run(folder, record, images).predict(loaded, shown)
        return SetOutcome(folder, loaded.name, "predicted", found)


def _has(folder: Path, record: Record, name: str) -> bool:
    by_run = record.metrics.ood.get(name) is not None
    return by_run or any(each.name == name for each in read_sets(folder, record))


@dataclass(frozen=True, eq=False)
class LoadedSet:
    """An image set in memory: one part, or one for each severity of a corruption."""

    name: str
    kind: Literal["ood", "corruption"]
    parts: list[NDArray[np.uint8]]
    used: ImagesUsed


@dataclass(eq=False)
class SetImages:
    """The image sets for a split, read or made one at a time."""

    split: Split
    source: Source
    device: torch.device
    _test: ImageSet | None = field(default=None)

    @property
    def test(self) -> ImageSet:
        """The images that the split is tested on."""
        if self._test is None:
            self._test = load_test(self.split, self.source)
        return self._test

    def load(self, name: str) -> LoadedSet:
        """An image set by name; errors as for `load_ood_set` and `load_test`."""
        if name in CORRUPTIONS:
            return self._corrupted(name)
        found = load_ood_set(name, self.split.config, self.source)
        used = ImagesUsed(images=len(found.labels), sha256=found.sha256(), official=found.official)
        return LoadedSet(name, "ood", [found.images], used)

    def _corrupted(self, name: str) -> LoadedSet:
        """The test images with a corruption at each severity; the hash is over all, in order."""
        parts = [corrupt(self.test.images, name, each, self.device) for each in SEVERITIES]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(np.ascontiguousarray(part).data)
        used = ImagesUsed(
            images=sum(map(len, parts)), sha256=digest.hexdigest(), official=self.test.official
        )
        return LoadedSet(name, "corruption", parts, used)


@dataclass(frozen=True, eq=False)
class _Run:
    """A finished run that predicts again."""

    folder: Path
    record: Record
    images: SetImages

    def predict(self, loaded: LoadedSet, shown: ProgressTask) -> FurtherSet:
        """Predict a set and store it: the predictions, then what they are."""
        began = time.monotonic()
        network = load_network(self.folder, str(self.images.device))
        predictions = check_weights(self.folder, self.record, network, self.images.test)
        arrays = self._arrays(network, loaded, predictions, shown)
        stored = write_arrays(self.folder, loaded.name, arrays)
        found = FurtherSet.model_validate(
            {
                "name": loaded.name,
                "kind": loaded.kind,
                "model_sha256": self.record.model.sha256,
                "images": loaded.used,
                "predictions": stored,
                **measure_set(loaded.kind, arrays, predictions),
                "seconds": round(time.monotonic() - began, 3),
                "device": device_title(self.images.device),
                "environment": describe_environment(self.images.device),
                "finished": now(),
            }
        )
        write_set(self.folder, found)
        return found

    def _arrays(
        self,
        network: TrainedNetwork,
        loaded: LoadedSet,
        predictions: Predictions,
        shown: ProgressTask,
    ) -> Arrays:
        """What is stored: logits; of a corruption, which has five times as many, the verdicts."""
        logits = [network.predict_counted(part, shown) for part in loaded.parts]
        if not all(np.isfinite(each).all() for each in logits):
            raise RunError(
                f"{self.folder}: the network gives logits that are not finite on {loaded.name}"
            )
        if loaded.kind == "ood":
            return {"logits": logits[0]}
        each = [verdicts(one, predictions.labels)._asdict() for one in logits]
        return {key: np.stack([one[key] for one in each]) for key in each[0]}


def check_weights(
    folder: Path, record: Record, network: TrainedNetwork, test: ImageSet
) -> Predictions:
    """The stored predictions of a run, if its weights give them and its test images are these.

    Raises
    ------
    DataError
        The run was tested on other images.
    RunError
        The weights classify more than a few images otherwise.
    """
    predictions, used = read_predictions(folder, record), record.data.get("test")
    if used is not None and test.sha256() != used.sha256:
        raise DataError(
            f"{folder}: was tested on other images than {test.name} has here: their SHA-256 is "
            f"{test.sha256()[:16]}…, recorded is {used.sha256[:16]}…"
        )
    again = network.predict(test.images[:_CHECKED]).argmax(axis=1)
    before = predictions.logits[:_CHECKED].argmax(axis=1)
    differing = int((again != before).sum())
    # Another processor or precision may turn a close call.
    if differing > len(before) // 10:
        raise RunError(
            f"{folder}: the stored weights classify {differing} of the first {len(before)} test "
            "images otherwise than the stored predictions do; the method or the network has "
            "changed since: run again with --restart"
        )
    return predictions
