"""Menus: what a developer can do, as data. A TOML file with one table [[action]] a row; no code.

    extends = "heartpole_v1"    # optional: the rows of a shipped menu come first

    menu = load("my_menu.toml")              # checked
    env = hp.make("HeartPole-v1", menu=menu)

A menu is a pytree. Its doses and hazards are leaves, which can be traced, swept and differentiated; what shapes the
program (which actions there are, how long each takes, which doses it has at all) is static.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, Numeric

from heartpole_jax import arguments, disk, documents, struct, validation
from heartpole_jax.arguments import shown
from heartpole_jax.envs.physiology import uniform_between

CHANNELS = ("alertness", "hypertension", "intoxication", "stimulation", "impairment")
GRADES = ("meta-analysis", "trial", "case-crossover", "review", "assumed")  # the best evidence first
FOLDER = Path(__file__).parent / "menus"
# A week. The half-hours of a break are written out in the compiled program.
LONGEST_BREAK = 336

_FLAGS = (bool, np.bool_, np.ndarray, jax.Array)
Dose = tuple[Numeric, Numeric]  # lowest and highest, drawn uniformly


@struct.exportable
@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[*CHANNELS, "hazard"],
    meta_fields=["name", "half_hours", "wakes_up", "source", "grade", "note"],
)
@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One action. A channel of None gets no dose, and costs the program nothing."""

    name: str
    half_hours: int  # the break, before the half-hour of work that every decision ends with
    alertness: Dose | None = None  # arbitrary units; comes after the break, the other doses before it
    hypertension: Dose | None = None  # arbitrary units, about 27 mmHg each
    intoxication: Dose | None = None  # % blood alcohol content
    stimulation: Dose | None = None  # units of alertness
    impairment: Dose | None = None  # units of alertness
    hazard: Numeric = 1.0  # factor of the heart attack risk of every half-hour of the decision
    wakes_up: bool = False  # sleep: alertness and time_since_slept begin anew after the break
    source: str
    grade: str  # one of GRADES
    note: str = ""


