"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from dcbench.config.keep import Weights
from dcbench.errors import UsageError

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder or bundle; else DCBENCH_DATA, else the user cache."),
]
UnverifiedOption = Annotated[
    bool,
    typer.Option(
        "--allow-unverified-data",
        help="Take image files that are not the official ones; it is recorded.",
    ),
]
ResultsOption = Annotated[
    Path | None, typer.Option("--results", help="Results; else DCBENCH_RESULTS, else ./results.")
]
BoardsOption = Annotated[
    Path | None, typer.Option("--from", help="Leaderboards; else those that ship.")
]
RecipeOption = Annotated[
    Path | None,
    typer.Option("--recipe", metavar="FILE.yaml", help="What `dcbench tune` found: train by it."),
]
WeightsOption = Annotated[
    Weights | None,
    typer.Option(
        "--weights", help="Of finished runs; else as the protocol says.", show_default="keep"
    ),
]
EngineOption = Annotated[
    str, typer.Option("--engine", help="Who carries it out; `dcbench engines` lists them.")
]
EngineOptionsOption = Annotated[
    Path | None,
    typer.Option("--engine-options", metavar="FILE.yaml", help="Options of the engine."),
]
JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", min=1, help="Workers on this machine; one a GPU, or one a core."),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=4096,
        help="On a CPU; another number gives other last bits.",
        show_default="the protocol's: 1, or the cores",
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:0.")]
CompileOption = Annotated[
    bool,
    typer.Option(
        "--compile", help="Compile the passes, on a CPU; the last digits of results differ."
    ),
]
MethodFilesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--method", metavar="FILE.py:Class", help="Of runs whose method is from a file; repeatable."
    ),
]
ModelFilesOption = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="FILE.py:Class", help="Likewise for their network."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]
NOT_WRITTEN = "nothing is written yet; run it again without --dry-run"
"""What is said where --dry-run has found something to write."""

Pattern = Annotated[str, typer.Argument(help="Wildcard, such as 'ic-*'.")]


def only_for(needed: str, given: Mapping[str, object]) -> None:
    """Refuse options that have no effect without another one.

    Parameters
    ----------
    needed
        The other one.
    given
        By name, the values of the options; None where one is not given.

    Raises
    ------
    UsageError
        One is given.
    """
    for name, value in given.items():
        if value is not None:
            said = name if value is True else f"{name} {value}"
            raise UsageError(f"{said}: is for {needed}")


def with_tuned(settings: dict[str, Any], recipe: Path | None) -> dict[str, Any]:
    """The settings of --set, and the tuned recipe of --recipe among them.

    Raises
    ------
    UsageError
        Both name one.
    """
    from dcbench.config.tuned import SETTING

    if recipe is None:
        return settings
    if SETTING in settings:
        given = f"--set {SETTING}={settings[SETTING]}"
        raise UsageError(f"{given} beside --recipe {recipe}: leave one of them out")
    return {**settings, SETTING: str(recipe)}
