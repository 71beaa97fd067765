"""`dcbench submit`: runs as a file for a leaderboard, and the check of such a file."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcbench.cli.options import (
    BoardsOption,
    DataOption,
    DeviceOption,
    ThreadsOption,
    only_for,
)
from dcbench.cli.report import Report, Table
from dcbench.cli.reporting import reporting
from dcbench.errors import RunError, UsageError

if TYPE_CHECKING:
    from dcbench.leaderboard.submission import Packed, Verified
    from dcbench.records.schema import Record
    from dcbench.runs.again import Again

app = typer.Typer(help="Runs for a leaderboard, as one file.", no_args_is_help=True)

_TOLERANCE = 0.02
"""Of a rerun's accuracy, where the spread between machines was not measured."""

_PACK_EXAMPLE = (
    "Example:  dcbench submit pack mine -o confident.zip --footnote "
    "'https://example.org/confident 0.1.0'"
)


@app.command("pack", epilog=_PACK_EXAMPLE)
@reporting
def pack_submission(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Results folder.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write, a ZIP.")],
    footnote: Annotated[
        str, typer.Option(help="Where the method can be had, in which version.")
    ] = "",
    sources: Annotated[
        list[Path] | None,
        typer.Option("--source", help="File of a method or network; may be repeated."),
    ] = None,
    further: Annotated[
        bool,
        typer.Option(
            "--open", help="Also runs with another network, augmentation or further images."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all and say what it would hold.")
    ] = False,
) -> Report:
    """Pack the finished runs of a results folder for a leaderboard, and the code behind them.

    Records, predictions and histories go in, each checked against its hash, and sets that were
    predicted later; weights stay. Custom runs are left out and named. The code of an installed
    method is found; that of a file is named with --source.
    """
    from dcbench.cli.console import ConsoleProgress
    from dcbench.leaderboard.submission import pack

    with ConsoleProgress() as progress:
        packed = pack(
            results,
            output,
            footnote=footnote,
            sources=sources or (),
            further=further,
            dry_run=dry_run,
            progress=progress,
        )
    columns, rows = _run_rows(packed.records)
    count = len(packed.records)
    size = f"{count} run{'' if count == 1 else 's'}, {packed.bytes / 1e6:,.1f} MB"
    notes = [f"left out, custom: {path}" for path in packed.custom]
    if not footnote:
        notes.append("no footnote: --footnote says where the method can be had")
    if dry_run:
        notes.append(f"would hold {size}; nothing is written yet")
    else:
        notes.append(f"{size}, SHA-256 {packed.sha256}; `dcbench submit verify {output}` checks it")
    return Report(
        data=_packed_data(packed, output),
        tables=[Table("", columns, rows)],
        lines=[] if dry_run else [str(output)],
        notes=notes,
    )


def _packed_data(packed: Packed, output: Path) -> dict[str, Any]:
    submission = packed.submission.model_dump(mode="json")
    return {
        "file": None if packed.sha256 is None else str(output),
        "sha256": packed.sha256,
        "runs": packed.submission.runs,
        "custom": [str(path) for path in packed.custom],
        "sources": submission["sources"],
        "footnote": packed.submission.footnote,
    }


def _run_rows(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """A line for each method on a split: its seeds, and what the protocol asks for beside them."""
    from dcbench.config.protocol import load_protocol
    from dcbench.config.text import span
    from dcbench.data.splits import split_config

    groups: dict[tuple[str, str, str, int], list[int]] = defaultdict(list)
    for record in records:
        groups[record.protocol, record.split, record.label, record.subset].append(record.seed)
    rows = []
    for (protocol, split, label, subset), seeds in sorted(groups.items()):
        asked = load_protocol(protocol).entry(split_config(split).recipe).asked
        lacking = sorted({*asked.seeds} - {*seeds})
        said = f"lacks seeds {span(tuple(lacking))}: provisional" if lacking else "all seeds"
        rows.append([protocol, split, label, str(subset), span(tuple(sorted(seeds))), said])
    return ["protocol", "split", "method", "subset", "seeds", "of those asked for"], rows


@app.command(
    "verify", epilog="Example:  dcbench submit verify confident.zip --rerun 1 --unpack confident"
)
@reporting
def verify_submission(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `submit pack` writes it.")],
    boards: BoardsOption = None,
    unpack: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep what is in it; for `leaderboard build --results`."),
    ] = None,
    rerun: Annotated[
        int, typer.Option(metavar="N", min=0, help="Train N of its runs again, drawn at random.")
    ] = 0,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:Class", help="What --rerun trains, where the method is from a file."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="FILE.py:Class", help="Likewise for a network.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="How far a rerun's accuracy may be off, a fraction.",
            show_default="as measured between machines, or 0.02",
        ),
    ] = None,
    rerun_results: Annotated[
        Path | None,
        typer.Option(
            "--rerun-results", metavar="DIR", help="Keep the reruns; asked again, it goes on."
        ),
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    data: DataOption = None,
) -> Iterator[Report]:
    """Check a submission, and say which rows it would make and which ranks would move.

    Sizes, names and hashes of its files; rules, departures and images of every run; the hash of the
    code; metrics, computed again from the predictions; and the leaderboards with the new rows in
    them. No code of the submission is run: to train a method of its own again, read the code and
    name it with --method.

    A rerun on the same kind of machine gives the same bits. Elsewhere its accuracy may be off by
    --tolerance.
    """
    from dcbench.leaderboard.submission import unpacked, verify

    if not rerun:
        of_reruns: dict[str, object] = {"--method": method, "--model": model}
        of_reruns |= {"--tolerance": tolerance, "--rerun-results": rerun_results, "--data": data}
        of_reruns |= {"--device": None if device == "auto" else device, "--threads": threads}
        only_for("--rerun", of_reruns)
    if unpack is not None and unpack.exists() and (not unpack.is_dir() or any(unpack.iterdir())):
        raise UsageError(f"--unpack {unpack}: is there already; name a new folder")
    with tempfile.TemporaryDirectory(prefix="dcbench-") as scratch:
        folder = Path(scratch, "submission")
        submission = unpacked(file, folder)
        found = verify(submission, folder, Path(scratch, "boards"), boards)
        found.problems.extend(_unknown_networks(found))
        checked = _verified_report(found)
        yield replace(checked, data=None)
        if unpack is not None:
            _copy(folder, unpack)
            yield _unpacked_report(found, unpack)
        again: list[Again] = []
        if rerun and not found.problems:
            kept = rerun_results or Path(scratch, "again")
            limits = _limits(tolerance, Path(scratch, "boards"))
            again = _train_again(
                found,
                rerun,
                (method, model),
                kept,
                limits,
                device=device,
                threads=threads,
                data=data,
            )
            yield _again_report(again)
    reruns = [vars(each) | {"within": each.within} for each in again]
    yield Report(data=checked.data | {"reruns": reruns})
    far = [each.title for each in again if not each.within]
    problems = len(found.problems) + len(far)
    if problems:
        raise RunError(f"{file}: {problems} problem{'s' if problems > 1 else ''}")


