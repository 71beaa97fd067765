"""Runs of a method that is in a file, trained once, and the submission of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

import dcbench
from dcbench.cli import app
from dcbench.leaderboard.build import build
from dcbench.leaderboard.submission import pack
from dcbench.methods.registry import forget_files

CODE = """\
from torch.nn.functional import cross_entropy

from dcbench.methods import Method


class Halved(Method):
    def loss(self, network, batch):
        return cross_entropy(network(batch.images) / 2, batch.labels)
"""


class Made(NamedTuple):
    """Where the runs, the code, the leaderboards before them, and the submission lie."""

    results: Path
    code: Path
    boards: Path
    file: Path


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Made:
    forget_files()  # another test may have a method of this name
    folder = tmp_path_factory.mktemp("submitted")
    code = folder / "halved.py"
    code.write_text(CODE)
    options = {"protocol": "v1-lite", "device": "cpu"}
    dcbench.run("erm", "digits", seed=0, results=folder / "published", **options)
    dcbench.run(f"{code}:Halved", "digits", seeds=(0, 1), results=folder / "results", **options)
    build(folder / "published", folder / "leaderboard")
    made = Made(folder / "results", code, folder / "leaderboard", folder / "halved.zip")
    pack(made.results, made.file, footnote="https://example.org/halved 1.0", sources=[code])
    return made


def command(*words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `dcbench submit`."""
    result = CliRunner().invoke(app, ["submit", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr
