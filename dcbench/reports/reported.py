"""Numbers that papers and repositories report: shown beside measured rows, never ranked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from dcbench.config.base import Config, validated
from dcbench.config.paths import shipped_root
from dcbench.config.reading import parse_csv, read_file
from dcbench.errors import DataError
from dcbench.metrics.table import METRICS, find_metric


def _fraction(value: Any) -> Any:
    return None if value == "" else value


def _yes_or_no(value: Any) -> Any:
    return {"yes": True, "no": False}.get(value, value)


class Reported(Config):
    """One published number.

    Attributes
    ----------
    table : str
        Which of the tables it belongs to; the tables of the Infinite Class Mixup poster begin with
        `poster`.
    subsets : tuple of int
        The subsets of the split that it is the mean over; empty where that is not known.
    method : str
        As dcbench labels it, with the settings that differ from protocol v1's; or a plain name that
        dcbench does not have.
    value : float or None
        As a record stores it, percentages as fractions; None where the source cannot be read with
        certainty.
    averaged : str
        `<splits> splits x <runs> runs`; empty where the source does not say.
    recipe_differs : bool
        Whether network, schedule or selection are known to differ from protocol v1's.
    """

    table: str
    split: str
    subsets: Annotated[
        tuple[Annotated[int, Field(strict=False)], ...],
        BeforeValidator(lambda text: tuple(text.split())),
    ]
    method: str
    metric: str
    value: Annotated[float | None, BeforeValidator(_fraction)] = Field(ge=0, strict=False)
    averaged: str
    recipe_differs: Annotated[bool, BeforeValidator(_yes_or_no)]
    source: str = Field(min_length=1)
    url: str
    note: str

    @field_validator("metric")
    @classmethod
    def _is_in_the_table(cls, metric: str) -> str:
        keys = [each.key for each in METRICS]
        if find_metric(metric) is None:
            raise ValueError(f"should be one of {', '.join(keys)}, or as ood.near.msp.auroc")
        return metric

    @field_validator("value")
    @classmethod
    def _is_in_the_range_of_its_metric(
        cls, value: float | None, info: ValidationInfo
    ) -> float | None:
        metric = find_metric(info.data.get("metric", ""))
        largest = None if metric is None else metric.largest
        if value is not None and largest is not None and value > largest:
            raise ValueError(f"should be less than or equal to {largest:g}")
        return value

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if not re.fullmatch(r"https://[^\s\"<>]+", url):
            raise ValueError("should begin with https://")
        return url

    @property
    def of_the_poster(self) -> bool:
        """Whether protocol v1 is there to reproduce it."""
        return self.table.startswith("poster")


def load_reported(path: Path | None = None) -> tuple[Reported, ...]:
    """The published numbers of a file, or of `baselines/reported.csv`.

    Raises
    ------
    DataError
        The file cannot be read, or a cell is not what its column requires.
    """
    path = path or shipped_root() / "baselines" / "reported.csv"
    header, lines = parse_csv(read_file(path, links=True), path)
    return tuple(
        validated(
            Reported, dict(zip(header, line, strict=True)), f"{path}, line {number}", DataError
        )
        for number, line in enumerate(lines, start=2)
    )
