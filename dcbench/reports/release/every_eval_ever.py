"""Leaderboards in the form of Every Eval Ever: a JSON file for each method under a protocol.

The form is that of `eval.schema.json`, version 0.3.0, of the EvalEval Coalition
(github.com/evaleval/every_eval_ever). A score is the mean over the runs of a method on a split; its
uncertainty is over runs too.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from dcbench.data.splits import split_config
from dcbench.leaderboard.boards import Board
from dcbench.leaderboard.column_order import averaged
from dcbench.metrics.metric import Metric
from dcbench.metrics.table import find_metric

SCHEMA = "0.3.0"
ORGANIZATION = "The dcbench developers"


def eval_files(boards: Sequence[Board], version: str, date: str) -> dict[str, dict[str, Any]]:
    """The content of each file, by its path: `data/dcbench-<protocol>/dcbench/<method>/<id>.json`.

    Metrics of which neither direction is better, such as the temperature, are left out; so are
    those that a run of the method lacks.

    Parameters
    ----------
    version
        Of the release that they are part of.
    date
        Of the release, as `2026-11-28`: when the files count as written.
    """
    methods: dict[tuple[str, str], list[Board]] = defaultdict(list)
    for board in boards:
        for method in dict.fromkeys(board.summary["method"]):
            methods[board.protocol, str(method)].append(board)
    files = {}
    for (protocol, method), there in sorted(methods.items()):
        content = _evaluation(protocol, method, there, version, date)
        if content["evaluation_results"]:
            named = f"{protocol}/{method}/{version}"
            # The form asks for a UUID of version 4; this one is the same for the same release.
            name = uuid.UUID(bytes=hashlib.sha256(named.encode()).digest()[:16], version=4)
            files[f"data/{_collection(protocol)}/dcbench/{_part(method)}/{name}.json"] = content
    return files


def _collection(protocol: str) -> str:
    return f"dcbench-{protocol}"


def _part(method: str) -> str:
    """A method as a part of a path: brackets mean something to every shell."""
    return method.removesuffix("]").replace("[", ",", 1)


def _evaluation(
    protocol: str, method: str, boards: Sequence[Board], version: str, date: str
) -> dict[str, Any]:
    runs = pd.concat([board.runs[board.runs["method"] == method] for board in boards])
    written = str(int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()))
    model = f"dcbench/{_part(method)}"
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{_collection(protocol)}/{model}/{written}",
        "evaluation_timestamp": str(runs["finished"].max()),
        "retrieved_timestamp": written,
        "source_metadata": {
            "source_name": f"dcbench leaderboards {version}",
            "source_type": "evaluation_run",
            "source_organization_name": ORGANIZATION,
            "evaluator_relationship": "other",
            "additional_details": _told(
                {
                    "protocol": protocol,
                    "evaluator": "who ran the method: dcbench's developers, or who submitted it",
                    "footnotes": _joined(runs["footnote"]),
                }
            ),
        },
        "model_info": {
            "name": method,
            "id": model,
            "developer": "dcbench",
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                "what": "a method by which networks are trained from scratch, one for each run",
            },
        },
        "eval_library": {"name": "dcbench", "version": _joined(runs["dcbench"]) or "unknown"},
        "evaluation_results": [result for board in boards for result in _results(board, method)],
    }


def _results(board: Board, method: str) -> Iterable[dict[str, Any]]:
    names = (str(name).removesuffix("_mean") for name in board.summary.columns)
    keys = [key for key in averaged(dict.fromkeys(names)) if f"{key}_mean" in board.summary]
    for row in board.summary[board.summary["method"] == method].to_dict("records"):
        for key in keys:
            metric = find_metric(key)
            if metric is None or metric.best == "none" or pd.isna(row[f"{key}_mean"]):
                continue
            yield _result(board, row, metric)


def _result(board: Board, row: Mapping[Hashable, Any], metric: Metric) -> dict[str, Any]:
    split = split_config(board.split)
    subsets = "subset 0" if row["subsets"] == "0" else "all subsets"
    return {
        "evaluation_result_id": f"{board.protocol}/{board.split}/{row['subsets']}/{metric.key}",
        "evaluation_name": f"{board.split}, {subsets}",
        "source_data": {
            "dataset_name": board.split,
            "source_type": "other",
            "additional_details": {
                "title": split.title,
                "dataset": split.dataset,
                "licence": split.licence,
            },
        },
        "metric_config": _metric(metric),
        "score_details": {
            "score": float(row[f"{metric.key}_mean"]),
            "details": _told(
                {
                    "runs": row["n"],
                    "runs_asked": row["asked"],
                    "state": row["state"],
                    "rank": "" if pd.isna(row["rank"]) else row["rank"],
                    "track": row.get("track") or "",
                    "unverified_data": row["unverified_data"],
                }
            ),
            **_uncertainty(row, metric.key),
        },
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "evaluation_description": metric.meaning,
        "metric_id": metric.key if metric.key == "accuracy" else f"dcbench.{metric.key}",
        "metric_name": metric.title,
        "metric_unit": "proportion" if metric.percent else metric.unit,
        "lower_is_better": metric.lower_is_better,
        "score_type": "continuous",
        "min_score": 0,
        "max_score": "Infinity" if metric.largest is None else metric.largest,
    }


def _uncertainty(row: Mapping[Hashable, Any], key: str) -> dict[str, Any]:
    """Spread and interval of the mean over runs; of one run there is none."""
    mean, sd, half = (float(row[f"{key}_{kind}"]) for kind in ("mean", "sd", "ci95"))
    if math.isnan(sd) or math.isnan(half):
        return {}
    return {
        "uncertainty": {
            "standard_error": {
                "value": sd / math.sqrt(row["n"]),
                "method": "analytic, over training runs",
            },
            "confidence_interval": {
                "lower": round(mean - half, 6),
                "upper": round(mean + half, 6),
                "confidence_level": 0.95,
                "method": "Student's t over training runs",
            },
            "num_samples": int(row["n"]),
        }
    }


def _told(values: Mapping[str, Any]) -> dict[str, str]:
    """Details as text, without those that are empty."""
    return {key: str(value) for key, value in values.items() if str(value)}


def _joined(cells: pd.Series[Any]) -> str:
    return "; ".join(sorted({str(cell) for cell in cells if cell == cell and cell != ""}))
