"""What a record holds, checked."""

from __future__ import annotations

import textwrap
from typing import Any, Literal, NamedTuple

from pydantic import Field

from dcbench.config.base import Config
from dcbench.config.names import PathPart
from dcbench.config.recipe import Recipe
from dcbench.config.tuned import TunedRecipe
from dcbench.metrics.table import METRICS
from dcbench.metrics.values import Metrics

SCHEMA_VERSION: Literal[1] = 1


class StoredFile(Config):
    """A file of a run's folder."""

    file: str = Field(
        pattern=r"^(predictions\.npz|model\.safetensors|(sets|posthoc|features)/[a-z0-9_-]+\.npz)$"
    )
    sha256: str


class StoredPredictions(StoredFile):
    """The predictions of a run."""

    hash: Literal["bytes", "arrays"] = Field(
        default="bytes", description="what `sha256` is of: the file, or the arrays in it"
    )
    before: str | None = Field(
        default=None,
        description="the SHA-256 that the run was recorded with, of a file since packed anew",
    )

    @property
    def recorded_sha256(self) -> str:
        """The hash that the run was recorded with: rows go by it, however the file is kept."""
        return self.before or self.sha256


class StoredWeights(StoredFile):
    """The weights of a run."""

    kept: bool = Field(True, description="False: `sha256` is all that there is of them")


class InitialWeights(Config):
    """The weights that a training began with."""

    sha256: str
    total: float = Field(description="the sum of all values, for processors that round otherwise")


class ImagesUsed(Config):
    """An image set that a run used."""

    images: int
    sha256: str
    official: bool = Field(description="has the official checksums, or those of one's own split")


class Normalization(Config):
    """What images were normalized by, for pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Cost(Config):
    """What a run took."""

    train_seconds: float
    evaluate_seconds: float
    images_per_second: float = Field(description="training images, over all epochs")
    peak_memory_bytes: int = Field(description="of the device; on a CPU, of the whole process")
    device: str
    model_flops: int | None = Field(
        None, description="of the training: three times the products of its forward passes"
    )
    ceiling_share: float | None = Field(
        None, description="model_flops a second, beside a large matrix product on the device"
    )
    runs_together: int = Field(1, description="that shared the device, each on its own stream")


class Record(Config):
    """The content of `record.json`; metrics are fractions."""

    schema_version: Literal[1] = SCHEMA_VERSION
    protocol: PathPart
    status: Literal["protocol", "custom"]
    departures: tuple[str, ...] = Field(description="why the status is custom")
    split: PathPart
    subset: int = Field(ge=0)
    index_sha256: str
    method: PathPart
    settings: dict[str, Any]
    method_sha256: str | None = Field(description="of the method's file, if not dcbench's own")
    method_package: str | None = Field(
        None, description="the package with its version that an installed method is from"
    )
    network_sha256: str | None = Field(
        None, description="of the network's file, if not dcbench's own"
    )
    network_package: str | None = Field(
        None, description="the package with its version that an installed network is from"
    )
    label: PathPart = Field(description="the method with the settings that were asked for")
    seed: int = Field(ge=0)
    recipe: Recipe
    tuned: TunedRecipe | None = Field(
        None, description="what its settings were searched with; None: they are the protocol's"
    )
    data_sha256: str | None = Field(
        None, description="of all images and labels, where no official checksums prove them"
    )
    data: dict[str, ImagesUsed | None] = Field(description="None: an OOD set that was not there")
    normalization: Normalization | None = Field(None, description="None: not written down then")
    missing: dict[str, str] = Field(description="why an OOD set was not there")
    metrics: Metrics
    predictions: StoredPredictions
    model: StoredWeights
    initial_weights: InitialWeights | None = Field(None, description="None: not written down then")
    numerics: int | None = Field(
        None, description="what runs share that are comparable to the bit; None: as above"
    )
    cost: Cost
    environment: dict[str, Any]
    started: str
    finished: str

    @property
    def as_recorded(self) -> Record:
        """The record as it was written first: neither pruned nor packed anew."""
        there = self.predictions
        then = (
            there
            if there.before is None
            else StoredPredictions(file=there.file, sha256=there.before)
        )
        model = self.model.model_copy(update={"kept": True})
        return self.model_copy(update={"predictions": then, "model": model})

    @property
    def unverified_data(self) -> list[str]:
        """Image sets whose files are not the official ones."""
        return [name for name, used in self.data.items() if used and not used.official]

    def __repr__(self) -> str:
        run = f"{self.label} on {self.split}, subset {self.subset}, seed {self.seed}"
        shown = [
            f"{metric.key}={value:.4f}"
            for metric in METRICS
            if (value := self.metrics[metric.key]) is not None
        ]
        custom = f", custom: {'; '.join(self.departures)}" if self.departures else ""
        return "\n".join(
            [
                f"<Record: {run}",
                f" protocol {self.protocol}{custom}",
                *textwrap.wrap(", ".join(shown), 96, initial_indent=" ", subsequent_indent=" "),
                f" {self.cost.train_seconds:.1f} s of training on {self.cost.device}, "
                f"finished {self.finished}>",
            ]
        )

    __str__ = __repr__


class EpochSummary(NamedTuple):
    """A row of a run's history."""

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
