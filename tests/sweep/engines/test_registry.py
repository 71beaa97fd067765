"""Engines by name, and what they can be told."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dcbench.cli import app
from dcbench.errors import UsageError
from dcbench.sweep.engines import registry
from dcbench.sweep.engines.base import Ended, Engine, Options
from dcbench.sweep.engines.loky import Loky
from dcbench.sweep.engines.registry import engine_class, engine_names, load_engine


def command(*words: str) -> Result:
    return CliRunner().invoke(app, [*words])


class Installed(Engine):
    """Of another package."""

    def workers(self, device):
        return 7

    def carry_out(self, jobs, site):
        yield from (Ended(job) for job in jobs)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two engines of other packages, one of which is broken."""
    found = [
        EntryPoint("mine", f"{__name__}:Installed", "dcbench.engines"),
        EntryPoint("broken", "no_such_package:Engine", "dcbench.engines"),
        EntryPoint("wrong", "pathlib:Path", "dcbench.engines"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: found)


def written(folder: Path, text: str) -> Path:
    path = folder / "options.yaml"
    path.write_text(text)
    return path


def test_options_come_from_the_file_and_flags_win(tmp_path: Path):
    options = written(tmp_path, "workers: 3\n")
    assert load_engine("loky", options).workers("cpu") == 3
    assert load_engine("loky", options, workers=2).workers("cpu") == 2
    assert isinstance(load_engine("loky", workers=None), Loky)


def test_file_without_a_line_gives_the_defaults(tmp_path: Path):
    assert load_engine("loky", written(tmp_path, "")).options == load_engine("loky").options


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("worker: 3", "unknown key 'worker'; did you mean 'workers'?"),
        ("workers: many", "workers='many': input should be a valid integer"),
        ("workers: 0", "workers=0: input should be greater than or equal to 1"),
        ("- workers", "should be options of engine loky, as key: value"),
    ],
)
def test_wrong_options_name_the_file_the_key_and_what_would_be_right(tmp_path: Path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_engine("loky", path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_number_of_workers_is_refused_where_there_is_one():
    with pytest.raises(UsageError, match="engine serial: has no workers to choose"):
        load_engine("serial", workers=2)


def test_unknown_engine_has_its_nearest_name():
    with pytest.raises(UsageError, match=r"unknown engine 'loki'; did you mean loky\?"):
        engine_class("loki")


def test_engine_whose_package_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "dcbench.sweep.engines.dask", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError) as caught:
        engine_class("dask")
    assert str(caught.value) == (
        "engine dask: distributed is not installed; run pip install 'dcbench-vision[dask]'"
    )


def test_engine_of_another_package_is_found_by_its_name(installed):
    assert set(engine_names()) >= {"serial", "loky", "dask", "mine"}
    engine = load_engine("mine")
    assert isinstance(engine, Installed)
    assert engine.options == Options()


def test_broken_engine_is_named_and_stops_no_other(installed):
    with pytest.raises(UsageError, match=r"engine 'broken' cannot be loaded: .*No module named"):
        load_engine("broken")
    with pytest.raises(UsageError, match="pathlib:Path is no Engine"):
        load_engine("wrong")
    assert isinstance(load_engine("mine"), Installed)


def test_engine_that_ends_the_process_where_it_is_imported_is_named(monkeypatch, tmp_path: Path):
    (tmp_path / "module_that_exits.py").write_text("raise SystemExit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    found = [EntryPoint("exits", "module_that_exits:Engine", "dcbench.engines")]
    monkeypatch.setattr(registry, "entry_points", lambda group: found)
    with pytest.raises(UsageError, match="engine 'exits' cannot be loaded"):
        load_engine("exits")


def test_command_lists_engines_with_their_options(installed):
    listed = json.loads(command("engines", "--json").stdout)
    found = {each["name"]: each for each in listed}
    assert found["loky"]["options"] == {"workers": None}
    assert found["dask"]["options"]["results"] == "shared"
    assert "cannot be loaded" in found["broken"]["summary"]


def test_command_takes_options_and_ends_with_2_at_a_wrong_one(tmp_path: Path):
    words = ["sweep", "--methods", "erm", "--splits", "digits", "--engine", "loky"]
    path = written(tmp_path, "worker: 2")
    ended = command(*words, "--engine-options", str(path))
    assert ended.exit_code == 2
    assert f"{path}: engine loky: unknown key 'worker'; did you mean 'workers'?" in ended.stderr
    assert command(*words[:-1], "locky").exit_code == 2
