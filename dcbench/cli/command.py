"""How commands are found and how they end: in one line and with the exit code of an error."""

from __future__ import annotations

import codecs
import logging
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from dcbench.cli.output import silence, write_out
from dcbench.config.interrupts import interruptible
from dcbench.errors import DcbenchError

_log = logging.getLogger(__name__)

_SPELLED = {"±": "+/-", "–": "-", "…": "...", "×": "x"}
"""What stands for a character where the output cannot encode it; for others a question mark."""


class Guarded(TyperGroup):
    """The group of all commands: ends with one line and the exit code that an error has."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line, whatever the streams can encode."""
        codecs.register_error("dcbench", _spell)
        os.environ["MPLBACKEND"] = "agg"  # a notebook's is not there for its commands
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="dcbench")
        try:
            return super().main(*args, **options)
        except OSError as problem:  # click could not tell of wrong use on standard error
            silence(sys.stderr)
            sys.exit(getattr(problem.__context__, "exit_code", 1))

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read the command line; click would end an interrupt with another exit code."""
        try:
            return super().make_context(*args, **options)
        except DcbenchError as problem:
            _tell(problem)
            sys.exit(problem.exit_code)
        except KeyboardInterrupt:
            raise _interrupted() from None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Answer `--help` at once: to read any option, Typer imports pydantic."""
        words = args[: args.index("--")] if "--" in args else args
        if not set(ctx.help_option_names).isdisjoint(words):
            asked = ctx
            for word in words:
                children = getattr(asked.command, "commands", {})
                if word not in children:
                    break
                asked = type(ctx)(children[word], info_name=word, parent=asked)
            if word in ctx.help_option_names or not children:
                write_out(f"{asked.get_help()}\n")  # click would write UTF-8 to any stream
                ctx.exit()
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            with interruptible():
                return super().invoke(ctx)
        except DcbenchError as problem:
            _tell(problem)
            raise typer.Exit(problem.exit_code) from None
        except (OSError, MemoryError, RecursionError) as problem:
            from dcbench.cli.console import note

            note(f"error: {_of_the_system(problem)}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise _interrupted() from None


class ListByDefault(TyperGroup):
    """A group in which `group PATTERN` is `group list PATTERN`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; what is no command is a pattern for `list`."""
        known = args[0] in self.commands or args[0].startswith("-")
        return super().resolve_command(ctx, args if known else ["list", *args])


def _tell(problem: DcbenchError) -> None:
    from dcbench.cli.console import note

    _log.debug("traceback, as --debug asks:", exc_info=problem)
    note(f"error: {problem}")


def _interrupted() -> typer.Exit:
    from dcbench.cli.console import note

    note("interrupted; the same command goes on from the last checkpoint")
    return typer.Exit(130)


def _of_the_system(problem: BaseException) -> str:
    """What the system refused: the file, if one is named, and why."""
    if isinstance(problem, OSError) and problem.strerror:
        place = f"{problem.filename}: " if problem.filename else ""
        return f"{place}{problem.strerror}"
    return "there is not enough memory" if isinstance(problem, MemoryError) else str(problem)


def _spell(problem: UnicodeError) -> tuple[str, int]:
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    unknown = problem.object[problem.start : problem.end]
    return "".join(_SPELLED.get(each, "?") for each in unknown), problem.end
