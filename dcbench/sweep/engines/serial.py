"""The engine that does one job after another in this process, where a debugger can step through."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dcbench.sweep.engines.base import Ended, Endings, Engine, Job, Options, Site
from dcbench.sweep.engines.work import perform, session_of
from dcbench.sweep.grid import plan_of


class Serial(Engine[Options]):
    """One run after another, in this process."""

    def __init__(self, options: Options | None = None) -> None:
        super().__init__(options or Options())

    def workers(self, device: str) -> int:
        """One."""
        return 1

    def carry_out(self, jobs: Sequence[Job], site: Site) -> Endings:
        """Do the jobs in their order; an interrupt stores what is at work and ends the sweep."""
        for job in jobs:
            left = site.seconds_left
            deadline = None if left is None else time.monotonic() + left
            session = session_of(site.source, site.device, site.threads, compiled=site.compiled)
            plans = [plan_of(request) for request in job]
            yield Ended(
                job,
                perform(
                    job,
                    plans,
                    site.store,
                    session,
                    progress=site.progress,
                    deadline=deadline,
                ),
            )
