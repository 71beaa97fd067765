"""What methods gain and what they cost, over splits: accuracy, calibration, FLOPs beside `erm`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from dcbench.leaderboard.across import REFERENCE, Across, StandingAcross
from dcbench.leaderboard.hierarchical import Interval
from dcbench.reports.across import INTERVALS, compared_in, how_flops, prose
from dcbench.reports.figures.layout import TitledFigure, panel_grid, titled_figure
from dcbench.reports.figures.palette import GRAY, legend_handles, styles_of
from dcbench.reports.figures.style import TWO_COLUMNS

_NOTE = (
    f"mean over splits of the difference to {REFERENCE}; the gray line joins the methods that no "
    "other one beats in both"
)


class _Panel(NamedTuple):
    """What stands on the x axis; smaller is better, and None is not drawn."""

    title: str
    take: Callable[[StandingAcross], Interval | None]
    reference: float


_PANELS = (
    _Panel(f"ECE-15 (%) − {REFERENCE}", lambda each: _percent(each.ece), 0.0),
    _Panel(f"FLOPs of training / {REFERENCE}", lambda each: _exact(each.flops), 1.0),
)


def draw_pareto(found: Across) -> TitledFigure:
    """Accuracy against calibration error and against cost, each relative to the reference."""
    block = found.block
    methods = [each.method for each in found.standings]
    panels = [panel for panel in _PANELS if len(_points(found, panel)) > 1]
    titled = titled_figure(
        f"Accuracy, calibration and cost beside {REFERENCE} over {len(block.splits)} splits "
        f"({block.protocol})",
        prose([_NOTE, INTERVALS, *how_flops(found), compared_in(block)]),
        (TWO_COLUMNS, 2.5),
        legend_handles(styles_of(methods)),
        values=" ".join(_said(each) for each in found.standings),
    )
    for axes, panel in zip(
        panel_grid(titled.figure, len(panels), len(panels), sharey=True), panels, strict=True
    ):
        _draw(axes, found, panel)
        axes.set_xlabel(panel.title)
        axes.set_ylabel(f"Accuracy (%) − {REFERENCE}" if panel is panels[0] else "")
    return titled


def _draw(axes: Axes, found: Across, panel: _Panel) -> None:
    points = _points(found, panel)
    styles = styles_of(each.method for each in found.standings)
    front = _front([(x.value, y.value) for x, y in points.values()])
    axes.axhline(0, color=GRAY, linewidth=0.6, linestyle=":")
    axes.axvline(panel.reference, color=GRAY, linewidth=0.6, linestyle=":")
    axes.step(*zip(*front, strict=True), where="post", color="0.7", linewidth=2, zorder=1)
    for method, (x, y) in points.items():
        axes.errorbar(
            x.value,
            y.value,
            xerr=[[x.value - x.low], [x.high - x.value]],
            yerr=[[y.value - y.low], [y.high - y.value]],
            elinewidth=0.7,
            **styles[method].line_kwargs() | {"linestyle": "none"},
        )


def _points(found: Across, panel: _Panel) -> dict[str, tuple[Interval, Interval]]:
    """Both numbers of each method that has them."""
    points = {}
    for each in found.standings:
        if each.method == REFERENCE:
            points[each.method] = (_exact(panel.reference), _exact(0.0))
        else:
            points[each.method] = (panel.take(each), _percent(each.accuracy))
    return {method: (x, y) for method, (x, y) in points.items() if x is not None and y is not None}


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points of which none has both a smaller or equal x and a larger or equal y; by x."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front


def _percent(value: Interval | None) -> Interval | None:
    return None if value is None else Interval(*(100 * each for each in value))


def _exact(value: float | None) -> Interval | None:
    return None if value is None else Interval(value, value, value)


def _said(each: StandingAcross) -> str:
    """The numbers of a method, for those who cannot see the figure."""
    parts = []
    if each.accuracy is not None:
        parts.append(f"accuracy {100 * each.accuracy.value:+z.1f}")
    if each.ece is not None:
        parts.append(f"ECE {100 * each.ece.value:+z.1f}")
    if each.flops is not None:
        parts.append(f"FLOPs {each.flops:.2f}")
    return f"{each.method}: {', '.join(parts)}."
