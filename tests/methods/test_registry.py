from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from dcbench.config.names import parse_method, parse_settings
from dcbench.draws import draw_epoch
from dcbench.errors import UsageError
from dcbench.methods import Method, build_method, method_class, method_names, register, registry
from dcbench.methods.mixup import ERM, Mixup

BUILT_IN = [
    "balanced-softmax",
    "class-balanced",
    "crt",
    "cutmix",
    "ema",
    "erm",
    "f-conv",
    "focal",
    "grad-l2",
    "harmonic",
    "ic-cutmix",
    "ic-erm",
    "ic-mixup",
    "ic-regmixup",
    "ic-remix",
    "label-smoothing",
    "ldam",
    "ldam-drw",
    "logit-adjustment",
    "manifold-mixup",
    "mixup",
    "mixup-drw",
    "regmixup",
    "remix",
    "remix-drw",
    "sam",
    "scattering",
    "swa",
    "t-vmf",
    "tau-norm",
]

METHOD_FILE = """
from dcbench.methods import Method, register
from dcbench.methods.mixup import Mixup

@register("third-party")
class Decorated(Method):
    weight: float = 2.0

    def loss(self, network, batch):
        return self.weight * network(batch.images).mean()

class MyOWNPlainMixup(Mixup):
    extra: int = 3

class NotAMethod:
    pass
"""


