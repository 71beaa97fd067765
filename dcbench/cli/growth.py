"""`dcbench growth`."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from dcbench.cli.options import DeviceOption, only_for
from dcbench.cli.report import Report

EXAMPLE = "Example:  dcbench growth --runs 100,1000,10000"


def growth(
    device: DeviceOption = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="On a CPU; commands are run on one.", show_default="1")
    ] = None,
    runs: Annotated[
        str | None, typer.Option(help="Measure commands on so many runs, as in 100,1000,10000.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where --runs makes runs, 0.5 MB each at most, and finds them again."),
    ] = None,
) -> Report:
    """Measure how time grows with training images, seeds and methods: a table in Markdown.

    It takes a minute or two and needs no data. With --runs, how the seconds of processor time and
    the memory of the commands that read results grow with the runs that there are: half an hour for
    10,000.
    """
    if runs is not None:
        of_trainings = {"--device": None if device == "auto" else device, "--threads": threads}
        only_for("growth without --runs", of_trainings)
        return _of_commands(runs, folder)
    only_for("--runs", {"--folder": folder})
    import torch

    from dcbench.bench.growth import markdown, measure_growth
    from dcbench.runs.machine import find_device

    found = find_device(device)
    if found.type == "cpu":
        torch.set_num_threads(threads or 1)
    measured = measure_growth(found)
    return Report(data=dataclasses.asdict(measured), lines=[markdown(measured)])


def _of_commands(runs: str, folder: Path | None) -> Report:
    from dcbench.bench.command_growth import CommandGrowth, markdown, measure_commands

    amounts = _amounts(runs)
    with contextlib.ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        measured = measure_commands(amounts, place.absolute())

    def row(growth: CommandGrowth) -> dict[str, Any]:
        return {
            "command": growth.command,
            "start_up": growth.start_up._asdict(),
            "costs": {
                amount: cost._asdict()
                for amount, cost in zip(growth.amounts, growth.costs, strict=True)
            },
            "exponent": found.value if (found := growth.exponent) else None,
            "exponent_uncertainty": found.uncertainty if found else None,
        }

    data = {"machine": measured.machine, "date": measured.date}
    return Report(
        data=data | {"commands": [row(each) for each in measured.growths]},
        lines=[markdown(measured)],
    )


def _amounts(text: str) -> list[int]:
    """Numbers of runs as they are written on a command line: `100,1000,10000`."""
    from dcbench.errors import UsageError

    parts = [part.strip() for part in text.split(",")]
    amounts = [int(part) for part in parts if part.isdecimal()]
    rising = sorted({amount for amount in amounts if amount > 1})
    if len(amounts) < len(parts) or amounts != rising:
        raise UsageError(f"--runs {text}: write rising numbers from 2, as in 100,1000,10000")
    return amounts
