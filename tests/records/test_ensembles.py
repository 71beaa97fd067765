"""Ensembles: what they have numbers of, and that their runs are those that lie below them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from typer.testing import CliRunner

import dcbench
from dcbench.cli import app
from dcbench.errors import DataError
from dcbench.metrics.measure import Predictions
from dcbench.records import files
from dcbench.records.ensembles import ensembles
from tests.records.test_collect import put
from tests.records.test_store import some_predictions


def with_predictions(folder: Path, predictions: Predictions) -> Path:
    """A run whose predictions are changed."""
    stored = files.write_predictions(folder, predictions)
    record = files.read_record(folder)
    files.write_record(folder, record.model_copy(update={"predictions": stored}))
    return folder


def an_ensemble(results: Path, *, drawn: Sequence[int] = (0, 1)) -> Path:
    """The folder of a method with an ensemble of two seeds."""
    labels = some_predictions(0).labels
    folders = [
        with_predictions(put(results, seed=seed), replace(some_predictions(number), labels=labels))
        for seed, number in enumerate(drawn)
    ]
    [(home, _)] = ensembles(folders)
    return home


def test_mean_of_probabilities_has_no_scores_of_logits(tmp_path: Path):
    home = an_ensemble(tmp_path / "results")
    stored = json.loads((home / "ensemble.json").read_text())
    assert list(stored["metrics"]["ood"]["noise"]) == ["msp", "entropy"]
    columns = dcbench.load_posthoc(tmp_path / "results").columns
    assert "ood.noise.entropy.fpr95_id_pos" in columns
    assert not [name for name in columns if ".energy." in name or ".max_logit." in name]


def test_scores_of_logits_in_an_earlier_ensemble_are_not_told(tmp_path: Path):
    home = an_ensemble(tmp_path / "results")
    content = json.loads((home / "ensemble.json").read_text())
    scores = content["metrics"]["ood"]["noise"]
    content["metrics"]["ood"] = {"noise": scores | {"energy": scores["msp"]}, "tin": None}
    (home / "ensemble.json").write_text(json.dumps(content))
    [row] = dcbench.load_posthoc(tmp_path / "results").to_dict("records")
    assert row["ood.noise.msp.auroc"] == scores["msp"]["auroc"]
    assert not [name for name in row if "energy" in name]


def tabled(folder: Path) -> tuple[int, str]:
    """How `posthoc` ends that writes a table of a folder, and what it says."""
    arguments = ["posthoc", str(folder), "--with", "logit-adjustment"]
    done = CliRunner().invoke(app, [*arguments, "-o", str(folder.parent / "table.csv")])
    return done.exit_code, " ".join(done.stderr.split())


def test_ensemble_of_runs_that_were_trained_again_is_refused(tmp_path: Path):
    home = an_ensemble(tmp_path / "results")
    other = replace(some_predictions(7), labels=some_predictions(0).labels)
    with_predictions(home / "seed-1", other)
    said = (
        f"{home}/ensemble.json: is of other predictions than those of the runs below it, by seed: "
        f"1; measure it again with `dcbench posthoc {home}`, or remove it"
    )
    with pytest.raises(DataError, match=re.escape(said)):
        dcbench.load_posthoc(tmp_path / "results")
    code, _ = tabled(home / "seed-0")
    assert code == 0
    assert "ensemble" not in (home / "table.csv").read_text()
    code, _ = tabled(home)
    assert code == 0
    [row] = dcbench.load_posthoc(tmp_path / "results").query("posthoc == 'ensemble'").index
    accuracy = dcbench.load_posthoc(tmp_path / "results")["accuracy"][row]
    logits = [each.logits.astype(float) for each in (some_predictions(0), other)]
    probs = np.mean([softmax(each, axis=1) for each in logits], axis=0)
    assert accuracy == pytest.approx((probs.argmax(axis=1) == other.labels).mean())


def test_ensemble_of_a_run_that_is_gone_is_refused(tmp_path: Path):
    home = an_ensemble(tmp_path / "results")
    (home / "seed-1").rename(home / ".seed-1")
    with pytest.raises(DataError, match="by seed: 1; measure it again"):
        dcbench.load_posthoc(tmp_path / "results")
    code, said = tabled(home)
    assert code == 3
    assert "or remove it where fewer than two runs are left" in said
    (home / "ensemble.json").unlink()
    assert tabled(home)[0] == 0


def test_ensemble_with_more_seeds_than_hashes_is_damaged(tmp_path: Path):
    home = an_ensemble(tmp_path / "results")
    content = json.loads((home / "ensemble.json").read_text())
    (home / "ensemble.json").write_text(json.dumps(content | {"seeds": [0, 1, 2]}))
    with pytest.raises(DataError, match=r"ensemble\.json: seeds and predictions_sha256: should"):
        dcbench.load_posthoc(tmp_path / "results")


def test_ensemble_in_a_hidden_folder_is_not_ours(tmp_path: Path):
    an_ensemble(tmp_path / "results/.old")
    an_ensemble(tmp_path / "results", drawn=(2, 3))
    assert len(dcbench.load_posthoc(tmp_path / "results")) == 1