@pytest.fixture(autouse=True)
def only_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers what a test registers for that test alone, and finds no installed plug-ins."""
    monkeypatch.setattr(registry, "_methods", dict(registry._methods))
    monkeypatch.setattr(registry, "entry_points", lambda group: [])
    monkeypatch.setattr(Mixup, "source_sha256", None)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_file(content: str) -> Path:
        path = tmp_path / "strange_method.py"
        path.write_text(textwrap.dedent(content))
        return path

    return write_file


# --- names ---------------------------------------------------------------------------------------


def test_the_methods_are_those_that_are_promised():
    assert method_names() == BUILT_IN
    assert all(method_class(name).name == name for name in BUILT_IN)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("ic-*", ["ic-cutmix", "ic-erm", "ic-mixup", "ic-regmixup", "ic-remix"]),
        ("*mix", ["cutmix", "ic-cutmix", "ic-remix", "remix"]),
        ("er?", ["erm"]),
        ("nothing", []),
    ],
)
def test_methods_are_listed_by_wildcard(pattern, found):
    assert method_names(pattern) == found


@pytest.mark.parametrize(
    "name",
    ["", "Mixup", "my_method", "my method", "-mixup", "mixup-", "my--mixup", "mixup[a=1]", "a/b"],
)
def test_name_that_is_not_lower_case_words_is_refused(name):
    with pytest.raises(UsageError, match="use lower-case words joined by hyphens"):
        register(name)


def test_registered_method_is_found_and_built():
    @register("my-method2")
    class Mine(Method):
        weight: float = 1.0

    assert "my-method2" in method_names()
    assert Mine.name == "my-method2"
    assert build_method("my-method2", {"weight": 3}) == Mine(weight=3)


def test_taken_name_is_refused_and_its_holder_stays():
    with pytest.raises(UsageError, match=r"'mixup' is taken by dcbench\.methods\.mixup"):

        @register("mixup")
        class Other(Method):
            pass

    assert method_class("mixup") is Mixup


def test_the_same_class_may_be_registered_again_as_on_a_reload():
    register("mixup")(Mixup)
    assert method_class("mixup") is Mixup


def test_unknown_method_is_answered_with_the_nearest_names():
    with pytest.raises(UsageError, match="unknown method 'mix-up'; did you mean mixup") as caught:
        method_class("mix-up")
    assert caught.value.exit_code == 2
    with pytest.raises(
        UsageError, match=r"unknown method 'zzz'; there are: balanced-softmax, .*erm, .*remix"
    ):
        build_method("zzz", {})
    with pytest.raises(
        UsageError, match=r"zzz.*remix.*; a method of your own is named FILE.py:Class"
    ):
        method_class("zzz")
    with pytest.raises(UsageError, match=r"method mine/smooth.py: write FILE.py:Class"):
        method_class("mine/smooth.py")


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "settings"),
    [
        ("erm", "erm", {}),
        (" erm ", "erm", {}),
        ("erm[]", "erm", {}),
        ("mixup[alpha=0.2]", "mixup", {"alpha": 0.2}),
        ("ic-mixup[axes=class,alpha=20]", "ic-mixup", {"axes": "class", "alpha": 20}),
        ("ic-mixup[axes=class, alpha = 20]", "ic-mixup", {"axes": "class", "alpha": 20}),
        ("x[a=[1,2],b=3]", "x", {"a": [1, 2], "b": 3}),
        ("x[b=3,a=[1, 2, 3]]", "x", {"b": 3, "a": [1, 2, 3]}),
        ("x[a=true,b=null,c=text]", "x", {"a": True, "b": None, "c": "text"}),
        ("x[a=b=c]", "x", {"a": "b=c"}),
        ("dir/file.py:Mine[a=1]", "dir/file.py:Mine", {"a": 1}),
    ],
)
def test_method_is_split_into_its_name_and_its_settings(text, name, settings):
    assert parse_method(text) == (name, settings)


@pytest.mark.parametrize("text", ["", "[a=1]", "erm[a=1", "erm]", "erm[a=1]x", "erm][a=1]"])
def test_brackets_that_do_not_match_are_refused(text):
    with pytest.raises(UsageError, match="write "):
        parse_method(text)


@pytest.mark.parametrize("pair", ["alpha", "=1", "alpha=", " = ", ""])
def test_setting_without_key_or_value_is_refused(pair):
    with pytest.raises(UsageError, match=f"setting '{pair}': write key=value"):
        parse_settings([pair])


def test_setting_that_is_not_yaml_is_refused():
    with pytest.raises(UsageError, match=r"setting 'a=\[1': not valid YAML"):
        parse_settings(["a=[1"])


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (
            "mixup",
            {"alpha": 0},
            "method mixup: alpha=0: input should be greater than or equal to 0.001",
        ),
        (
            "mixup",
            {"alpha": -1},
            "method mixup: alpha=-1: input should be greater than or equal to 0.001",
        ),
        ("mixup", {"alpha": "much"}, "alpha='much': input should be a valid number"),
        ("mixup", {"alhpa": 1}, "method mixup: unknown key 'alhpa'; did you mean 'alpha'?"),
        ("mixup", {"zzz": 1}, "unknown key 'zzz'; there are: alpha, coefficient"),
        ("erm", {"alpha": 1}, "method erm: unknown key 'alpha'; there are: none"),
        ("ic-mixup", {"axes": "row"}, "axes='row': input should be 'class', 'pair' or 'both'"),
        ("ic-mixup", {"duplicates": "no"}, "input should be 'negative' or 'share'"),
        ("mixup", {"coefficient": "image"}, "input should be 'batch' or 'sample'"),
        ("remix", {"kappa": 1}, "kappa=1: input should be greater than 1"),
        ("remix", {"tau": 1.5}, "tau=1.5: input should be less than or equal to 1"),
        ("regmixup", {"eta": 0}, "eta=0: input should be greater than 0"),
        ("regmixup", {"forward": "both"}, "input should be 'separate' or 'joint'"),
        (
            "mixup",
            {"alpha": -1, "x": 2},
            "alpha=-1: input should be greater than or equal to 0.001; unknown key",
        ),
        ("mixup", {"alpha": float("nan")}, "alpha=nan"),
        ("mixup", {"alpha": float("inf")}, "alpha=inf"),
        ("remix", {"kappa": float("inf")}, "kappa=inf"),
        ("regmixup", {"eta": float("inf")}, "eta=inf"),
    ],
)
def test_wrong_setting_is_told_with_the_method_the_key_and_what_would_do(method, settings, message):
    with pytest.raises(UsageError) as caught:
        build_method(method, settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_cannot_be_changed_once_built():
    method = build_method("mixup", {"alpha": 0.2})
    with pytest.raises(Exception, match="frozen"):
        method.alpha = 3


# --- methods of a file ---------------------------------------------------------------------------


def test_method_of_a_file_is_built_and_goes_by_its_registered_name(write):
    path = write(METHOD_FILE)
    method = build_method(f"{path}:Decorated", {"weight": 5})
    assert method.name == "third-party"
    assert method.settings == {"weight": 5.0}
    assert method.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "third-party" in method_names()


def test_class_of_a_file_without_the_decorator_is_named_after_itself(write):
    method = build_method(f"{write(METHOD_FILE)}:MyOWNPlainMixup", {})
    assert method.name == "my-own-plain-mixup"
    assert method.settings == {"alpha": 1.0, "coefficient": "batch", "extra": 3}
    assert method_class("my-own-plain-mixup") is type(method)
    assert Mixup.name == "mixup"


def test_methods_of_dcbench_have_no_source_hash(write):
    method_class(f"{write(METHOD_FILE)}:MyOWNPlainMixup")
    assert all(method_class(name).source_sha256 is None for name in BUILT_IN)


def test_class_that_a_file_only_imports_does_not_take_on_its_hash(write):
    path = write(METHOD_FILE)
    with contextlib.suppress(UsageError):  # to refuse it would do as well
        method_class(f"{path}:Mixup")
    assert Mixup.source_sha256 is None


def test_method_of_a_file_may_be_asked_for_twice(write):
    path = write(METHOD_FILE)
    assert method_class(f"{path}:Decorated").name == method_class(f"{path}:Decorated").name


def test_method_of_a_file_may_be_asked_for_again_after_an_edit(write):
    method_class(f"{write(METHOD_FILE)}:Decorated")
    path = write(METHOD_FILE.replace("2.0", "40.0"))
    assert build_method(f"{path}:Decorated", {}).settings == {"weight": 40.0}


def test_code_that_runs_is_that_of_the_hash_however_quick_the_edit(write, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    content = """
    from dcbench.methods import Method

    class First(Method):
        weight: float = 2.0

    class Second(Method):
        weight: float = 2.0
    """
    path = write(content)
    written = path.stat()
    method_class(f"{path}:First")
    path = write(content.replace("2.0", "4.0"))
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    method = build_method(f"{path}:Second", {})
    assert method.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert method.settings == {"weight": 4.0}


def test_annotations_of_a_file_may_be_postponed(write):
    content = """
    from __future__ import annotations
    from typing import Literal
    from dcbench.methods import Method

    class Postponed(Method):
        kind: Literal["a", "b"] = "a"
    """
    assert build_method(f"{write(content)}:Postponed", {"kind": "b"}).settings == {"kind": "b"}


def test_missing_method_file_is_told_by_name(tmp_path: Path):
    path = tmp_path / "nowhere.py"
    with pytest.raises(UsageError, match=f"method file {path}: no such file"):
        method_class(f"{path}:Mine")


@pytest.mark.parametrize("name", ["Decoratd", "Method", "NotAMethod", ""])
def test_missing_class_is_answered_with_those_the_file_defines(write, name):
    path = write(METHOD_FILE)
    with pytest.raises(UsageError) as caught:
        method_class(f"{path}:{name}")
    wrong = {
        "NotAMethod": f"method file {path}: NotAMethod is no subclass of dcbench.methods.Method;"
    }
    assert wrong.get(name, f"in {path} '{name}'; ") in str(caught.value)
    assert "Decorated" in str(caught.value)
    assert "NotAMethod" not in str(caught.value).split(";")[1]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("class Mine(:", ": SyntaxError: invalid syntax (strange_method.py, line 1)"),
        (
            "\nimport nothing_of_that_name",
            ", line 2: ModuleNotFoundError: No module named 'nothing_of",
        ),
        ("def at():\n 1 / 0\nat()", ", line 2, in at: ZeroDivisionError: division by zero"),
    ],
)
def test_file_that_cannot_be_run_is_told_by_name_and_reason(write, content, problem):
    path = write(content)
    with pytest.raises(UsageError) as caught:
        method_class(f"{path}:Mine")
    assert f"method file {path}{problem}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_that_takes_a_taken_name_is_refused(write):
    content = """
    from dcbench.methods import Method, register

    @register("erm")
    class Mine(Method):
        pass
    """
    with pytest.raises(UsageError, match=r"^method name 'erm' is taken by"):
        method_class(f"{write(content)}:Mine")
    assert method_class("erm") is ERM


# --- methods of installed packages ---------------------------------------------------------------


class PlugIn(Method):
    """A method as an installed package would offer it."""

    instances: ClassVar[list[int]] = []
    weight: float = 1.0


def installed(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Let these names and `module:Class` be the entry points of installed packages."""
    found = [
        EntryPoint(name.replace("_", "-"), value, "dcbench.methods")
        for name, value in values.items()
    ]
    monkeypatch.setattr(
        registry, "entry_points", lambda group: found if group == "dcbench.methods" else []
    )


