"""Trainings from their start to their end: one or several in turns, until they are done or stopped.

This alone decides when a state is saved, what is shown, and what an interrupt, a deadline or a
failure of one does to the others.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch

from dcbench.config.interrupts import handlers
from dcbench.config.progress import NoProgress, ProgressTask
from dcbench.errors import DcbenchError, OutOfTimeError, RunError
from dcbench.records.checkpoint import Checkpoint
from dcbench.training.trainer import EpochDone, Event, Trainer

_SAVED_AT_MOST_EVERY = 30.0
_SHARE_OF_SAVING = 0.01


def save_interval(saving: float) -> float:
    """Seconds from one saved state to the next, where saving one takes `saving` seconds.

    Half a minute, or longer where saving would take more than a hundredth of the time.
    """
    return max(_SAVED_AT_MOST_EVERY, saving / _SHARE_OF_SAVING)


@dataclass(eq=False)
class Training:
    """A trainer, where its states are kept, and where its epochs are shown.

    Attributes
    ----------
    checkpoint : Checkpoint, optional
        Written every so often, when the training is interrupted by a signal or runs out
        of time, and at the end; None keeps nothing.
    until : int, optional
        The epoch at which it ends, before its last one.
    """

    trainer: Trainer
    checkpoint: Checkpoint | None = None
    shown: ProgressTask = field(default_factory=lambda: NoProgress().task("train", 0))
    until: int | None = None

    def __post_init__(self) -> None:
        self._next_save = time.monotonic() + save_interval(0.0)

    def handle(self, event: Event) -> None:
        """Show an epoch that is over, and save where it is time."""
        if isinstance(event, EpochDone):
            summary, trained = event.summary, self.trainer.num_images
            rate = trained / max(summary.seconds, 1e-9)
            self.shown.advance(1, f"loss {summary.loss:.4f}, {rate:.0f} images/s")
        elif time.monotonic() >= self._next_save:
            self.save()

    def save(self) -> None:
        """Write the state of now."""
        if self.checkpoint is None:
            return
        with self.trainer.paused():
            began = time.monotonic()
            self.checkpoint.write(self.trainer.state())
            now = time.monotonic()
        self._next_save = now + save_interval(now - began)


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
        Interrupted; all states have been saved. Its argument is the signal, if it was one.
    """
    failed: dict[int, DcbenchError] = {}
    running = {}
    for key, each in trainings.items():
        stream = _stream(each.trainer.device, alone=len(trainings) == 1)
        running[key] = (each, stream, each.trainer.events(each.until))
    with Interrupts() as interrupts:
        while running:
            for key, (training, stream, events) in list(running.items()):
                event = None
                try:
                    with stream:
                        event = next(events, None)
                        if event is None:
                            training.save()
                        else:
                            training.handle(event)
                except (RunError, torch.OutOfMemoryError) as problem:
                    failed[key] = run_error(problem)
                if event is None or key in failed:
                    training.shown.close()
                    del running[key]
            late = deadline is not None and time.monotonic() >= deadline
            if interrupts.asked or late:
                for key, (training, stream, _) in running.items():
                    with stream:
                        training.save()
                    training.shown.close()
                    failed[key] = _left(training.trainer)
                running.clear()
            if interrupts.asked:
                raise KeyboardInterrupt(interrupts.signal)
    return failed


def _left(trainer: Trainer) -> OutOfTimeError:
    return OutOfTimeError(f"out of time in epoch {trainer.progress.epoch} of {trainer.epochs}")


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
    stream.wait_stream(torch.cuda.current_stream(device))  # on which the images were uploaded
    return torch.cuda.stream(stream)


class Interrupts:
    """Notes the first signal that interrupts, for the loop to end between two steps.

    A second one ends the process as it would without this, and so does SIGINT where it is ignored.
    Outside the main thread, where Python takes no signals, nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        previous = handlers()
        for number in previous:
            signal.signal(number, self._note)
        self._previous = previous
        if self.asked:  # meanwhile
            self._restore()
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _note(self, number: int, frame: object) -> None:
        self.asked, self.signal = True, number
        self._restore()

    def _restore(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
