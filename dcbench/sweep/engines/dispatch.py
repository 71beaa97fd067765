"""The sender's side of a worker: jobs become parcels, and what comes back becomes outcomes."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dcbench.data.bundle import Bundle
from dcbench.data.catalogue import get_dataset
from dcbench.data.gather import gather
from dcbench.data.parts import Source
from dcbench.data.splits import split_config
from dcbench.errors import BusyError, DcbenchError
from dcbench.records.atomic import write_bytes, writing
from dcbench.records.collect import collect
from dcbench.records.files import CHECKPOINT, RECORD
from dcbench.records.store import Finished, locked
from dcbench.runs.plan import Plan
from dcbench.sweep.engines.base import Site, TransferOptions
from dcbench.sweep.engines.jobs import Ended, Job, Outcome, failed, unbegun
from dcbench.sweep.engines.parcel import Delivery, Parcel, code_files, versions_of
from dcbench.sweep.grid import plan_of


@dataclass(frozen=True)
class Sent:
    """A parcel, and the bundle that goes with it; None where the worker sees the data."""

    parcel: Parcel
    bundle: Path | None = None


class Dispatch:
    """Makes parcels of the jobs of one sweep and takes deliveries in.

    Parameters
    ----------
    transfer
        What is shared with the workers and what is sent; None shares all.
    claim : bool
        Whether workers choose their GPUs themselves.
    """

    def __init__(
        self, site: Site, transfer: TransferOptions | None = None, *, claim: bool = False
    ) -> None:
        self._site, self._claim = site, claim
        options = transfer or TransferOptions.model_validate({})
        self._sends_data = options.data == "sent"
        self._gets_results = options.results == "sent"
        self._bundles: dict[str, tuple[str, Path]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if not self._gets_results:
            with writing(site.store.root):
                site.store.root.mkdir(parents=True, exist_ok=True)

    def sent(self, job: Job) -> Sent | Ended:
        """The parcel of a job, made when it is sent, for it says how much time is left.

        A job is over before it is sent if there is no time, if a method's file cannot be read, or
        if the images for a bundle are not there.
        """
        left = self._site.seconds_left
        if left is not None and left <= 0:
            return unbegun(job)
        try:
            return self._sent(job)
        except DcbenchError as problem:
            return Ended(job, failed(job, str(problem)))

    def _sent(self, job: Job) -> Sent:
        plans, site = [plan_of(request) for request in job], self._site
        digest, bundle = self._bundle(job[0].split) if self._sends_data else (None, None)
        parcel = Parcel(
            job=job,
            work=site.work,
            store=replace(site.store, root=site.store.root.absolute()),
            sends_back=self._gets_results,
            source=replace(site.source, path=site.source.path.absolute()),
            device=site.device,
            threads=site.threads,
            compiled=site.compiled,
            seconds_left=site.seconds_left,
            claim=self._claim,
            code=code_files(job),
            versions=versions_of(plans),
            checkpoints=[self._checkpoint(plan) for plan in plans] if self._gets_results else (),
        )
        if bundle is not None:
            source: Source = Bundle(bundle, site.source.allow_unverified)
            parcel = replace(parcel, source=source, bundle_sha256=digest)
        return Sent(parcel, bundle)

    def received(self, job: Job, delivery: Delivery) -> Ended:
        """What a worker delivered: its files are stored, and each run has its outcome."""
        if delivery.lost:
            return Ended(job, lost=delivery.lost)
        outcomes = list(delivery.outcomes)
        for number, files in enumerate(delivery.files):
            outcomes[number] = self._stored(outcomes[number], files)
        return Ended(job, outcomes)

    def _bundle(self, split: str) -> tuple[str | None, Path | None]:
        """The bundle that a run on a split needs, and its SHA-256; nothing if it needs no files."""
        source = self._site.source
        if isinstance(source, Bundle):
            split = ""
        elif not _needs_files(split):
            return None, None
        if split not in self._bundles:
            path = source.path.absolute() if isinstance(source, Bundle) else self._made(split)
            with path.open("rb") as file:
                self._bundles[split] = hashlib.file_digest(file, "sha256").hexdigest(), path
        return self._bundles[split]

    def _made(self, split: str) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="dcbench-bundles-")
        path = Path(self._folder.name, f"{len(self._bundles)}.zip")
        gather([split], self._site.source).write(path, self._site.progress)
        return path

    def _checkpoint(self, plan: Plan) -> bytes | None:
        path = self._site.store.folder(plan.identity) / CHECKPOINT
        return path.read_bytes() if path.exists() else None

    def _stored(self, outcome: Outcome, files: Mapping[str, bytes]) -> Outcome:
        """Store what was sent back of a run; what cannot be stored is a failure."""
        plan = plan_of(outcome.request)
        there = self._site.store.find(plan.identity)
        if isinstance(there, Finished):  # another sweep was faster
            return outcome._replace(state="found", accuracy=float(there.record.metrics.accuracy))
        try:
            if RECORD in files:
                return self._collected(outcome, plan, files)
            if CHECKPOINT in files:
                self._keep(plan, files[CHECKPOINT])
        except DcbenchError as problem:
            return failed((outcome.request,), str(problem))[0]
        return outcome

    def _collected(self, outcome: Outcome, plan: Plan, files: Mapping[str, bytes]) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="dcbench-collected-") as folder:
            target = Path(folder) / plan.folder
            target.mkdir(parents=True)
            for name, content in files.items():
                (target / name).write_bytes(content)
            ended = collect([Path(folder)], self._site.store.root)[0]
        if ended.state in ("copied", "there_already"):
            return outcome
        return failed((outcome.request,), ended.message)[0]

    def _keep(self, plan: Plan, checkpoint: bytes) -> None:
        """Store a checkpoint, unless another process is at the run or has it done."""
        folder = self._site.store.folder(plan.identity)
        try:
            with locked(folder, busy="its checkpoint is not stored"):
                if not (folder / RECORD).exists():
                    write_bytes(folder / CHECKPOINT, checkpoint)
        except BusyError:
            return


def _needs_files(split: str) -> bool:
    config = split_config(split)
    datasets = (config.dataset, config.test.dataset)
    return not all(get_dataset(name).embedded for name in datasets)
