"""What git says of a folder: of the repository that the folder is in, and of no other."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

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
