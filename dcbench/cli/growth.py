"""`dcbench growth`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from dcbench.cli.options import DeviceOption
from dcbench.cli.report import Report

EXAMPLE = "Example:  dcbench growth --threads 1"


def growth(
    device: DeviceOption = "auto",
    threads: Annotated[int, typer.Option(min=1, help="On a CPU.")] = 1,
) -> Report:
    """Measure how time grows with training images, seeds and methods: a table in Markdown.

    It takes a minute or two and needs no data.
    """
    import torch

    from dcbench.bench.growth import markdown, measure_growth
    from dcbench.runs.machine import find_device

    found = find_device(device)
    if found.type == "cpu":
        torch.set_num_threads(threads)
    measured = measure_growth(found)
    return Report(data=dataclasses.asdict(measured), lines=[markdown(measured)])