def _unknown_networks(found: Verified) -> list[str]:
    """Networks that are neither dcbench's nor in the submission; only custom runs have others."""
    custom = [(path, each) for path, each in found.records if each.status == "custom"]
    if not custom:
        return []
    from dcbench.models.registry import is_own

    return [
        f"{'/'.join(path.parts[-5:])}: network_sha256=null: {record.recipe.model} is no network of "
        "dcbench's; its code has to be in a file or a package, of which the record has the hash"
        for path, record in custom
        if record.network_sha256 is None and not is_own(record.recipe.model)
    ]


def _verified_report(found: Verified) -> Report:
    from dcbench.reports.board_diff import as_data, remarks, tables

    data = {"runs": len(found.records), "problems": found.problems}
    if found.change is None:
        return Report(data=data | {"change": None}, lines=found.problems)
    count = len(found.records)
    held = f"{count} run{'' if count == 1 else 's'}: metrics, rules, images and code hold"
    return Report(
        data=data | {"change": as_data(found.change)},
        tables=[Table(*each) for each in tables(found.change)],
        lines=[*remarks(found.change), *found.problems],
        notes=[] if found.problems else [held],
    )


def _train_again(
    found: Verified,
    count: int,
    code: tuple[str | None, str | None],
    kept: Path,
    limits: Callable[[Record], float],
    *,
    device: str,
    threads: int | None,
    data: Path | None,
) -> list[Again]:
    import secrets

    from dcbench.cli.console import ConsoleProgress
    from dcbench.data.source import open_source
    from dcbench.records.store import Store, address_of
    from dcbench.runs.again import plan_again, train_again
    from dcbench.runs.machine import find_device
    from dcbench.runs.session import Session

    # At random, so that nobody can know which; but what was begun before is gone on with.
    drawn = secrets.SystemRandom().sample(found.records, len(found.records))
    drawn.sort(key=lambda each: not (kept / address_of(each[1])).exists())
    plans = [(path, record, plan_again(record, *code)) for path, record in drawn[:count]]
    session = Session(open_source(data), find_device(device), threads)
    with ConsoleProgress() as progress:
        return [
            train_again(path.parent, record, plan, Store(kept), session, limits(record), progress)
            for path, record, plan in plans
        ]


def _limits(asked: float | None, boards: Path) -> Callable[[Record], float]:
    """How far the accuracy of a run's repetition may be off."""
    from dcbench.leaderboard.confirm import measured_spreads

    spreads = measured_spreads(boards) if asked is None else {}

    def limit(record: Record) -> float:
        if asked is not None:
            return asked
        return spreads.get(f"{record.protocol}/{record.split}", _TOLERANCE)

    return limit


def _again_report(again: Sequence[Again]) -> Report:
    columns = ("run", "accuracy %", "again %", "difference", "same classes %", "verdict")
    rows = [
        (
            each.title,
            f"{100 * each.accuracy:.2f}",
            f"{100 * each.again:.2f}",
            f"{100 * (each.again - each.accuracy):+z.2f}",
            f"{100 * each.equal_classes:.2f}",
            "the same to the bit"
            if each.same
            else f"within {100 * each.tolerance:.3g} points"
            if each.within
            else f"more than {100 * each.tolerance:.3g} points off",
        )
        for each in again
    ]
    return Report(tables=[Table("trained again", columns, rows)])


def _unpacked_report(found: Verified, target: Path) -> Report:
    custom = any(record.status == "custom" for _, record in found.records)
    build = f"dcbench leaderboard build --results {target}{' --open' if custom else ''}"
    return Report(notes=[] if found.problems else [f"`{build}` adds the rows"])


def _copy(folder: Path, target: Path) -> None:
    import shutil

    from dcbench.records.atomic import writing

    with writing(target):
        shutil.copytree(folder, target, dirs_exist_ok=True)
