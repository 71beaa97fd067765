"""The whole bench: which processes are started for what, how long it takes, and the results."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dcbench.bench.cases import CASES, NUM_IMAGES, Comparison, content_of
from dcbench.bench.flops import passes
from dcbench.bench.report import Result, summarize
from dcbench.bench.worker import (
    ARMS,
    EVALUATION_REPEATS,
    EVALUATION_SECONDS,
    EVALUATION_WARM_UP,
    WARM_UP_STEPS,
    Assignment,
    Measurements,
    Side,
    Start,
)
from dcbench.config.text import duration
from dcbench.errors import RunError
from dcbench.runs.ceiling import matmul_speed
from dcbench.runs.flops import BACKWARD_AND_FORWARD, forward_flops
from dcbench.training.compiled import prepare_compilation

_log = logging.getLogger(__name__)

CPU_METHODS = ("erm",)
GPU_METHODS = ("erm", "mixup", "ic-regmixup")
SIDES: tuple[Side, ...] = ("fast", "plain")

_PROGRAM_START = 5.0
_COMPILATION = 20.0
_LEAST_STEP = 0.002
_USUAL_SHARE = 0.6
"""Seconds that a program takes to start, that compiling takes and that any step takes, and the
share of the machine's matrix speed that training reaches: for the estimate alone."""


class Suite(NamedTuple):
    """What is to be measured.

    Attributes
    ----------
    tasks : tuple of Comparison
    device : torch.device
    threads : int or None
        Of each measuring process; None leaves it to PyTorch.
    processes, pairs : int
        Measuring processes for each task, and pairs of blocks in each.
    block_seconds : float
        How long a block is to be; it has one step at least.
    compiled : bool
        Measure dcbench's loop compiled, too.
    """

    tasks: tuple[Comparison, ...]
    device: torch.device
    threads: int | None
    processes: int
    pairs: int
    block_seconds: float
    compiled: bool = False

    def assignment(self, task: Comparison, title: str, start: Side | None = None) -> Assignment:
        """What a measuring process is asked."""
        return Assignment(
            task=task,
            device=str(self.device),
            threads=self.threads,
            pairs=self.pairs,
            block_seconds=self.block_seconds,
            title=title,
            compiled=self.compiled,
            spawned=time.time(),
            start=start,
            quiet=not _log.isEnabledFor(logging.INFO),
        )


def plan_suite(
    *,
    cases: Sequence[str] = (),
    methods: Sequence[str] = (),
    settings: Mapping[str, Any],
    device: torch.device,
    threads: int | None = None,
    processes: int = 3,
    pairs: int = 8,
    block_seconds: float = 1.0,
    compiled: bool = False,
) -> Suite:
    """Fill in the defaults, and check what is asked before anything is measured.

    Raises
    ------
    UsageError
        An unknown name or key, or a value out of its range.
    """
    on_gpu = device.type == "cuda"
    tasks = tuple(
        Comparison(case=case, method=method, settings=dict(settings))
        for case in cases or CASES
        for method in methods or (GPU_METHODS if on_gpu else CPU_METHODS)
    )
    for task in tasks:
        content_of(task)
    if threads is None and not on_gpu:
        threads = 1
    if compiled:
        prepare_compilation(device)
    return Suite(tasks, device, threads, processes, pairs, block_seconds, compiled)


def run_suite(suite: Suite) -> Iterator[Result]:
    """Measure one task after the other; each task's result as soon as it is there."""
    for task in suite.tasks:
        title = f"{task.case} {task.method}"
        sessions = []
        for index in range(suite.processes):
            assignment = suite.assignment(
                task, f"{title}, process {index + 1} of {suite.processes}"
            )
            sessions.append(Measurements.model_validate_json(_measured(assignment)))
        starts: dict[str, Start] = {}
        for side in SIDES:
            _log.info("%s: start of the %s loop in a fresh process", title, side)
            answer = _measured(suite.assignment(task, title, side))
            starts[side] = Start.model_validate_json(answer)
        yield summarize(task, str(suite.device), sessions, starts)


def _measured(assignment: Assignment) -> str:
    """The answer of a process that is started for an assignment."""
    source = str(Path(__file__).resolve().parents[2])
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    if assignment.threads is not None:
        environment |= dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(assignment.threads)
        )
    command = [sys.executable, "-m", "dcbench.bench.worker", assignment.model_dump_json()]
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        start_new_session=True,  # an interrupt is told once, and by this process
    )
    if done.returncode != 0:
        raise RunError(f"{assignment.title}: the measuring process ended with {done.returncode}")
    return done.stdout


def estimated_seconds(suite: Suite) -> float:
    """About how long the suite takes, from a matrix product timed now."""
    if suite.threads is not None:
        torch.set_num_threads(suite.threads)
    recipe = content_of(suite.tasks[0]).recipe
    speed = _USUAL_SHARE * matmul_speed(recipe, suite.device)
    return sum(_task_seconds(suite, task, speed) for task in suite.tasks)


def _task_seconds(suite: Suite, task: Comparison, speed: float) -> float:
    content = content_of(task)
    recipe = content.recipe
    image = forward_flops(recipe.model, content.num_classes).all_taps / speed
    trained = BACKWARD_AND_FORWARD * passes(content) * image
    step = max(_LEAST_STEP, recipe.batch_size * trained)
    arms = len(ARMS) + suite.compiled
    steps = arms * (WARM_UP_STEPS * step + suite.pairs * max(suite.block_seconds, step))
    predicted = EVALUATION_REPEATS * min(EVALUATION_SECONDS, NUM_IMAGES * image)
    evaluated = len(SIDES) * (EVALUATION_WARM_UP * image + predicted)
    session = _PROGRAM_START + suite.compiled * _COMPILATION + steps + evaluated
    return suite.processes * session + len(SIDES) * (_PROGRAM_START + 2 * step)


def announce(suite: Suite, seconds: float) -> str:
    """What is about to happen, in a sentence."""
    named = ", ".join(f"{task.case} {task.method}" for task in suite.tasks)
    threads = "" if suite.threads is None else f", threads: {suite.threads}"
    return (
        f"{named}: {suite.processes} processes of {suite.pairs} pairs of blocks each, "
        f"on {suite.device}{threads}; about {duration(seconds)}"
    )
