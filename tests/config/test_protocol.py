import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import yaml
from pydantic import Field

from dcbench.config.names import parse_seeds, parse_settings
from dcbench.config.paths import shipped_root
from dcbench.config.protocol import load_protocol, protocol_names
from dcbench.config.recipe import Recipe
from dcbench.data.splits import split_config, split_names
from dcbench.errors import UsageError
from dcbench.methods import Method, build_method, method_class, method_names
from dcbench.models import build_model
from dcbench.runs.plan import choose

PROTOCOLS = protocol_names()
METHODS = ("erm", "mixup", "remix", "regmixup", "ic-mixup", "ic-remix", "ic-regmixup")


def merged(name: str) -> dict[str, Any]:
    """A protocol as plain values, its parent's below."""

    def over(below: Any, above: Any) -> Any:
        if not (isinstance(below, dict) and isinstance(above, dict)):
            return above
        return below | {key: over(below.get(key), value) for key, value in above.items()}

    own = raw(name)
    return over(merged(own["extends"]), own) if "extends" in own else own


def raw(name: str) -> dict[str, Any]:
    path = shipped_root() / "baselines" / f"{name}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def stated(entry: dict[str, Any]) -> set[str]:
    """The keys of every value that a recipe states, as `sources` names them."""
    methods = entry.get("methods", {}).items()
    return {
        *(f"asked.{key}" for key in entry.get("asked", {})),
        *entry.get("training", {}),
        *(f"{method}.{key}" for method, settings in methods for key in settings),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-9", tuple(range(10))),
        ("0,2,5", (0, 2, 5)),
        ("5,0-2", (5, 0, 1, 2)),
        (" 1 - 3 , 7 ", (1, 2, 3, 7)),
        ("4-4", (4,)),
        ("12", (12,)),
        (3, (3,)),
    ],
)
def test_seeds_are_read_in_the_order_given(text, expected):
    assert parse_seeds(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3-1", "runs backwards; write 1-3"),
        ("a", "write a number"),
        ("1,1", "given twice"),
        ("0-3,2", "given twice"),
        ("-1", "write a number"),
        ("", "write a number"),
        ("1,", "write a number"),
        ("1-", "write a number"),
        ("1-2-3", "write a number"),
        ("1.5", "write a number"),
        (-1, "write a number"),
    ],
)
def test_seeds_that_make_no_sense_are_refused(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse_seeds(text)
    assert f"'{text}'" in str(caught.value)


def test_v1_is_among_the_protocols_and_wildcards_work():
    assert "v1" in PROTOCOLS
    assert protocol_names("v1") == ["v1"]
    assert protocol_names("nothing-*") == []


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_split_has_its_recipe_in_every_protocol(name):
    protocol = load_protocol(name)
    assert protocol.name == name
    for split in split_names():
        config = split_config(split)
        assert config.recipe in protocol.recipes
        assert set(protocol.recipes[config.recipe].asked.subsets) <= set(config.subsets)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_method_and_network_of_a_recipe_can_be_built(name):
    for entry in load_protocol(name).recipes.values():
        assert set(entry.methods) <= set(method_names())
        for method in METHODS:
            choice = choose(entry, method_class(method), {})
            assert choice.label == method
            assert choice.departures == ()
            assert choice.recipe == entry.training
        with torch.device("meta"):
            build_model(entry.training.model, 10)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_number_of_a_protocol_has_a_source_and_no_source_lacks_its_number(name):
    for title, entry in merged(name)["recipes"].items():
        sources = entry["sources"]
        assert sorted(stated(entry) - sources.keys()) == [], f"{title}: without a source"
        assert sorted(sources.keys() - stated(entry)) == [], f"{title}: sources of nothing"
        assert all(isinstance(text, str) and text.strip() for text in sources.values())


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if "extends" in raw(name)])
def test_number_that_a_protocol_changes_does_not_keep_its_parents_source(name):
    parent = merged(raw(name)["extends"])["recipes"]
    for title, entry in raw(name)["recipes"].items():
        changed = {
            key
            for key, value in entry.get("training", {}).items()
            if value != parent[title]["training"].get(key)
        }
        own = entry.get("sources", {})
        assert sorted(changed - own.keys()) == [], f"{title}: the parent's source is not true here"


@pytest.mark.parametrize("name", PROTOCOLS)
def test_variants_are_settings_that_a_method_or_the_recipe_has(name):
    for entry in load_protocol(name).recipes.values():
        for key, values in entry.variants.items():
            if key in Recipe.model_fields:
                Recipe.model_validate({**entry.training.model_dump(), key: values[0]})
            else:
                for value in values:
                    build_method("ic-regmixup", {key: value})


