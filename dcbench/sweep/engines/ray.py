"""The engine that hands jobs to Ray: to a cluster that runs, or to one of its own."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from pydantic import Field
from ray.exceptions import RayError, RayTaskError

from dcbench.errors import RunError
from dcbench.runs.machine import count_devices
from dcbench.sweep.engines import unpack
from dcbench.sweep.engines.base import (
    Ended,
    Endings,
    Engine,
    Job,
    Site,
    TransferOptions,
    WorkerOptions,
    failed,
    unbegun,
)
from dcbench.sweep.engines.dispatch import Dispatch
from dcbench.sweep.engines.parcel import Delivery, Parcel
from dcbench.sweep.engines.process import TO_CHECKPOINT, WorkerProcess, concluded

_GRACE = 30.0
"""Seconds past the deadline in which workers store their states and say so."""

_LOOK_EVERY = 0.5
"""Seconds in which a worker hears that it is to leave its job."""

_TO_ANSWER = 10.0
"""Seconds that the head of a cluster has to answer at all; Ray itself would try for minutes."""


class RayOptions(WorkerOptions, TransferOptions):
    """Where the cluster is, and what a worker takes of it."""

    address: str | None = Field(
        None, description="of a cluster, as head:6379, or auto; by default a cluster here"
    )
    workers: int | None = Field(
        None, ge=1, description="by default as many as the cluster has room for"
    )
    num_cpus: float | None = Field(None, ge=0, description="of a worker; by default its threads")
    num_gpus: float | None = Field(
        None, ge=0, description="of a worker, also a fraction; by default 1 where there are GPUs"
    )
    resources: dict[str, float] = Field({}, description="of a worker, by the cluster's own names")


class Ray(Engine[RayOptions]):
    """Workers of a Ray cluster, each an actor with one job at a time."""

    Options = RayOptions

    def workers(self, device: str) -> int:
        """As many as asked for; of a cluster that runs, its size is not known beforehand."""
        here = 1 if self.options.address else count_devices(device)
        return self.options.workers or here

    def carry_out(self, jobs: Sequence[Job], site: Site) -> Endings:
        """Keep every worker at one job; see `Engine`."""
        with contextlib.redirect_stdout(sys.stderr), self._cluster(site):  # Ray prints to it
            takes = self._takes(site)
            places = self.options.workers or _room(takes)
            yield from _Queue(takes, places, Dispatch(site, self.options), site).carry_out(jobs)

    @contextlib.contextmanager
    def _cluster(self, site: Site) -> Iterator[None]:
        """Join the cluster, or start one, and leave it; one that was joined before is kept."""
        if ray.is_initialized():
            yield
            return
        options = self.options
        here: dict[str, Any] = {"include_dashboard": False}
        if options.workers is not None:  # else all cores, as Ray counts them
            here["num_cpus"] = math.ceil(options.workers * self._num_cpus(site)) or 1
        if options.address is not None:
            _check_answers(options.address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray.init(
                options.address or "local",
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **here if options.address is None else {},
            )
        except Exception as problem:  # Ray raises that, too, such as when it takes too long
            ray.shutdown()  # what has started of it
            where = f" at {options.address}" if options.address else ""
            raise RunError(f"no cluster of Ray{where}: {_first_line(problem)}") from None
        try:
            yield
        finally:
            ray.shutdown()

    def _num_cpus(self, site: Site) -> float:
        return float(site.threads or 1) if self.options.num_cpus is None else self.options.num_cpus

    def _takes(self, site: Site) -> dict[str, float]:
        """What a worker takes of the cluster, by Ray's names."""
        gpus = self.options.num_gpus
        if gpus is None:
            on_gpu = site.device.startswith("cuda") or site.device == "auto"
            gpus = 1.0 if on_gpu and ray.cluster_resources().get("GPU") else 0.0
        return {"CPU": self._num_cpus(site), "GPU": gpus, **self.options.resources}


def _room(takes: dict[str, float]) -> int:
    """How many workers the cluster has room for.

    Raises
    ------
    RunError
        It has room for none.
    """
    there = ray.cluster_resources()
    rooms = {name: there.get(name, 0.0) / amount for name, amount in takes.items() if amount > 0}
    name = min(rooms, key=rooms.__getitem__, default=None)
    if name is None:
        return 1
    if rooms[name] < 1:
        raise RunError(
            f"a worker takes {takes[name]:g} {name} and the cluster of Ray has "
            f"{there.get(name, 0):g}; take less, or say how many `workers` will have room"
        )
    return int(rooms[name])


class _Actor:
    """A worker: one thread waits for the process at its job, another is told when to leave it."""

    def __init__(self) -> None:
        self._process = WorkerProcess()
        self._leaving = False

    def ready(self) -> None:
        """Answer once the worker has started."""

    def carry_out(self, parcel: Parcel, bundle: bytes | None) -> Delivery:
        parcel = unpack.with_data(parcel, bundle)
        future = self._process.submit(parcel)
        while wait([future], timeout=_LOOK_EVERY).not_done:
            if self._leaving:
                self._process.interrupt()
        delivery = concluded(parcel, future)
        if not delivery.usable:
            self._process.end()
            self._process = WorkerProcess()
        return delivery

    def leave(self) -> None:
        self._leaving = True


