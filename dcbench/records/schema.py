"""What a record holds, checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field

from dcbench.config.base import Config

SCHEMA_VERSION: Literal[1] = 1


class StoredFile(Config):
    """A file of a run's folder."""

    file: str = Field(pattern=r"^(predictions\.npz|model\.safetensors)$")
    sha256: str


class ImagesUsed(Config):
    """An image set that a run used."""

    images: int
    sha256: str
    official: bool = Field(description="its files have the official checksums")


class Cost(Config):
    """What a run took."""

    train_seconds: float
    evaluate_seconds: float
    images_per_second: float = Field(description="training images, over all epochs")
    peak_memory_bytes: int = Field(description="of the device; on a CPU, of the whole process")
    device: str
    model_flops: int | None = Field(
        None, description="of all forward and backward passes, as flop counters count them"
    )
    ceiling_share: float | None = Field(
        None, description="model_flops a second, beside a large matrix product on the device"
    )
    runs_together: int = Field(1, description="that shared the device, each on its own stream")


class Detection(Config):
    """How well one score parts an OOD set from the test set."""

    auroc: float
    aupr_in: float
    aupr_out: float
    fpr95_ood_pos: float
    fpr95_id_pos: float


class Metrics(Config):
    """The metrics of a record, in fractions; None where one does not apply."""

    accuracy: float
    balanced_accuracy: float
    accuracy_many: float | None
    accuracy_medium: float | None
    accuracy_few: float | None
    nll: float
    brier: float
    ece15: float
    adaptive_ece15: float
    classwise_ece15: float
    ood: dict[str, dict[str, Detection] | None]


def _as_metrics(values: dict[str, Any]) -> dict[str, Any]:
    return Metrics.model_validate(values).model_dump()


class Record(Config):
    """The content of `record.json`; metrics are fractions."""

    schema_version: Literal[1] = SCHEMA_VERSION
    protocol: str
    status: Literal["protocol", "custom"]
    departures: tuple[str, ...] = Field(description="why the status is custom")
    split: str
    subset: int
    index_sha256: str
    method: str
    settings: dict[str, Any]
    method_sha256: str | None = Field(description="of the method's file, if not dcbench's own")
    label: str = Field(description="the method with the settings that were asked for")
    seed: int
    recipe: dict[str, Any]
    data: dict[str, ImagesUsed | None] = Field(description="None: an OOD set that was not there")
    missing: dict[str, str] = Field(description="why an OOD set was not there")
    metrics: Annotated[dict[str, Any], AfterValidator(_as_metrics)]
    predictions: StoredFile
    model: StoredFile
    cost: Cost
    environment: dict[str, Any]
    started: str
    finished: str

    @property
    def unverified_data(self) -> list[str]:
        """Image sets whose files are not the official ones."""
        return [name for name, used in self.data.items() if used and not used.official]


CONFIGURATION = (
    *("protocol", "split", "subset", "index_sha256", "method", "settings"),
    *("method_sha256", "seed", "recipe"),
)
"""The fields of a record that decide its numbers."""


class EpochSummary(NamedTuple):
    """A row of a run's history."""

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
