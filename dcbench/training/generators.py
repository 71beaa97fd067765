"""Whether code draws from the generators of the process, whose numbers no seed of a run decides."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def draws_noted(drawn: set[str], device: torch.device) -> Iterator[None]:
    """Add to `drawn` which of the process's generators are drawn from within.

    Such a run cannot be repeated: its numbers depend on whatever ran before in the process.

    Parameters
    ----------
    device
        Whose own generator is among them, if it has one.
    """
    before = _states(device)
    yield
    after = _states(device)
    drawn |= {name for name in before if after.get(name) != before[name]}


def _states(device: torch.device) -> dict[str, object]:
    """Where the process's generators stand: those that code may draw from by mistake."""
    name, keys, *place = np.random.get_state()  # noqa: NPY002 - it is this one that is watched
    states: dict[str, object] = {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (name, np.asarray(keys).tobytes(), *place),
        "random": random.getstate(),
    }
    if device.type == "cuda" and not torch.cuda.is_current_stream_capturing():
        states["torch.cuda"] = torch.cuda.get_rng_state(device).numpy().tobytes()
    return states
