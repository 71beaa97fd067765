"""The database of a study: where it lies, and what is no study that can be used."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from dcbench.errors import RunError
from dcbench.tuning.study import DATABASE, Study
from tests.tuning.test_tune import search


@pytest.mark.parametrize("name", [b"what?now", b"r%41", b"a#b", b"a b", b"caf\xe9"])
def test_study_lies_in_its_folder_whatever_that_is_called(
    name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    folder = Path(os.fsdecode(name)) / "study"
    with Study(folder, search()).held() as held:
        assert held is not None
        held.end("complete", 0.5)
    assert [each.state for each in Study(folder, search()).trials] == ["complete"]
    assert [os.fsencode(each.name) for each in tmp_path.iterdir()] == [name]
    assert (folder / DATABASE).is_file()


def test_study_of_another_version_of_optuna_is_one_line_that_says_what_to_do(tmp_path: Path):
    Study(tmp_path, search())
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'v9.9.0.a'")
        database.commit()
    told = r"study\.db: was written by another version of optuna, .* install that .* --restart"
    with pytest.raises(RunError, match=told):
        Study(tmp_path, search())
