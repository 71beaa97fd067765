"""From the measurements of several processes to figures, and to a table of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dcbench.bench.cases import CASES, Comparison, Content, content_of
from dcbench.bench.flops import passes
from dcbench.bench.intervals import Ratio, Verdict, ratio, verdict
from dcbench.bench.whole_run import Extras, run_shares
from dcbench.bench.worker import ARMS, COMPILED, Measurements, Start
from dcbench.config.base import Config
from dcbench.runs.flops import BACKWARD_AND_FORWARD, forward_flops
from dcbench.training.precision import used_precision

CLOCKS = ("seconds", "cpu_seconds")
"""The fields of a `TimedBlock` that ratios are taken of."""


class Spread(Config):
    """A median with its quartiles."""

    median: float
    quartiles: tuple[float, float]


class Speed(Config):
    """How fast a loop is.

    Attributes
    ----------
    images_per_second, step_ms : Spread
        Over the blocks of all processes.
    feed_speed, evaluation_speed : float
        Images per second of making batches and nothing else, and of predicting.
    matmul_share, matmul_share_inside : float
        The share of the matrix product's speed that training reaches: with all products counted,
        and without those with the padding of images.
    start : Start
    """

    images_per_second: Spread
    step_ms: Spread
    feed_speed: float
    evaluation_speed: float
    matmul_share: float
    matmul_share_inside: float
    start: Start


class Compiled(Config):
    """dcbench's loop with compiled passes; `speed` and `cpu_speed` beside it without them."""

    images_per_second: Spread
    speed: Ratio
    cpu_speed: Ratio


class Result(Config):
    """The result of a task.

    Attributes
    ----------
    speed, cpu_speed : Ratio
        Images of dcbench's loop in the time of one of the plain loop: wall time, and CPU time.
    control : dict
        dcbench's loop against itself, in `wall` and in `CPU` time.
    matmul_flops, convolution_flops : float
        What the machine does at most, per second.
    compiled : Compiled or None
        If it was measured.
    step_shares : dict
        The share of a step of dcbench that is not forward and backward passes.
    run_shares : dict
        The same of a whole run of the recipe, with evaluation, metrics and checkpoints.
    metrics_seconds : float
        All metrics of 10,000 test and 36,000 OOD predictions.
    other_load : Spread or None
        Cores that other processes used during the blocks.
    """

    task: Comparison
    label: str
    model: str
    batch_size: int
    precision: str
    device: str
    threads: int
    processes: int
    pairs: int
    steps: tuple[int, ...]
    fast: Speed
    plain: Speed
    compiled: Compiled | None = None
    speed: Ratio
    cpu_speed: Ratio
    control: dict[str, Ratio]
    matmul_flops: float
    convolution_flops: float
    step_shares: dict[str, float]
    run_shares: dict[str, float]
    metrics_seconds: float
    other_load: Spread | None
    verdict: Verdict


def summarize(
    task: Comparison, device: str, sessions: Sequence[Measurements], starts: Mapping[str, Start]
) -> Result:
    """The figures of a task."""
    content = content_of(task)
    recipe = content.recipe
    fast = _speed(content, sessions, "fast", starts["fast"])
    wall, cpu = (_ratios(sessions, "again", "fast", clock) for clock in CLOCKS)
    control = {"wall": ratio(wall), "CPU": ratio(cpu)}
    loads = [
        block.other_load for session in sessions for arm in ARMS for block in session.blocks[arm]
    ]
    known = [load for load in loads if load is not None]
    step_shares = {
        name: 1000 * _median(session.parts[name] for session in sessions) / fast.step_ms.median
        for name in sessions[0].parts
    }
    extras = Extras(
        metrics=_median(session.extras.metrics for session in sessions),
        checkpoint=_median(session.extras.checkpoint for session in sessions),
    )
    return Result(
        task=task,
        label=content.label,
        model=recipe.model,
        batch_size=recipe.batch_size,
        precision=used_precision(recipe, torch.device(device)),
        device=device,
        threads=sessions[0].threads,
        processes=len(sessions),
        pairs=len(sessions[0].blocks["fast"]),
        steps=tuple(session.steps for session in sessions),
        fast=fast,
        plain=_speed(content, sessions, "plain", starts["plain"]),
        compiled=_compiled(recipe.batch_size, sessions, (wall, cpu)),
        speed=ratio(_ratios(sessions, "plain", "fast", CLOCKS[0]), wall),
        cpu_speed=ratio(_ratios(sessions, "plain", "fast", CLOCKS[1]), cpu),
        control=control,
        matmul_flops=_median(session.matmul for session in sessions),
        convolution_flops=_median(session.convolution for session in sessions),
        step_shares=step_shares,
        run_shares=run_shares(
            content,
            CASES[task.case],
            fast.step_ms.median / 1000,
            step_shares,
            fast.evaluation_speed,
            extras,
        ),
        metrics_seconds=extras.metrics,
        other_load=_spread(np.array(known)) if known else None,
        verdict=verdict(control, loads),
    )


def _speed(content: Content, sessions: Sequence[Measurements], side: str, start: Start) -> Speed:
    batch_size = content.recipe.batch_size
    flops = forward_flops(content.recipe.model, content.num_classes)
    step = _step_seconds(sessions, side)
    images = BACKWARD_AND_FORWARD * passes(content) * batch_size / float(np.median(step))
    reached = images / _median(session.matmul for session in sessions)
    return Speed(
        images_per_second=_spread(batch_size / step),
        step_ms=_spread(1000 * step),
        feed_speed=_median(session.feed[side] for session in sessions),
        evaluation_speed=_median(session.evaluation[side] for session in sessions),
        matmul_share=reached * flops.all_taps,
        matmul_share_inside=reached * flops.inside,
        start=start,
    )


def _step_seconds(sessions: Sequence[Measurements], arm: str) -> NDArray[np.float64]:
    return np.concatenate(
        [[block.seconds / session.steps for block in session.blocks[arm]] for session in sessions]
    )


def _compiled(
    batch_size: int,
    sessions: Sequence[Measurements],
    control: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Compiled | None:
    if not all(COMPILED in session.blocks for session in sessions):
        return None
    wall, cpu = (_ratios(sessions, "fast", COMPILED, clock) for clock in CLOCKS)
    return Compiled(
        images_per_second=_spread(batch_size / _step_seconds(sessions, COMPILED)),
        speed=ratio(wall, control[0]),
        cpu_speed=ratio(cpu, control[1]),
    )


def _ratios(
    sessions: Sequence[Measurements], over: str, under: str, clock: str
) -> NDArray[np.float64]:
    """Time of one arm over that of another, pair by pair: [processes, pairs]."""

    def times(arm: str) -> NDArray[np.float64]:
        return np.array(
            [[getattr(block, clock) for block in session.blocks[arm]] for session in sessions]
        )

    return times(over) / times(under)


def _spread(values: NDArray[np.float64]) -> Spread:
    low, middle, high = np.percentile(values, [25, 50, 75]).tolist()
    return Spread(median=middle, quartiles=(low, high))


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))
