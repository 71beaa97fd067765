"""The engine that hands jobs to Dask: to the scheduler of a cluster, or to one of its own."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, wait
from pathlib import Path
from typing import Any

import dask.config
import distributed
from distributed import Client, Future, KilledWorker, LocalCluster
from pydantic import Field

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
from dcbench.sweep.engines.dispatch import Dispatch, Sent
from dcbench.sweep.engines.parcel import Delivery, Parcel
from dcbench.sweep.engines.process import WorkerProcess, concluded

_TO_CONNECT = 30.0
"""Seconds in which a scheduler answers."""

_LOOK_EVERY = 0.5
"""Seconds from one look at whether a job is still wanted to the next."""

_GRACE = 30.0
"""Seconds past the deadline in which workers store their states and say so."""


class DaskOptions(WorkerOptions, TransferOptions):
    """Where the scheduler is, and what a job takes."""

    address: str | None = Field(
        None, description="of a scheduler, such as tcp://head:8786; by default a cluster here"
    )
    resources: dict[str, float] = Field(
        {}, description="what a job takes of those that workers were started with, as {GPU: 1}"
    )


class Dask(Engine[DaskOptions]):
    """Workers of a Dask cluster, each with one job at a time."""

    Options = DaskOptions

    def workers(self, device: str) -> int:
        """As many as asked for; of a cluster that runs, its size is not known beforehand."""
        here = 1 if self.options.address else count_devices(device)
        return self.options.workers or here

    def carry_out(self, jobs: Sequence[Job], site: Site) -> Endings:
        """Keep every worker at one job; see `Engine`."""
        with self._client(site) as client:
            yield from _Queue(client, self.options, site).carry_out(jobs)

    @contextlib.contextmanager
    def _client(self, site: Site) -> Iterator[Client]:
        address = self.options.address
        if address is None:
            with _local_cluster(self.workers(site.device)) as cluster, Client(cluster) as client:
                client.register_plugin(_OfThisSweep())
                yield client
            return
        try:
            client = Client(address, timeout=_TO_CONNECT)
        except (OSError, ValueError) as problem:
            raise RunError(f"no scheduler of Dask answers at {address}: {problem}") from None
        with client:
            yield client


class _Queue:
    """The jobs of one sweep at one scheduler."""

    def __init__(self, client: Client, options: DaskOptions, site: Site) -> None:
        self._client, self._options, self._site = client, options, site
        self._dispatch = Dispatch(site, options, claim=True)
        self._at_work: dict[Future, Job] = {}
        self._bundles: dict[Path, Future] = {}

    def carry_out(self, jobs: Sequence[Job]) -> Endings:
        waiting, left = deque(jobs), self._site.seconds_left
        ending = distributed.as_completed(timeout=None if left is None else left + _GRACE)
        try:
            while waiting or self._at_work:
                while waiting and len(self._at_work) < self._places():
                    sent = self._dispatch.sent(waiting.popleft())
                    if isinstance(sent, Ended):
                        yield sent
                    else:
                        ending.add(self._begun(sent))
                if self._at_work:
                    future = next(ending)
                    yield self._ended(self._at_work.pop(future), future)
        except TimeoutError:
            for job in (*self._at_work.values(), *waiting):
                yield unbegun(job)
        finally:
            self._client.cancel([*self._at_work, *self._bundles.values()])

    def _places(self) -> int:
        """Jobs at once: a worker has one; a cluster that grows on demand has to be asked first."""
        return max(len(self._client.nthreads()), self._options.workers or 1)

    def _begun(self, sent: Sent) -> Future:
        future = self._client.submit(
            _in_a_worker,
            sent.parcel,
            None if sent.bundle is None else self._fetched(sent.bundle),
            resources=self._options.resources or None,
            pure=False,
        )
        self._at_work[future] = sent.parcel.job
        return future

    def _fetched(self, bundle: Path) -> Future:
        """A bundle where workers fetch it, each once."""
        if bundle not in self._bundles:
            self._bundles[bundle] = self._client.scatter(bundle.read_bytes())
        return self._bundles[bundle]

    def _ended(self, job: Job, future: Future) -> Ended:
        try:
            delivery: Delivery = future.result()
        except KilledWorker as problem:
            return Ended(job, lost=f"its worker {problem.last_worker.address} died")
        except CancelledError:
            return Ended(job, lost="the scheduler of Dask has dropped it")
        except Exception as problem:
            return Ended(job, failed(job, f"{type(problem).__name__}: {problem}"))
        return self._dispatch.received(job, delivery)


def _local_cluster(workers: int) -> LocalCluster:
    """A scheduler and workers on this machine; a job whose worker dies is not tried again by it."""
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )


class _OfThisSweep(distributed.WorkerPlugin):  # type: ignore[misc]
    """Makes a worker one of this sweep alone: it leaves with it, and interrupts to it."""

    name = "dcbench-sweep"

    def setup(self, worker: distributed.Worker) -> None:
        """Ignore an interrupt from the terminal: the sweep hears it, and tells its workers."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def teardown(self, worker: distributed.Worker) -> None:
        """End the processes that wait, for whose end its own would wait."""
        while _idle:
            _idle.pop().end()


_idle: list[WorkerProcess] = []
"""Of a worker of Dask: processes that wait for their next job."""


def _in_a_worker(parcel: Parcel, bundle: bytes | None) -> Delivery:
    """Have a process of this worker do a job; it is told to leave when the sweep is gone."""
    parcel = unpack.with_data(parcel, bundle)
    process = _idle.pop() if _idle else WorkerProcess()
    future = process.submit(parcel)
    while wait([future], timeout=_LOOK_EVERY).not_done:
        if _is_dropped():
            process.interrupt()
    delivery = concluded(parcel, future)
    if delivery.usable:
        _idle.append(process)
    else:
        process.end()
    return delivery


def _is_dropped() -> bool:
    """Whether nobody waits for the task of this thread any longer, or its worker is to close."""
    worker = distributed.get_worker()
    task: Any = worker.state.tasks.get(worker.get_current_task())
    return task is None or task.state != "executing" or worker.status.name == "closing"
