"""What git says of a folder: of the repository that the folder is in, and of no other."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path, PurePosixPath

_SECONDS = 60


def git(folder: Path, *arguments: str) -> bytes | None:
    """The output of a git command, or None where it fails or git is not there.

    A hook of git that calls dcbench has `GIT_DIR` and the like in its environment: these name the
    repository of the hook, so they are left out. Nothing that the repository configures is run.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, check=True, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def commit_of(folder: Path, revision: str) -> str | None:
    """The commit of a revision, or None where there is none."""
    options = ("--verify", "--quiet", "--end-of-options")
    found = git(folder, "rev-parse", *options, f"{revision}^{{commit}}")
    return None if found is None else found.decode().strip()


def files_at(folder: Path, commit: str) -> dict[str, bytes]:
    """The files that a folder held at a commit, by their paths below it; none if it was not there.

    Links are left out.
    """
    packed = git(folder, "archive", "--format=tar", commit, ".")
    files = {}
    if packed is not None:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive.getmembers():
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    files[str(PurePosixPath(member.name))] = content.read()
    return files
