import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import dcbench
from dcbench.cli import app
from dcbench.config.paths import shipped_root
from dcbench.data.new_split import new_split
from dcbench.data.source import open_source
from dcbench.errors import UsageError
from dcbench.runs.plan import plan_run
from dcbench.sweep.grid import Block, Request, packs, plan_of, read_queue, requests_of

QUEUE = shipped_root() / "baselines" / "queue.yaml"


def a_block(**changes) -> Block:
    given = {"methods": ["erm", "ic-mixup[axes=class]"], "splits": ["digits"], "seeds": "0-1"}
    return Block.model_validate({**given, **changes})


def titles(requests: list[Request]) -> list[str]:
    return [str(plan_of(request).folder) for request in requests]


def test_methods_of_one_seed_follow_one_another():
    assert titles(requests_of([a_block(subsets="0,2")])) == [
        "v1/digits/subset-0/erm/seed-0",
        "v1/digits/subset-0/ic-mixup,axes=class/seed-0",
        "v1/digits/subset-0/erm/seed-1",
        "v1/digits/subset-0/ic-mixup,axes=class/seed-1",
        "v1/digits/subset-2/erm/seed-0",
        "v1/digits/subset-2/ic-mixup,axes=class/seed-0",
        "v1/digits/subset-2/erm/seed-1",
        "v1/digits/subset-2/ic-mixup,axes=class/seed-1",
    ]


def test_run_that_two_blocks_ask_for_is_asked_once():
    written_out = a_block(methods=["ic-mixup"], settings={"axes": "class"}, seeds="1-2")
    found = titles(requests_of([a_block(), written_out]))
    assert len(found) == len(set(found)) == 5


NAMED = """
from torch.nn.functional import cross_entropy
from dcbench.methods import Method


class Labelled(Method):
    what: str = "nothing"

    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels)
"""


@pytest.fixture
def twins(tmp_path: Path) -> list[str]:
    """Two splits of one name and of the same rows, over other images."""
    paths = []
    for level, place in enumerate(("here", "there")):
        (tmp_path / place).mkdir()
        images, labels = np.full((60, 8, 8), level, np.uint8), np.arange(60) % 2
        np.savez(tmp_path / place / "set.npz", images=images, labels=labels)
        rule = {"kind": "by-position", "train": 20, "val": 0}
        dataset, data = f"{tmp_path}/{place}/set.npz[test=0.2]", open_source(tmp_path)
        paths.append(str(new_split("twin", dataset, rule, data, tmp_path / place)))
    return paths


def test_two_runs_of_one_address_that_differ_are_both_named(twins: list[str], tmp_path: Path):
    message = (
        f"erm on {twins[1]} would lie where erm on {twins[0]} does, v1/twin/subset-0/erm/seed-0, "
        "with another data_sha256: "
    )
    with pytest.raises(UsageError) as caught:
        requests_of([a_block(methods=["erm"], splits=twins)])
    assert str(caught.value).startswith(message)
    with pytest.raises(UsageError) as caught:
        requests_of([a_block(methods=["erm"], splits=[each]) for each in twins])
    assert str(caught.value).startswith(message)
    with pytest.raises(UsageError) as caught:
        dcbench.run_many(["erm"], twins, results=tmp_path / "results", progress=False)
    assert str(caught.value).startswith(message)
    asked = ["sweep", "--methods", "erm", "--splits", ",".join(twins)]
    for further in ([], ["--dry-run"]):
        result = CliRunner().invoke(app, [*asked, *further, "--results", str(tmp_path / "results")])
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "results").exists()


def test_split_that_is_named_by_two_paths_is_asked_once(twins: list[str], tmp_path: Path):
    same = f"{tmp_path}/there/../here/twin.yaml"
    found = requests_of([a_block(methods=["erm"], splits=[twins[0], same], seeds="0")])
    assert titles(found) == ["v1/twin/subset-0/erm/seed-0"]


def test_settings_that_a_folder_spells_alike_are_not_taken_for_one(tmp_path: Path):
    (tmp_path / "labelled.py").write_text(NAMED)
    named = f"{tmp_path}/labelled.py:Labelled"
    message = r"does, v1/digits/.*/labelled,what=a_b/seed-0, with other settings: what=a:b and not "
    with pytest.raises(UsageError, match=message + "a/b"):
        requests_of([a_block(methods=[f"{named}[what=a/b]", f"{named}[what=a:b]"])])
    spelled = [a_block(methods=[named], settings={"what": each}) for each in ("a/b", "a:b")]
    with pytest.raises(UsageError, match=message + "a/b"):
        requests_of(spelled)


@pytest.mark.parametrize(
    ("method", "model", "expected"),
    [
        ("my_net.py:M", "net.py:N", ("/away/my_net.py:M", "/away/net.py:N")),
        ("ideas/net.py:M", "net.py:N", ("/away/ideas/net.py:M", "/away/net.py:N")),
        ("net.py:M", "wrn-10-1", ("/away/net.py:M", "wrn-10-1")),
        (
            "erm [ alpha=[1, 2], model = net.py:N ]",
            None,
            ("erm[alpha=[1, 2],model=/away/net.py:N]",),
        ),
        ("m.py:M[model=net.py:N]", None, ("/away/m.py:M[model=/away/net.py:N]",)),
        ("erm[title=net.py:N]", None, ("erm[title=net.py:N]",)),
        ("erm[]", None, ("erm",)),
    ],
)
def test_files_of_a_run_that_lie_elsewhere_are_named_there_and_nothing_else_changes(
    method, model, expected
):
    settings = json.dumps({} if model is None else {"model": model})
    request = Request(method, "digits", 0, 0, "v1", settings)
    for paths in (request.files, request.files[::-1]):
        there = request.with_files({path: f"/away/{path}" for path in paths})
        assert (there.method, *json.loads(there.settings).values()) == expected


