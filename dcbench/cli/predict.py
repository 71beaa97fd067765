"""`dcbench predict`: further image sets, by the stored weights of finished runs."""

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
    from dcbench.runs.further import SetOutcome

EXAMPLE = "Example:  dcbench predict results --sets tin,corruptions"


def predict(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Folders of finished runs, or above them.")
    ],
    sets: Annotated[
        str | None,
        typer.Option(
            help="tin,svhn, or a group: openood, corruptions.",
            show_default="those of the split that a run lacks",
        ),
    ] = None,
    features: Annotated[
        bool,
        typer.Option("--features", help="Store what the last layer is given, too."),
    ] = False,
    method: MethodFilesOption = None,
    model: ModelFilesOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    data: DataOption = None,
    allow_unverified_data: UnverifiedOption = False,
) -> Report:
    """Predict further image sets by the stored weights; nothing is trained.

    With --features, those of the training and test images and of the OOD sets are stored as well.
    Each set becomes two files beside the record, which stays as it was. A set that is there is not
    predicted again. Ends with 3 if images of a set are not on this machine, and with the code of a
    run's error if one fails; the others are done.
    """
    from dcbench.cli.console import ConsoleProgress
    from dcbench.config.names import split_list
    from dcbench.data.source import open_source
    from dcbench.runs.features import store_features
    from dcbench.runs.further import predict_sets, requests_of
    from dcbench.runs.machine import find_device
    from dcbench.runs.trained import read_code

    read_code(method or (), model or ())
    source = open_source(data, allow_unverified=allow_unverified_data)
    requests, place = requests_of(runs, split_list(sets or "")), find_device(device)
    with ConsoleProgress() as progress:
        predicted = predict_sets(requests, source, place, threads=threads, progress=progress)
        outcomes = list(predicted)
        kept = store_features(requests, source, place, threads=threads, progress=progress)
        stored = list(kept) if features else []
    absent = {each.name: each.message for each in outcomes if each.state == "absent"}
    absent |= {each.name: each.message for each in stored if each.state == "absent"}
    notes = [f"{name}: {why}" for name, why in absent.items()]
    notes += dict.fromkeys(f"failed: {each.message}" for each in outcomes if each.state == "failed")
    if not outcomes and not stored:
        notes.append("no run lacks a set of its split; name others with --sets")
    tables = []
    if outcomes:
        rows = [_row(each) for each in outcomes]
        tables.append(Table("", ("run", "set", "state", *_TITLES), rows))
    if stored:
        found = [(str(each.run), each.name, each.state) for each in stored]
        tables.append(Table("features", ("run", "images", "state"), found))
    return Report(
        data=[_plain(each) for each in outcomes]
        + [{**each._asdict(), "run": str(each.run), "features": True} for each in stored],
        tables=tables,
        notes=notes,
        exit_code=max([3 if absent else 0, *(each.exit_code for each in outcomes)]),
    )


_TITLES = ("AUROC % by MSP", "accuracy %", "ECE-15 %")


def _row(outcome: SetOutcome) -> tuple[object, ...]:
    auroc = accuracy = ece = None
    if found := outcome.found:
        auroc = f"{100 * found.ood['msp'].auroc:.1f}" if found.ood else None
        if found.severities:
            accuracy = f"{100 * found.shift.accuracy:.1f}"
            ece = f"{100 * found.shift.ece15:.1f}"
    return (str(outcome.run), outcome.name, outcome.state, auroc, accuracy, ece)


def _plain(outcome: SetOutcome) -> dict[str, Any]:
    return {
        "run": str(outcome.run),
        "set": outcome.name,
        "state": outcome.state,
        "message": outcome.message,
        "found": outcome.found and outcome.found.model_dump(mode="json"),
    }
