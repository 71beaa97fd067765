"""`dcbench growth`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from dcbench.cli.options import Json

EXAMPLE = "Example:  dcbench growth --threads 1"


def growth(
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="On a CPU.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure how time grows with training images, seeds and methods: a table in Markdown.

    It takes a minute or two and needs no data.
    """
    import torch

    from dcbench.bench.growth import markdown, measure_growth
    from dcbench.cli.console import note
    from dcbench.runs.machine import find_device

    found = find_device(device)
    if found.type == "cpu":
        torch.set_num_threads(threads)
    report = measure_growth(found, note)
    typer.echo(json.dumps(dataclasses.asdict(report)) if as_json else markdown(report))
