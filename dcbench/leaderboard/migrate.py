"""`migrate`: leaderboards of an earlier version in the form of this one, without their records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dcbench.config.paths import folders_in
from dcbench.config.protocol import load_protocol
from dcbench.errors import UsageError
from dcbench.leaderboard.files import (
    held,
    old_files,
    protocol_files,
    remove_old_files,
    rows_in,
    write_files,
)
from dcbench.leaderboard.readme import readme
from dcbench.leaderboard.rules_lock import freeze, read_frozen, used_by
from dcbench.records.files import read_whole


@dataclass(frozen=True)
class FileChange:
    """A file that is not yet in the form of this version, and in what."""

    path: Path
    what: str


def migrate(folder: Path, *, dry_run: bool = False) -> list[FileChange]:
    """Rewrite all tables of the leaderboards in `folder` from what they hold.

    No cell of a row changes: columns that came later are added, empty. Summaries are taken again
    from the rows, rules are written as they are today. Done twice, it changes nothing.

    Parameters
    ----------
    dry_run
        Only say what would change.

    Raises
    ------
    UsageError
        There is no such folder, or none of a protocol in it; an unknown split or protocol.
    DataError
        A table is damaged. Nothing is written then.
    """
    with held(folder, dry_run=dry_run):
        return _migrated(folder, write=not dry_run)


def _migrated(folder: Path, *, write: bool) -> list[FileChange]:
    """What was changed, or, if nothing is written, would be."""
    contents: dict[Path, bytes] = {}
    superseded: list[Path] = []
    found = {}
    for each in folders_in(folder):
        rows = rows_in(each)
        if rows:
            rules = read_frozen(each) or freeze(load_protocol(each.name), used_by(rows))
            contents |= protocol_files(each, rows, rules)
            superseded += old_files(each, rows)
            found[each] = rows
    if not found:
        raise UsageError(
            f"{folder}: there are no leaderboards; name the folder that has one for each protocol"
        )
    contents[folder / "README.md"] = readme().encode()
    changes = [
        FileChange(path, _change(path, content))
        for path, content in contents.items()
        if not path.exists() or read_whole(path) != content
    ]
    changes += [FileChange(path, "removed: the summary has another name") for path in superseded]
    if write:
        stale = {change.path for change in changes}
        write_files({path: content for path, content in contents.items() if path in stale})
        for each, rows in found.items():
            remove_old_files(each, rows)
    return changes


def _change(path: Path, content: bytes) -> str:
    if not path.exists():
        return "new"
    if path.suffix != ".csv":
        return "written anew"
    before, after = (_header(each) for each in (read_whole(path), content))
    added = [name for name in after if name not in before]
    return f"columns added: {', '.join(added)}" if added else "written anew"


def _header(content: bytes) -> list[str]:
    return content.decode().partition("\n")[0].strip().split(",")