@dataclass(eq=False)
class _Worker:
    """The driver's side of a worker, with the bundles that it has been sent."""

    actor: Any
    bundles: set[Path] = field(default_factory=set)


class _Queue:
    """The jobs of one sweep in one cluster."""

    def __init__(
        self, takes: dict[str, float], places: int, dispatch: Dispatch, site: Site
    ) -> None:
        self._takes, self._places = takes, places
        self._dispatch, self._site = dispatch, site
        self._waiting: deque[Job] = deque()
        self._starting: dict[Any, _Worker] = {}
        self._at_work: dict[Any, tuple[_Worker, Job]] = {}
        self._bundles: dict[Path, Any] = {}

    def carry_out(self, jobs: Sequence[Job]) -> Endings:
        self._waiting.extend(jobs)
        try:
            while self._waiting or self._at_work:
                self._start_workers()
                ready, _ = ray.wait([*self._starting, *self._at_work], timeout=self._patience())
                for reference in ready:
                    yield from self._answered(reference)
                if self._is_late(0.0 if self._waiting else _GRACE):
                    yield from self._given_up()
        finally:
            self._end()

    def _start_workers(self) -> None:
        """Ask for as many workers as there are places and jobs; Ray starts them where it can."""
        takes = dict(self._takes)
        options = {"num_cpus": takes.pop("CPU"), "num_gpus": takes.pop("GPU"), "resources": takes}
        actor = ray.remote(max_concurrency=2, **options)(_Actor)
        wanted = min(self._places - len(self._at_work), len(self._waiting))
        for _ in range(wanted - len(self._starting)):
            worker = _Worker(actor.remote())
            self._starting[worker.actor.ready.remote()] = worker

    def _patience(self) -> float | None:
        left = self._site.seconds_left
        return None if left is None else max(0.0, left + (0.0 if self._waiting else _GRACE))

    def _is_late(self, grace: float) -> bool:
        left = self._site.seconds_left
        return left is not None and left + grace <= 0

    def _given_up(self) -> Endings:
        """Jobs that have not begun by the deadline; then, those whose workers say nothing."""
        if not self._waiting:
            self._waiting.extend(job for _, job in self._at_work.values())
            self._at_work.clear()
        while self._waiting:
            yield unbegun(self._waiting.popleft())

    def _answered(self, reference: Any) -> Endings:
        """A worker has started, or ended its job, or died; if it can, it takes the next."""
        if reference in self._starting:
            yield from self._started(self._starting.pop(reference), reference)
            return
        worker, job = self._at_work.pop(reference)
        try:
            delivery = ray.get(reference)
        except RayTaskError as problem:
            yield Ended(job, failed(job, _first_line(problem.cause)))
        except RayError as problem:
            yield Ended(job, lost=_reason(problem))
        else:
            unsent = list(self._begin(worker))  # first, so that it works while others look
            yield self._dispatch.received(job, delivery)
            yield from unsent

    def _started(self, worker: _Worker, reference: Any) -> Endings:
        try:
            ray.get(reference)
        except RayError as problem:
            if self._waiting:  # a job pays for it, or the asking for workers would never end
                yield Ended(self._waiting.popleft(), lost=_reason(problem))
        else:
            yield from self._begin(worker)

    def _begin(self, worker: _Worker) -> Endings:
        """Give a worker the next job that can be sent; without one, it ends."""
        while self._waiting and not self._is_late(0.0):
            job = self._waiting.popleft()
            sent = self._dispatch.sent(job)
            if isinstance(sent, Ended):
                yield sent
                continue
            bundle = self._fetched(sent.bundle, worker)
            self._at_work[worker.actor.carry_out.remote(sent.parcel, bundle)] = worker, job
            return
        ray.kill(worker.actor)

    def _fetched(self, bundle: Path | None, worker: _Worker) -> Any:
        """A bundle where a worker fetches it; nothing if it has it already."""
        if bundle is None or bundle in worker.bundles:
            return None
        worker.bundles.add(bundle)
        if bundle not in self._bundles:
            self._bundles[bundle] = ray.put(bundle.read_bytes())
        return self._bundles[bundle]

    def _end(self) -> None:
        """End all workers; those that are at a job have time to store its state."""
        for worker, _ in self._at_work.values():
            worker.actor.leave.remote()
        if self._at_work:
            count = len(self._at_work)
            ended, _ = ray.wait([*self._at_work], num_returns=count, timeout=TO_CHECKPOINT)
            for reference in ended:
                with contextlib.suppress(RayError):
                    self._dispatch.received(self._at_work[reference][1], ray.get(reference))
        for worker in [*self._starting.values(), *(each for each, _ in self._at_work.values())]:
            ray.kill(worker.actor)


def _check_answers(address: str) -> None:
    """Whether something answers where a cluster should; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_TO_ANSWER).close()
    except OSError as problem:
        raise RunError(f"no cluster of Ray answers at {address}: {problem}") from None


def _first_line(problem: object) -> str:
    lines = str(problem).splitlines() or [type(problem).__name__]
    return lines[0]


def _reason(problem: RayError) -> str:
    """Why a worker died, out of what Ray says, which ends with possible causes and advice."""
    told = str(problem).strip().splitlines()[-1]
    detail = told.rpartition("Worker exit detail: ")[2].partition(" Some common causes")[0]
    return f"its worker died: {detail}"
