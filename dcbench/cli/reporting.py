"""What all commands share: three options, and how the reports that they return are shown."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import typer

from dcbench.cli.completion import completer
from dcbench.cli.report import Report

_OPTIONS = {
    "as_json": Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")],
    "quiet": Annotated[bool, typer.Option("--quiet", help="No progress.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
}


def reporting(command: Callable[..., Report | Iterable[Report] | None]) -> Callable[..., None]:
    """Give a command options that all have, and show the reports that it returns or yields."""

    @functools.wraps(command)
    def shown(*args: Any, as_json: bool, quiet: bool, debug: bool, **options: Any) -> None:
        from dcbench.cli.console import show, speak  # takes longer than all of `--help`

        speak(quiet=quiet, debug=debug)
        exit_code = 0
        for report in _reports(functools.partial(command, *args, **options)):
            show(report, as_json)
            exit_code = max(exit_code, report.exit_code)
        if exit_code:
            raise typer.Exit(exit_code)

    # Typer reads the options of a command from its signature.
    signature = inspect.signature(command, eval_str=True)
    for parameter in signature.parameters.values():
        for described in getattr(parameter.annotation, "__metadata__", ()):
            described.autocompletion = completer(parameter.name)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in _OPTIONS.items()
    ]
    parameters = [*signature.parameters.values(), *added]
    vars(shown)["__signature__"] = signature.replace(parameters=parameters)
    shown.__annotations__ = {each.name: each.annotation for each in parameters}
    return shown


def _reports(command: Callable[[], Report | Iterable[Report] | None]) -> Iterator[Report]:
    """What a command reports; what a method's code prints meanwhile goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        found = command()
        reports = iter([found] if isinstance(found, Report) else found or ())
    while True:
        with contextlib.redirect_stdout(sys.stderr):
            report = next(reports, None)
        if report is None:
            return
        yield report
