"""What others send, and what hands mistype: one line, the right exit code, and no traceback."""

import hashlib
import io
import json
import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from dcbench.config.paths import shipped_root
from dcbench.runs.plan import plan_run
from tests.cli.test_cli import Outcome, folders, run  # noqa: F401 - a fixture of every test
from tests.leaderboard.conftest import made, whole  # noqa: F401 - fixtures
from tests.leaderboard.tampering import runs, summary
from tests.records.test_collect import put

RUN = plan_run("erm", "digits").identity
CONFIGURATION = RUN.configuration.model_dump_json()


def one_line(found: Outcome, code: int, message: str | tuple[str, ...]) -> None:
    """Messages are alternatives, one of which is in the line."""
    messages = (message,) if isinstance(message, str) else message
    assert any(each in found.words for each in messages), found.words
    assert found.code == code
    assert len(found.err.strip().splitlines()) == 1, found.err


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("2020-99-99", "alpha='2020-99-99'"),
        ("2020-01-01", "alpha='2020-01-01'"),
        ("0x_", "reads as several numbers"),
        ("!!float", "the tag !!float is not read"),
        ("!!bool maybe", "the tag !!bool is not read"),
        ("9" * 5000, "a number of more than 18 digits"),
        # By libyaml, or where an older one reads on, by what looks at its events.
        ("[" * 3000, ("not valid YAML", "nested more than")),
        ("[" * 20_000 + "]" * 20_000, ("not valid YAML", "nested more than")),
        ("&a [*a]", "an alias of what it is in"),
        ("010", "010: reads as several numbers"),
        ("1:30", "1:30: reads as several numbers"),
        ("yes", "alpha='yes'"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "alpha="),
    ],
)
def test_setting_that_no_number_is(value, message):
    one_line(run("--method", "mixup", "--set", f"alpha={value}"), 2, message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "0-300000000"], "more than 100000 seeds"),
        (["--seeds", "9" * 5000], "seeds go up to 999999999"),
        (["--seeds", "0-" + "9" * 5000], "seeds go up to 999999999"),
        (["--seeds", "\N{ARABIC-INDIC DIGIT ONE}"], "write a number, a range (0-9)"),
    ],
)
def test_seeds_that_none_are(options, message):
    one_line(run("--method", "erm", *options), 2, message)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("x" * 3000, "longer than 1000 characters"),
        ("erm[" + "," * 200_000, "longer than 1000 characters"),
        ("erm[" + "a," * 400, "write name or name[key=value"),
    ],
)
def test_method_that_no_one_would_write(method, message):
    one_line(run("--method", method), 2, message)


def test_list_of_a_hundred_thousand_methods_is_split_at_once(tmp_path):
    found = Outcome("sweep", "--methods", "," * 100_000, "--splits", "digits")
    one_line(found, 2, "method ''")


def test_more_threads_than_a_machine_has():
    found = Outcome("sweep", "--methods", "erm", "--splits", "digits", "--threads", "1000000000000")
    assert found.code == 2
    assert "'--threads'" in found.words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {methods: [erm], splits: [digits], settings: {alpha: 2020-01-01}}", "alpha"),
        ("- !!set {a, b}", "the tag !!set is not read"),
        ("- {methods: [!!binary aGk=], splits: [digits]}", "the tag !!binary is not read"),
        ("&a [*a]", "an alias of what it is in"),
        ("- {methods: [erm], methods: [mixup], splits: [digits]}", "key 'methods' is there twice"),
        ("- {methods: [erm], splits: [digits], seeds: 0-300000000}", "more than 100000 seeds"),
        ("- {methods: [erm], splits: [digits], seeds: 1:30}", "1:30: reads as several numbers"),
        ("- {methods: [erm], splits: [digits], seeds: 010}", "010: reads as several numbers"),
        ("[" * 20_000, "not valid YAML"),
        ("a: \xff", "not UTF-8"),
        ("", "blocks"),
    ],
)
def test_plan_that_none_is(tmp_path, text, message):
    plan = tmp_path / "plan.yaml"
    plan.write_bytes(text.encode("latin1"))
    found = Outcome("sweep", plan)
    one_line(found, 2, message)


