"""`dcbench selftest`."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcbench.cli.options import only_for
from dcbench.cli.report import Report, Table

if TYPE_CHECKING:
    from dcbench.selftest.trial import Outcome, Trial

EXAMPLE = "Example:  dcbench selftest --faults --results /scratch"
_SIGNALS, _FILES = 40, 500

_log = logging.getLogger(__name__)


def selftest(
    faults: Annotated[
        bool, typer.Option("--faults", help="Signals, full disks, damaged files and the like, too.")
    ] = False,
    signals: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="How many, in all.", show_default=str(_SIGNALS)),
    ] = None,
    files: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Damaged ones.", show_default=str(_FILES)),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results", help="Folder of the file system to try.", show_default="a temporary one"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be tried.")] = False,
) -> Report:
    """Try whether this installation keeps its promises, here and on this file system.

    A few short runs on digits: the same to the bit, also after a kill. With --faults all that may
    befall runs is done to them, which takes minutes. Ends with 1 if anything is lost.
    """
    from dcbench.selftest.trials import trials_of_faults, trials_of_installation

    if not faults:
        only_for("--faults", {"--signals": signals, "--files": files})
    trials = trials_of_installation()
    if faults:
        trials += trials_of_faults(signals or _SIGNALS, files or _FILES)
    return _planned(trials) if dry_run else _tried(trials, results)


def _planned(trials: Sequence[Trial]) -> Report:
    rows = [(each.what, each.times) for each in trials]
    return Report(
        data=[{"what": what, "times": times} for what, times in rows],
        tables=[Table("", ("what would be tried", "times"), rows)],
    )


def _tried(trials: Sequence[Trial], results: Path | None) -> Report:
    """Try everything in a folder of its own, which stays if anything was lost."""
    import tempfile

    import dcbench_vision
    from dcbench.cli.console import ConsoleProgress
    from dcbench.records.atomic import writing
    from dcbench.selftest.processes import Commands
    from dcbench.selftest.trial import Place, outcomes

    with writing(results or Path(tempfile.gettempdir())):
        if results is not None:
            results.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="dcbench-selftest-", dir=results)).absolute()
    _log.info("everything happens in %s", folder)
    commands, found = Commands(dcbench_vision.main, folder / "said"), []
    try:
        with ConsoleProgress() as progress:
            for outcome in outcomes(trials, Place(commands, folder), progress):
                _log.info("%s: %s", outcome.what, _verdict(outcome))
                found.append(outcome)
    except KeyboardInterrupt:
        _log.warning("interrupted; what was tried is not kept")
        shutil.rmtree(folder, ignore_errors=True)
        raise typer.Exit(130) from None
    finally:
        commands.stop()
    if not any(each.lost for each in found):
        shutil.rmtree(folder, ignore_errors=True)
    return _report(found, folder)


def _verdict(outcome: Outcome) -> str:
    if outcome.not_here:
        return f"not tried: {outcome.not_here}"
    return f"{len(outcome.lost)} lost" if outcome.lost else "nothing lost"


def _report(found: Sequence[Outcome], folder: Path) -> Report:
    rows = [(each.what, each.tried, len(each.lost), round(each.seconds)) for each in found]
    lost = [f"{each.what}: {line}" for each in found for line in each.lost]
    notes = [f"{each.what}: not tried here: {each.not_here}" for each in found if each.not_here]
    tried = sum(each.tried for each in found)
    end = f"{len(lost)} lost; what was left is in {folder}" if lost else "nothing lost"
    return Report(
        data={"lost": len(lost), "trials": [_row(each) for each in found]},
        tables=[Table("", ("what was tried", "times", "lost", "seconds"), rows)],
        lines=lost,
        notes=[*notes, f"{tried} tried, {end}"],
        exit_code=1 if lost else 0,
    )


def _row(outcome: Outcome) -> dict[str, Any]:
    return {
        "what": outcome.what,
        "times": outcome.tried,
        "how": dict(outcome.how),
        "lost": outcome.lost,
        "not_here": outcome.not_here or None,
        "seconds": round(outcome.seconds, 1),
    }
