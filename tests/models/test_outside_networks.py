"""Networks of a file or an installed package: found, tried, and named in what they do wrong."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from torch import nn

import dcbench
from dcbench.config.recipe import Recipe
from dcbench.errors import RunError, UsageError
from dcbench.methods import registry as methods
from dcbench.models import build_model, find_model, model_names, model_origin, registry
from dcbench.models.checks import check_network
from dcbench.records.files import read_record
from dcbench.sweep.grid import forget_code
from dcbench.training.trainer import Trainer
from tests.cli.test_cli import Outcome, folders, run  # noqa: F401 - a fixture of every test

FILE = """
import torch
from torch import nn
from dcbench.models import register_model

{at_import}

class MyNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(4, num_classes)
        {init}

    def forward(self, images):
        {forward}
        return self.fc(self.body(images).flatten(1))

@register_model("by-decorator")
def decorated(num_classes):
    return MyNet(num_classes)

class DigitsCNN(MyNet):
    pass

not_a_network = 3
"""


@pytest.fixture(autouse=True)
def only_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    monkeypatch.setattr(registry, "_NAMES", set(registry._NAMES))
    monkeypatch.setattr(registry, "_ORIGINS", {})
    monkeypatch.setattr(registry, "entry_points", lambda group: [])


def network(folder: Path, name: str = "MyNet", **code: str) -> str:
    path = folder / "net.py"
    empty = {"at_import": "", "init": "pass", "forward": "pass"}
    path.write_text(FILE.format(**{**empty, **code}))
    return f"{path}:{name}"


def test_network_of_a_file_goes_by_a_name_and_the_hash_of_its_file(tmp_path: Path):
    location = network(tmp_path)
    assert find_model(location) == "my-net"
    assert "my-net" in model_names()
    assert build_model("my-net", 7)(torch.zeros(2, 3, 8, 8)).shape == (2, 7)
    content = (tmp_path / "net.py").read_bytes()
    assert model_origin("my-net") == (hashlib.sha256(content).hexdigest(), None)
    assert find_model(f"{tmp_path}/net.py:decorated") == "by-decorator"
    assert find_model("wrn-16-8") == "wrn-16-8"
    assert model_origin("wrn-16-8") == (None, None)


def test_edited_file_is_read_anew(tmp_path: Path):
    before = model_origin(find_model(network(tmp_path)))
    find_model(network(tmp_path, init="self.more = nn.Linear(1, 1)"))
    assert model_origin("my-net") != before
    assert "more.weight" in build_model("my-net", 2).state_dict()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MyNte", r"unknown network in .*net.py 'MyNte'; did you mean MyNet"),
        ("not_a_network", "not_a_network is no network; there are: .*MyNet"),
        ("nn", "nn is no network; there are: .*MyNet"),
        ("DigitsCNN", "model 'digits-cnn' is registered already, by dcbench.models.digits"),
    ],
)
def test_name_that_the_file_does_not_define_or_dcbench_has(tmp_path: Path, name: str, message: str):
    with pytest.raises(UsageError, match=message):
        find_model(network(tmp_path, name))
    assert type(build_model("digits-cnn", 2)).__module__ == "dcbench.models.digits"


def test_name_of_a_family_is_taken(tmp_path: Path):
    code = "@register_model('wrn-10-9')\ndef mine(num_classes): pass"
    with pytest.raises(UsageError, match="'wrn-10-9' is the name of one of dcbench's families"):
        find_model(network(tmp_path, at_import=code))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ({"init": "1 / 0"}, r"network my-net: .*net.py, line \d+, in __init__: ZeroDivisionError"),
        ({"init": "raise SystemExit(3)"}, "network my-net: .*SystemExit: 3"),
        ({"init": "torch.set_default_dtype(torch.float64)"}, "changes the default dtype"),
        ({"init": "self.requires_grad_(False)"}, "network my-net: .*has no weights that learn"),
        ({"forward": "images.view(7)"}, r"in forward: RuntimeError: shape"),
        ({"forward": "return 3"}, "should give logits .*and gives a int"),
        ({"forward": "return images"}, r"\[2, 5\] .*and gives torch.float32 \[2, 3, 8, 8\]"),
        ({"forward": "return torch.zeros(2, 5)"}, "that depend on its weights"),
        ({"forward": "return None if self.training else 1"}, "gives a NoneType"),
    ],
)
def test_network_that_is_wrong_is_named_before_anything_is_trained(tmp_path: Path, code, message):
    name = find_model(network(tmp_path, **code))
    before = torch.get_default_dtype(), torch.get_rng_state()
    with pytest.raises(RunError, match=message):
        check_network(name, 5, (8, 8))
    assert torch.get_default_dtype() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_run_with_a_network_of_a_file_is_custom_and_refused_once_the_file_changes(tmp_path: Path):
    asked = ("--method", "erm", "--set", f"model={network(tmp_path)}", "--set", "epochs=1")
    found = run(*asked, "--json")
    assert found.code == 0
    record = json.loads(found.out)
    assert record["recipe"]["model"] == "my-net"
    assert record["label"] == "erm[epochs=1,model=my-net]"
    assert record["status"] == "custom"
    assert "model=my-net instead of digits-cnn" in record["departures"]
    content = (tmp_path / "net.py").read_bytes()
    assert record["network_sha256"] == hashlib.sha256(content).hexdigest()
    assert "not run again" in run(*asked).words
    network(tmp_path, init="self.unused = 1")
    changed = run(*asked)
    assert changed.code == 1
    assert "was made with another network_sha256" in changed.words


def test_weights_of_a_network_whose_layers_share_them_are_stored(tmp_path: Path):
    shared = network(tmp_path, init="self.again = self.fc")
    settings = {"model": shared, "epochs": 1}
    dcbench.run("erm", "digits", settings=settings, results=tmp_path / "results")
    [path] = (tmp_path / "results").rglob("record.json")
    loaded = dcbench.load_model(path)
    assert loaded.network.again.weight is loaded.network.fc.weight


def test_second_seed_of_a_process_has_the_fixed_weights_that_it_draws_alone(tmp_path: Path):
    init = "self.register_buffer('turn', torch.rand(3, 1, 1), persistent=False)"
    model = network(tmp_path, init=init, forward="images = images * self.turn")
    given = {"settings": {"model": model, "epochs": 1}, "device": "cpu"}
    alone = dcbench.run("erm", "digits", seed=1, results=tmp_path / "alone", **given)
    _, second = dcbench.run("erm", "digits", seeds=[0, 1], results=tmp_path / "both", **given)
    assert second.predictions.sha256 == alone.predictions.sha256


@pytest.mark.parametrize(
    ("init", "said"),
    [
        ("self.fc = nn.LazyLinear(num_classes)", "'fc.bias' .* UninitializedParameter"),
        ("type(self).get_extra_state = lambda self: {}", "'_extra_state' .* dict"),
    ],
)
def test_state_that_is_no_tensor_of_a_known_shape_is_named(tmp_path: Path, init: str, said: str):
    settings = {"model": network(tmp_path, init=init), "epochs": 1}
    with pytest.raises(RunError, match=f"network MyNet: {said}, and should be a tensor"):
        dcbench.run("erm", "digits", settings=settings, results=tmp_path / "results")


def test_network_that_is_called_by_name_and_partly_in_bfloat16_is_trained(tmp_path: Path):
    model = network(
        tmp_path,
        init="self.mix = nn.Linear(4, 4, dtype=torch.bfloat16)",
        forward=(
            "maps = self.body(images).flatten(1)\n        "
            "return self.fc(input=self.mix(input=maps.bfloat16()).float())"
        ),
    )
    settings = {"model": model, "epochs": 1}
    record = dcbench.run("erm", "digits", settings=settings, results=tmp_path / "results")
    # Images of 8 x 8 pixels; 3 x 3 places of a stride of 2 hold 4 kernels of 27 weights.
    image = 2 * (3 * 3 * 4 * 27 + 4 * 4 + 4 * 10)
    assert record.cost.model_flops == 3 * image * 150


@pytest.mark.parametrize("method", ["crt", "tau-norm"])
def test_network_without_fc_is_refused_before_the_training_of_a_method_that_needs_it(
    tmp_path: Path, method: str, monkeypatch
):
    monkeypatch.setattr(Trainer, "events", None)
    init = "self.head = self.fc; del self.fc"
    forward = "return self.head(self.body(images).flatten(1))"
    settings = {"model": network(tmp_path, init=init, forward=forward), "epochs": 1}
    with pytest.raises(UsageError, match=r"network MyNet.* (body, head|named `fc`)"):
        dcbench.run(method, "digits", settings=settings, results=tmp_path / "results")


def test_record_names_a_file_and_nothing_runs_it(tmp_path: Path):
    settings = {"model": network(tmp_path), "epochs": 1}
    dcbench.run("erm", "digits", settings=settings, results=tmp_path / "results")
    [path] = (tmp_path / "results").rglob("record.json")
    registry.forget_files()
    with pytest.raises(UsageError, match=r"not run for a record's sake; .*models\.find_model"):
        dcbench.load_model(path)
    marker = tmp_path / "was-run"
    code = f"open({str(marker)!r}, 'w')\n"
    (tmp_path / "evil.py").write_text(code)
    content = json.loads(path.read_text())
    evil = f"{tmp_path}/evil.py:Net"
    recipe = content["recipe"]
    for changed in ({"method": evil}, {"recipe": {**recipe, "model": evil}}):
        path.write_text(json.dumps({**content, **changed}))
        with pytest.raises(dcbench.errors.DataError, match="should be a name"):
            read_record(path)
        with pytest.raises(dcbench.errors.DcbenchError):
            dcbench.load_model(path)
    assert not marker.exists()
    with pytest.raises(UsageError, match="unknown model"):
        build_model(evil, 3)


METHOD = """
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

