"""The command line: parse, call, print. Whatever needs torch is imported by the command itself."""

from __future__ import annotations

from typing import Annotated

import typer

from dcbench._version import __version__
from dcbench.cli import (
    agree,
    bench,
    board_diff,
    collect,
    compare,
    contract,
    data,
    export,
    figures,
    growth,
    leaderboard,
    listing,
    page,
    posthoc,
    predict,
    release,
    results,
    run,
    selftest,
    show,
    splits,
    submit,
    sweep,
    tune,
)
from dcbench.cli.command import Guarded
from dcbench.cli.output import write_out
from dcbench.cli.reporting import reporting

app = typer.Typer(
    cls=Guarded,
    help="A benchmark for image classification with little or unbalanced data.",
    epilog="Example:  dcbench run --method ic-regmixup --split digits",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich takes longer to import than all the rest of `--help`
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        write_out(f"dcbench {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """Read the options that stand before a command."""


app.command(epilog=run.RUN_EXAMPLE)(reporting(run.run))
app.command(epilog=run.MEASURE_EXAMPLE)(reporting(run.measure))
app.command(epilog=predict.EXAMPLE)(reporting(predict.predict))
app.command(epilog=posthoc.EXAMPLE)(reporting(posthoc.posthoc))
app.command(epilog=sweep.SWEEP_EXAMPLE)(reporting(sweep.sweep))
app.command(epilog=sweep.PLAN_EXAMPLE)(reporting(sweep.plan))
app.command(epilog=tune.EXAMPLE)(reporting(tune.tune))
app.command(epilog=collect.EXAMPLE)(reporting(collect.collect))
app.command(epilog=compare.EXAMPLE)(reporting(compare.compare))
app.command("test-method", epilog=contract.EXAMPLE)(reporting(contract.test_method))
app.command(epilog=selftest.EXAMPLE)(reporting(selftest.selftest))
app.command(epilog=bench.EXAMPLE)(reporting(bench.bench))
app.command(epilog=growth.EXAMPLE)(reporting(growth.growth))
app.command(epilog="Example:  dcbench methods 'ic-*'")(reporting(listing.methods))
app.command(epilog="Example:  dcbench models 'wrn-*'")(reporting(listing.models))
app.command(epilog="Example:  dcbench protocols")(reporting(listing.protocols))
app.command(epilog="Example:  dcbench engines")(reporting(listing.engines))
app.add_typer(splits.app, name="splits")
app.add_typer(data.app, name="data")
leaderboard.app.command("show", epilog=show.EXAMPLE)(reporting(show.show))
leaderboard.app.command("agree", epilog=agree.EXAMPLE)(reporting(agree.agree))
leaderboard.app.command("figures", epilog=figures.EXAMPLE)(reporting(figures.figures))
leaderboard.app.command("latex", epilog=export.EXAMPLE)(reporting(export.latex))
leaderboard.app.command("fill", epilog=export.FILL_EXAMPLE)(reporting(export.fill))
leaderboard.app.command("diff", epilog=board_diff.EXAMPLE)(reporting(board_diff.diff))
leaderboard.app.command("release", epilog=release.EXAMPLE)(reporting(release.release))
leaderboard.app.command("page", epilog=page.EXAMPLE)(reporting(page.page))
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(submit.app, name="submit")
app.add_typer(results.app, name="results")


def main() -> None:
    """Run the command line; ends the process with the exit code of the outcome."""
    app()
