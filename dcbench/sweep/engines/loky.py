"""The engine that has several worker processes on this machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import NamedTuple

from dcbench.runs.machine import allowed_cores, count_devices
from dcbench.sweep.engines.base import (
    Ended,
    Endings,
    Engine,
    Job,
    Site,
    WorkerOptions,
    at_once,
)
from dcbench.sweep.engines.dispatch import Dispatch
from dcbench.sweep.engines.parcel import Delivery, Parcel
from dcbench.sweep.engines.process import TO_CHECKPOINT, WorkerProcess, concluded


class _AtWork(NamedTuple):
    """A job at its worker."""

    parcel: Parcel
    worker: WorkerProcess


class Loky(Engine[WorkerOptions]):
    """Several worker processes of this machine, each with its own images, caches and GPU."""

    Options = WorkerOptions

    def workers(self, device: str) -> int:
        """As many as asked for; else one a GPU, or one a core."""
        return self.options.workers or count_devices(device)

    def carry_out(self, jobs: Sequence[Job], site: Site) -> Endings:
        """Keep every worker at one job; see `Engine`."""
        dispatch, waiting = Dispatch(site, claim=True), deque(jobs)
        count = at_once(self.workers(site.device), len(jobs))
        cores = max(1, allowed_cores() // count)
        idle = [WorkerProcess(cores) for _ in range(count)]
        at_work: dict[Future[Delivery], _AtWork] = {}
        try:
            while waiting or at_work:
                while waiting and idle:
                    sent = dispatch.sent(waiting.popleft())
                    if isinstance(sent, Ended):
                        yield sent
                        continue
                    begun = _AtWork(sent.parcel, idle.pop())
                    at_work[begun.worker.submit(begun.parcel)] = begun
                for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                    parcel, worker = at_work.pop(future)
                    delivery = concluded(parcel, future)
                    if delivery.usable:
                        idle.append(worker)
                    else:
                        worker.end()
                        idle.append(WorkerProcess(cores))
                    yield dispatch.received(parcel.job, delivery)
        finally:
            for _, worker in at_work.values():
                worker.interrupt()
            wait(at_work, timeout=TO_CHECKPOINT)
            for worker in [*idle, *(worker for _, worker in at_work.values())]:
                worker.end()
