import os
import socket
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from dcbench.config.paths import shipped_root
from dcbench.config.reading import parse_csv, parse_json, read_file, read_text, read_yaml
from dcbench.config.strict_yaml import MOST_VALUES, YAMLTextError, parse_yaml, yaml_text
from dcbench.errors import DataError, DcbenchError, UsageError

ROOT = shipped_root()
OURS = [
    path
    for folder in ("splits", "baselines", "leaderboard", "docs", "tests")
    for path in sorted((ROOT / folder).rglob("*.yaml"))
]


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_of_ours_means_what_it_meant_to_the_loader_before(path: Path):
    assert read_yaml(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("2020-01-01", "2020-01-01"),
        ("2020-99-99", "2020-99-99"),
        (".inf", ".inf"),
        ("1e-3", 0.001),
        ("1.5", 1.5),
        ("-3", -3),
        ("true", True),
        ("~", None),
        ("", None),
        ("'010'", "010"),
        ("!!str 12", "12"),
        ("{1: a, true: b}", {"1": "a", "true": "b"}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
    ],
)
def test_yaml_is_read_as_it_looks(text, value):
    found = parse_yaml(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: key 'a' is there twice"),
        ("{'1': a, 1: b}", "key '1' is there twice"),
        ("seeds: 010", "line 1, column 8: 010: reads as several numbers"),
        ("seeds: 1:30", "1:30: reads as several numbers"),
        ("0x_", "0x_: reads as several numbers"),
        ("0b101", "0b101: reads as several numbers"),
        ("9" * 5000, "a number of more than 18 digits"),
        ("1e999", "1e999: too large a number"),
        ("!!float", "the tag !!float is not read"),
        ("!!bool maybe", "the tag !!bool is not read"),
        ("!!timestamp 2020-01-01", "the tag !!timestamp is not read"),
        ("!!binary aGk=", "the tag !!binary is not read"),
        ("!!set {a, b}", "the tag !!set is not read"),
        ("!!python/object/apply:os.system [ls]", "the tag"),
        ("&a [*a]", "nested more than 40 deep, or an alias of what it is in"),
        ("? [a]\n: b", "a key that is no text"),
        ("<<: 3", "`<<` takes over a mapping"),
        ("a: [", "not valid YAML"),
        ("a: b: c", "not valid YAML"),
        ("a\n---\nb", "not valid YAML"),
        ("a: *nowhere", "not valid YAML"),
        ("a: \x1b", "not valid YAML"),
        ("[" * 3000, "not valid YAML"),
        ("[" * 60 + "]" * 60, "nested more than 40 deep"),
    ],
)
def test_yaml_that_could_mean_something_else_is_refused(text, message):
    with pytest.raises(YAMLTextError) as refused:
        parse_yaml(text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["[" * 20_000 + "]" * 20_000, "- " * 5000 + "a"], ids=["[", "-"])
def test_yaml_that_is_far_too_deep_is_refused_by_libyaml_or_after_it(text):
    with pytest.raises(YAMLTextError, match=r"not valid YAML|nested more than 40 deep"):
        parse_yaml(text)


def test_aliases_that_would_unfold_into_billions_are_refused_at_once():
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    with pytest.raises(YAMLTextError, match=f"more than {MOST_VALUES} values"):
        parse_yaml(laughs)


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_one_line(text):
    said = ""
    try:
        parse_yaml(text)
    except YAMLTextError as problem:
        said = str(problem)
    assert "\n" not in said


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=9,
)


@given(PLAIN)
@example("08")
@example("0E0")
@example("1:30")
@example({"\x85": ["a\x85b", "~", "yes"]})
def test_what_is_written_comes_back(value):
    assert parse_yaml(yaml_text(value, width=80)) == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cut off or not JSON"),
        (b'{"a": ', "cut off or not JSON"),
        (b"[" * 100_000, "cut off or not JSON"),
        (b"[" * 300 + b"]" * 300, "nested more than 40 deep"),
        (b"9" * 5000, "cut off or not JSON"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'"\\ud800"', "holds half of a surrogate pair"),
        (b'"\xed\xa0\x80"', "cut off or not JSON"),
        ("{}".encode("utf-16"), "cut off or not JSON"),
    ],
)
def test_json_that_is_none_is_one_line(content, message):
    with pytest.raises(DataError) as refused:
        parse_json(content, "record.json", hint="; run again")
    assert message in str(refused.value)
    assert str(refused.value).startswith("record.json: ")
    assert str(refused.value).endswith("; run again")
    assert "\n" not in str(refused.value)


def test_json_with_a_whole_surrogate_pair_is_text():
    assert parse_json(b'"\\ud83d\\ude00"', "record.json") == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n1\n", "line 2: 1 cells where the header has 2"),
        (b"a,b\n1,2,3\n", "line 2: 3 cells where the header has 2"),
        (b"a,a\n", "column a is there twice"),
        (b'a,"b\n', "cannot be read"),
        (b"a\xff\n", "byte 0xff at 1 is not UTF-8"),
        (b"a\n" + b"x" * 200_000 + b"\n", "cannot be read: field larger than"),
    ],
)
def test_table_that_is_none_is_one_line(content, message):
    with pytest.raises(DataError, match=message):
        parse_csv(content, "rows.csv")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pipe, "is a pipe; should be a regular file"),
        (Path.mkdir, "is a folder; should be a regular file"),
        (listening, "cannot be read: "),
        (lambda path: path.symlink_to("/dev/zero"), "is a link, and links are not followed here"),
        (lambda path: path.symlink_to(path), "is a link, and links are not followed here"),
        (lambda path: path.write_bytes(bytes(101)), "is larger than"),
        (lambda path: None, "no such file"),
    ],
)
def test_only_regular_files_of_a_bounded_size_are_read(make, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket may have no more than a hundred letters
    make(Path("thing"))
    with pytest.raises(DataError, match=f"^thing: {message}"):
        read_file(Path("thing"), most=100)


@pytest.mark.parametrize(
    ("target", "message"),
    [("/dev/zero", "is a device"), (".", "is a folder"), ("thing", "cannot be read: ")],
)
def test_link_is_followed_to_a_regular_file_alone(target, message, tmp_path):
    (tmp_path / "thing").symlink_to(target)
    with pytest.raises(UsageError, match=message):
        read_file(tmp_path / "thing", links=True, error=UsageError)
    (tmp_path / "file").write_text("content")
    (tmp_path / "link").symlink_to("file")
    assert read_text(tmp_path / "link", links=True) == "content"


def test_name_with_a_null_byte_is_one_line():
    with pytest.raises(DcbenchError, match="cannot be read"):
        read_file(Path("a\0b"))
