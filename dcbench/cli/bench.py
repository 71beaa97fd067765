"""`dcbench bench`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated

import typer

from dcbench.cli.options import Json

if TYPE_CHECKING:
    from dcbench.bench.report import Result

EXAMPLE = "Example:  dcbench bench --case resnet-32 --methods erm"


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
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Of each process.", show_default="1; on a GPU PyTorch's own"),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes, one after another.")] = 3,
    pairs: Annotated[int, typer.Option(min=8, help="Pairs of blocks in each process.")] = 8,
    block_seconds: Annotated[
        float, typer.Option(min=0.01, help="Length of a block; it has one step at least.")
    ] = 1.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and for how long.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure images per second beside a plain PyTorch loop, in one process and in turns.

    The images are random bytes: no data is needed. Both loops have the same network, batch size,
    precision, threads, augmentation and method.
    """
    from dcbench.bench.suite import announce, estimated_seconds, plan_suite, run_suite
    from dcbench.bench.table import IMAGES_NOTE
    from dcbench.cli.console import note
    from dcbench.config.names import parse_settings
    from dcbench.runs.machine import describe_environment, find_device

    found = find_device(device)
    suite = plan_suite(
        cases=_listed(case),
        methods=_listed(methods),
        settings=parse_settings(settings or []),
        device=found,
        threads=threads,
        processes=processes,
        pairs=pairs,
        block_seconds=block_seconds,
    )
    seconds = estimated_seconds(suite)
    said = announce(suite, seconds)
    if dry_run:
        typer.echo(json.dumps({"plan": said, "seconds": round(seconds)}) if as_json else said)
        return
    note(said)
    note(IMAGES_NOTE)
    results = []
    try:
        for result in run_suite(suite, note):
            results.append(result.model_dump(mode="json"))
            if not as_json:
                _show(result)
    except KeyboardInterrupt:
        note("interrupted; what was not finished is not kept")
        raise typer.Exit(130) from None
    if as_json:
        environment = describe_environment(found)
        document = {"images": IMAGES_NOTE, "environment": environment, "results": results}
        typer.echo(json.dumps(document))


def _listed(text: str) -> list[str]:
    """Names between commas; those in brackets belong to a method's settings."""
    return [name.strip() for name in re.split(r",(?![^\[]*\])", text) if name.strip()]


def _show(result: Result) -> None:
    from dcbench.bench.table import COLUMNS, conclusion, rows, title
    from dcbench.cli.console import show_table

    show_table(COLUMNS, rows(result), title(result))
    typer.echo(conclusion(result))