class MyMethod(Method):
    def loss(self, network, batch):
        return {factor} * cross_entropy(network(batch.images), batch.labels)
"""


def test_weights_of_files_predict_once_the_files_are_named(tmp_path: Path):
    method, model = f"{tmp_path}/method.py:MyMethod", network(tmp_path)
    (tmp_path / "method.py").write_text(METHOD.format(factor=1.0))
    dcbench.run(method, "digits", settings={"model": model, "epochs": 1}, results=tmp_path)

    def predict(*named: str) -> Outcome:
        forget_code()
        return Outcome("predict", str(tmp_path), "--sets", "fog", *named)

    def failed(what: str, *named: str) -> bool:
        found = predict(*named)
        return found.code == 2 and f"{what} FILE.py:Class" in found.words

    assert failed("--method")
    assert failed("--model", "--method", method)
    (tmp_path / "method.py").write_text(METHOD.format(factor=2.0))
    changed = predict("--method", method, "--model", model)
    assert changed.code == 1
    assert "the file that is read here has" in changed.words
    (tmp_path / "method.py").write_text(METHOD.format(factor=1.0))
    assert predict("--method", method, "--model", model).code == 0
    assert len(list(tmp_path.rglob("sets/fog.json"))) == 1
    network(tmp_path, init="self.unused = 1")
    assert predict("--method", method, "--model", model, "--features").code == 1


class PlugIn(nn.Module):
    """A network as an installed package would offer it."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(192, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(images.flatten(1))


