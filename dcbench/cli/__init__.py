"""The command line: parse, call, print. Whatever needs torch is imported by the command itself."""

from __future__ import annotations

import logging

import typer

from dcbench.cli import (
    bench,
    collect,
    data,
    export,
    figures,
    growth,
    leaderboard,
    listing,
    page,
    run,
    splits,
    sweep,
)
from dcbench.cli.options import Guarded

app = typer.Typer(
    cls=Guarded,
    help="A benchmark for image classification with little or unbalanced data.",
    epilog="Example:  dcbench run --method ic-regmixup --split digits",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich takes longer to import than all the rest of `--help`
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=run.RUN_EXAMPLE)(run.run)
app.command(epilog=run.MEASURE_EXAMPLE)(run.measure)
app.command(epilog=sweep.SWEEP_EXAMPLE)(sweep.sweep)
app.command(epilog=sweep.PLAN_EXAMPLE)(sweep.plan)
app.command(epilog=collect.EXAMPLE)(collect.collect)
app.command(epilog=bench.EXAMPLE)(bench.bench)
app.command(epilog=growth.EXAMPLE)(growth.growth)
app.command(epilog="Example:  dcbench methods 'ic-*'")(listing.methods)
app.command(epilog="Example:  dcbench models 'wrn-*'")(listing.models)
app.command(epilog="Example:  dcbench protocols")(listing.protocols)
app.add_typer(splits.app, name="splits")
app.add_typer(data.app, name="data")
leaderboard.app.command("figures", epilog=figures.EXAMPLE)(figures.figures)
leaderboard.app.command("latex", epilog=export.EXAMPLE)(export.latex)
leaderboard.app.command("page", epilog=page.EXAMPLE)(page.page)
app.add_typer(leaderboard.app, name="leaderboard")


def main() -> None:
    """Run the command line; ends the process with the exit code of the outcome."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    app()
