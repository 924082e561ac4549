"""TOML and JSON, read within limits of size and depth; JSON with a checksum of its own, so that none is used altered.

    menu = documents.read_toml(path, "menu")
    documents.write(path, content)
    content = documents.read(path)  # refused where a value in it is another than was written

A parser recurses, or takes hours, where a file is made for it: limits come first.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heartpole_jax import disk

MOST_DEEP = 32  # levels of lists and tables
MOST_TOML_BYTES = 2**20
CHECKSUM = "sha256"  # the key of a document's checksum
_PART = r"""(?>[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MOST_DEEP}}}")


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """What is in a TOML file, a `kind` of file. A byte order mark at its beginning is no part of it.

    Raises:
      ValueError: if the file cannot be read, is no TOML, is larger than 1 MiB, or nested deeper than 32 levels.
    """
    try:
        return parse_toml(disk.read_bytes(path, MOST_TOML_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"cannot read the {kind} {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is not TOML: {error}") from error


def parse_toml(text: str) -> dict[str, Any]:
    """What the text says. Raises ValueError for what is no TOML, or nested deeper than 32 levels."""
    if _LONG_KEY.search(text):  # each part is a table in a table, and tomllib's time grows with the square
        raise ValueError(f"a key in it has more than {MOST_DEEP} parts between dots")
    return _within_limits(lambda: tomllib.loads(text))


def parse_json(content: bytes) -> Any:
    """What the JSON says. Raises ValueError for what is none, or nested deeper than 32 levels."""
    return _within_limits(lambda: json.loads(content.decode()))


def write(path: Path, content: Mapping[str, Any], of: str = "") -> None:
    """Writes the content, which JSON can hold, with its checksum, whole or not at all.

    Args:
      of: the checksum of a document that it belongs to: beside another of that name it is refused.

    Raises:
      ValueError, TypeError: for what JSON cannot hold, numbers that are not finite included.
      OSError: where it cannot be written.
    """
    sealed = {**content, CHECKSUM: checksum(content, of)}
    disk.write_atomic(path, (json.dumps(sealed, indent=2, allow_nan=False) + "\n").encode())


def read(path: Path, of: str = "") -> dict[str, Any]:
    """What `write` has written there with the same `of`, without the checksum.

    Raises:
      ValueError: where a value in it is another than was written, or it is no such file.
      OSError: where it cannot be read.
    """
    try:
        content = parse_json(disk.read_bytes(path))
    except ValueError as error:
        raise ValueError(f"{path} is damaged, it is no JSON: {error}") from error
    if not isinstance(content, dict) or CHECKSUM not in content:
        raise ValueError(f"{path} is damaged: it has no checksum, and was written with one")
    if content.pop(CHECKSUM) != checksum(content, of):
        other = ", or it is from another folder" if of else ""
        raise ValueError(f"{path} is damaged: it is not what was saved, its checksum is another{other}")
    return content


def checksum(content: Mapping[str, Any], of: str = "") -> str:
    """SHA-256, in hex, of the content, however it is laid out in a file, after `of`, see `write`."""
    return hashlib.sha256((of + json.dumps(dict(content), sort_keys=True)).encode()).hexdigest()


def _within_limits(parse: Any) -> Any:
    try:
        content = parse()
    except RecursionError:
        content = None
    else:
        level = [content]
        for _ in range(MOST_DEEP + 1):
            level = [item for value in level for item in _items(value)]
        if not level:
            return content
    raise ValueError(f"it is nested deeper than {MOST_DEEP} levels")


def _items(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
