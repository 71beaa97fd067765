"""Checkpoints: the state of a training, with the configuration that it belongs to."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dcbench.config.base import validated
from dcbench.config.reading import parse_json
from dcbench.config.text import in_brief
from dcbench.errors import CheckpointError, DataError
from dcbench.records.atomic import write_bytes
from dcbench.records.files import CHECKPOINT, read_whole
from dcbench.records.identity import Configuration, Identity

CHECKPOINT_VERSION = 2


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where the states of a run's training are kept: one file, replaced in one piece.

    Attributes
    ----------
    folder : Path
        Of the run.
    run : Identity
        Whose states they are.
    """

    folder: Path
    run: Identity

    @property
    def path(self) -> Path:
        """Where the states lie: one file, replaced as a whole by each."""
        return self.folder / CHECKPOINT

    def write(self, state: dict[str, Any]) -> None:
        """Store a state of training with the configuration it belongs to, behind its SHA-256."""
        configuration = self.run.configuration.model_dump(mode="json")
        stored = {
            "version": CHECKPOINT_VERSION,
            "configuration": json.dumps(configuration, sort_keys=True),
            "state": state,
        }
        payload = io.BytesIO()
        torch.save(stored, payload)
        content = payload.getvalue()
        digest = hashlib.sha256(content).digest()
        write_bytes(self.path, digest + content)

    def read(self) -> dict[str, Any] | None:
        """The stored state of training, or None where there is none.

        Raises
        ------
        CheckpointError
            It cannot be read, is damaged, or belongs to another configuration.
        """
        if not self.path.exists():
            return None
        try:
            found, state = self._content()
        except DataError as problem:
            raise CheckpointError(str(problem)) from None
        difference = self.run.difference(found)
        if difference:
            raise CheckpointError(
                f"{self.path}: the checkpoint is of a run with {difference}",
                "begin again with --restart, or choose another folder with --results",
            )
        return state

    def _content(self) -> tuple[Configuration, dict[str, Any]]:
        """Whose state is stored, and the state."""
        stored = read_whole(self.path)
        digest, payload = stored[:32], stored[32:]
        if hashlib.sha256(payload).digest() != digest:
            raise DataError(f"{self.path}: the checkpoint is damaged")
        content = _unpacked(payload, self.path)
        if content.get("version") != CHECKPOINT_VERSION:
            raise DataError(f"{self.path}: written by another version")
        stored_configuration = str(content.get("configuration")).encode(errors="replace")
        configuration = parse_json(stored_configuration, self.path)
        found = validated(Configuration, configuration, self.path, DataError)
        state = content.get("state")
        if not isinstance(state, dict):
            raise DataError(f"{self.path}: holds no state of a training")
        return found, state


def _unpacked(payload: bytes, path: Path) -> dict[str, Any]:
    """What a checkpoint holds; an archive that would unfold to more than its bytes is refused."""
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            unfolded = sum(member.file_size for member in archive.infolist())
        if unfolded > len(payload):
            raise ValueError(f"its parts would take {unfolded} bytes of its {len(payload)}")
        content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as problem:  # whatever ZIP and PyTorch make of bytes that are no checkpoint
        raise DataError(f"{path}: not a checkpoint: {in_brief(problem)}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: not a checkpoint: holds a {type(content).__name__}")
    return content