GEM = {
    "model": "wrn-16-8",
    "epochs": 500,
    "batch_size": 10,
    "learning_rate": 4.55e-3,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5.29e-3,
    "schedule": "cosine",
    "warmup_epochs": 0,
    "padding": 4,
    "border": "reflect",
    "flip": True,
    "rotation": 0,
    "normalization": "split",
    "fit": "trainval",
}
RELEASE = {
    "epochs": 200,
    "batch_size": 128,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "schedule": "steps",
    "milestones": (50, 100, 150),
    "factor": 0.2,
    "warmup_epochs": 0,
    "padding": 4,
    "border": "zero",
    "flip": True,
}


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("cifair10", GEM),
        ("cifair100", GEM),
        ("cifar100", RELEASE | {"model": "resnet-34", "rotation": 15, "normalization": "cifar100"}),
        (
            "cifar10-lt",
            RELEASE | {"model": "resnet-32", "rotation": 0, "normalization": "cifar10"},
        ),
        (
            "cifar100-lt",
            RELEASE | {"model": "resnet-32", "rotation": 0, "normalization": "cifar100"},
        ),
    ],
)
def test_training_of_v1_is_that_of_the_sources(recipe, expected):
    training = load_protocol("v1").entry(recipe).training.model_dump()
    assert {key: training[key] for key in expected} == expected
    assert training["precision"] == "tf32"


@pytest.mark.parametrize(
    ("recipe", "mixup", "regmixup"),
    [
        ("cifair10", 1.0, 20.0),
        ("cifair100", 1.0, 10.0),
        ("cifar10-lt", 1.0, 20.0),
        ("cifar100-lt", 1.0, 10.0),
        ("cifar100", 0.2, 10.0),
    ],
)
def test_methods_of_v1_have_the_settings_of_the_sources(recipe, mixup, regmixup):
    entry = load_protocol("v1").entry(recipe)
    found = {name: choose(entry, method_class(name), {}).method.settings for name in METHODS}
    remix = {"alpha": mixup, "coefficient": "batch", "kappa": 3.0, "tau": 0.5}
    separate = {"alpha": regmixup, "coefficient": "batch", "eta": 1.0, "forward": "separate"}
    infinite = {
        "axes": "both",
        "duplicates": "negative",
        "temperature": 1.0,
        "prior": 0.0,
        "queue": 0,
    }
    assert found == {
        "erm": {},
        "mixup": {"alpha": mixup, "coefficient": "batch"},
        "remix": remix,
        "regmixup": separate,
        "ic-mixup": {"alpha": mixup, "coefficient": "batch"} | infinite,
        "ic-remix": remix | infinite,
        "ic-regmixup": separate | infinite,
    }


def test_v1_asks_the_runs_of_the_papers():
    asked = {name: entry.asked for name, entry in load_protocol("v1").recipes.items()}
    assert asked["cifair10"].subsets == (0, 1, 2)
    assert asked["cifair10"].seeds == tuple(range(10))
    assert asked["cifair100"].seeds == tuple(range(10))
    assert len(asked["cifar10-lt"].seeds) >= 3
    assert asked["cifar100"].subsets == (0,)
    assert len(asked["cifar100"].seeds) >= 3
    assert load_protocol("v1").entry("cifar100").variants["batch_size"] == (64, 128, 512)


