"""Frozen dataclasses from what a TOML or JSON file holds: each entry known, and of its field's own type.

    recipe = decode({"num_steps": 100_000, "keep": "best"}, recipe)

Nothing is converted from one type to another, but whole numbers to floats where a field takes any number. Ranges, and
what fits with what, the dataclass checks itself.
"""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from chex import Numeric

from heartpole_jax import validation
from heartpole_jax.arguments import shown

_Record = TypeVar("_Record")
# What the values of each type are called.
_KINDS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    tuple[int, ...]: "a list of whole numbers",
    Numeric: "a number",
}


def decode(content: Mapping[str, Any], base: _Record) -> _Record:
    """`base` with the entries of `content` in the place of its own.

    Raises:
      ValueError: for an entry that `base` does not have, or one of another type.
      ValueError, TypeError: where the dataclass refuses what it then is.
    """
    kinds = typing.get_type_hints(type(base))
    read = {key: convert(key, value, validation.look_up(kinds, key, "key")) for key, value in content.items()}
    return dataclasses.replace(base, **read)  # type: ignore[type-var]


def convert(name: str, value: Any, kind: Any) -> Any:
    """The value as a field of the type `kind` has it. Raises ValueError where it is of another."""
    kind = next((one for one in typing.get_args(kind) if one in _KINDS), kind) if kind not in _KINDS else kind
    if kind == tuple[int, ...]:
        fits = isinstance(value, list) and all(type(item) is int for item in value)
    else:
        fits = type(value) in ((int, float) if kind == Numeric else (kind,))  # type and not isinstance: True is an int
    if not fits:
        raise ValueError(f"{name} must be {_KINDS[kind]}, got {shown(value)}")
    return validation.as_float(value) if kind == Numeric else tuple(value) if isinstance(value, list) else value


def table(name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The table called `name`, empty where there is none. Raises ValueError where it is something else."""
    values = content.get(name, {})
    if not isinstance(values, dict):
        raise ValueError(f"{name} must be a table, [{name}], got {shown(values)}")
    return values


def decode_table(name: str, content: Mapping[str, Any], base: _Record) -> _Record:
    """`decode` of the table called `name`, whose name stands in errors."""
    values = table(name, content)
    try:
        return decode(values, base)
    except (ValueError, TypeError) as error:
        raise ValueError(f"[{name}] {error}") from error
