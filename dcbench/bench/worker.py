"""A measuring process: `python -m dcbench.bench.worker ASSIGNMENT`, with its result on stdout.

Every figure comes from a process that was started for it, so that the memory and the caches of one
measurement are not those of another.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Literal, Protocol

import torch

from dcbench.bench.cases import CASES, Comparison, Content, Pixels, content_of, random_pixels
from dcbench.bench.meters import TimedBlock, timed
from dcbench.bench.whole_run import Extras
from dcbench.config.base import Config
from dcbench.errors import DcbenchError
from dcbench.runs.machine import peak_resident_bytes, synchronize

if TYPE_CHECKING:
    from dcbench.bench.fast import FastLoop

_log = logging.getLogger("dcbench.bench.worker")  # as a program, this module is `__main__`

Side = Literal["fast", "plain"]
ARMS = ("fast", "plain", "again")
"""The order of a pair of blocks and its control; every second pair runs backwards."""

COMPILED = "compiled"
"""A further arm, where it is asked for: dcbench's loop with compiled passes."""

WARM_UP_STEPS = 2
PART_REPEATS = 7
FEED_REPEATS = 3
EVALUATION_REPEATS = 3
EVALUATION_SECONDS = 3.0
EVALUATION_WARM_UP = 100
"""How long a pass of predictions is to be, and the images of the pass that goes before."""


class Assignment(Config):
    """What a measuring process is asked to do.

    Attributes
    ----------
    start : "fast", "plain" or None
        Report the start of one loop, and nothing else; None: all the blocks.
    threads : int or None
        None leaves it to PyTorch.
    spawned : float
        When the process was started, in seconds since 1970.
    compiled : bool
        Measure dcbench's loop compiled, too.
    title : str
        What lines of the log begin with.
    quiet : bool
        Log nothing but warnings.
    """

    task: Comparison
    device: str
    threads: int | None
    pairs: int
    block_seconds: float
    title: str
    compiled: bool = False
    spawned: float = 0.0
    start: Side | None = None
    quiet: bool = False


class Start(Config):
    """The start of a loop.

    Attributes
    ----------
    seconds : float
        From the start of the program to the end of the first step.
    peak_bytes, device_peak_bytes : int or None
        The most memory in use over the first two steps, of the process and on a GPU.
    """

    seconds: float
    peak_bytes: int | None
    device_peak_bytes: int | None


class Measurements(Config):
    """All that one process measures.

    Attributes
    ----------
    steps : int
        Steps in a block.
    blocks : dict
        The blocks of each of `ARMS`, and of `COMPILED` if it was measured, in the order of the
        pairs.
    matmul, convolution : float
        FLOP per second of the ceilings.
    parts : dict
        Seconds of a step that go to anything but forward and backward passes.
    feed, evaluation : dict
        Images per second of each loop: making batches alone, and predicting.
    extras : Extras
        What a whole run does besides.
    """

    steps: int
    threads: int
    blocks: dict[str, tuple[TimedBlock, ...]]
    matmul: float
    convolution: float
    parts: dict[str, float]
    feed: dict[str, float]
    evaluation: dict[str, float]
    extras: Extras


class Loop(Protocol):
    """What both loops can do; see `PlainLoop`."""

    def train(self, steps: int) -> None:
        """Take `steps` steps."""

    def feed(self, steps: int) -> None:
        """Make the batches of `steps` steps."""

    def evaluate(self, count: int) -> None:
        """Predict `count` images."""


def measure_start(assignment: Assignment) -> Start:
    """Start one loop and take two steps."""
    device = torch.device(assignment.device)
    content = content_of(assignment.task)
    loop = _loop_class(assignment.start or "fast")(content, random_pixels(content), device)
    loop.train(1)
    synchronize(device)
    seconds = time.time() - assignment.spawned
    loop.train(1)
    synchronize(device)
    on_gpu = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return Start(seconds=seconds, peak_bytes=peak_resident_bytes(), device_peak_bytes=on_gpu)


