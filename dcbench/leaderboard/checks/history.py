"""Old rows and old rules stay: what was published is changed, replaced or withdrawn in the open.

A row that counts no more is kept in `retired/`, and a line of the changelog says why; the rules
that rows obey never change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dcbench.config.paths import folders_in
from dcbench.config.text import span
from dcbench.errors import DataError, UsageError
from dcbench.leaderboard.changelog import (
    CHANGELOG,
    EXAMPLE,
    Entry,
    Run,
    entries_of,
    list_lines,
    read_changelog,
    standings_from,
    today,
)
from dcbench.leaderboard.checks.earlier import Earlier
from dcbench.leaderboard.checks.read import RowsFile
from dcbench.leaderboard.columns import DEFAULTS
from dcbench.leaderboard.files import is_withdrawn, retired_in
from dcbench.leaderboard.rows import Row, key_of, run_title
from dcbench.leaderboard.rules_lock import FROZEN, changed_rules, read_frozen
from dcbench.leaderboard.standing import (
    CORRECTED,
    MISSING,
    RETIRED,
    SUPERSEDED,
    WITHDRAWN,
    Standing,
)
from dcbench.leaderboard.states import State

_BY_THE_CHANGELOG = ("tier", "state")
"""Columns that are held to the changelog, and to no earlier state."""


class Published:
    """The folder as it is now, for comparisons with earlier states.

    Raises
    ------
    DataError
        The changelog or a table of rows that count no more cannot be read.
    """

    def __init__(self, folder: Path, files: Iterable[RowsFile]) -> None:
        self.folder, self.files, self.changelog = folder, list(files), folder / CHANGELOG
        self.lines = list_lines(read_changelog(folder))
        self.entries, _ = entries_of(self.lines)
        self.rows = {
            Run(file.board, key_of(row)): row for file in self.files for _, row in file.keyed()
        }
        self.retired: dict[Run, list[Row]] = {}
        for protocol in folders_in(folder):
            for split, rows in retired_in(protocol).items():
                for row in rows:
                    run = Run(f"{protocol.name}/{split}", key_of(row))
                    self.retired.setdefault(run, []).append(row)

    def title(self, run: Run) -> str:
        """A run's row, as sentences name it."""
        return f"{self.folder / '/runs/'.join(run.board.split('/'))}.csv ({run_title(run.key)})"

    def is_new(self, run: Run, earlier: Earlier) -> bool:
        """Whether the nearest earlier state lacks the row, or has another."""
        old = earlier.states[0].rows.get(run) if earlier.states else None
        return old is None or _change_of(old, self.rows.get(run)) is not None

    def is_fuller(self, run: Run, earlier: Earlier) -> bool:
        """Whether cells of the row are filled that were empty in the nearest earlier state."""
        old = earlier.states[0].rows.get(run) if earlier.states else None
        return old is not None and _change_of(self.rows[run], old) is not None


def history_problems(now: Published, earlier: Earlier) -> Iterator[str]:
    """One line for each thing that is not as it was, and that the changelog does not tell of."""
    told: set[Run] = set()
    for state in earlier.states:
        yield from _changed_frozen(now, state)
        for line in sorted(state.lines.difference(now.lines)):
            yield f"{now.changelog}: a line is gone that was there in {state.title}: '{line}'"
        for run, what in _row_problems(now, state):
            if run not in told:
                told.add(run)
                yield what
    if earlier.unseen:
        yield f"{now.folder}: {earlier.unseen}"


def _row_problems(now: Published, state: State) -> Iterator[tuple[Run, str]]:
    since, _ = entries_of(line for line in now.lines if line not in state.lines)
    events: dict[Run, set[str | None]] = {}
    for entry in since:
        for run in entry.runs:
            events.setdefault(run, set()).add(entry.event)
    for run, old in state.rows.items():
        what = _change_of(old, now.rows.get(run))
        if what is None or None in events.get(run, ()):
            continue
        yield from _told(now, run, old, what, events.get(run, set()), state)
    for run, old in state.retired:
        if not any(_change_of(old, each) is None for each in now.retired.get(run, ())):
            title = now.title(run).replace("/runs/", "/retired/")
            yield run, f"{title}: the row is gone or changed that was there in {state.title}"


def _told(
    now: Published, run: Run, old: Row, what: str, events: set[str | None], state: State
) -> Iterator[tuple[Run, str]]:
    """What is wrong with a row that is no longer as it was."""
    new = now.rows.get(run)
    kept = any(_change_of(old, each) is None for each in now.retired.get(run, ()))
    same_run = new is not None and new["predictions_sha256"] == old["predictions_sha256"]
    if (kept and events.intersection(RETIRED)) or (same_run and CORRECTED in events):
        return
    event = CORRECTED if same_run else WITHDRAWN if new is None else SUPERSEDED
    subset, method, seed = run.key
    line = f"- {today()}, {run.board}, subset {subset}, method {method}, seed {seed}, {event}: why"
    problem = f"{now.title(run)}: {what} in {state.title}; restore the row, or "
    if event in RETIRED and not kept:
        problem += f"keep it in retired/, as `dcbench leaderboard mark --state {event}` and "
        problem += "`build --replace` do, and "
    yield run, f"{problem}add to {now.changelog}: {line}"


