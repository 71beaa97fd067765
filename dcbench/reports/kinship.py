"""What a method is related to: its family, and the twin that it is compared with."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from dcbench.errors import UsageError
from dcbench.methods import Method, method_class


class Kinship(NamedTuple):
    """What a method is drawn and compared beside.

    Attributes
    ----------
    family : str
        Methods of one family stand together.
    twin : str
        The method that it is a variant of; empty where it is of none.
    """

    family: str
    twin: str


def plain_name(method: str) -> str:
    """The name of a method without its settings."""
    return method.partition("[")[0]


def class_of(method: str, known: Collection[str] | None = None) -> type[Method] | None:
    """The class of a method, with settings or without; None where there is none of that name.

    Parameters
    ----------
    known
        All names that are looked for. An unknown one has every installed package asked for it, so
        whoever asks for many names gives them.
    """
    name = plain_name(method)
    # Names come from tables that others wrote, and `method_class` would run a file of that name.
    if ".py:" in name or (known is not None and name not in known):
        return None
    try:
        return method_class(name)
    except UsageError:
        return None


def kinship(method: str, known: Collection[str] | None = None) -> Kinship:
    """Family and twin of a method; one that `class_of` does not find is a family of its own."""
    found = class_of(method, known)
    name = plain_name(method)
    return Kinship(found.family or name, found.twin) if found else Kinship(name, "")
