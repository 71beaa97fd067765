"""The readers of a run's files, held to files that are not what they were."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from dcbench.records import files
from dcbench.records.checkpoint import Checkpoint
from dcbench.records.files import read_predictions, read_record
from dcbench.records.identity import Identity
from dcbench.records.schema import StoredPredictions, StoredWeights
from dcbench.records.store import configuration_of
from dcbench.reports.figures.run_data import read_losses
from dcbench.runs.trained import load_network
from dcbench.selftest.damage import Kind, answers
from dcbench.selftest.signals import LONG_RUN, stopped
from dcbench.selftest.trial import Place, Trial, Try


def kinds_of_run(run: Path, spare: Path, identity: Identity, checkpoint: bytes) -> dict[str, Kind]:
    """The files of a run, with readers that take whatever they hold for what the run stored.

    Parameters
    ----------
    run : Path
        Folder of a finished run with weights and a history.
    spare : Path
        A folder for copies of its files; it is made.
    identity
        Of a run whose state the checkpoint may be.
    checkpoint : bytes
        Of a half-done run, the whole file.
    """
    shutil.copytree(run, spare, dirs_exist_ok=True)
    return {
        "records": Kind((run / files.RECORD).read_bytes(), read_record),
        "predictions": Kind((run / files.PREDICTIONS).read_bytes(), _as_predictions(spare)),
        "weights": Kind((run / files.WEIGHTS).read_bytes(), _as_weights(spare)),
        "histories": Kind((run / files.HISTORY).read_bytes(), read_losses),
        # Behind its hash, which would refuse whatever was changed.
        "checkpoints": Kind(checkpoint[32:], _as_checkpoint(spare, identity)),
    }


def _as_predictions(folder: Path) -> Callable[[Path], object]:
    """Reads predictions whose hash is right, whatever they are."""

    def read(path: Path) -> object:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        stored = StoredPredictions(file=files.PREDICTIONS, sha256=digest, hash="bytes")
        record = read_record(folder).model_copy(update={"predictions": stored})
        (folder / files.PREDICTIONS).write_bytes(content)
        return read_predictions(folder, record)

    return read


def _as_weights(folder: Path) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        digest = files.write_weights(folder, path.read_bytes()).sha256
        stored = StoredWeights(file=files.WEIGHTS, sha256=digest, kept=True)
        record = read_record(folder).model_copy(update={"model": stored})
        files.write_record(folder, record)
        return load_network(folder, "cpu")

    return read


def _as_checkpoint(folder: Path, identity: Identity) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        payload = path.read_bytes()
        (folder / files.CHECKPOINT).write_bytes(hashlib.sha256(payload).digest() + payload)
        return Checkpoint(folder, identity).read()

    return read


def trials(count: int) -> list[Trial]:
    """Trials of so many files in all."""
    names = ("records", "predictions", "weights", "histories", "checkpoints")
    shares = [count // len(names) + (each < count % len(names)) for each in range(len(names))]
    return [
        Trial(f"the reader of {name}, damaged files", share, partial(_read_damaged, name))
        for name, share in zip(names, shares, strict=True)
        if share
    ]


def _read_damaged(name: str, place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    half_done = stopped(place, place.new_folder("half-done"), chance)
    [run] = [path.parent for path in place.whole(LONG_RUN).results.rglob(files.RECORD)]
    record = read_record(run)
    identity = Identity(configuration_of(record), record.label)
    checkpoint = (half_done / files.CHECKPOINT).read_bytes()
    kinds = kinds_of_run(run, place.new_folder("spare"), identity, checkpoint)
    path = place.new_folder("file") / "file"
    path.write_bytes(kinds[name].honest)
    kinds[name].read(path)
    yield from answers(kinds[name], range(times), path)
