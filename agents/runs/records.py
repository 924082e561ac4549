"""The records of a run, metrics.jsonl: a line a chunk, whose checksum counts on all lines before it.

So a line that was altered, or removed from their midst, is found, and named by its number. The first line's counts on
the run's config.json: see `origin`.
"""

import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heartpole_jax import disk, documents

Record = Mapping[str, float | None]
_CHECKSUM = "crc32"


def origin(config: Mapping[str, Any]) -> int:
    """The checksum that comes before the first line's, of the run's config.json: records of another run are found."""
    return zlib.crc32(documents.checksum(config).encode())


def encode(record: Record, before: int) -> tuple[bytes, int]:
    """The line of a record, its names sorted, and its checksum. `before` is the one before it, see `origin`."""
    checksum = _checksum(record, before)
    return (json.dumps({**dict(sorted(record.items())), _CHECKSUM: checksum}) + "\n").encode(), checksum


def encode_all(records: Iterable[Record], origin: int) -> tuple[bytes, int]:
    """The lines of records from the first on, and the checksum of the last."""
    lines, checksum = [], origin
    for record in records:
        line, checksum = encode(record, checksum)
        lines.append(line)
    return b"".join(lines), checksum


def read(path: Path, origin: int, may_be_torn: bool = True) -> list[dict[str, float | None]]:
    """The records in the file. A line that a crash tore, at its end, is left out where there may be one.

    Raises:
      ValueError: for a line that is not what was written; it names the file and the line.
      OSError: where it cannot be read.
    """
    records, checksum = [], origin
    for number, line in enumerate(disk.read_bytes(path).splitlines(keepends=True), 1):
        if may_be_torn and not line.endswith(b"\n"):
            break
        try:
            record = documents.parse_json(line)
            checksum = _checksum({name: record[name] for name in record if name != _CHECKSUM}, checksum)
            intact = record.pop(_CHECKSUM) == checksum and _is_record(record)
        except (ValueError, TypeError, KeyError, AttributeError):
            intact = False
        if not intact:
            other = "one before it is missing" if number > 1 else "the records are another run's"
            raise ValueError(f"{path} is damaged: line {number} is not what was saved, or {other}")
        records.append(record)
    return records


def as_arrays(records: Sequence[Record]) -> dict[str, np.ndarray]:
    """The records as a checkpoint holds them, a float64 for each of a name; NaN for None."""
    return {
        name: np.array([math.nan if record[name] is None else record[name] for record in records], np.float64)
        for name in records[0]
    }


def from_arrays(arrays: Mapping[str, np.ndarray]) -> list[dict[str, float | None]]:
    """The records of which `as_arrays` made the arrays."""
    return [
        {name: _number(name, value) for name, value in zip(arrays, values, strict=True)}
        for values in zip(*arrays.values(), strict=True)
    ]


def _is_record(record: Mapping[str, Any]) -> bool:
    """Whether it has its steps, and numbers or nothing else. A crafted line has a right checksum."""
    kinds = {type(value) for value in record.values()}
    return type(record.get("env_steps")) is int and kinds <= {int, float, type(None)}


def _number(name: str, value: Any) -> float | None:
    return None if math.isnan(value) else int(value) if name == "env_steps" else float(value)


def _checksum(record: Record, before: int) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode(), before)