def test_method_of_an_installed_package_is_listed_and_built(monkeypatch):
    installed(monkeypatch, plug_in=f"{__name__}:PlugIn")
    assert build_method("plug-in", {"weight": 2}) == PlugIn(weight=2)
    assert method_names() == sorted([*BUILT_IN, "plug-in"])
    assert PlugIn.name == "plug-in"
    assert PlugIn.source_sha256 == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


@pytest.mark.parametrize("alpha", [0, 1e-4, 1e7, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["mixup", "ic-regmixup"])
def test_alpha_whose_coefficients_are_all_alike_is_refused_with_the_range_that_works(name, alpha):
    with pytest.raises(UsageError, match=r"alpha=.*(0\.001|1000000|finite)"):
        build_method(name, {"alpha": alpha})


@pytest.mark.parametrize("alpha", [1e-3, 1e6])
def test_coefficients_at_the_ends_of_alphas_range_are_numbers_and_differ(alpha):
    mixing = build_method("mixup", {"alpha": alpha}).mixing
    drawn = draw_epoch(0, 0, 4000, 1, mixing=mixing).coefficients
    assert np.isfinite(drawn).all()
    assert len(np.unique(drawn)) > 10


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_package:Mine", "No module named 'no_such_package'"),
        (f"{__name__}:NoSuchClass", "NoSuchClass"),
        (f"{__name__}:BUILT_IN", "is no Method"),
    ],
)
def test_broken_plug_in_is_logged_by_name_and_hides_no_other(monkeypatch, caplog, value, reason):
    installed(monkeypatch, broken=value, plug_in=f"{__name__}:PlugIn")
    with caplog.at_level(logging.WARNING):
        names = method_names()
    assert names == sorted([*BUILT_IN, "plug-in"])
    [logged] = caplog.messages
    assert "method 'broken' cannot be loaded" in logged
    assert reason in logged


def test_plug_in_of_a_taken_name_does_not_replace_its_holder(monkeypatch):
    installed(monkeypatch, mixup=f"{__name__}:PlugIn")
    assert method_names() == BUILT_IN
    assert method_class("mixup") is Mixup


def test_plug_in_of_a_malformed_name_is_only_logged(monkeypatch, caplog):
    installed(monkeypatch, Bad=f"{__name__}:PlugIn")
    assert method_names() == BUILT_IN
    assert "lower-case words" in caplog.text


def test_plug_ins_are_not_loaded_for_a_method_that_is_there(monkeypatch):
    monkeypatch.setattr(registry, "entry_points", lambda group: pytest.fail("it was asked"))
    assert method_class("erm") is ERM
