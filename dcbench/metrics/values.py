"""The metrics of a run as a typed object, with a field for each row of the table."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, create_model, model_serializer

from dcbench.config.base import Config
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import METRICS, OOD_METRICS, OOD_SCORES, SHIFT_METRICS


class _Values(Config):
    """Numbers by key; one that was never given is absent, which is not the same as None."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __getitem__(self, key: str) -> Any:
        if key not in type(self).model_fields:
            raise KeyError(key)
        return getattr(self, key)

    def keys(self) -> KeysView[str]:
        """The keys that are there, in the order of the table."""
        fields = type(self).model_fields
        return dict.fromkeys(key for key in fields if key in self.model_fields_set).keys()

    def __contains__(self, key: str) -> bool:
        return key in self.model_fields_set

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        return ((key, getattr(self, key)) for key in self.keys())

    @model_serializer(mode="wrap")
    def _leave_out_what_is_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if key in self.model_fields_set}


def _fields(rows: tuple[Metric, ...]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for metric in rows:
        kind = float if metric.required else float | None
        default = ... if metric.required else None
        fields[metric.key] = (Annotated[kind, Field(description=metric.meaning)], default)
    return fields


if TYPE_CHECKING:

    class Detection(_Values):
        """How well one score separates an OOD set from the test set."""

    Scores = Mapping[str, Detection]

    class ShiftValues(_Values):
        """What a network reaches on shifted test images."""

    class Metrics(_Values):
        """The metrics of a run, in fractions."""

        ood: dict[str, Scores | None]
        shift: dict[str, ShiftValues | None]

else:
    Detection = create_model(
        "Detection",
        __base__=_Values,
        __doc__="How well one score separates an OOD set from the test set.",
        __module__=__name__,
        **_fields(OOD_METRICS),
    )
    ShiftValues = create_model(
        "ShiftValues",
        __base__=_Values,
        __doc__="What a network reaches on shifted test images.",
        __module__=__name__,
        **_fields(SHIFT_METRICS),
    )
    Metrics = create_model(
        "Metrics",
        __base__=_Values,
        __doc__="""The metrics of a run, in fractions.

        `metrics.accuracy`, or `metrics["accuracy"]`; `metrics.ood["mnist"]["msp"].auroc`. None: it
        does not apply, or, where `"nll_ts" in metrics` is false, the record is older than it.
        `metrics.shift["fog"].accuracy`, where corruptions were predicted.
        """,
        __module__=__name__,
        **_fields(METRICS),
        ood=(dict[str, dict[str, Detection] | None], ...),
        shift=(dict[str, ShiftValues | None], {}),
    )


def flatten(metrics: Mapping[str, Any] | _Values, prefix: str = "") -> dict[str, float | None]:
    """Metrics by dotted name, such as `ood.mnist.msp.auroc`; an OOD set that is missing is None.

    What is absent is left out.
    """
    values = metrics.model_dump() if isinstance(metrics, _Values) else metrics
    flat: dict[str, float | None] = {}
    for key, value in values.items():
        if isinstance(value, (Mapping, _Values)):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def no_detection() -> dict[str, dict[str, None]]:
    """Every number of an OOD set that is not there."""
    return {score.key: dict.fromkeys(metric.key for metric in OOD_METRICS) for score in OOD_SCORES}