@pytest.fixture
def facts(tmp_path, monkeypatch) -> Path:
    """The facts that ship, copied, to be changed."""
    for name in ("splits", "baselines"):
        shutil.copytree(shipped_root() / name, tmp_path / "shipped" / name)
    for module in ("config.protocol", "data.places"):
        monkeypatch.setattr(f"dcbench.{module}.shipped_root", lambda: tmp_path / "shipped")
    return tmp_path / "shipped"


@pytest.mark.parametrize(
    ("arguments", "code"), [(["splits"], 0), (["splits", "show", "digits"], 2)]
)
def test_split_with_a_date(facts, arguments, code):
    path = facts / "splits/digits.yaml"
    path.write_text(f"{path.read_text()}\nchecked: 2020-99-99\n")
    found = Outcome(*arguments)
    assert found.code == code
    assert "splits/digits.yaml: unknown key 'checked'" in found.words


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("other,1,2", "part='other': should be train or val"),
        ("train,one,2", "index='one': should be a whole number"),
        ("train,1", "2 cells where the header has 3"),
        ("train,1,77", "label 77 of 10 classes"),
    ],
)
def test_list_with_a_right_hash_and_bad_cells(facts, line, message):
    path, recorded = facts / "splits/digits/subset-0.csv", facts / "splits/digits/hashes.json"
    path.write_text(f"{path.read_text()}{line}\n")
    hashes = json.loads(recorded.read_text())
    hashes["subsets"]["0"]["csv_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    recorded.write_text(json.dumps(hashes))
    found = Outcome("splits", "show", "digits")
    one_line(found, 3, message)


def nested(content: dict, deep: int) -> dict:
    for _ in range(deep):
        content["environment"] = {"inner": content["environment"]}
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: nested(record, 300), "nested more than 40 deep"),
        (lambda record: record["cost"].update(device="\ud800"), "half of a surrogate pair"),
        (lambda record: record["cost"].update(train_seconds=float("nan")), "NaN is no number"),
        (lambda record: record.update(seed=10**5000), "cut off or not JSON"),
    ],
)
@pytest.mark.parametrize("command", ["measure", "leaderboard build"])
def test_record_that_none_is(tmp_path, change, message, command):
    folder = put(tmp_path / "results")
    record = json.loads((folder / "record.json").read_text())
    change(record)
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    (folder / "record.json").write_text(json.dumps(record))
    sys.set_int_max_str_digits(limit)
    found = Outcome("measure", folder) if command == "measure" else Outcome(*command.split())
    one_line(found, 3, message)


def test_rows_file_of_a_header_alone(whole):  # noqa: F811
    for path in (runs(whole), summary(whole)):
        path.write_text(path.read_text().splitlines()[0] + "\n")
    for arguments in (["show", "digits", "--from", whole], ["page", "-o", "page", "--from", whole]):
        one_line(Outcome("leaderboard", *arguments), 3, "v1/runs/digits.csv: holds no row")
    checked = Outcome("leaderboard", "check", whole, "--base", whole)
    assert checked.code == 1
    assert "v1/runs/digits.csv: holds no row; remove it and its summary" in checked.out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\xff\n", "CHANGELOG.md: cannot be read: byte 0xff"),
        (b"- v1/digits, subset 0, method erm, seeds 0-300000000: why\n", "more than 100000 seeds"),
        (b"- v1/digits, subset 0, method erm, seeds 3-1: why\n", "the range runs backwards"),
        (b"- v1/digits, subset " + b"9" * 5000 + b", method erm, seeds 1: why\n", "should read"),
    ],
)
def test_changelog_that_none_is(whole, made, line, message):  # noqa: F811
    (whole / "CHANGELOG.md").write_bytes(line)
    found = Outcome("leaderboard", "check", whole, "--base", made / "leaderboard")
    assert found.code == 1
    assert message in found.out
    assert len(found.out.splitlines()) == 1


@pytest.mark.parametrize("cell", ["9" * 5000, "\N{ARABIC-INDIC DIGIT ONE}", "²", "-1", "1e3"])
def test_seed_of_a_row_that_no_number_is(whole, cell):  # noqa: F811
    path = runs(whole)
    lines = path.read_text().splitlines()
    subset, method, _, rest = lines[1].split(",", 3)
    lines[1] = f"{subset},{method},{cell},{rest}"
    path.write_text("\n".join(lines) + "\n")
    one_line(Outcome("leaderboard", "show", "digits", "--from", whole), 3, "is no whole number")
    checked = Outcome("leaderboard", "check", whole, "--base", whole)
    assert checked.code in (1, 3)


