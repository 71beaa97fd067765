"""How the cost of commands grows with the runs that they read: whole processes, seen from outside.

While it measures, this process imports neither NumPy nor torch: Linux counts the memory of the
process that starts a command into the peak of the command.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from dcbench.bench.many_runs import PROTOCOL, SPLIT, addresses, queue_of, write_tree, write_yaml
from dcbench.errors import RunError

_log = logging.getLogger(__name__)

REPEATS = 9
LONG = 4.0
"""Seconds of processor time from which a command is run once, and not `REPEATS` times."""

NOISE = 0.01
"""The share of a command's seconds that they are uncertain by at least."""

RESOLVED = 0.15
"""An exponent that is less certain is not told."""


class Cost(NamedTuple):
    """What a process took: seconds of processor time, and the most memory it had, in MiB.

    `noise` is how many seconds more the second best of several times took.
    """

    seconds: float
    mebibytes: float
    noise: float = 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the most seconds that it may take."""
        uncertain = max(self.noise, NOISE * self.seconds)
        return self.seconds - uncertain, self.seconds + uncertain


class Exponent(NamedTuple):
    """An exponent, and how far it may be off for the noise of what was measured."""

    value: float
    uncertainty: float


COMMANDS = {
    "sweep --dry-run": "sweep {queue} --dry-run --results {results} --device cpu",
    "sweep": "sweep {queue} --results {results} --device cpu",
    "collect": "collect {results} --results {output}",
    "leaderboard build": "leaderboard build --results {results} -o {output}",
    "leaderboard check": "leaderboard check {boards} --base {boards}",
    "leaderboard show": f"leaderboard show {SPLIT} --protocol {PROTOCOL} --from {{boards}}",
    "leaderboard show --against": (
        f"leaderboard show {SPLIT} --protocol {PROTOCOL} --from {{boards}} --against erm"
    ),
    "leaderboard latex": f"leaderboard latex {SPLIT} --protocol {PROTOCOL} --from {{boards}}",
    "leaderboard page": "leaderboard page --from {boards} -o {output}",
}
"""What is measured, in this order: the leaderboards that `build` wrote are read by the others."""


@dataclass(frozen=True)
class CommandGrowth:
    """What one command costs with more and more runs.

    Attributes
    ----------
    start_up : Cost
        With one run.
    costs : tuple of Cost
        With each of `amounts` runs.
    """

    command: str
    amounts: tuple[int, ...]
    start_up: Cost
    costs: tuple[Cost, ...]

    @property
    def exponent(self) -> Exponent | None:
        """The p of seconds = a + b * runs**p, through the last three amounts.

        1: in proportion to the runs, whatever the start takes; 2: with their square. None where
        there are no three amounts, or where what grows is lost in the noise.
        """
        if len(self.amounts) < 3:
            return None
        few, some, many = self.amounts[-3:]
        costs = self.costs[-3:]
        value = power_through((few, some, many), [cost.seconds for cost in costs])
        found = [
            power_through((few, some, many), seconds)
            for seconds in itertools.product(*(cost.bounds for cost in costs))
        ]
        certain = [each for each in found if each is not None]
        if value is None or len(certain) < len(found):
            return None
        uncertainty = max(abs(each - value) for each in certain)
        return Exponent(value, uncertainty) if uncertainty <= RESOLVED else None


def power_through(amounts: tuple[float, float, float], seconds: Sequence[float]) -> float | None:
    """The p of a + b * amount**p through three points; None where there is none from 0 to 4."""
    (few, some, many), (first, second, third) = amounts, seconds
    if not first < second < third:
        return None
    asked = (third - second) / (second - first)

    steps = math.log(some / few), math.log(many / some)

    def ratio(p: float) -> float:
        # (many**p - some**p) / (some**p - few**p), which rises with p.
        return math.exp(p * steps[0]) * math.expm1(p * steps[1]) / math.expm1(p * steps[0])

    low, high = 1e-6, 4.0
    if not ratio(low) <= asked <= ratio(high):
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if ratio(middle) < asked else (low, middle)
    return low


@dataclass(frozen=True)
class CommandReport:
    """All that was measured, with where and when."""

    machine: str
    date: str
    growths: tuple[CommandGrowth, ...]


def measure_commands(amounts: Sequence[int], folder: Path) -> CommandReport:
    """Run every command on ever more runs.

    Parameters
    ----------
    amounts
        Numbers of runs, rising.
    folder
        Where the runs are made, 0.2 MB each, and as much again while they are collected; those that
        are there already are used again.

    Raises
    ------
    RunError
        A command failed.
    """
    site = _Site(folder, max(amounts))
    costs = {amount: site.measure(amount) for amount in (1, *amounts)}
    growths = tuple(
        CommandGrowth(
            command,
            tuple(amounts),
            costs[1][command],
            tuple(costs[amount][command] for amount in amounts),
        )
        for command in COMMANDS
    )
    return CommandReport(_machine(), datetime.now(UTC).date().isoformat(), growths)


def _machine() -> str:
    import torch  # only now, when nothing is measured any more

    from dcbench.runs.machine import device_title

    torch.set_num_threads(1)  # as the commands were run
    return device_title(torch.device("cpu"))


class _Site:
    """A folder with a source tree, the runs, and what the commands make of them."""

    def __init__(self, folder: Path, most: int) -> None:
        self._tree, self._all = folder / "tree", folder / "runs"
        self._folder = folder
        write_tree(self._tree, most)
        _log.info("making %d runs in %s", most, self._all)
        self._python("dcbench.bench.copies", str(most), str(self._all))

    def measure(self, amount: int) -> dict[str, Cost]:
        """What each command costs with so many runs."""
        work = self._folder / f"{amount}-runs"
        shutil.rmtree(work, ignore_errors=True)
        results, queue = work / "results", work / "queue.yaml"
        for address in addresses(amount):
            shutil.copytree(self._all / address, results / address, copy_function=os.link)
        write_yaml(queue, queue_of(amount))
        costs = {}
        for command, words in COMMANDS.items():
            boards, output = work / "boards", work / "output"
            names = {"queue": queue, "results": results, "boards": boards, "output": output}
            costs[command] = _best(self._repeated(words.format(**names).split(), output))
            _log.info("%d runs, %s: %.2f s, %.0f MiB", amount, command, *costs[command][:2])
            if command == "leaderboard build":
                output.rename(boards)
        shutil.rmtree(work)
        return costs

    def _repeated(self, words: list[str], output: Path) -> Iterator[Cost]:
        for _ in range(REPEATS):
            shutil.rmtree(output, ignore_errors=True)
            cost = self._python("dcbench", *words)
            yield cost
            if cost.seconds > LONG:
                return

    def _python(self, module: str, *words: str) -> Cost:
        """Run a module of the tree as a program, and say what that process took.

        On one thread: others that wait for work would count as time of the processor.
        """
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment = {**os.environ, **threads, "PYTHONPATH": str(self._tree)}
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            env=environment,
            cwd=self._tree,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None, "it is a pipe"
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            last = said.strip().rpartition("\n")[2]
            command = " ".join([module, *words])
            raise RunError(f"{command}: ended with {process.returncode}: {last}")
        return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / _UNITS_PER_MIB)


def _best(costs: Iterable[Cost]) -> Cost:
    """The shortest of several times, with how much longer the next one was."""
    best, *others = sorted(costs)
    return best._replace(noise=others[0].seconds - best.seconds) if others else best


_UNITS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10
"""Of `ru_maxrss`: bytes on a Mac, else KiB."""


def markdown(report: CommandReport) -> str:
    """The report as a Markdown table, with where and when it was measured."""
    amounts = report.growths[0].amounts
    titles = ["command", "1 run", *(f"{amount:,} runs" for amount in amounts), "exponent"]
    lines = [
        f"Measured on {report.date}, {report.machine}; seconds of processor time and peak memory "
        "of the whole process.",
        "",
        f"| {' | '.join(titles)} |",
        f"|---|{'---|' * (len(titles) - 1)}",
    ]
    for growth in report.growths:
        costs = [f"{cost.seconds:.1f} s, {cost.mebibytes:.0f} MiB" for cost in _all_costs(growth)]
        found = growth.exponent
        exponent = "–" if found is None else f"{found.value:.2f} ± {found.uncertainty:.2f}"
        lines.append(f"| `{growth.command}` | {' | '.join([*costs, exponent])} |")
    return "\n".join(lines)


def _all_costs(growth: CommandGrowth) -> list[Cost]:
    return [growth.start_up, *growth.costs]
