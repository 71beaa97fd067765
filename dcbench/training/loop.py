"""Trainings from their start to their end: one or several in turns, until they are done or stopped.

What an interrupt, a deadline or a failure of one does to the others is decided here.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch

from dcbench.errors import DcbenchError, OutOfTimeError, RunError
from dcbench.training.trainer import Progress, Trainer

_SAVED_AT_MOST_EVERY = 30.0
_SHARE_OF_SAVING = 0.01


def save_interval(saving: float) -> float:
    """Seconds from one saved state to the next, where saving one takes `saving` seconds.

    Half a minute, or longer where saving would take more than a hundredth of the time.
    """
    return max(_SAVED_AT_MOST_EVERY, saving / _SHARE_OF_SAVING)


@dataclass
class Training:
    """A trainer with what is to be done on its way.

    Attributes
    ----------
    save
        Called with `Trainer.state()` after a step every so often, when the training is interrupted
        by SIGINT or SIGTERM, and at the end.
    save_interval
        The seconds until the next state is saved, from those that saving the last one took.
    report
        Called at the start and after each epoch.
    give_up
        Called when the training has failed, while others go on.
    """

    trainer: Trainer
    save: Callable[[dict[str, Any]], None] = lambda state: None
    save_interval: Callable[[float], float] = save_interval
    report: Callable[[Progress], None] = lambda progress: None
    give_up: Callable[[], None] = lambda: None


def train_together(
    trainings: Mapping[int, Training], deadline: float | None = None
) -> dict[int, DcbenchError]:
    """Train several to the end, step by step in turns; on a GPU each on a stream of its own.

    Each ends with the same weights as on its own.

    Parameters
    ----------
    deadline
        On the clock of `time.monotonic`: whatever is not done by then is saved and left.

    Returns
    -------
    dict
        The errors of those that failed, by their keys, while the others go on; `OutOfTimeError` for
        those that were left.

    Raises
    ------
    KeyboardInterrupt
        Interrupted; all states have been saved.
    """
    failed: dict[int, DcbenchError] = {}
    running = {}
    for place, each in trainings.items():
        stream = _stream(each.trainer.device, alone=len(trainings) == 1)
        steps = each.trainer.steps(each.save, each.save_interval, each.report)
        running[place] = (stream, steps)
    with StopSignal() as stop:
        while running:
            for place, (stream, steps) in list(running.items()):
                try:
                    with stream:
                        next(steps)
                except StopIteration:
                    del running[place]
                except (RunError, torch.OutOfMemoryError) as problem:
                    failed[place] = run_error(problem)
                    del running[place]
                    trainings[place].give_up()
            late = deadline is not None and time.monotonic() >= deadline
            if stop.asked or late:
                for place, (stream, _) in running.items():
                    with stream:
                        trainings[place].save(trainings[place].trainer.state())
                    failed[place] = _left(trainings[place].trainer)
                running.clear()
            if stop.asked:
                raise KeyboardInterrupt
    return failed


def _left(trainer: Trainer) -> OutOfTimeError:
    return OutOfTimeError(
        f"out of time in epoch {trainer.progress.epoch} of {trainer.recipe.epochs}"
    )


def run_error(problem: DcbenchError | torch.OutOfMemoryError) -> DcbenchError:
    """What a user is told of a run that failed."""
    if isinstance(problem, DcbenchError):
        return problem
    return RunError("the device is out of memory; train fewer runs at once, or smaller batches")


def _stream(device: torch.device, *, alone: bool) -> contextlib.AbstractContextManager[Any]:
    """The context to train in: on a GPU that is shared, a new stream behind the current one."""
    if alone or device.type != "cuda":
        return contextlib.nullcontext()
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    return torch.cuda.stream(stream)


class StopSignal:
    """Turns the first SIGINT or SIGTERM into a wish that the loop grants between two steps.

    A second one ends the process as it would without this. Outside the main thread, where Python
    takes no signals, nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self._give_back()

    def _note(self, number: int, frame: object) -> None:
        self.asked = True
        self._give_back()

    def _give_back(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
