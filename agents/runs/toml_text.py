"""TOML, written: what `tomllib` reads back equal."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from heartpole_jax import arguments


@arguments.typed()
def document(content: Mapping[str, Any]) -> str:
    """The TOML of `content`: its values first, then its tables, one level deep; an empty table is left out.

    A table in a table is written in one line.

    Raises:
      ValueError, TypeError: for a value that TOML has not, or that no file of this project should hold.
    """
    lines = [_line(key, value) for key, value in content.items() if not isinstance(value, Mapping)]
    for name, table in content.items():
        if isinstance(table, Mapping) and table:
            lines += ["", f"[{_key(name)}]", *(_line(key, value) for key, value in table.items())]
    return "\n".join(lines).lstrip("\n") + "\n"


def _line(key: str, value: Any) -> str:
    return f"{_key(key)} = {_value(value)}"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a number in a TOML file must be finite, got {value!r}")
        return repr(value)
    if isinstance(value, Mapping):
        return _joined("{", (f"{_key(key)} = {_value(item)}" for key, item in value.items()), "}")
    if isinstance(value, list | tuple):
        return _joined("[", map(_value, value), "]")
    raise TypeError(f"TOML has texts, numbers, true and false, lists and tables, got {value!r}")


def _joined(opening: str, items: Iterable[str], closing: str) -> str:
    return opening + ", ".join(items) + closing


def _text(text: str) -> str:
    """In quotes: JSON's escapes are TOML's, but for the delete character, which JSON does not escape."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
