"""What several commands share: options, groups, and how a list is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dcbench.errors import DcbenchError, UsageError

Json = Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")]
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
Pattern = Annotated[str, typer.Argument(help="Wildcard, such as 'ic-*'.")]


class Guarded(TyperGroup):
    """The group of all commands: ends with one line and the exit code that an error has."""

    def invoke(self, context: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(context)
        except DcbenchError as problem:
            from dcbench.cli.console import note

            note(f"error: {problem}")
            raise typer.Exit(problem.exit_code) from None
        except KeyboardInterrupt:
            from dcbench.cli.console import note

            note("interrupted; the same command goes on from the last checkpoint")
            raise typer.Exit(130) from None


class ListByDefault(TyperGroup):
    """A group in which `group PATTERN` is `group list PATTERN`."""

    def resolve_command(self, context: Any, args: list[str]) -> Any:
        """Find the command; what is no command is a pattern for `list`."""
        known = args[0] in self.commands or args[0].startswith("-")
        return super().resolve_command(context, args if known else ["list", *args])


def print_list(rows: list[dict[str, Any]], as_json: bool, what: str) -> None:
    """Print rows as a table, or as a JSON list; an error says that there is no `what`."""
    from dcbench.cli.console import show_table

    if not rows:
        raise UsageError(f"there is no {what}")
    if as_json:
        typer.echo(json.dumps(rows))
    else:
        show_table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{key}={each}" for key, each in value.items()) or None
    return value
