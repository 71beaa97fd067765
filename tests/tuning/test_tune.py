"""Searches on digits, of few epochs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.config.tuned import TunedRecipe, recipe_text, tuned_recipe
from dcbench.data.source import Folder
from dcbench.errors import BusyError, RunError, UsageError
from dcbench.records.store import Store, locked
from dcbench.runs.prepare import ReadyRun
from dcbench.sweep.engines.base import Site
from dcbench.sweep.engines.serial import Serial
from dcbench.tuning import trial as trial_module
from dcbench.tuning.plan import Search, plan_search
from dcbench.tuning.study import DATABASE, Study
from dcbench.tuning.tune import Found, tune

KILLED_ONCE = """
import os
from pathlib import Path
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

class KilledOnce(Method):
    '''Its process is killed in the third epoch, at the step that KILLED_AT counts to.'''

    def loss(self, network, batch):
        mark = Path(os.environ["MARK"])
        if int(batch.epoch) == 2:
            seen = mark.read_text() if mark.exists() else ""
            mark.write_text(seen + "x")
            if len(seen) + 1 == int(os.environ["KILLED_AT"]):
                os.kill(os.getpid(), int(os.environ.get("SIGNAL", "9")))
        return cross_entropy(network(batch.images), batch.labels)
"""


def search(**changes: object) -> Search:
    asked = {"trials": 4, "epochs": 3, "first_rung": 1, "reduction": 2, "protocol": "v1-lite"}
    return plan_search(**{"method": "mixup", "split": "digits", **asked, **changes})  # type: ignore[arg-type]


class TrainingPartAlone(Folder):
    """A source that has nothing but training parts."""

    def part(self, dataset: str, part: str):
        assert part == "train", f"{dataset}/{part} was opened"
        return super().part(dataset, part)


def a_site(results: Path, **changes: Any) -> Site:
    source = TrainingPartAlone(Path("nowhere"))
    return replace(Site(Store(results), source, "cpu", threads=1), **changes)


def tuned(folder: Path, asked: Search | None = None, **options: Any) -> Found:
    return tune(asked or search(), a_site(folder), Serial(), **options)


def test_search_never_opens_the_test_part_and_scores_the_validation_images(tmp_path: Path):
    found = tuned(tmp_path)
    assert found.recipe is not None
    assert found.recipe.score.images == 50
    states = [each.state for each in found.trials]
    assert states[0] == "complete"  # nothing was there to stop it
    assert "stopped" in states
    best = max(each.score for each in found.trials if each.state == "complete")
    assert found.recipe.score.value == pytest.approx(best, abs=1e-6)
    assert found.recipe.training.keys() == {"learning_rate", "weight_decay"}
    assert found.recipe.settings.keys() == {"alpha"}
    budget = found.recipe.budget
    assert budget.trials == 4 == budget.completed + budget.stopped
    assert budget.epochs == sum(each.epochs for each in found.trials)
    assert not (found.folder / ".trials").exists()


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_search_that_is_cut_off_between_trials_tries_what_it_would_have_tried(
    tmp_path: Path, sampler: str
):
    whole = tuned(tmp_path / "whole", search(sampler=sampler))
    first = tuned(tmp_path / "parts", search(sampler=sampler, trials=2))
    assert first.trials == whole.trials[:2]
    rest = tuned(tmp_path / "parts", search(sampler=sampler))
    assert rest.trials == whole.trials
    assert rest.recipe == whole.recipe


def test_another_seed_tries_other_settings(tmp_path: Path):
    values = [
        [each.values for each in tuned(tmp_path, search(seed=seed, trials=2, epochs=1)).trials]
        for seed in (0, 1)
    ]
    assert values[0] != values[1]


def test_trial_that_diverges_has_failed_and_the_search_goes_on(tmp_path: Path):
    asked = search(ranges=["learning_rate=[1.0e+9, 0.05]"], trials=4)
    found = tuned(tmp_path, asked)
    for each in found.trials:
        assert (each.state == "failed") == (each.values["learning_rate"] > 1)
        assert ("diverged" in each.problem or "loss is high" in each.problem) == (
            each.state == "failed"
        )
    assert found.recipe is not None
    assert found.recipe.budget.failed == sum(each.state == "failed" for each in found.trials) > 0
    with pytest.raises(RunError, match="none of 2 trials could be trained to its end: "):
        tuned(tmp_path / "all", search(ranges=["learning_rate=1.0e+9"], trials=2))


def test_trial_is_not_failed_by_the_error_that_is_made_of_an_interrupt(tmp_path, monkeypatch):
    def interrupted(*arguments):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise RunError("of a library") from None

    with monkeypatch.context() as patched:
        patched.setattr(trial_module, "_score", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tuned(tmp_path)
    found = tuned(tmp_path)
    assert [each.state for each in found.trials].count("failed") == 0


def test_no_time_leaves_all_trials_and_writes_no_recipe(tmp_path: Path):
    found = tune(search(), a_site(tmp_path, deadline=time.time()), Serial())
    assert (found.trials, found.recipe, found.path) == ([], None, None)


def test_search_of_something_else_is_refused_until_it_is_thrown_away(tmp_path: Path):
    tuned(tmp_path, search(trials=1, epochs=1))
    with pytest.raises(UsageError, match="is a search with other settings: epochs=1 and not 2"):
        tuned(tmp_path, search(trials=1, epochs=2))
    assert tuned(tmp_path, search(trials=1, epochs=2), restart=True).recipe is not None


def test_search_that_others_are_at_is_not_thrown_away(tmp_path: Path):
    folder = tmp_path / search().folder
    with Study(folder, search()).held() as held:
        assert held is not None
        with pytest.raises(BusyError, match=r"0000; stop it, or leave --restart out"):
            tuned(tmp_path, restart=True)
    assert tuned(tmp_path, search(trials=1), restart=True).recipe is not None


def test_trial_that_ends_while_another_process_looks_at_it_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder, asked = tmp_path / "study", search(trials=1)
    holding = Study(folder, asked).held()
    held = holding.__enter__()
    assert held is not None

    def slow(place: Path, **given: Any) -> Any:
        if place == held.folder and not held.ended:
            held.end("complete", 0.5)
            holding.__exit__(None, None, None)
        return locked(place, **given)

    monkeypatch.setattr("dcbench.tuning.study.locked", slow)
    with Study(folder, asked).held() as other:
        assert held.ended
        assert other is None


def test_damaged_study_is_one_line(tmp_path: Path):
    folder = tmp_path / search().folder
    folder.mkdir(parents=True)
    (folder / DATABASE).write_bytes(b"no database" * 100)
    with pytest.raises(RunError, match=r"study.db: cannot be used as a study: .*--restart"):
        Study(folder, search())


def command(results: Path, method: str, *options: str) -> list[str]:
    asked = ["tune", "--method", method, "--split", "digits", "--protocol", "v1-lite"]
    asked += ["--trials", "3", "--epochs", "3", "--results", str(results), *options]
    return [sys.executable, "-m", "dcbench", *asked]


def test_killed_search_takes_its_trial_up_and_ends_as_an_undisturbed_one(tmp_path: Path):
    file = tmp_path / "method.py"
    file.write_text(KILLED_ONCE)
    ended = {}
    for name, killed_at in (("whole", 0), ("killed", 5)):
        environment = os.environ | {"MARK": str(tmp_path / name), "KILLED_AT": str(killed_at)}
        line = command(tmp_path / f"{name}-results", f"{file}:KilledOnce", "--first-rung", "2")
        first = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=250)
        if killed_at:
            assert first.returncode == -9
            folder = next((tmp_path / "killed-results").rglob(DATABASE)).parent
            assert list(folder.glob(".trials/0001/checkpoint*"))
            first = subprocess.run(
                line, env=environment, capture_output=True, text=True, timeout=250
            )
            assert "(1 complete, 1 running)" in first.stderr
        assert first.returncode == 0, first.stderr
        ended[name] = next((tmp_path / f"{name}-results").rglob("recipe.yaml")).read_text()
    assert ended["killed"] == ended["whole"]
    # The step that it was killed in was taken again, and no other of that epoch.
    assert len((tmp_path / "killed").read_text()) == len((tmp_path / "whole").read_text()) + 1


def test_trial_that_is_cut_off_beyond_a_rung_is_not_judged_there_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file, results = tmp_path / "method.py", tmp_path / "results"
    file.write_text(KILLED_ONCE)
    for name, value in (("MARK", tmp_path / "mark"), ("KILLED_AT", 2), ("SIGNAL", 15)):
        monkeypatch.setenv(name, str(value))
    line = command(results, f"{file}:KilledOnce", "--first-rung", "2")
    assert subprocess.run(line, capture_output=True, timeout=250).returncode == 130
    judged = []

    def scored(run: ReadyRun) -> tuple[float, float]:
        judged.append((run.trainer.progress.epoch, run.trainer.progress.step))
        return 0.5, 1.0

    monkeypatch.setattr("dcbench.tuning.trial._score", scored)
    asked = {"method": f"{file}:KilledOnce", "trials": 3, "first_rung": 2, "reduction": 3}
    assert tuned(results, search(**asked)).recipe is not None
    assert judged == [(3, 0), (2, 0), (3, 0), (2, 0), (3, 0)]


def test_score_that_was_stored_before_a_trial_was_cut_off_stands(tmp_path: Path):
    with Study(tmp_path, search()).held() as held:
        assert held is not None
        assert held.report(1, 0.5, 1.0) == (0.5, [0.5])
        assert held.report(1, 0.4, 1.0) == (0.5, [0.5])


def test_two_processes_share_a_search_and_no_trial_is_lost_or_done_twice(tmp_path: Path):
    line = command(tmp_path, "erm", "--first-rung", "3")  # none is stopped: the order is no matter
    both = [
        subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=250)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    ended = [text for log in said for text in log.splitlines() if text.startswith("[")]
    assert sorted(text[:5] for text in ended) == ["[1/3]", "[2/3]", "[3/3]"]
    [path] = tmp_path.rglob("recipe.yaml")
    alone = tuned(tmp_path / "alone", search(method="erm", trials=3, first_rung=3, reduction=3))
    assert alone.path is not None
    assert path.read_text() == alone.path.read_text()


def test_recipe_that_was_changed_by_hand_is_refused(tmp_path: Path):
    found = tuned(tmp_path, search(trials=1, epochs=1))
    assert found.path is not None
    assert found.recipe is not None
    text, alpha = found.path.read_text(), found.recipe.settings["alpha"]
    assert tuned_recipe(str(found.path)) == found.recipe
    changed = tmp_path / "changed.yaml"
    for old, new, message in (
        ("trials: 1", "trials: 9", "sha256 is not that of its content"),
        ("high: 10.0", "high: 20.0", "space_sha256 is not that of space"),
        ("sampler: random", "sampler: grid", "budget.sampler='grid': input should be 'random'"),
        (f"alpha: {alpha}", "alpha: 90", "alpha=90: should be 0.1 to 10, logarithmic"),
        ("sha256: ", "sha: ", "is no tuned recipe; `dcbench tune` writes them"),
    ):
        assert old in text
        changed.write_text(text.replace(f"\n{old}", f"\n{new}").replace(f" {old}", f" {new}"))
        with pytest.raises(UsageError, match=f"{changed}: {message}"):
            tuned_recipe(str(changed))


def test_recipe_reads_back_whatever_it_holds(tmp_path: Path):
    found = tuned(
        tmp_path, search(method="ic-mixup[axes=class]", trials=1, epochs=1, ranges=["alpha=[1, 2]"])
    ).recipe
    assert isinstance(found, TunedRecipe)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text(found))
    assert tuned_recipe(str(path)) == found
    assert found.fixed == {"axes": "class"}


def test_command_without_optuna_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    for name in [each for each in sys.modules if each.startswith("dcbench.tuning")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = CliRunner().invoke(app, ["tune", "--method", "erm", "--split", "digits"])
    assert result.exit_code == 2
    assert "optuna is not installed; run pip install 'dcbench-vision[tune]'" in result.stderr


def test_dry_run_says_what_is_searched_and_writes_nothing(tmp_path: Path):
    asked = ["tune", "--method", "erm", "--split", "digits", "--protocol", "v1-lite"]
    result = CliRunner().invoke(app, [*asked, "--dry-run", "--results", str(tmp_path / "none")])
    assert result.exit_code == 0
    assert "0.005 to 0.5, logarithmic" in result.stdout
    assert "one in 3 goes on after 7, 21" in " ".join(result.stderr.split())
    assert not (tmp_path / "none").exists()


def test_dry_run_counts_the_trials_that_are_there_and_refuses_another_search(tmp_path: Path):
    asked = ["tune", "--method", "mixup", "--split", "digits", "--protocol", "v1-lite"]
    asked += ["--first-rung", "1", "--reduction", "2", "--dry-run", "--results", str(tmp_path)]
    tuned(tmp_path, search(trials=2))
    with Study(tmp_path / search().folder, search()).held():
        pass

    def told(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*asked, *options])
        return result.exit_code, " ".join((result.stdout + result.stderr).split())

    code, text = told("--trials", "4", "--epochs", "3")
    assert (code, "4 trials (2 complete, 1 running) of 3 epochs;" in text) == (0, True)
    for trials, left in (("4", 2), ("1", 1)):
        assert f'"left": {left},' in told("--trials", trials, "--epochs", "3", "--json")[1]
    code, text = told("--trials", "3", "--epochs", "4")
    assert (code, "is a search with other settings: epochs=3 and not 4" in text) == (2, True)
    assert told("--trials", "3", "--epochs", "4", "--restart")[0] == 0