def _change_of(old: Row, new: Row | None) -> str | None:
    """What became of a row, as a sentence says it; a cell that was empty may be filled."""
    if new is None:
        return "the row is gone; it was there"
    for column, cell in old.items():
        if column in _BY_THE_CHANGELOG:
            continue
        if cell and new.get(column, "") != cell:
            return f"{column}='{new.get(column, '')}', but it was '{cell}'"
    return None


def _changed_frozen(now: Published, state: State) -> Iterator[str]:
    """Where frozen rules are not what they were."""
    for folder in dict.fromkeys(file.folder for file in now.files):
        try:
            frozen, before = read_frozen(folder), state.frozen(folder.name)
        except (DataError, UsageError):
            continue  # said of the file itself; or it was so when nobody looked
        if frozen is None or before is None:
            continue
        for change in changed_rules(before, frozen):
            said = change.replace(" was frozen, now it is ", f" in {state.title}, now it is ")
            yield f"{folder / FROZEN}: {said}; a changed rule is a new protocol version"


def changelog_problems(now: Published, earlier: Earlier) -> Iterator[str]:
    """What is wrong with the new lines of the changelog."""
    before = earlier.states[0] if earlier.states else State("", {})
    _, unreadable = entries_of(line for line in now.lines if line not in before.lines)
    yield from (f"{now.changelog}: {problem}" for problem in unreadable)
    known = {*now.rows, *now.retired, *(run for state in earlier.states for run in state.rows)}
    for line in now.lines:
        entries, _ = entries_of([line])
        if line not in before.lines and entries:
            yield from (
                f"{now.changelog}: '{line}': {p}" for p in _of_entry(entries[0], now, known)
            )


def _of_entry(entry: Entry, now: Published, known: set[Run]) -> Iterator[str]:
    if entry.date is None:
        yield f"has no date, and does not say what happened; should read '{EXAMPLE}'"
    for run in entry.runs:
        if entry.event == MISSING and run in now.rows:
            yield f"the run of {run_title(run.key)} is there"
        elif entry.event != MISSING and run not in known:
            yield f"there is no such row: {run_title(run.key)}"


def standing_problems(now: Published) -> Iterator[str]:
    """Where tier and state of a row are not what the changelog says, or a row should be gone."""
    expected = standings_from(now.entries)
    for run, row in now.rows.items():
        if is_withdrawn(row, now.retired.get(run, ())):
            yield (
                f"{now.title(run)}: is in retired/ too, as withdrawn; `dcbench leaderboard mark "
                "--state withdrawn` takes the row out again"
            )
        for column, should in zip(_BY_THE_CHANGELOG, expected.get(run, Standing()), strict=True):
            cell = row.get(column) or DEFAULTS[column]
            if cell != (should if should not in RETIRED else Standing().state):
                yield f"{now.title(run)}: {column}='{cell}', but {now.changelog} says '{should}'"
    named: dict[Run, set[str | None]] = {}
    for entry in now.entries:
        for run in entry.runs:
            named.setdefault(run, set()).add(entry.event)
    for run, rows in now.retired.items():
        for row in rows:
            if not named.get(run, set()).intersection({row.get("state"), None}):
                state, title = row.get("state", ""), now.title(run).replace("/runs/", "/retired/")
                yield f"{title}: state='{state}', of which {now.changelog} says nothing"


def gap_problems(now: Published, earlier: Earlier) -> Iterator[str]:
    """Where a new result lacks seeds though it has later ones, and nobody says why."""
    excused = {run for entry in now.entries if entry.event == MISSING for run in entry.runs}
    excused |= now.retired.keys()
    for file in now.files:
        found: dict[tuple[int, str], set[int]] = {}
        for _, row in file.keyed():
            subset, method, seed = key_of(row)
            found.setdefault((subset, method), set()).add(seed)
        for (subset, method), seeds in found.items():
            runs = {
                seed: Run(file.board, (subset, method, seed)) for seed in file.entry.asked.seeds
            }
            if not any(now.is_new(run, earlier) for seed, run in runs.items() if seed in seeds):
                continue
            lacking = _lacking(seeds, file.entry.asked.seeds)
            lacking = tuple(seed for seed in lacking if runs[seed] not in excused)
            if lacking:
                yield _gap(now, file, subset, method, lacking)


def _gap(now: Published, file: RowsFile, subset: int, method: str, lacking: tuple[int, ...]) -> str:
    seeds = f"seed{'s' if len(lacking) > 1 else ''} {span(lacking)}"
    line = f"- {today()}, {file.board}, subset {subset}, method {method}, {seeds}, {MISSING}: why"
    verb = "are" if len(lacking) > 1 else "is"
    return (
        f"{file.path} (subset {subset}, method {method}): {seeds} {verb} lacking though later ones "
        f"are there; run them, or add to {now.changelog}: {line}"
    )


def _lacking(there: set[int], asked: Sequence[int]) -> tuple[int, ...]:
    """The seeds that are asked before the last that is there, and are not there."""
    present = [number for number, seed in enumerate(asked) if seed in there]
    return tuple(seed for seed in asked[: max(present, default=0)] if seed not in there)
