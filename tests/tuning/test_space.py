from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import create_model

from dcbench.config.protocol import load_protocol
from dcbench.config.tuned import Range
from dcbench.errors import UsageError
from dcbench.methods import Method, method_class, method_names
from dcbench.tuning.plan import plan_search
from dcbench.tuning.space import PRESETS, search_space

RECIPE = load_protocol("v1").entry("cifair10").training


def test_default_space_is_around_the_recipe_and_has_what_the_method_declares():
    space = search_space(method_class("remix"), RECIPE, PRESETS["default"])
    rate, decay = RECIPE.learning_rate, RECIPE.weight_decay
    assert space == {
        "learning_rate": Range(low=rate / 10, high=rate * 10, log=True),
        "weight_decay": Range(low=decay / 10, high=decay * 10, log=True),
        "alpha": Range(low=0.1, high=10, log=True),
        "kappa": Range(low=1.5, high=10),
        "tau": Range(low=0.1, high=0.9),
    }


def test_preset_gem_is_that_of_its_script():
    search = plan_search("erm", "cifair10", preset="gem")
    assert search.space == {
        "learning_rate": Range(low=1e-4, high=0.1, log=True),
        "weight_decay": Range(low=1e-5, high=0.1, log=True),
        "batch_size": Range(choices=(10, 25, 50)),
    }
    assert (search.trials, search.epochs, search.first_rung, search.reduction) == (250, 500, 50, 2)
    assert search.rungs == (50, 100, 200, 400)


def test_recipe_without_weight_decay_is_searched_where_gem_does():
    recipe = RECIPE.model_copy(update={"weight_decay": 0.0})
    space = search_space(method_class("erm"), recipe, PRESETS["default"])
    assert space["weight_decay"] == Range(low=1e-5, high=0.1, log=True)


def test_range_that_is_given_wins_and_one_value_is_not_searched():
    changes = ["alpha=0.5..2", "batch_size=[10, 25]", "weight_decay=0.005"]
    space = search_space(method_class("mixup"), RECIPE, PRESETS["default"], changes=changes)
    assert space["alpha"] == Range(low=0.5, high=2)
    assert space["batch_size"] == Range(choices=(10, 25))
    assert space["weight_decay"] == Range(choices=(0.005,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alpha", "write key=low..high"),
        ("alpha=one..two", "write two numbers"),
        ("alpha=2..1", "low=2.0, high=1.0: should be bounds that rise"),
        ("alpa=1..2", "unknown setting to search 'alpa'; did you mean alpha?"),
        ("epochs=1..2", "unknown setting to search 'epochs'"),
        ("axes=[class, both]", "fixes it"),
        ("alpha=[", "not valid YAML"),
        (
            "alpha=[]",
            "range of alpha=[]: should be two numbers that rise, as (0.01, 1.0), or a list",
        ),
    ],
)
def test_wrong_range_is_refused_in_one_line(text: str, message: str):
    with pytest.raises(UsageError, match=re.escape(message)):
        search_space(
            method_class("ic-mixup"), RECIPE, PRESETS["default"], fixed={"axes"}, changes=[text]
        )


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        (["alpha=-1..2"], "range of alpha, -1 to 2: method mixup: alpha=-1"),
        (["batch_size=10.5..10.9"], "batch_size, 10.5..10.9: should be of whole numbers"),
        (["batch_size=[10, 1000]"], "range of batch_size, 10 or 1000: batch_size=1000: split"),
    ],
)
def test_bound_that_no_run_can_have_is_refused_before_the_first_trial(ranges, message):
    with pytest.raises(UsageError, match=message):
        plan_search("mixup", "digits", protocol="v1-lite", ranges=ranges)


def test_setting_that_may_be_none_is_searched_in_whole_numbers_all_the_same():
    changes = ["level=1..3"]
    space = search_space(method_class("harmonic"), RECIPE, PRESETS["default"], changes=changes)
    assert space["level"] == Range(low=1, high=3, integer=True)


NEITHER = "should be two numbers that rise, as (0.01, 1.0), or a list of choices"


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"betta": (0.1, 0.2)}, ": unknown setting 'betta'; did you mean beta?"),
        ({"epochs": [1, 2]}, ": unknown setting 'epochs'; there are: batch_size, beta, "),
        ({"beta": (0.1, 0.2, 0.3)}, f": beta=(0.1, 0.2, 0.3): {NEITHER}"),
        ({"beta": ("0.1", "0.2")}, f": beta=('0.1', '0.2'): {NEITHER}"),
        ({"beta": (False, True)}, f": beta=(False, True): {NEITHER}"),
        ({"beta": 0.1}, f": beta=0.1: {NEITHER}"),
        ({"beta": []}, f": beta=[]: {NEITHER}"),
        ({"beta": (0.2, 0.1)}, ": beta: low=0.2, high=0.1: should be bounds that rise"),
        ({"beta": (0.1, float("nan"))}, ": beta: high=nan: input should be a finite number"),
        ({"batch_size": (1.5, 2)}, ": batch_size, 1.5..2: should be of whole numbers"),
        (["beta"], "=['beta']: should be ranges by the settings' names, as {'beta': (0.01, 1.0)}"),
    ],
)
def test_wrong_ranges_of_a_method_are_told_by_key_and_value(ranges: Any, message: str):
    method = create_model("Good", __base__=Method, beta=(float, 0.1))
    method.name, method.ranges = "good", ranges
    with pytest.raises(UsageError, match=f"^{re.escape(f'method good: ranges{message}')}"):
        search_space(method, RECIPE, PRESETS["default"])


def test_method_may_say_where_the_recipe_is_searched():
    method = create_model("Good", __base__=Method, beta=(float, 0.1))
    method.ranges = {"batch_size": (5, 25), "beta": [0.1, 0.5]}
    space = search_space(method, RECIPE, PRESETS["default"])
    assert space["batch_size"] == Range(low=5, high=25, integer=True)
    assert space["beta"] == Range(choices=(0.1, 0.5))


@pytest.mark.parametrize("name", method_names())
def test_every_method_can_be_searched_where_it_says(name: str):
    if name == "scattering":
        pytest.importorskip("kymatio")
    space = plan_search(name, "cifair10").space
    assert set(method_class(name).ranges) < set(space)


def test_setting_in_brackets_is_not_searched():
    search = plan_search("ic-mixup[alpha=2]", "digits", protocol="v1-lite")
    assert "alpha" not in search.space
    assert search.plan({}).choice.method.alpha == 2
    with pytest.raises(UsageError, match="unknown setting of ic-mixup 'epochs'"):
        plan_search("ic-mixup[epochs=2]", "digits", protocol="v1-lite")
