import pytest
import torch
from torch import nn

from dcbench.errors import UsageError
from dcbench.models import build_model, model_names, register_model, registry


@pytest.fixture
def empty_registry(monkeypatch):
    monkeypatch.setattr(registry, "_BUILDERS", {})
    monkeypatch.setattr(registry, "_FAMILIES", [])
    monkeypatch.setattr(registry, "_NAMES", set())


def test_names_are_listed_in_order_and_filtered_by_wildcard():
    assert {"digits-cnn", "resnet-18", "resnet-32", "resnet-34", "wrn-16-8"} <= set(model_names())
    assert model_names() == sorted(model_names())
    assert model_names("wrn-16-*") == ["wrn-16-1", "wrn-16-2", "wrn-16-8"]
    assert model_names("nothing-*") == []


def test_members_of_a_family_that_are_not_listed_can_be_built():
    assert "wrn-22-3" not in model_names()
    assert build_model("wrn-22-3", 4).fc.weight.shape == (4, 64 * 3)
    assert "resnet-26" not in model_names()
    assert build_model("resnet-26", 4).fc.weight.shape == (4, 64)


def test_misspelt_name_is_answered_with_the_nearest_one():
    with pytest.raises(
        UsageError, match=r"unknown model 'wrn-16-8x'; did you mean .*wrn-16-8"
    ) as e:
        build_model("wrn-16-8x", 10)
    assert e.value.exit_code == 2


@pytest.mark.parametrize("name", ["wrn-16-0", "wrn-016-8", "wrn-16", "resnet-", "resnet-32 "])
def test_names_outside_a_family_are_unknown(name):
    with pytest.raises(UsageError, match="unknown model"):
        build_model(name, 10)


@pytest.mark.parametrize(
    ("name", "message"),
    [("wrn-12-2", r"6n \+ 4 .*got 12"), ("wrn-4-2", "got 4"), ("resnet-19", r"6n \+ 2 .*got 19")],
)
def test_depths_that_a_family_lacks_are_refused_with_those_it_has(name, message):
    with pytest.raises(UsageError, match=message):
        build_model(name, 10)


@pytest.mark.parametrize("name", ["resnet-50", "resnet-152"])
def test_a_narrow_network_is_not_passed_off_as_a_bottleneck_network(name):
    with pytest.raises(UsageError, match=f"{name} is ImageNet's bottleneck network"):
        build_model(name, 10)


@pytest.mark.parametrize("num_classes", [0, -1])
def test_a_network_needs_a_class(num_classes):
    with pytest.raises(UsageError, match=f"num_classes must be at least 1; got {num_classes}"):
        build_model("digits-cnn", num_classes)


@pytest.mark.usefixtures("empty_registry")
def test_a_registered_builder_is_found_and_its_name_cannot_be_taken_twice():
    @register_model("linear")
    def linear(num_classes: int) -> nn.Module:
        return nn.Linear(5, num_classes)

    assert model_names() == ["linear"]
    assert build_model("linear", 3)(torch.zeros(2, 5)).shape == (2, 3)
    with pytest.raises(UsageError, match="model 'linear' is registered already"):
        register_model("linear")(linear)
