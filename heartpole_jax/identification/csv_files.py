"""Traces from a CSV file: one row before the first decision of a patient, and one after each.

    patient,action,heart_attack,alertness,hypertension,intoxication [permille],work_done [hours]
    ada,,,0.93,0,0,0
    ada,coffee,0,1.41,,0,0.55
    ada,sleep,0,,0.08,,

A row has the decision that led to it, and what was seen after it. A blank is a gap. Columns are found by their names,
in any order; `action` is needed, and one of the quantities. A unit other than the environment's stands in brackets.
"""

import csv
import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from heartpole_jax import disk, validation
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.identification.traces import OBSERVED, UNKNOWN, Trace, make_trace

# The units of each quantity, as factors to the environment's own, which comes first.
UNITS: Mapping[str, Mapping[str, float]] = {
    "alertness": {"units": 1.0},
    # HeartPole-v1 assumes that one unit is about 27 mmHg (envs/menus/heartpole_v1.toml).
    "hypertension": {"units": 1.0, "mmHg above normal": 1.0 / 27.0},
    "intoxication": {"%": 1.0, "permille": 0.1, "g/l": 0.1},
    "work_done": {"half-hours": 1.0, "hours": 2.0},
}
_OTHERS = ("patient", "action", "heart_attack")
_FLAGS = {"0": 0, "1": 1, "": UNKNOWN}
_MOST_BYTES = 2**26


class _Column(NamedTuple):
    """A column of the file."""

    name: str
    factor: float = 1.0


def read_csv(path: str | Path) -> dict[str, Trace]:
    """The traces in a CSV file by patient, in the file's order; without a column `patient` one, called "patient".

    Raises:
      ValueError: for a file that cannot be read, and for a column, unit, row or value that is wrong, with its line.
    """
    path = disk.as_path(path)
    try:
        text = disk.read_bytes(path, _MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text at byte {error.start}; save it as CSV in UTF-8") from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = _columns(path, next(lines, []))
        patients: dict[str, list[dict[str, Any]]] = {}
        for row in lines:
            where = f"{path}, line {lines.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(columns):
                raise ValueError(f"{where} must have {len(columns)} columns as the first line has, got {len(row)}")
            found = _row(where, columns, row)
            patients.setdefault(found.pop("patient", "patient"), []).append(found | {"where": where})
    except csv.Error as error:
        raise ValueError(f"{path}, line {lines.line_num} is not CSV: {error}") from error
    if not patients:
        raise ValueError(f"{path} has no rows; give one before the first action, and one after each")
    return {name: _trace(name, rows) for name, rows in patients.items()}


def _columns(path: Path, header: list[str]) -> list[_Column]:
    """What each column holds, from the file's first line."""
    found = [_column(f"{path}, line 1", cell.strip()) for cell in header]
    names = [column.name for column in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{path}, line 1 names {name} twice; give it once")
    if "action" not in names or not set(names) & set(OBSERVED):
        needed = f"action and one of {', '.join(OBSERVED)} at least"
        raise ValueError(f"{path}, line 1 must name the columns, {needed}, got {validation.shown(','.join(header))}")
    return found


def _column(where: str, text: str) -> _Column:
    name, bracket, unit = (part.strip() for part in text.partition("["))
    if name not in OBSERVED + _OTHERS:
        hint = validation.nearest(OBSERVED + _OTHERS, name)
        raise ValueError(
            f"{where}: unknown column {validation.shown(name)}{hint}; known: {', '.join(_OTHERS + OBSERVED)}"
        )
    if not bracket:
        return _Column(name)
    unit, units = unit.removesuffix("]").strip(), UNITS.get(name, {})
    if unit not in units:
        known = f"one of {', '.join(units)}" if units else "none"
        raise ValueError(f"{where}: the unit of {name} must be {known}, got {validation.shown(unit)}")
    return _Column(name, units[unit])


def _row(where: str, columns: list[_Column], row: list[str]) -> dict[str, Any]:
    """The values of a row by column: NaN for a gap, None for no action."""
    values: dict[str, Any] = {}
    for column, cell in zip(columns, map(str.strip, row), strict=True):
        read = _READERS.get(column.name, _number)
        try:
            value = read(cell)
        except ValueError as error:
            raise ValueError(f"{where}: {column.name} must be {error}, got {validation.shown(cell)}") from None
        values[column.name] = value * column.factor if read is _number else value
    return values


def _number(cell: str) -> float:
    try:
        value = float(cell) if cell else math.nan
    except ValueError:
        value = math.inf
    if math.isinf(value) or (cell and math.isnan(value)):
        raise ValueError("a number or blank")
    return value


def _action(cell: str) -> int | None:
    names = HEARTPOLE_V0.action_names
    if not cell:
        return None
    if cell in names:
        return names.index(cell)
    if cell.isdecimal() and int(cell) < len(names):
        return int(cell)
    raise ValueError(f"one of {', '.join(names)}, a number in 0 .. {len(names) - 1}, or blank in a first row")


def _flag(cell: str) -> int:
    if cell not in _FLAGS:
        raise ValueError("1, 0 or blank for unknown")
    return _FLAGS[cell]


def _name(cell: str) -> str:
    if not cell:
        raise ValueError("the patient's name")
    return cell


_READERS: Mapping[str, Callable[[str], Any]] = {"patient": _name, "action": _action, "heart_attack": _flag}


def _trace(patient: str, rows: list[dict[str, Any]]) -> Trace:
    """One patient's rows as a trace."""
    first, *others = rows
    if first["action"] is not None:
        raise ValueError(
            f"{first['where']}: the first row of {patient} is before any action and must have none; leave it blank, "
            "and its quantities where they are not known"
        )
    if not others:
        raise ValueError(f"{first['where']}: {patient} needs a row after each action, got the first row alone")
    for row in others:
        if row["action"] is None:
            raise ValueError(f"{row['where']}: a row after the first of {patient} must have an action, got none")
    return make_trace(
        [row["action"] for row in others],
        heart_attacks=[row["heart_attack"] for row in others] if "heart_attack" in first else None,
        **{name: [row[name] for row in rows] for name in OBSERVED if name in first},
    )