@pytest.fixture
def baselines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the protocols that a test may spoil."""
    shutil.copytree(shipped_root() / "baselines", tmp_path / "baselines")
    monkeypatch.setattr("dcbench.config.protocol.shipped_root", lambda: tmp_path)
    return tmp_path / "baselines"


def spoil(path: Path, change: Any) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def test_protocol_says_whether_weights_are_kept_and_its_child_takes_that_over(baselines: Path):
    assert load_protocol("v1").weights == "keep"
    spoil(baselines / "v1.yaml", lambda content: content.update(weights="none"))
    assert load_protocol("v1").weights == "none"
    assert load_protocol("v1-lite").weights == "none"


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (
            lambda c: c["recipes"]["digits"]["training"].update(epohcs=3),
            ["recipes.digits.training.epohcs", "did you mean 'epochs'"],
        ),
        (lambda c: c.update(titel="x"), ["unknown key 'titel'", "did you mean 'title'"]),
        (lambda c: c.update(weights="some"), ["weights='some'", "'keep' or 'none'"]),
        (
            lambda c: c["recipes"]["digits"].update(varaints={}),
            ["recipes.digits.varaints", "did you mean 'variants'"],
        ),
        (
            lambda c: c["recipes"]["digits"]["training"].update(epochs="many"),
            ["recipes.digits.training.epochs='many'", "valid integer"],
        ),
        (
            lambda c: c["recipes"]["digits"]["training"].update(momentum=1.5),
            ["recipes.digits.training.momentum=1.5", "less than 1"],
        ),
        (
            lambda c: c["recipes"]["digits"]["asked"].update(seeds="9-0"),
            ["recipes.digits.asked.seeds='9-0'", "runs backwards"],
        ),
        (
            lambda c: c["recipes"]["digits"].pop("sources"),
            ["key 'recipes.digits.sources' is missing"],
        ),
        (lambda c: c.pop("title"), ["key 'title' is missing"]),
    ],
)
def test_wrong_protocol_is_refused_by_file_and_key(baselines: Path, change, parts):
    path = baselines / "v1.yaml"
    spoil(path, change)
    with pytest.raises(UsageError) as caught:
        load_protocol("v1")
    for part in [str(path), *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize("content", ["name: [", "- a\n- b\n", "just words", ""])
def test_protocol_that_is_no_mapping_is_refused_by_file(baselines: Path, content):
    (baselines / "v1.yaml").write_text(content)
    with pytest.raises(UsageError, match=r"v1\.yaml"):
        load_protocol("v1")


def test_protocol_that_extends_another_takes_over_what_it_does_not_say(baselines: Path):
    child = {
        "name": "mine",
        "extends": "v1",
        "recipes": {"digits": {"training": {"epochs": 3}, "methods": {"mixup": {"alpha": 0.5}}}},
    }
    (baselines / "mine.yaml").write_text(yaml.safe_dump(child))
    mine, v1 = load_protocol("mine"), load_protocol("v1")
    assert mine.title == v1.title
    assert mine.entry("cifair10") == v1.entry("cifair10")
    digits, before = mine.entry("digits"), v1.entry("digits")
    assert digits.training == before.training.model_copy(update={"epochs": 3})
    assert digits.methods == {**before.methods, "mixup": {"alpha": 0.5}}
    assert digits.sources == before.sources


@pytest.mark.parametrize("parent", ["v0", "mine"])
def test_protocol_that_extends_nothing_or_itself_is_refused_by_file(baselines: Path, parent):
    content = {"name": "mine", "extends": parent, "recipes": {}}
    (baselines / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError, match=r"mine\.yaml"):
        load_protocol("mine")


def test_protocol_under_another_name_than_its_file_is_refused(baselines: Path):
    shutil.copy(baselines / "v1.yaml", baselines / "v7.yaml")
    with pytest.raises(UsageError, match=r"v7\.yaml.*name"):
        load_protocol("v7")


def test_unknown_protocol_and_recipe_are_answered_with_near_ones():
    with pytest.raises(UsageError, match=r"unknown protocol 'V1'; .*v1"):
        load_protocol("V1")
    with pytest.raises(UsageError, match="did you mean digits"):
        load_protocol("v1").entry("digit")


def chosen(recipe: str, method: str, **asked: Any):
    return choose(load_protocol("v1").entry(recipe), method_class(method), asked)


def test_variant_is_named_and_stays_in_the_protocol():
    choice = chosen("digits", "ic-mixup", axes="class")
    assert choice.label == "ic-mixup[axes=class]"
    assert choice.departures == ()
    assert choice.method.axes == "class"
    batch = chosen("cifar100", "erm", batch_size=512)
    assert (batch.label, batch.departures) == ("erm[batch_size=512]", ())
    assert batch.recipe.batch_size == 512


def test_departure_is_named_with_the_protocols_value():
    choice = chosen("digits", "mixup", alpha=0.3, batch_size=10)
    assert choice.label == "mixup[alpha=0.3,batch_size=10]"
    assert choice.departures == ("alpha=0.3 instead of 1.0", "batch_size=10 instead of 25")
    assert choice.method.alpha == 0.3
    assert choice.recipe.batch_size == 10
    assert choice.recipe.epochs == 60


def test_setting_that_the_protocol_does_not_list_is_a_name_and_no_departure():
    choice = chosen("digits", "label-smoothing", smoothing=0.2)
    assert (choice.label, choice.departures) == ("label-smoothing[smoothing=0.2]", ())
    listed = chosen("digits", "ic-mixup", temperature=0.5, alpha=0.2)
    assert listed.label == "ic-mixup[alpha=0.2,temperature=0.5]"
    assert listed.departures == ("alpha=0.2 instead of 1.0",)


def test_label_does_not_depend_on_the_order_of_the_settings():
    one = chosen("digits", "ic-mixup", axes="pair", alpha=0.2)
    other = chosen("digits", "ic-mixup", alpha=0.2, axes="pair")
    assert one.label == other.label == "ic-mixup[alpha=0.2,axes=pair]"


def test_asking_for_the_protocols_own_value_changes_nothing():
    choice = chosen("cifair100", "regmixup", alpha=10, epochs=500)
    assert (choice.label, choice.departures) == ("regmixup", ())


def test_default_of_any_type_is_the_same_run_asked_or_not():
    class Mine(Method):
        name: ClassVar[str] = "mine"
        needed: float
        pair: tuple[float, ...] = (1.0, 2.0)
        made: list[float] = Field(default_factory=lambda: [1.0])

    entry = load_protocol("v1").entry("digits")
    choice = choose(entry, Mine, {"needed": 3.0, "pair": [1.0, 2.0], "made": [1.0]})
    assert choice.label == "mine[needed=3.0]"
    assert Mine.default_settings() == {"pair": [1.0, 2.0], "made": [1.0]}


@pytest.mark.parametrize(
    ("recipe", "asked", "message"),
    [
        ("digits", {"milestones": [1]}, "milestones has no effect with schedule=cosine: leave it"),
        ("digits", {"factor": 0.01}, "factor has no effect with schedule=cosine"),
        ("cifar100", {"schedule": "cosine", "milestones": []}, "milestones has no effect"),
        ("digits", {"padding": 0, "border": "reflect"}, "border has no effect with padding=0"),
        ("digits", {"momentum": 0, "nesterov": True}, "nesterov has no effect with momentum=0"),
    ],
)
def test_key_without_effect_makes_no_other_run(recipe, asked, message):
    with pytest.raises(UsageError, match=f"recipe: {message}"):
        chosen(recipe, "erm", **asked)


@pytest.mark.parametrize(
    ("recipe", "asked", "label"),
    [
        ("cifar100", {"schedule": "cosine"}, "erm[schedule=cosine]"),
        ("cifar100", {"schedule": "cosine", "factor": 0.2}, "erm[schedule=cosine]"),
        ("cifair10", {"padding": 0}, "erm[padding=0]"),
        ("digits", {"border": "reflect"}, "erm[border=reflect]"),
    ],
)
def test_keys_of_the_protocol_may_lose_their_effect(recipe, asked, label):
    assert chosen(recipe, "erm", **asked).label == label


def test_settings_may_be_written_as_on_a_command_line():
    asked = parse_settings(["alpha=0.3", "learning_rate=1e-3", "flip=true"])
    choice = chosen("digits", "mixup", **asked)
    assert choice.method.alpha == 0.3
    assert choice.recipe.learning_rate == 1e-3
    assert choice.recipe.flip is True
    assert choice.label == "mixup[alpha=0.3,flip=True,learning_rate=0.001]"


def test_label_is_fit_for_a_folder_whatever_the_values():
    choice = chosen("cifar100", "erm", milestones=[60, 120])
    assert choice.label == "erm[milestones=60-120]"
    with pytest.raises(UsageError, match=r"model='\.\./\.\./x y': should be a name"):
        chosen("cifar100", "erm", model="../../x y")


@pytest.mark.parametrize(
    ("method", "asked", "message"),
    [
        ("mixup", {"alhpa": 1}, "did you mean alpha"),
        ("erm", {"alpha": 1}, "unknown setting of erm or its recipe 'alpha'"),
        ("erm", {"epoch": 1}, "did you mean epochs"),
        (
            "mixup",
            {"alpha": 0},
            "method mixup: alpha=0: input should be greater than or equal to 0.001",
        ),
        ("mixup", {"alpha": float("inf")}, "method mixup: alpha="),
        ("ic-mixup", {"axes": "rows"}, "'class', 'pair' or 'both'"),
        ("erm", {"batch_size": 0}, "recipe: batch_size=0"),
        ("erm", {"epochs": None}, "recipe: epochs=None"),
        ("remix", {"kappa": 1}, "kappa=1: input should be greater than 1"),
        ("remix", {"tau": 1.01}, "tau=1.01"),
        ("regmixup", {"eta": 0}, "eta=0"),
    ],
)
def test_setting_that_cannot_be_is_refused_by_its_key(method, asked, message):
    with pytest.raises(UsageError, match=message):
        chosen("digits", method, **asked)