@struct.exportable
@functools.partial(jax.tree_util.register_dataclass, data_fields=["actions"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class Menu:
    """What a developer can do; an action's number is its place in `actions`."""

    actions: tuple[Row, ...]


_COLUMNS = tuple(field.name for field in dataclasses.fields(Row))
_SOURCES = ("source", "grade", "note")  # columns that no patient feels
_NEEDED = ("name", "half_hours", "source", "grade")


@arguments.checked(name_or_file=arguments.check_path)
def find(name_or_file: str | Path) -> Menu:
    """The menu in a file, where the name ends in ".toml", or else the one of this package called so.

    Raises:
      ValueError: as `load`, and for an unknown name.
    """
    if str(name_or_file).endswith(".toml"):
        return load(name_or_file)
    shipped = {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}
    return load(validation.look_up(shipped, str(name_or_file), "menu (a file's name ends in .toml)"))


def as_menu(menu: Menu | str | Path | None) -> Menu:
    """`menu` itself, the menu that `find` finds for a name or file, or `default` for None.

    Raises:
      ValueError: as `load`.
      TypeError: for what is none of these, or a menu of arrays or tracers.
    """
    menu = default() if menu is None else find(menu) if isinstance(menu, str | Path) else menu
    check(menu)
    if not all(type(leaf) in (int, float) for leaf in jax.tree.leaves(menu)):
        raise TypeError("this menu must be of plain numbers; give arrays and tracers to EnvParams(menu=...)")
    return menu


@functools.cache
def default() -> Menu:
    """The menu of HeartPole-v1, as it is shipped."""
    return find("heartpole_v1")


@arguments.checked(file=arguments.check_path)
def load(file: str | Path) -> Menu:
    """The menu in a TOML file.

    Raises:
      ValueError: for a file that cannot be read or is no TOML, an unknown or a missing key, a value of the wrong kind,
        out of range, not finite or upside down, two rows of one name, no row at all. It names the file, row and key.
    """
    content = documents.read_toml(disk.as_path(file), "menu")
    unknown = sorted(set(content) - {"action", "extends"})
    if unknown:
        raise ValueError(
            f"{file}: unknown key {unknown[0]!r}; a menu has rows [[action]] and, at most, extends beside them"
        )
    base = _extended(content["extends"], str(file)) if "extends" in content else ()
    rows = content.get("action", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{file}: action must be a list of tables, got {shown(rows)}; write [[action]] above each row")
    menu = Menu((*base, *(_read_row(row, f"{file}, row {number}") for number, row in enumerate(rows, len(base) + 1))))
    check(menu, str(file))
    return menu


@arguments.checked(where=str)
def check(menu: Menu, where: str = "menu") -> None:
    """Checks every value of a menu that is known now (tracers pass).

    Raises:
      ValueError, TypeError: as `load`, with `where` in the place of the file.
    """
    if not isinstance(menu, Menu):
        raise TypeError(
            f"{where} must be a Menu, got {validation.described(menu)}; "
            "heartpole_jax.envs.menu.load reads one from a file"
        )
    if not isinstance(menu.actions, tuple) or not all(isinstance(row, Row) for row in menu.actions):
        raise TypeError(f"{where}.actions must be a tuple of Rows, got {validation.described(menu.actions)}")
    if not menu.actions:
        raise ValueError(f"{where} has no actions; a developer needs at least one row [[action]]")
    rows: dict[str, int] = {}
    for number, row in enumerate(menu.actions, 1):
        _check_row(row, f"{where}, row {number} ({shown(row.name)})")
        if row.name in rows:
            raise ValueError(f"{where}: rows {rows[row.name]} and {number} are both called {row.name!r}; rename one")
        rows[row.name] = number


@arguments.typed()
def idles(row: Row) -> bool:
    """Whether the action is to work on, and nothing else."""
    has_dose = any(getattr(row, channel) is not None for channel in CHANNELS)
    return not (row.half_hours or row.wakes_up or has_dose) and bool(np.all(np.asarray(row.hazard) == 1))


@arguments.typed()
def may_lower(menu: Menu, channel: str) -> bool:
    """Whether an action can lower `channel`."""
    lowest = [getattr(row, channel)[0] for row in menu.actions if getattr(row, channel) is not None]
    return any(isinstance(low, jax.core.Tracer) or np.any(np.asarray(low) < 0) for low in lowest)


@arguments.typed()
def digest(menu: Menu) -> str:
    """SHA-256, in hex, of all that the rows of a menu of plain numbers have but their source, grade and note."""
    rows = [dataclasses.asdict(row) for row in menu.actions]
    felt = [{key: value for key, value in row.items() if key not in _SOURCES and value is not None} for row in rows]
    return hashlib.sha256(json.dumps(felt, sort_keys=True).encode()).hexdigest()


@arguments.checked(menu=Menu)
def index(menu: Menu, name: str) -> int:
    """The number of the action called `name`. Raises ValueError if there is none, with the nearest name that is."""
    return validation.look_up({row.name: number for number, row in enumerate(menu.actions)}, name, "action")


@arguments.checked(menu=Menu)
def change(menu: Menu, name: str, **values: Any) -> Menu:
    """`menu` with other values in the row called `name`, traced ones as well: `change(menu, "coffee", hazard=2.0)`.

    Raises:
      ValueError: as `check`, and for an unknown name.
      TypeError: for an unknown column.
    """
    rows, number = list(menu.actions), index(menu, name)
    rows[number] = dataclasses.replace(rows[number], **values)
    changed = Menu(tuple(rows))
    check(changed)
    return changed


@arguments.typed()
def dose(menu: Menu, channel: str, chosen: Sequence[Array], u: Numeric) -> Array | None:
    """The dose that the chosen row has for `channel`, drawn by the uniform `u`; None where no row has any.

    `chosen` holds a bool of shape () for each row, whether it is the one.
    """
    validation.look_up(dict.fromkeys(CHANNELS), channel, "channel")
    ranges = [getattr(row, channel) or (None, None) for row in menu.actions]
    if all(low is None for low, _ in ranges):
        return None
    # The range is picked and then the dose drawn: fewer operations than to draw every row's dose and pick one.
    low, high = (pick(chosen, ends, 0.0) for ends in zip(*ranges, strict=True))
    return uniform_between(low, high, u)


@arguments.typed(otherwise=arguments.check_numeric)
def pick(chosen: Sequence[Array], values: Sequence[Any], otherwise: Numeric) -> Array:
    """The value of the chosen row; `otherwise` where that is None, or where no row is chosen."""
    picked = otherwise
    for is_chosen, value in _of_each_row(chosen, values):
        if value is not None:
            picked = jnp.where(is_chosen, value, picked)
    return picked


@arguments.typed()
def is_one_of(chosen: Sequence[Array], marks: Sequence[bool]) -> Array:
    """Whether the chosen row is marked, a bool of shape ()."""
    marked = [is_chosen for is_chosen, mark in _of_each_row(chosen, marks) if mark]
    return functools.reduce(jnp.logical_or, marked, jnp.zeros_like(chosen[0]))


def _of_each_row(chosen: Sequence[Array], values: Sequence[Any]) -> list[tuple[Array, Any]]:
    if len(chosen) != len(values) or not chosen:
        raise ValueError(f"chosen must be a bool for each of the {len(values)} rows, got {len(chosen)}")
    if not all(isinstance(is_chosen, _FLAGS) for is_chosen in chosen):
        raise TypeError(f"chosen must be a bool for each row, got {shown(chosen)}")
    return list(zip(chosen, values, strict=True))


def _extended(name: Any, where: str) -> tuple[Row, ...]:
    """The rows of the shipped menu called `name`."""
    if not isinstance(name, str) or name.endswith(".toml"):
        raise ValueError(f"{where}: extends must be the name of a shipped menu, got {shown(name)}")
    try:
        return find(name).actions
    except ValueError as error:
        raise ValueError(f"{where}: extends: {error}") from None


def _read_row(table: Mapping[str, Any], where: str) -> Row:
    """A row as the file has it, its lists as tuples and its numbers as floats; `check` does the rest."""
    where = f"{where} ({table['name']!r})" if "name" in table else where
    for key in table:
        if key not in _COLUMNS:
            try:
                validation.look_up(dict.fromkeys(_COLUMNS), key, "key")
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
    for key in _NEEDED:
        if key not in table:
            raise ValueError(f"{where}: {key} is missing; every row has {', '.join(_NEEDED)}")
    values = dict(table)
    for key in (*CHANNELS, "hazard"):
        if key in values:
            values[key] = _as_floats(values[key])
    return Row(**values)


def _as_floats(value: Any) -> Any:
    """Lists as tuples, whole numbers as floats; whatever else it is, as it is, for `check` to refuse."""
    if isinstance(value, list):
        return tuple(map(_as_floats, value))
    return validation.as_float(value) if type(value) is int else value


def _check_row(row: Row, where: str) -> None:
    for key in ("name", "source", "grade", "note"):
        text = getattr(row, key)
        if not isinstance(text, str) or (key != "note" and not text.strip()):
            raise ValueError(f"{where}: {key} must be a text that is not empty, got {shown(text)}")
    if row.grade not in GRADES:
        raise ValueError(f"{where}: grade must be one of {', '.join(map(repr, GRADES))}, got {shown(row.grade)}")
    if type(row.half_hours) is not int or not 0 <= row.half_hours <= LONGEST_BREAK:
        raise ValueError(
            f"{where}: half_hours must be a whole number in 0 .. {LONGEST_BREAK} (a week), got {shown(row.half_hours)}"
        )
    if type(row.wakes_up) is not bool:
        raise ValueError(f"{where}: wakes_up must be true or false, got {shown(row.wakes_up)}")
    for channel in CHANNELS:
        _check_dose(getattr(row, channel), f"{where}: {channel}")
    _check_number(row.hazard, f"{where}: hazard", "a number of at least 0, 1 for no effect on the risk", at_least=0.0)
    if row.wakes_up and row.alertness is not None:
        raise ValueError(
            f"{where}: alertness must be left out where wakes_up is true, got {shown(row.alertness)}; alertness begins "
            "anew on waking up, whatever it was"
        )


def _check_dose(dose: Any, where: str) -> None:
    requirement = "[lowest, highest], two finite numbers"
    if dose is None:
        return
    if not isinstance(dose, tuple) or len(dose) != 2:
        raise ValueError(f"{where} must be {requirement}, got {shown(dose)}")
    for value in dose:
        _check_number(value, where, requirement)
    low, high = dose
    if _is_known(low) and _is_known(high) and np.any(np.asarray(low) > np.asarray(high)):
        raise ValueError(
            f"{where}: the lowest dose must not exceed the highest, got {shown(low)} and {shown(high)}; swap them"
        )
    if _is_known(low) and _is_known(high) and not validation.is_held(validation.width(low, high)):
        raise ValueError(
            f"{where} must be {requirement}, got {shown(low)} and {shown(high)}, whose difference is infinite"
        )


def _check_number(value: Any, where: str, requirement: str, at_least: float = -np.inf) -> None:
    if not _is_known(value):
        return
    if not validation.is_number(value) or not validation.is_held(value) or np.any(np.asarray(value) < at_least):
        within = f", {validation.held(value)}" if validation.is_number(value) and not validation.is_held(value) else ""
        raise ValueError(f"{where} must be {requirement}{within}, got {validation.shown(value)}")


def _is_known(value: Any) -> bool:
    return not isinstance(value, jax.core.Tracer)
