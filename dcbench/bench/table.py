"""The figures of a task as rows of a table."""

from __future__ import annotations

from dcbench.bench.intervals import Ratio
from dcbench.bench.report import Result, Spread

COLUMNS = ("", "dcbench", "plain PyTorch", "ratio")

IMAGES_NOTE = (
    "images are random bytes, 2000 of 32 x 32 pixels; no dataset is read, and the last batch of an "
    "epoch is left out, so that all steps are alike"
)

Row = tuple[str, str | None, str | None, str | None]


def title(result: Result) -> str:
    """What was measured, in a line."""
    return (
        f"{result.task.case}, {result.label}: {result.model}, batch {result.batch_size}, "
        f"{result.precision}, {result.device}, threads: {result.threads}; "
        f"{result.processes} x {result.pairs} pairs of blocks; (quartiles), [95 % interval]"
    )


def rows(result: Result) -> list[Row]:
    """The figures of both loops, and how they compare."""
    fast, plain, control = result.fast, result.plain, result.control
    return [
        (
            "train, images/s",
            _spread(fast.images_per_second),
            _spread(plain.images_per_second),
            _ratio(result.speed),
        ),
        ("by CPU time", None, None, _ratio(result.cpu_speed)),
        ("A/A, wall time", _ratio(control["wall"]), None, None),
        ("A/A, CPU time", _ratio(control["CPU"]), None, None),
        *_compiled(result),
        ("ms/step", _spread(fast.step_ms), _spread(plain.step_ms), None),
        _both("eval, images/s", fast.evaluation_speed, plain.evaluation_speed),
        _both("batches, images/s", fast.feed_speed, plain.feed_speed),
        _both("first step, s", fast.start.seconds, plain.start.seconds),
        *_memory(result),
        *_ceilings(result),
    ]


def _compiled(result: Result) -> list[Row]:
    """The compiled loop, and how it compares to dcbench's own without."""
    found = result.compiled
    if found is None:
        return []
    ratio = f"{_ratio(found.speed)} of dcbench"
    return [
        ("compiled, images/s", _spread(found.images_per_second), None, ratio),
        ("by CPU time", None, None, f"{_ratio(found.cpu_speed)} of dcbench"),
    ]


def _ceilings(result: Result) -> list[Row]:
    fast, plain = result.fast, result.plain
    found: list[Row] = [
        ("matmul, GFLOP/s", _figure(result.matmul_flops / 1e9), None, None),
        ("conv, GFLOP/s", _figure(result.convolution_flops / 1e9), None, None),
        ("share of matmul", f"{fast.matmul_share:.0%}", f"{plain.matmul_share:.0%}", None),
        (
            "… no padding",
            f"{fast.matmul_share_inside:.0%}",
            f"{plain.matmul_share_inside:.0%}",
            None,
        ),
        ("metrics, s", _figure(result.metrics_seconds), None, None),
        *_shares("step", result.step_shares),
        *_shares("run", result.run_shares),
    ]
    if result.other_load is not None:
        found.append(("others, cores", _spread(result.other_load), None, None))
    return found


def _shares(of: str, shares: dict[str, float]) -> list[Row]:
    """What is not forward and backward passes, together and one by one."""
    found: list[Row] = [(f"{of}, not fwd + bwd", f"{sum(shares.values()):.1%}", None, None)]
    return found + [(f"… {name}", f"{share:.2%}", None, None) for name, share in shares.items()]


def conclusion(result: Result) -> str:
    """The verdict with its reasons, in a line."""
    reasons = list(result.verdict.reasons)
    if result.processes == 1:
        reasons.append("one process only: its intervals do not hold how processes differ")
    return f"{result.verdict.outcome}: {'; '.join(reasons)}"


def _memory(result: Result) -> list[Row]:
    fast, plain = result.fast.start, result.plain.start
    found = []
    for name, own, others in (
        ("peak memory, MB", fast.peak_bytes, plain.peak_bytes),
        ("peak on GPU, MB", fast.device_peak_bytes, plain.device_peak_bytes),
    ):
        if own is not None and others is not None:
            found.append(_both(name, own / 1e6, others / 1e6))
    return found


def _both(name: str, own: float, others: float) -> Row:
    return name, _figure(own), _figure(others), f"{own / others:.2f}"


def _spread(spread: Spread) -> str:
    low, high = spread.quartiles
    return f"{_figure(spread.median)} ({_figure(low)}–{_figure(high)})"


def _ratio(found: Ratio) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _figure(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
