"""A recipe: everything that training needs apart from data, method and seed."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from dcbench.config.base import Config
from dcbench.config.names import PathPart

RENAMED = {"normalisation": "normalization"}
"""Keys as they were once spelled, in records, checkpoints and rules of then; read for good."""


OPEN_KEYS = ("model", "padding", "border", "flip", "rotation")
"""What of a recipe is another one on the open track: the network, and how images are augmented."""


IDLE = {
    "milestones": ("schedule", "cosine"),
    "factor": ("schedule", "cosine"),
    "border": ("padding", 0),
    "nesterov": ("momentum", 0),
}
"""Keys that no number depends on where another key has this value."""


class Recipe(Config):
    """Hyper-parameters of a run. The fields are the keys of a protocol's `training`."""

    model: PathPart
    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(ge=0, description="on every parameter")
    schedule: Literal["cosine", "steps"] = Field(
        description="cosine: to zero, step by step; steps: times `factor` at each of `milestones`"
    )
    milestones: tuple[int, ...] = Field((), description="epochs, counted from 0")
    factor: float = Field(0.1, gt=0, le=1)
    warmup_epochs: int = Field(0, ge=0, description="epoch e of these has (e + 1) / epochs of it")
    padding: int = Field(
        0, ge=0, le=32, description="border in pixels that random crops reach into"
    )
    border: Literal["zero", "reflect"] = "zero"
    flip: bool = Field(False, description="mirror half of the images left to right")
    rotation: float = Field(0.0, ge=0, le=180, description="largest angle, in degrees")
    normalization: Literal["split", "cifar10", "cifar100"] = Field(
        "split", description="channel statistics: of the images trained on, or published ones"
    )
    precision: Literal["float32", "tf32", "bf16"] = Field(
        "float32", description="of products; tf32 is float32 where there is no CUDA device"
    )
    fit: Literal["train", "trainval"] = Field(
        "trainval", description="train on the training part, or on train and val together"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_old_spelling(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {RENAMED.get(key, key): value for key, value in values.items()}

    @model_validator(mode="after")
    def _schedule_is_whole(self) -> Self:
        if self.schedule == "steps" and not self.milestones:
            raise ValueError("schedule=steps needs milestones")
        rising = list(self.milestones) == sorted(set(self.milestones))
        if not rising or min(self.milestones, default=1) < 1:
            raise ValueError(f"milestones={list(self.milestones)} should be rising and above 0")
        return self

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step, counted from 0 over the whole run."""
        epoch = step // steps_per_epoch
        if epoch < self.warmup_epochs:
            return self.learning_rate * (epoch + 1) / self.warmup_epochs
        if self.schedule == "cosine":
            done = step / (self.epochs * steps_per_epoch)
            return self.learning_rate * (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * self.factor ** sum(epoch >= at for at in self.milestones)
