"""File systems that refuse: full disks, and folders that belong to others."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dcbench.selftest.processes import Ended, Handicap
from dcbench.selftest.remains import differences, left_behind
from dcbench.selftest.signals import PACK, RUN
from dcbench.selftest.trial import NotHereError, Place, Trial, Try

_SMALLEST, _ROOM = 12 << 10, 64 << 20
"""Bytes of a disk on which nothing fits, and of one that has room for everything."""

_NOBODY = 65534


def trials(times: int) -> list[Trial]:
    """Trials of so many disks that fill, and as many limits of files."""
    return [
        Trial("a disk that fills, then has room", times, _full_disk),
        Trial("files that may not grow, then may", times, _limited_files),
        Trial("a folder that belongs to others", 1, _closed_folder),
    ]


def _full_disk(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    for number in range(times):
        words = (RUN, PACK)[number % 2]
        whole = place.whole(words)
        needed = sum(path.stat().st_size for path in whole.results.rglob("*") if path.is_file())
        results = place.new_folder("full")
        with _small_disk(results, chance.randint(_SMALLEST, needed)):
            ended = place.commands.run(*words, "--results", results)
            lost = ended.unlike(0, 1) + left_behind(results)
            if ended.code and "No space left" not in ended.err + ended.out:
                lost.append("it does not say that the disk is full")
            _mount("-o", f"remount,size={_ROOM}", results)
            lost += place.commands.run(*words, "--results", results).unlike(0)
            lost += left_behind(results) + differences(results, whole.records)
        yield Try("it filled" if ended.code else "it had room", lost)


@contextlib.contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[None]:
    """Put a file system of so many bytes in the place of a folder."""
    refused = _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    if refused:
        raise NotHereError(f"a small file system cannot be mounted: {refused}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], capture_output=True, check=False)


def _mount(*words: str | Path) -> str:
    """Why a mount is refused, or nothing."""
    if shutil.which("mount") is None:
        return "there is no mount"
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    return " ".join(done.stderr.split()) if done.returncode else ""


def _limited_files(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    for number in range(times):
        words = (RUN, PACK)[number % 2]
        whole = place.whole(words)
        results = place.new_folder("limited")
        largest = max(path.stat().st_size for path in whole.results.rglob("*"))
        limit = Handicap(largest=chance.randint(1000, largest))
        ended = place.commands.run(*words, "--results", results, handicap=limit)
        lost = ended.unlike(0, 1) + left_behind(results)
        lost += place.commands.run(*words, "--results", results).unlike(0)
        lost += left_behind(results) + differences(results, whole.records)
        yield Try("a file was refused" if ended.code else "it had room", lost)


def _closed_folder(place: Place, times: int, chance: random.Random) -> Iterator[Try]:
    folder = place.new_folder("closed")
    prefix: list[str] = []
    if os.geteuid() == 0:
        prefix = without_privileges()
        os.chown(folder, _NOBODY, _NOBODY)
    folder.chmod(0o555)
    command = [*prefix, sys.executable, "-m", "dcbench", *RUN, "--results", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        folder.chmod(0o755)
    lost = Ended(done.returncode, done.stdout, done.stderr).refused(1)
    if "Permission denied" not in done.stderr:
        lost.append("it does not say that the folder may not be written")
    lost += [f"{path}: was written" for path in folder.iterdir()]
    yield Try("refused", lost)


def without_privileges() -> list[str]:
    """What goes before a command of root's that is to be refused what others are refused.

    Raises
    ------
    NotHereError
        This system has no `setpriv`.
    """
    if shutil.which("setpriv") is None:
        raise NotHereError("root may write everywhere, and there is no setpriv")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