def installed(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    found = [
        EntryPoint(name.replace("_", "-"), each, "dcbench.models") for name, each in values.items()
    ]
    monkeypatch.setattr(
        registry, "entry_points", lambda group: found if group == "dcbench.models" else []
    )


def test_network_of_a_package_is_listed_built_and_hashed(monkeypatch, tmp_path: Path):
    installed(monkeypatch, plug_in=f"{__name__}:PlugIn")
    assert "plug-in" in model_names()
    record = dcbench.run(
        "erm", "digits", settings={"model": "plug-in", "epochs": 1}, results=tmp_path / "results"
    )
    assert record.network_sha256 == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    assert record.status == "custom"


def test_broken_network_of_a_package_is_told_and_hides_no_other(monkeypatch, caplog):
    installed(
        monkeypatch, broken="no_such_package:Net", plug_in=f"{__name__}:PlugIn", odd="json:JSON"
    )
    assert {"plug-in", "wrn-16-8"} <= set(model_names())
    assert "network 'broken' cannot be loaded: ModuleNotFoundError" in caplog.text
    installed(monkeypatch, gives_text="json:dumps", plug_in=f"{__name__}:PlugIn")
    found = Outcome("models", "--json")
    assert found.code == 0
    assert "plug-in" in {row["name"] for row in json.loads(found.out)}
    assert "gives-text" not in found.out
    assert "left out: network gives-text: TypeError: gives a str" in Outcome("models").words


def test_name_of_a_model_that_leads_elsewhere_is_no_recipe():
    with pytest.raises(ValueError, match="should be a name"):
        Recipe.model_validate({"model": "../x.py:Net"})


BOTH = (
    FILE.format(at_import="", init="", forward="")
    + """
from torch.nn.functional import cross_entropy
from dcbench.methods import Method, register

@register("from-the-same-file")
class Own(Method):
    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels)
"""
)


def test_method_and_network_that_are_registered_may_stand_in_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(methods, "_methods", dict(methods._methods))
    path = tmp_path / "both.py"
    path.write_text(BOTH)
    settings = {"epochs": 1, "model": f"{path}:MyNet"}
    for seed in (0, 1):  # the file is run again
        record = dcbench.run(
            f"{path}:Own", "digits", seed=seed, settings=settings, results=tmp_path / "results"
        )
    sha256 = hashlib.sha256(BOTH.encode()).hexdigest()
    assert (record.method, record.method_sha256) == ("from-the-same-file", sha256)
    assert (record.recipe.model, record.network_sha256) == ("my-net", sha256)
