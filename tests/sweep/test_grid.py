from pathlib import Path

import pytest

from dcbench.config.paths import shipped_root
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
