import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
START = "from dcbench_vision import main; main()"
REPAIR = "pip install --force-reinstall --no-deps dcbench-vision"


def start(*path: Path) -> subprocess.CompletedProcess[str]:
    """`dcbench protocols`, with these folders on Python's path before all others."""
    places = os.pathsep.join(map(str, path))
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv = ['dcbench', 'protocols']; {START}"],
        cwd=path[0],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
    )


def install_other_project(site: Path, *, version: str = "0.0.4") -> None:
    """What `pip install dcbench` leaves in a folder of packages."""
    (site / "dcbench").mkdir(parents=True, exist_ok=True)
    (site / "dcbench" / "__init__.py").write_text("import a_package_that_is_not_there\n")
    installed = site / f"dcbench-{version}.dist-info"
    installed.mkdir()
    (installed / "RECORD").write_text("dcbench/__init__.py,sha256=x,10\ndcbench/config.py,,\n")


def link_ours(site: Path, *names: str) -> None:
    site.mkdir(exist_ok=True)
    for name in names:
        (site / name).symlink_to(ROOT / name)


def says_so(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert REPAIR in result.stderr


def test_other_project_first_on_the_path_ends_with_a_traceback(tmp_path: Path):
    install_other_project(tmp_path)
    result = start(tmp_path, ROOT)
    says_so(result)
    assert "distribution 'dcbench' 0.0.4" in result.stderr
    assert str(tmp_path / "dcbench") in result.stderr


def test_other_project_installed_without_its_facts_goes_unnoticed(tmp_path: Path):
    (tmp_path / "dcbench").mkdir()
    (tmp_path / "dcbench" / "__init__.py").touch()
    result = start(tmp_path, ROOT)
    says_so(result)
    assert "shadows ours" in result.stderr


@pytest.mark.parametrize("record", ["dcbench/__init__.py,,\n", None])
def test_files_of_both_projects_in_one_folder_go_unnoticed(tmp_path: Path, record: str | None):
    link_ours(tmp_path, "dcbench", "dcbench_vision.py")
    installed = tmp_path / "dcbench-0.0.4.dist-info"
    installed.mkdir()
    if record is not None:
        (installed / "RECORD").write_text(record)
    says_so(start(tmp_path))


def test_other_project_behind_ours_on_the_path_stops_the_command(tmp_path: Path):
    install_other_project(tmp_path / "behind")
    result = start(ROOT, tmp_path / "behind")
    assert result.returncode == 0, result.stderr
    assert "v1-lite" in result.stdout


def test_installed_facts_without_a_package_are_taken_for_the_other_project(tmp_path: Path):
    link_ours(tmp_path, "dcbench", "dcbench_vision.py", "splits", "baselines", "pyproject.toml")
    installed = tmp_path / "dcbench-0.1.0.dist-info"
    installed.mkdir()
    (installed / "RECORD").write_text("dcbench/_facts/splits/digits.yaml,,\n../bin/dcbench,,\n")
    result = start(tmp_path)
    assert result.returncode == 0, result.stderr


def test_module_and_command_start_in_different_ways():
    text = (ROOT / "dcbench" / "__main__.py").read_text(encoding="utf-8")
    assert "from dcbench_vision import main" in text
