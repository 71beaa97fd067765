"""`dcbench posthoc`: what is fitted after training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcbench.cli.options import (
    DataOption,
    DeviceOption,
    MethodFilesOption,
    ModelFilesOption,
    ThreadsOption,
    UnverifiedOption,
)
from dcbench.cli.report import Report, Table

if TYPE_CHECKING:
    from dcbench.records.posthoc import Ensemble
    from dcbench.runs.posthoc import PosthocOutcome

EXAMPLE = "Example:  dcbench posthoc results --with knn,vim --sets tin"


def posthoc(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Folders of finished runs, or above them.")
    ],
    names: Annotated[
        str | None,
        typer.Option(
            "--with",
            help="energy, kl-matching, mahalanobis, knn, vim, react, odin, logit-adjustment.",
            show_default="all",
        ),
    ] = None,
    sets: Annotated[
        str | None, typer.Option(help="OOD sets.", show_default="those that a run predicted")
    ] = None,
    method: MethodFilesOption = None,
    model: ModelFilesOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    data: DataOption = None,
    allow_unverified_data: UnverifiedOption = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A CSV of all that there is below the folders."),
    ] = None,
) -> Report:
    """Fit detectors on the training images, adjust logits, and measure ensembles of seeds.

    Nothing is trained. Numbers stand in files of their own and never among those of the trained
    method; what is there is not fitted again. Where images of a set are not on this machine, it is
    left out and the command ends with 3.
    """
    from dcbench.cli.console import ConsoleProgress
    from dcbench.config.names import split_list
    from dcbench.data.source import open_source
    from dcbench.records.ensembles import ensembles
    from dcbench.runs.further import requests_of
    from dcbench.runs.machine import find_device
    from dcbench.runs.posthoc import known_names
    from dcbench.runs.posthoc import posthoc as fit
    from dcbench.runs.trained import read_code

    read_code(method or (), model or ())
    chosen = known_names(split_list(names or ""))
    source = open_source(data, allow_unverified=allow_unverified_data)
    requests = requests_of(runs, split_list(sets or ""), default=lambda record: [])
    with ConsoleProgress() as progress:
        found = fit(
            requests, chosen, source, find_device(device), threads=threads, progress=progress
        )
        outcomes = list(found)
    made = ensembles([request.folder for request in requests])
    if output is not None:
        _write_table(runs, output)
    absent = {name: why for each in outcomes for name, why in each.absent.items()}
    notes = [f"{name}: {why}" for name, why in absent.items()]
    unfit = {(each.name, each.message) for each in outcomes if each.state == "inapplicable"}
    notes += [f"{name} does not apply: {why}" for name, why in sorted(unfit)]
    notes += [f"failed: {each.message}" for each in outcomes if each.state == "failed"]
    return Report(
        data={
            "fitted": [_plain(each) for each in outcomes],
            "ensembles": [
                {"folder": str(folder), **each.model_dump(mode="json")} for folder, each in made
            ],
        },
        tables=_tables(outcomes, made),
        notes=notes,
        exit_code=max([3 if absent else 0, *(each.exit_code for each in outcomes)]),
    )


def _write_table(folders: list[Path], output: Path) -> None:
    import pandas as pd

    from dcbench.leaderboard.posthoc import column_names, posthoc_rows
    from dcbench.leaderboard.tables import write_table

    rows = [row for folder in folders for row in posthoc_rows(folder)]
    write_table(output, pd.DataFrame(rows, columns=column_names(rows)))


def _tables(outcomes: list[PosthocOutcome], made: list[tuple[Path, Ensemble]]) -> list[Table]:
    detected = [
        (str(each.run), each.name, image_set, *(_percent(found[key]) for key in _DETECTION))
        for each in outcomes
        if each.found
        for image_set, found in each.found.ood.items()
    ]
    measured = [
        (str(each.run), each.name, *(each.found.metrics[key] for key in _METRICS))
        for each in outcomes
        if each.found and each.found.metrics
    ]
    measured += [
        (str(folder), f"ensemble of {len(each.seeds)}", *(each.metrics[key] for key in _METRICS))
        for folder, each in made
    ]
    titles = ("AUROC %", "FPR95, ID %")
    found = [Table("detectors", ("run", "detector", "set", *titles), detected)] if detected else []
    if measured:
        found.append(Table("predictions", ("run", "what", *_METRICS), measured))
    return found


_DETECTION = ("auroc", "fpr95_id_pos")
_METRICS = ("accuracy", "balanced_accuracy", "ece15", "nll")


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _plain(outcome: PosthocOutcome) -> dict[str, Any]:
    return {
        "run": str(outcome.run),
        "name": outcome.name,
        "state": outcome.state,
        "message": outcome.message,
        "absent": outcome.absent,
        "found": outcome.found and outcome.found.model_dump(mode="json"),
    }
