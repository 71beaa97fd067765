"""Configuration is checked where it enters: pydantic's findings as one line for the user."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import PydanticKnownError, core_schema

from dcbench.errors import DcbenchError, UsageError


def _whole_number(value: object) -> object:
    """What may be a whole number: 2, or the 2.0 of an old record."""
    if isinstance(value, bool | str | bytes):
        raise PydanticKnownError("int_type")
    return value


def _without_coercion(schema: Any) -> Any:
    """A schema of pydantic's whose numbers and truth values are made of nothing else.

    Keys of mappings are left as they are: JSON has no others than text.
    """
    if isinstance(schema, list | tuple):
        return type(schema)(map(_without_coercion, schema))
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "int" and "strict" not in schema:
        lax = {**schema, "strict": False}
        return core_schema.no_info_before_validator_function(_whole_number, lax)
    strict = {"strict": True} if schema.get("type") in ("bool", "float") else {}
    return strict | {
        key: each if key == "keys_schema" else _without_coercion(each)
        for key, each in schema.items()
    }


class Config(BaseModel):
    """Base of everything read from a file or the command line: immutable, no unknown keys.

    A number or truth value is what is written as one: `true` is not 1, nor `"2"` a number, nor
    `yes` true. A field whose file has text alone says `strict=False`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """The checks of the fields; a `strict` model would refuse lists for tuples as well."""
        return _without_coercion(handler(source))


AnyConfig = TypeVar("AnyConfig", bound=BaseModel)


def validated(
    model: type[AnyConfig],
    values: object,
    where: str | Path,
    error: type[DcbenchError] = UsageError,
) -> AnyConfig:
    """`values` as a `model`, or `error` with file, key, value and what would be right."""
    try:
        return model.model_validate(values)
    except ValidationError as invalid:
        findings = "; ".join(
            _finding(model, dict(finding)) for finding in invalid.errors(include_url=False)
        )
        raise error(f"{where}: {findings}") from None


def _finding(model: type[BaseModel], finding: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in finding["loc"]) or "the whole"
    if finding["type"] == "extra_forbidden":
        known = _keys_beside(model, finding["loc"])
        near = difflib.get_close_matches(str(finding["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known) or 'none'}"
        return f"unknown key '{key}'; {hint}"
    if finding["type"] == "missing":
        return f"key '{key}' is missing"
    message: str = _PLAINLY.get(finding["type"]) or finding["msg"].removeprefix("Value error, ")
    if finding["type"] == "value_error" and not finding["loc"]:
        return message
    return f"{key}={_short(finding['input'])}: {message[0].lower()}{message[1:]}"


_PLAINLY = {"bool_type": "should be true or false"}


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def _keys_beside(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The keys that the model has beside an unknown one."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})

    def resolved(part: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in part:
            part = definitions[part["$ref"].rsplit("/", 1)[-1]]
        return part

    for step in location[:-1]:
        if isinstance(step, int):
            inner = schema.get("items", {})
        elif "discriminator" in schema:
            inner = {"$ref": schema["discriminator"]["mapping"][step]}
        else:
            others = schema.get("additionalProperties") or {}
            inner = schema.get("properties", {}).get(step, others)
        schema = resolved(inner if isinstance(inner, dict) else {})
    return sorted(schema.get("properties", {}))
