"""Two processes at once that write to one folder: neither loses what the other has written."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import dcbench
from dcbench.leaderboard.migrate import migrate
from dcbench.selftest.remains import records
from tests.data.test_fetch import MNIST
from tests.leaderboard.test_migrate import contents, old  # noqa: F401 - a fixture
from tests.records.test_collect import put

SOURCE = Path(dcbench.__file__).parents[1]
MAIN = "from dcbench.cli import main; main()"


def both(*commands: list[object], code: str = MAIN) -> list[tuple[int, str]]:
    """Exit codes of, and what is said by, commands that are at work at the same time."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
            cwd=SOURCE,
            env={**os.environ, "no_proxy": "*"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for words in commands
    ]
    said = [each.communicate()[0] for each in started]
    assert not any("Traceback" in each for each in said), said
    return [(each.returncode, text) for each, text in zip(started, said, strict=True)]


def test_two_collections_lose_no_run(tmp_path: Path):
    for seed in range(8):
        put(tmp_path / "lab", seed=seed)
        put(tmp_path / "cluster", seed=seed + 4)
    results = tmp_path / "results"
    for code, said in both(
        *(["collect", tmp_path / name, "--results", results] for name in ("lab", "cluster"))
    ):
        # Of a run that both bring at the same moment, one waits for nobody and says so.
        assert code == 0 or "another process is at work" in said, said
    expected = {**records(tmp_path / "lab"), **records(tmp_path / "cluster")}
    assert records(results) == expected
    assert len(expected) == 12
    assert not list(results.rglob("*.unfinished"))


def test_two_migrations_end_with_what_one_leaves(old: Path, tmp_path: Path):  # noqa: F811
    alone = tmp_path / "alone"
    shutil.copytree(old, alone)
    migrate(alone)
    codes = [code for code, _ in both(*[["leaderboard", "migrate", old]] * 2)]
    assert codes == [0, 0]
    one, other = contents(old), contents(alone)
    assert {path.relative_to(old): each for path, each in one.items()} == {
        path.relative_to(alone): each for path, each in other.items()
    }


FETCHING = """
import sys, pytest
from pathlib import Path
from dcbench.data.published import Download
from tests.data import fakes
from tests.data.test_fetch import MNIST, _publish
address, site = sys.argv.pop(1), Path(sys.argv.pop(1))
files = {path: ((site / Path(path).name).read_bytes(), count) for path, (_, count) in MNIST.items()}
downloads = [
    Download(address + Path(path).name, fakes.md5(content), "MNIST/raw")
    for path, (content, _) in files.items()
]
_publish(pytest.MonkeyPatch(), "mnist", files, downloads)
from dcbench.cli import main
main()
"""


def test_two_fetches_download_each_file_once(tmp_path: Path):
    asked: Counter[str] = Counter()

    class Slow(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            asked[self.path] += 1
            time.sleep(1)
            super().do_GET()

    site = tmp_path / "site"
    site.mkdir()
    for path, (content, _) in MNIST.items():
        (site / Path(path).name).write_bytes(content)
    root = tmp_path / "data"
    handler = functools.partial(Slow, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        fetches = both(
            *[[address, site, "data", "fetch", "mnist", "--data", root]] * 2, code=FETCHING
        )
        server.shutdown()
    assert [code for code, _ in fetches] == [0, 0], fetches
    # Torchvision asks twice for a file: where it lies, then for what is in it.
    assert asked == {f"/{Path(path).name}": 2 for path in MNIST}
    found = {path.name for path in (root / "MNIST/raw").iterdir()}
    assert found == {Path(path).name for path in MNIST}
    for path, (content, _) in MNIST.items():
        assert (root / path).read_bytes() == content