def test_protocol_of_rows_with_a_date(whole):  # noqa: F811
    path = whole / "v1/protocol.yaml"
    path.write_text(f"{path.read_text()}checked: 2020-99-99\n")
    checked = Outcome("leaderboard", "check", whole, "--base", whole)
    assert checked.code == 1
    assert "protocol.yaml: unknown key 'checked'" in checked.out


def deflated(content: bytes) -> bytes:
    """An archive as `torch.save` writes it, but for a part that unfolds to a thousand times."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", content)
    return target.getvalue()


def saved(content: object) -> bytes:
    target = io.BytesIO()
    torch.save(content, target)
    return target.getvalue()


def unfit(state: object) -> bytes:
    return saved({"version": 2, "configuration": CONFIGURATION, "state": state})


STATE = {"network": {}, "momentum": [], "progress": {"history": [], "stage": 0}}


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "not a checkpoint: File is not a zip file"),
        (pickle.dumps({"version": 2}, protocol=2), "not a checkpoint: File is not a zip file"),
        (deflated(bytes(10**7)), "not a checkpoint: its parts would take 10000000 bytes"),
        (saved([1]), "not a checkpoint: holds a list"),
        (saved({"version": 3}), "written by another version"),
        (saved({"version": 2}), "cut off or not JSON"),
        (saved({"version": 2, "configuration": "{}"}), "key 'protocol' is missing"),
        (saved({"version": 2, "configuration": CONFIGURATION}), "holds no state of a training"),
        (
            unfit({}),
            "does not fit the run",
        ),
        (
            unfit(STATE),
            "does not fit the run",
        ),
    ],
)
def test_checkpoint_with_a_right_digest_and_wrong_content(tmp_path, payload, message):
    folder = tmp_path / "results" / RUN.folder
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").write_bytes(hashlib.sha256(payload).digest() + payload)
    found = run("--method", "erm", "--quiet")
    one_line(found, 3, message)
    assert f"{RUN.folder}/checkpoint.pt" in found.words


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path)


PLACES = {
    "record": (["measure", "results/v1/digits/subset-0/erm/seed-0"], "record.json", 3),
    "predictions": (["measure", "results/v1/digits/subset-0/erm/seed-0"], "predictions.npz", 3),
    "collected": (["collect", "results", "--results", "other"], "history.csv", 1),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pipe, "is a pipe; should be a regular file"),
        (Path.mkdir, "is a folder; should be a regular file"),
        (endless, "is a link, and links are not followed here"),
    ],
)
def test_what_is_no_regular_file_in_the_place_of_one_of_a_run(tmp_path, place, make, message):
    arguments, name, code = PLACES[place]
    path = put(tmp_path / "results") / name
    path.unlink()
    make(path)
    found = Outcome(*arguments)
    assert found.code == code
    assert message in " ".join((found.err + found.out).split())
    assert not list((tmp_path / "other").rglob("record.json"))


@pytest.mark.parametrize(
    ("make", "message"),
    [(pipe, "is a pipe"), (Path.mkdir, "is a folder"), (endless, "is a device"), (loop, "cannot")],
)
def test_plan_that_is_no_regular_file(tmp_path, make, message):
    make(tmp_path / "plan.yaml")
    one_line(Outcome("sweep", tmp_path / "plan.yaml"), 2, message)


@pytest.mark.parametrize(
    ("make", "message"),
    [(pipe, "is a pipe"), (Path.mkdir, "is a folder"), (endless, "is a link")],
)
def test_rows_that_are_no_regular_file(whole, make, message):  # noqa: F811
    runs(whole).unlink()
    make(runs(whole))
    one_line(Outcome("leaderboard", "show", "digits", "--from", whole), 3, message)
    checked = Outcome("leaderboard", "check", whole, "--base", whole)
    assert checked.code in (1, 3)
    assert message in checked.out + checked.err


def test_link_in_a_results_folder_brings_nothing_from_elsewhere(tmp_path):
    (tmp_path / "secret").write_text("a secret of another user")
    folder = put(tmp_path / "results")
    (folder / "history.csv").unlink()
    (folder / "history.csv").symlink_to(tmp_path / "secret")
    found = Outcome("collect", "results", "--results", "other")
    assert found.code == 1
    assert not list((tmp_path / "other").rglob("record.json"))
    for path in (tmp_path / "other").rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes()
