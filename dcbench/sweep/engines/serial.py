"""The engine that does one job after another in this process, where a debugger can step through."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dcbench.sweep.engines.base import Engine, Options, Site
from dcbench.sweep.engines.jobs import Ended, Endings, Job
from dcbench.sweep.engines.work import session_of


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
            session = session_of(
                *(site.work, site.source, site.device, site.threads), compiled=site.compiled
            )
            outcomes = site.work.perform(
                job, site.store, session, progress=site.progress, deadline=deadline
            )
            yield Ended(job, outcomes)
