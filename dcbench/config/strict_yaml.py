"""YAML as it reads: text, numbers, true and false, lists and mappings, and nothing by surprise.

The plain words of YAML 1.2's JSON schema alone are more than text. What YAML 1.1 makes of `yes`,
`010`, `1:30` and `2020-01-01` is either text here or refused, and so are tags, a key that stands
twice, and aliases that would unfold into more than a file may hold.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MOST_DEEP = 40
"""Lists and mappings within one another."""

MOST_VALUES = 100_000
"""Values of a text, those behind an alias counted wherever the alias stands."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_MISLEADING = re.compile(r"[-+]?0[0-9_]+|[-+]?0[xob][0-9a-fA-F_]*|[0-9][0-9_]*(:[0-9]+)+")
_WORDS: dict[str, bool | None] = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_WORDS |= dict.fromkeys(("null", "Null", "NULL", "~", ""))
_MOST_DIGITS = 18


class YAMLTextError(ValueError):
    """A text that is not the YAML that is read here; the message says why, and where."""


class _Composer:
    """What a parser of PyYAML asks about tags: it is told apart what was plain and what quoted."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        """The tag of a node that has none of its own."""
        if kind is not ScalarNode:
            return "collection"
        return "plain" if implicit[0] else "quoted"

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Nothing depends on where a node stands."""

    def ascend_resolver(self) -> None:
        """Nothing depends on where a node stands."""


try:
    from yaml._yaml import CParser

    class _Parser(_Composer, CParser):
        """libyaml's parser: it takes a tenth of the time."""

except ImportError:  # a PyYAML that was built without libyaml
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Parser(_Composer, Reader, Scanner, Parser, Composer):  # type: ignore[no-redef]
        """PyYAML's own parser."""

        def __init__(self, text: str) -> None:
            Reader.__init__(self, text)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises
    ------
    YAMLTextError
        It is no YAML, or holds what is refused.
    """
    try:
        root = _Parser(text).get_single_node()
    except (yaml.YAMLError, UnicodeError, RecursionError, OverflowError) as problem:
        raise YAMLTextError(f"not valid YAML: {' '.join(str(problem).split())}") from None
    return None if root is None else _Values().of(root, 0)


class _Dumper(yaml.SafeDumper):
    """Puts in quotes what PyYAML takes for text and the reader here does not, such as `08`."""

    def represent_text(self, text: str) -> ScalarNode:
        """A text as a node."""
        quoted = _is_no_plain_text(text) or "\x85" in text
        return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if quoted else None)


_Dumper.add_representer(str, _Dumper.represent_text)


def yaml_text(value: Any, width: int) -> str:
    """A value as the YAML that `parse_yaml` reads, in lines of about `width` characters."""
    written: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width
    )
    return written


class _Values:
    """Values of nodes."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def of(self, node: Node, depth: int) -> Any:
        """The value of a node; behind an alias it is made anew."""
        self._left -= 1
        if self._left < 0:
            _refuse(node, f"more than {MOST_VALUES} values, with what aliases stand for")
        if depth > MOST_DEEP:
            _refuse(node, f"nested more than {MOST_DEEP} deep, or an alias of what it is in")
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if node.tag not in ("collection", "!"):
            _refuse(node, f"the tag {_shown(node.tag)} is not read")
        if isinstance(node, SequenceNode):
            return [self.of(each, depth + 1) for each in node.value]
        assert isinstance(node, MappingNode)
        return self._mapping(node, depth)

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or key.tag not in ("plain", "quoted", "!"):
                _refuse(key, "a key that is no text")
            if key.value in own or (merged and _is_merge(key)):
                _refuse(key, f"key '{_shown(key.value)}' is there twice")
            found = self.of(value, depth + 1)
            if not _is_merge(key):
                own[key.value] = found
            elif isinstance(found, dict):
                merged = found
            else:
                _refuse(value, "`<<` takes over a mapping")
        return {**merged, **own}


def _is_merge(key: ScalarNode) -> bool:
    return key.tag == "plain" and key.value == "<<"


def _scalar(node: ScalarNode) -> Any:
    text: str = node.value
    if node.tag in ("quoted", "!", "tag:yaml.org,2002:str"):
        return text
    if node.tag != "plain":
        _refuse(node, f"the tag {_shown(node.tag)} is not read")
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > _MOST_DIGITS:
            _refuse(node, f"{_shown(text)}: a number of more than {_MOST_DIGITS} digits")
        return int(text)
    if _MISLEADING.fullmatch(text):
        _refuse(node, f"{_shown(text)}: reads as several numbers; write it plainly, or in quotes")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if abs(number) == float("inf"):
            _refuse(node, f"{_shown(text)}: too large a number")
        return number
    return text


def _is_no_plain_text(text: str) -> bool:
    numbers = (_INTEGER, _MISLEADING, _FLOAT)
    return text in _WORDS or any(each.fullmatch(text) for each in numbers)


def _refuse(node: Node, why: str) -> NoReturn:
    mark = node.start_mark
    raise YAMLTextError(f"line {mark.line + 1}, column {mark.column + 1}: {why}")


def _shown(text: str, limit: int = 40) -> str:
    text = text.replace("tag:yaml.org,2002:", "!!")
    return text if len(text) <= limit else f"{text[:limit]}…"
