"""An interrupt that waits for the end of a step."""

from __future__ import annotations

import signal
import threading
from typing import Any, Self


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
