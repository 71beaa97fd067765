"""`dcbench bench`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from dcbench.cli.options import DeviceOption
from dcbench.cli.report import Report, Table

if TYPE_CHECKING:
    from dcbench.bench.suite import Suite

EXAMPLE = "Example:  dcbench bench --case resnet-32 --methods erm"

_log = logging.getLogger(__name__)


def bench(
    case: Annotated[
        str, typer.Option(help="Cases between commas.", show_default="wrn-16-8,resnet-32,resnet-34")
    ] = "",
    methods: Annotated[
        str,
        typer.Option(
            help="Methods between commas.", show_default="erm; on a GPU also mixup,ic-regmixup"
        ),
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value of the method or recipe; may be repeated."),
    ] = None,
    device: DeviceOption = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=4096, help="Of each process.", show_default="1; on a GPU PyTorch's own"
        ),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes, one after another.")] = 3,
    pairs: Annotated[int, typer.Option(min=8, help="Pairs of blocks in each process.")] = 8,
    block_seconds: Annotated[
        float, typer.Option(min=0.01, help="Length of a block; it has one step at least.")
    ] = 1.0,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Measure dcbench's loop compiled, too; on a CPU.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and for how long.")
    ] = False,
) -> Iterator[Report]:
    """Measure images per second beside a plain PyTorch loop, in one process and in turns.

    The images are random bytes: no data is needed. Both loops have the same network, batch size,
    precision, threads, augmentation and method.
    """
    from dcbench.bench.suite import announce, estimated_seconds, plan_suite
    from dcbench.config.names import parse_settings, split_list
    from dcbench.runs.machine import find_device

    suite = plan_suite(
        cases=split_list(case),
        methods=split_list(methods),
        settings=parse_settings(settings or []),
        device=find_device(device),
        threads=threads,
        processes=processes,
        pairs=pairs,
        block_seconds=block_seconds,
        compiled=compiled,
    )
    seconds = estimated_seconds(suite)
    said = announce(suite, seconds)
    if dry_run:
        yield Report(data={"plan": said, "seconds": round(seconds)}, lines=[said])
        return
    _log.info("%s", said)
    yield from _measured(suite)


def _measured(suite: Suite) -> Iterator[Report]:
    """A table of each task as soon as it is measured, and JSON of all at the end."""
    from dcbench.bench.suite import run_suite
    from dcbench.bench.table import COLUMNS, IMAGES_NOTE, conclusion, rows, title
    from dcbench.runs.machine import describe_environment

    _log.info("%s", IMAGES_NOTE)
    results = []
    try:
        for result in run_suite(suite):
            results.append(result.model_dump(mode="json"))
            table = Table(title(result), COLUMNS, rows(result))
            yield Report(tables=[table], lines=[conclusion(result)])
    except KeyboardInterrupt:
        _log.warning("interrupted; what was not finished is not kept")
        raise typer.Exit(130) from None
    environment = describe_environment(suite.device)
    yield Report(data={"images": IMAGES_NOTE, "environment": environment, "results": results})
