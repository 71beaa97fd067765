"""What is there already, as objects that a notebook reads in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import pandas as pd

from dcbench.config.paths import results_root
from dcbench.data.load import load_images
from dcbench.data.parts import ImageSet
from dcbench.data.source import open_source
from dcbench.data.splits import Split, split_names
from dcbench.data.splits import load_split as listed_split
from dcbench.errors import UsageError
from dcbench.leaderboard.boards import Board, load_board
from dcbench.leaderboard.columns import COLUMNS, LAST_COLUMNS
from dcbench.leaderboard.comparison import compare as compare_records
from dcbench.leaderboard.posthoc import column_names, posthoc_rows
from dcbench.leaderboard.rows import row_of
from dcbench.leaderboard.tables import with_numbers
from dcbench.methods.registry import method_names
from dcbench.notebook import arguments
from dcbench.records.store import find_records

if TYPE_CHECKING:
    from dcbench.notebook.dataset import SplitDataset
    from dcbench.runs.trained import TrainedNetwork


def load_records(results: str | Path | None = None) -> pd.DataFrame:
    """Every record under a results folder, of any status: one row a run.

    Parameters
    ----------
    results : path, optional
        By default `DCBENCH_RESULTS` or `./results`.

    Returns
    -------
    DataFrame
        `protocol`, `split` and the columns of a leaderboard's rows; metrics are fractions. `path`
        is the folder of the run.

    Raises
    ------
    UsageError
        There is no such folder.
    DataError
        A record is damaged.
    """
    rows, others = [], []
    for path, record in find_records(_folder(results)):
        rows.append(row_of(record))
        others.append(
            {"protocol": record.protocol, "split": record.split, "path": str(path.parent)}
        )
    if not rows:
        columns = [column.name for column in (*COLUMNS, *LAST_COLUMNS)]
        return pd.DataFrame(columns=["protocol", "split", "path", *columns])
    return pd.concat([pd.DataFrame(others), with_numbers(rows, "records")], axis="columns")


def load_posthoc(results: str | Path | None = None) -> pd.DataFrame:
    """What was fitted after training, under a results folder: one row each, metrics as fractions.

    Parameters
    ----------
    results : path, optional
        By default `DCBENCH_RESULTS` or `./results`.

    Returns
    -------
    DataFrame
        `protocol`, `split`, `subset`, `method`, `seed` (of an ensemble, all), `posthoc`: the
        detector, `logit-adjustment` or `ensemble`; and its numbers.

    Raises
    ------
    UsageError
        There is no such folder.
    DataError
        A file is damaged.
    """
    rows = posthoc_rows(_folder(results))
    return pd.DataFrame(rows, columns=column_names(rows))


def _folder(results: str | Path | None) -> Path:
    root = results_root(arguments.path(results, "results"))
    if not root.is_dir():
        raise UsageError(f"{root}: there is no such folder; name a results folder")
    return root


def load_leaderboard(
    split: str, protocol: str = "v1", folder: str | Path | None = None, track: str = "default"
) -> Board:
    """The leaderboard of a split: `.rows` has a row a run, `.summary` a row a method.

    Parameters
    ----------
    folder : path, optional
        With one folder a protocol; by default the leaderboards that ship with dcbench.
    track : str
        `default`, or `tuned(n)`: runs by settings that a search of n trials has found.

    Raises
    ------
    UsageError
        An unknown split or protocol, or no leaderboard of them.
    DataError
        A file is no such table.
    """
    split, protocol = arguments.name(split, "split"), arguments.name(protocol, "protocol")
    place = arguments.path(folder, "folder")
    return load_board(split, protocol, None if place is None else Path(place), track)


def compare(
    *results: str | Path,
    against: str | None = None,
    metrics: str | Iterable[str] = ("accuracy", "ece15", "nll"),
) -> pd.DataFrame:
    """Methods beside one of them, run by run, on records of any status.

    Parameters
    ----------
    results : path
        Results folders, or folders below them; by default `DCBENCH_RESULTS` or `./results`.
    against : str, optional
        The method that the others are compared with; by default `erm`.
    metrics : str or iterable of str
        Keys of metrics.

    Returns
    -------
    DataFrame
        A row for each protocol, split, metric and method: `n` pairs of equal subset and seed, which
        may be 0, the mean of their differences, its 95 % interval `low` to `high`, `p` of the
        paired t-test, and `p_holm` after Holm's correction over all tests of the metric, or
        `no_test`: why there is none.

    Raises
    ------
    UsageError
        An unknown method or metric, or nothing to compare.
    DataError
        A record is damaged.
    """
    roots = [results_root(arguments.path(each, "results")) for each in results or (None,)]
    against = None if against is None else arguments.name(against, "against")
    return pd.DataFrame(
        [
            {"protocol": group.board.protocol, "split": group.board.split, **asdict(each)}
            for group in compare_records(roots, arguments.names(metrics, "metrics"), against)
            for each in group.differences
        ]
    )


def list_methods(pattern: str = "*") -> list[str]:
    """Names of the methods, by wildcard: those of dcbench and of installed packages."""
    return method_names(pattern)


def list_splits(pattern: str = "*") -> list[str]:
    """Names of the splits, by wildcard."""
    return split_names(pattern)


@dataclass(frozen=True, eq=False)
class LoadedSplit:
    """A subset of a split with its images.

    Attributes
    ----------
    listed : Split
        Which images these are, by index and hash.
    train, test : SplitDataset
    val : SplitDataset
        Empty where the split holds nothing out.
    ood : dict of SplitDataset
        Sets for out-of-distribution detection, by name.
    """

    listed: Split
    train: SplitDataset
    val: SplitDataset
    test: SplitDataset
    ood: dict[str, SplitDataset]

    def __repr__(self) -> str:
        parts = {"train": self.train, "val": self.val, "test": self.test, **self.ood}
        counts = ", ".join(f"{name} {len(part)}" for name, part in parts.items())
        return f"<LoadedSplit: {self.listed.name}, subset {self.listed.subset}; images: {counts}>"


@overload
def load_split(name: str | Path, subset: int = 0, *, images: Literal[False] = False) -> Split: ...


@overload
def load_split(
    name: str | Path,
    subset: int = 0,
    *,
    images: Literal[True],
    transform: Callable[[Any], Any] | None = None,
    data: str | Path | None = None,
    allow_unverified_data: bool = False,
) -> LoadedSplit: ...


def load_split(
    name: str | Path,
    subset: int = 0,
    *,
    images: bool = False,
    transform: Callable[[Any], Any] | None = None,
    data: str | Path | None = None,
    allow_unverified_data: bool = False,
) -> Split | LoadedSplit:
    """One subset of a split: the rows of its images, or, if asked for, the images themselves.

    Parameters
    ----------
    name : str or path
        Of the split, or of its YAML file.
    images : bool
        Read the images; `train`, `val` and `test` are then datasets for a `DataLoader`.
    transform : callable, optional
        Of each image, as torchvision has them.
    data : path, optional
        Data folder or bundle; by default `DCBENCH_DATA` or the user's cache.

    Raises
    ------
    UsageError
        There is no such split or subset.
    DataError
        Images are missing, damaged, or not the official ones.
    """
    split = listed_split(arguments.name(name, "split"), arguments.whole(subset, "subset"))
    if not images:
        return split
    source = open_source(arguments.path(data, "data"), allow_unverified=allow_unverified_data)
    loaded = load_images(split, source)
    count, classes = len(split.train), split.config.class_names

    from dcbench.notebook.dataset import SplitDataset

    def dataset(image_set: ImageSet) -> SplitDataset:
        return SplitDataset(image_set, classes, transform)

    return LoadedSplit(
        listed=split,
        train=dataset(loaded.fit.rows(slice(0, count))),
        val=dataset(loaded.fit.rows(slice(count, None))),
        test=dataset(loaded.test),
        ood={each: dataset(image_set) for each, image_set in loaded.ood.items()},
    )


def load_model(run: str | Path, device: str = "cpu") -> TrainedNetwork:
    """The trained network of a run, ready to predict, with its normalization.

    Parameters
    ----------
    run : path
        The folder of a finished run, or its `record.json`.

    Raises
    ------
    UsageError
        The method or the split of the run is not there any more.
    DataError
        The record or the weights are missing or damaged.
    """
    from dcbench.runs.trained import load_network

    return load_network(Path(arguments.name(run, "run")), device)