def test_settings_of_a_block_reach_every_run():
    request = requests_of([a_block(settings={"epochs": 3, "alpha": 0.5}, methods=["mixup"])])[0]
    plan = plan_of(request)
    assert plan.choice.recipe.epochs == 3
    assert plan.choice.method.settings["alpha"] == 0.5
    assert plan.choice.label == "mixup[alpha=0.5,epochs=3]"


def test_packs_hold_neighbours_of_one_split_and_subset():
    requests = requests_of([a_block(seeds="0-2", subsets="0-1", methods=["erm"])])
    assert [[request.seed for request in pack] for pack in packs(requests, 2)] == [
        [0, 1], [2], [0, 1], [2],
    ]  # fmt: skip
    assert {request.subset for request in packs(requests, 9)[0]} == {0}


def test_packs_hold_runs_of_one_precision_which_is_the_processs():
    blocks = [
        a_block(methods=["erm", "erm[precision=bf16]", "mixup[precision=bf16]", "mixup"], seeds="0")
    ]
    packed = packs(requests_of(blocks), 9)
    precisions = [[plan_of(each).choice.recipe.precision for each in pack] for pack in packed]
    assert [set(each) for each in precisions] == [{"float32"}, {"bf16"}, {"float32"}]
    assert [len(each) for each in precisions] == [1, 2, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("blocks: []", "plan.yaml: blocks="),
        ("blocks: [{methods: [erm], split: [digits]}]", r"unknown key 'blocks.0.split'; did you"),
        ("blocks: [{methods: [erm]}]", r"key 'blocks.0.splits' is missing"),
        ("blocks: [{methods: [erm], splits: [digits], seeds: 4-2}]", r"seeds=.*runs backwards"),
        ("blocks: [{methods: erm, splits: [digits]}]", r"blocks.0.methods='erm'"),
        ("- {methods: [erm], splits: [digits], seeds: x}", r"write a number, a range"),
        ("- {methods: [erm], splits: [digits], seeds: true}", r"seeds=True: .*write a number"),
        ("- {methods: [erm], splits: [digits], subsets: 1.0}", r"subsets=1\.0: .*write a number"),
        ("blocks: [", "not valid YAML"),
    ],
)
def test_wrong_plan_is_told_by_file_key_and_value(tmp_path: Path, content, message):
    path = tmp_path / "plan.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=message) as caught:
        read_queue(path, {})
    assert "plan.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["irm"]}, "unknown method 'irm'"),
        ({"splits": ["digit"]}, "did you mean digits"),
        ({"protocol": "v9"}, "unknown protocol 'v9'"),
        ({"settings": {"epoch": 3}}, "did you mean epochs"),
        ({"subsets": "7"}, "subset"),
    ],
)
def test_unknown_name_is_told_before_anything_runs(changes, message):
    with pytest.raises(UsageError, match=message):
        requests_of([a_block(**changes)])


def test_command_line_wins_over_the_file(tmp_path: Path):
    path = tmp_path / "plan.yaml"
    path.write_text("blocks: [{methods: [erm], splits: [digits], seeds: 0-4, protocol: v1}]")
    plan = read_queue(path, {"seeds": "7", "protocol": "v1-lite"})
    assert titles(requests_of(plan.blocks)) == ["v1-lite/digits/subset-0/erm/seed-7"]


def test_settings_of_the_command_line_leave_the_others_of_a_block(tmp_path: Path):
    path = tmp_path / "plan.yaml"
    settings = "{alpha: 0.5, epochs: 1}"
    path.write_text(f"blocks: [{{methods: [mixup], splits: [digits], settings: {settings}}}]")
    plan = read_queue(path, {"settings": {"epochs": 2}})
    assert titles(requests_of(plan.blocks)) == [
        "v1/digits/subset-0/mixup,alpha=0.5,epochs=2/seed-0"
    ]


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("mixup[alpha=0.3]", {"alpha": 0.5}, r"alpha=0\.5 beside mixup\[alpha=0\.3\]: leave one"),
        ("erm[tuned=b.yaml]", {"tuned": "a.yaml"}, r"tuned=a\.yaml beside erm\[tuned=b\.yaml\]"),
    ],
)
def test_setting_in_brackets_and_beside_them_is_said_once_or_alike(method, settings, message):
    with pytest.raises(UsageError, match=message):
        requests_of([a_block(methods=[method], settings=settings)])
    with pytest.raises(UsageError, match=message):
        plan_run(method, "digits", settings=settings)
    plan = plan_run("mixup[alpha=0.3]", "digits", settings={"alpha": 0.3})
    assert plan.choice.label == "mixup[alpha=0.3]"


def test_every_run_of_the_queue_is_a_run_of_the_protocol():
    requests = requests_of(read_queue(QUEUE, {}).blocks)
    # 25 + 25 ciFAIR, 30 + 30 long-tailed, 9 of CIFAR-100, 100 of the other subsets.
    assert len(requests) == 219
    assert all(not plan_of(request).departures for request in requests)
    assert titles(requests)[:2] == [
        "v1/cifair10-common/subset-0/erm/seed-0",
        "v1/cifair10-common/subset-0/ic-regmixup/seed-0",
    ]
