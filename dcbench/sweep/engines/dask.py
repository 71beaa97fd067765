"""The engine that hands jobs to Dask: to the scheduler of a cluster, or to one of its own."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import dask.config
import distributed
from distributed import Client, Future, KilledWorker, LocalCluster
from pydantic import Field

from dcbench.errors import DcbenchError, RunError
from dcbench.runs.machine import count_devices
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
from dcbench.sweep.engines.work import carry_out

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
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(self._client(site))
            yield from _Queue(client, self.options, site).carry_out(jobs)

    @contextlib.contextmanager
    def _client(self, site: Site) -> Iterator[Client]:
        address = self.options.address
        if address is None:
            with _local_cluster(self.workers(site.device)) as cluster, Client(cluster) as client:
                yield client
            return
        try:
            client = Client(address, timeout="30s")
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
                    begun = self._begun(waiting.popleft())
                    if isinstance(begun, Ended):
                        yield begun
                    else:
                        ending.add(begun)
                if self._at_work:
                    future = next(ending)
                    yield self._ended(self._at_work.pop(future), future)
        except TimeoutError:
            for job in self._at_work.values():
                yield unbegun(job)
        finally:
            self._client.cancel([*self._at_work, *self._bundles.values()])

    def _places(self) -> int:
        """Jobs at once: a worker has one; a cluster that grows on demand has to be asked first."""
        return max(len(self._client.nthreads()), self._options.workers or 1)

    def _begun(self, job: Job) -> Future | Ended:
        left = self._site.seconds_left
        if left is not None and left <= 0:
            return unbegun(job)
        try:
            sent = self._dispatch.sent(job)
        except DcbenchError as problem:
            return Ended(job, failed(job, str(problem)))
        future = self._client.submit(
            _in_a_worker,
            sent.parcel,
            None if sent.bundle is None else self._fetched(sent.bundle),
            resources=self._options.resources or None,
            pure=False,
        )
        self._at_work[future] = job
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
            dashboard_address=None,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )


def _in_a_worker(parcel: Parcel, bundle: bytes | None) -> Delivery:
    """Do a job in a thread of a worker: it is told to leave by what becomes of its task."""
    worker = distributed.get_worker()
    key = worker.get_current_task()

    def interrupted() -> bool:
        task: Any = worker.state.tasks.get(key)
        return task is None or task.state != "executing" or worker.status.name == "closing"

    return carry_out(parcel, bundle, interrupted)