def measure_session(assignment: Assignment) -> Measurements:
    """Measure the ceilings, the blocks, and what goes with them."""
    from dcbench.bench.fast import FastLoop
    from dcbench.bench.whole_run import measure_extras
    from dcbench.runs.ceiling import convolution_speed, matmul_speed
    from dcbench.training.compiled import prepare_compilation

    device = torch.device(assignment.device)
    content = content_of(assignment.task)
    pixels = random_pixels(content)
    fast = FastLoop(content, pixels, device)
    loops: dict[str, Loop] = {
        "fast": fast,
        "plain": _loop_class("plain")(content, pixels, device),
        "again": FastLoop(content, pixels, device),
    }
    if assignment.compiled:
        prepare_compilation(device)
        loops[COMPILED] = FastLoop(content, pixels, device, compiled=True)
    _log.info("%s: ceilings and warm-up", assignment.title)
    matmul = matmul_speed(content.recipe, device)
    convolution = convolution_speed(content.recipe, device)
    for loop in loops.values():
        loop.train(WARM_UP_STEPS)
    step = timed(lambda: fast.train(1), device).seconds
    steps = max(1, round(assignment.block_seconds / step))
    blocks = _blocks(loops, steps, assignment, device)
    _log.info("%s: parts of a step, batches alone, evaluation", assignment.title)
    return Measurements(
        steps=steps,
        threads=torch.get_num_threads(),
        blocks=blocks,
        matmul=matmul,
        convolution=convolution,
        parts=_parts(fast, device),
        feed={side: _feed_speed(loops[side], content, pixels, device) for side in ARMS[:2]},
        evaluation=_evaluation_speeds(loops, pixels, device),
        extras=measure_extras(content, CASES[assignment.task.case], fast),
    )


def _loop_class(side: Side) -> Callable[[Content, Pixels, torch.device], Loop]:
    """The loop of a side; what the other one needs is not imported."""
    if side == "plain":
        from dcbench.bench.plain import PlainLoop

        return PlainLoop
    from dcbench.bench.fast import FastLoop

    return FastLoop


def _blocks(
    loops: dict[str, Loop],
    steps: int,
    assignment: Assignment,
    device: torch.device,
) -> dict[str, tuple[TimedBlock, ...]]:
    found: dict[str, list[TimedBlock]] = {arm: [] for arm in loops}
    for pair, arm in _turns(tuple(loops), assignment.pairs):
        _log.info(
            "%s, pair %d of %d: %d steps, %s",
            *(assignment.title, pair + 1, assignment.pairs, steps, arm),
        )
        found[arm].append(timed(partial(loops[arm].train, steps), device))
    return {arm: tuple(blocks) for arm, blocks in found.items()}


def _turns(arms: Sequence[str], count: int) -> Iterator[tuple[int, str]]:
    """Each turn's number with each arm, forwards and backwards by turns."""
    for turn in range(count):
        for arm in arms if turn % 2 == 0 else reversed(arms):
            yield turn, arm


def _parts(loop: FastLoop, device: torch.device) -> dict[str, float]:
    found = {}
    for name, work in loop.parts().items():
        found[name] = median(timed(work, device).seconds for _ in range(PART_REPEATS))
    found["draws"] /= loop.trainer.steps_per_epoch
    return found


def _feed_speed(loop: Loop, content: Content, pixels: Pixels, device: torch.device) -> float:
    """Images per second of making the batches of whole epochs."""
    count = len(pixels.labels)
    steps = count // content.recipe.batch_size
    return count / median(
        timed(lambda: loop.feed(steps), device).seconds for _ in range(FEED_REPEATS)
    )


def _evaluation_speeds(
    loops: dict[str, Loop], pixels: Pixels, device: torch.device
) -> dict[str, float]:
    """Images per second that each loop predicts, the median of passes taken in turns.

    A pass is as many images as take `EVALUATION_SECONDS`, or all there are.
    """
    sides = ARMS[:2]
    warm_up = max(
        timed(partial(loops[side].evaluate, EVALUATION_WARM_UP), device).seconds for side in sides
    )
    in_time = round(EVALUATION_WARM_UP * EVALUATION_SECONDS / warm_up)
    count = min(max(in_time, 1), len(pixels.labels))
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _, side in _turns(sides, EVALUATION_REPEATS):
        times[side].append(timed(partial(loops[side].evaluate, count), device).seconds)
    return {side: count / median(times[side]) for side in sides}


def main() -> int:
    """Do what the assignment says; returns the exit code."""
    assignment = Assignment.model_validate_json(sys.argv[1])
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("dcbench").setLevel(logging.WARNING if assignment.quiet else logging.INFO)
    try:
        if assignment.threads is not None:
            torch.set_num_threads(assignment.threads)
        if assignment.start is None:
            result: Config = measure_session(assignment)
        else:
            result = measure_start(assignment)
    except DcbenchError as problem:
        sys.stderr.write(f"error: {problem}\n")
        return problem.exit_code
    except Exception as problem:
        sys.stderr.write(f"error: {type(problem).__name__}: {problem}\n")
        return 1
    sys.stdout.write(result.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
