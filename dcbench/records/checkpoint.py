"""Checkpoints: the state of a training, with the configuration that it belongs to."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dcbench.config.base import validated
from dcbench.errors import DataError
from dcbench.records.atomic import write_whole
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
        write_whole(self.path, lambda file: file.write(digest + content))

    def read(self) -> dict[str, Any] | None:
        """The stored state of training, or None where there is none.

        Raises
        ------
        DataError
            It is damaged, or belongs to another configuration.
        """
        if not self.path.exists():
            return None
        stored = read_whole(self.path)
        digest, payload = stored[:32], stored[32:]
        if hashlib.sha256(payload).digest() != digest:
            raise DataError(f"{self.path}: the checkpoint is damaged; begin again with --restart")
        content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        if content.get("version") != CHECKPOINT_VERSION:
            raise DataError(f"{self.path}: written by another version; begin again with --restart")
        found = validated(Configuration, json.loads(content["configuration"]), self.path, DataError)
        difference = self.run.difference(found)
        if difference:
            raise DataError(
                f"{self.path}: the checkpoint is of a run with {difference}; begin again with "
                "--restart, or choose another folder with --results"
            )
        return dict(content["state"])
