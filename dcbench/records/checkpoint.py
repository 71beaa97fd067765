"""Checkpoints: the state of a training, with the configuration that it belongs to."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import torch

from dcbench.errors import DataError
from dcbench.records.atomic import write_whole
from dcbench.records.store import CHECKPOINT, read_whole

CHECKPOINT_VERSION = 2


def write_checkpoint(folder: Path, configuration: dict[str, Any], state: dict[str, Any]) -> None:
    """Store a state of training with the configuration it belongs to, behind its SHA-256."""
    payload = io.BytesIO()
    stored = {"version": CHECKPOINT_VERSION, "configuration": _canonical(configuration)}
    torch.save({**stored, "state": state}, payload)
    content = payload.getvalue()
    digest = hashlib.sha256(content).digest()
    write_whole(folder / CHECKPOINT, lambda file: file.write(digest + content))


def read_checkpoint(folder: Path, configuration: dict[str, Any]) -> dict[str, Any] | None:
    """The stored state of training, or None where there is none.

    Raises
    ------
    DataError
        It is damaged, or belongs to another configuration.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    stored = read_whole(path)
    digest, payload = stored[:32], stored[32:]
    if hashlib.sha256(payload).digest() != digest:
        raise DataError(f"{path}: the checkpoint is damaged; begin again with --restart")
    content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    if content.get("version") != CHECKPOINT_VERSION:
        raise DataError(f"{path}: written by another version; begin again with --restart")
    if content["configuration"] != _canonical(configuration):
        raise DataError(
            f"{path}: the checkpoint is of a run with another recipe, settings or code; begin "
            "again with --restart, or choose another folder with --results"
        )
    return dict(content["state"])


def _canonical(configuration: dict[str, Any]) -> str:
    return json.dumps(configuration, sort_keys=True)
