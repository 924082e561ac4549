"""The ranges of swept names: hyperparameters, fields of the configuration, parameters of the environment.

    [space]
    learning_rate = {log_uniform = [1e-4, 1e-2]}
    discount = {uniform = [0.9, 0.999], points = 5}  # for a grid search: so many values, the ends included
    hidden_sizes = {choices = [[32, 32], [64, 64]]}
    heart_attack_penalty = {grid = [50, 100]}

and on the command line learning_rate=log_uniform:1e-4,1e-2, discount=uniform:0.9,0.999,points=5,
hidden_sizes=choices:[32,32],[64,64], heart_attack_penalty=50,100.
"""

import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from chex import Numeric

from agents.common.algorithm import Algorithm
from agents.runs import algorithms
from agents.runs.decoding import convert
from heartpole_jax import Environment, arguments, documents, validation
from heartpole_jax.arguments import shown
from heartpole_jax.envs import params as env_params

_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclasses.dataclass(frozen=True)
class Grid:
    """These values. In a search other than a grid, choices."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        arguments.check_fields(self)


@dataclasses.dataclass(frozen=True)
class Choices:
    """One of these values, each as likely."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        arguments.check_fields(self)


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A number in [low, high)."""

    low: float
    high: float
    points: int | None = None  # of a grid search

    def __post_init__(self) -> None:
        arguments.check_fields(self)


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """A number in [low, high) whose logarithm is uniform."""

    low: float
    high: float
    points: int | None = None  # of a grid search

    def __post_init__(self) -> None:
        arguments.check_fields(self)


Range: TypeAlias = Grid | Choices | Uniform | LogUniform
_KINDS: dict[str, type] = {"grid": Grid, "choices": Choices, "uniform": Uniform, "log_uniform": LogUniform}
_CONTINUOUS = (Uniform, LogUniform)


@arguments.typed()
def names(env: Environment, algorithm: Algorithm) -> dict[str, Any]:
    """Every name that can be swept in `env`, with the type of its values: `Numeric`, or what a static field takes."""
    params = {name: Numeric for name, value in env_params.defaults(env).items() if type(value) is float}
    return params | typing.get_type_hints(algorithm.config) | typing.get_type_hints(algorithm.hyperparams)


@arguments.typed()
def is_static(name: str) -> bool:
    """Whether each value of `name` is a program of its own, since it sets shapes."""
    return any(name in _fields(algorithm.config) for algorithm in algorithms.ALGORITHMS.values())


@arguments.typed()
def is_param(name: str) -> bool:
    """Whether `name`, one that can be swept, is a parameter of the environment."""
    known = any(name in _fields(algorithm.hyperparams) for algorithm in algorithms.ALGORITHMS.values())
    return not is_static(name) and not known


def _fields(kind: type[Any]) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


@arguments.checked(content=Mapping, env=Environment)
def read(content: Mapping[str, Any], env: Environment, algorithm: Algorithm) -> dict[str, Range]:
    """The ranges in a table [space], in its order.

    Raises:
      ValueError: for a name that cannot be swept, or a range that is none for it.
    """
    known = names(env, algorithm)
    for name in content:
        if type(env_params.defaults(env).get(name)) is int:
            raise ValueError(f"{name} cannot be swept, since it sets loop counts; give it under [params]")
        validation.look_up(known, name, "name to sweep")
    return {name: _read(name, spec, known[name]) for name, spec in content.items()}


@arguments.checked(text=str)
def parse(text: str) -> tuple[str, dict[str, Any]]:
    """A name and the content of its table, from the command line's NAME=RANGE.

    Raises:
      ValueError: if it is not of that form.
    """
    name, equals, spec = text.partition("=")
    kind, colon, rest = spec.partition(":")
    kind, rest = (kind.strip(), rest) if colon and re.fullmatch(r"\s*\w+\s*", kind) else ("grid", spec)
    points = re.search(r",\s*points\s*=\s*(\S+)\s*$", rest)
    values = _values(rest[: points.start()] if points else rest)
    if not equals or not name.strip() or not values or (points and not re.fullmatch(r"\d+", points[1])):
        raise ValueError(
            f"a range must be NAME=VALUE,VALUE or NAME=KIND:VALUE,VALUE with KIND one of {', '.join(_KINDS)}, "
            f"as in learning_rate=log_uniform:1e-4,1e-2, got {shown(text)}"
        )
    return name.strip(), {kind: values} | ({"points": int(points[1])} if points else {})


@arguments.typed()
def as_table(swept: Range) -> dict[str, Any]:
    """The range as `read` takes it."""
    kind = next(kind for kind, cls in _KINDS.items() if type(swept) is cls)
    if isinstance(swept, Uniform | LogUniform):
        return {kind: [swept.low, swept.high]} | ({} if swept.points is None else {"points": swept.points})
    return {kind: listed(swept.values)}


@arguments.typed()
def grid(name: str, swept: Range) -> list[Any]:
    """The values of a grid search, as JSON has them.

    Raises:
      ValueError: for a range without points.
    """
    if isinstance(swept, Grid | Choices):
        return listed(swept.values)
    if swept.points is None:
        raise ValueError(
            f"{name} has no points for a grid search; add them, as in {_example(swept)}, or take search = 'random'"
        )
    spaced = np.geomspace if isinstance(swept, LogUniform) else np.linspace
    inner = [float(value) for value in spaced(swept.low, swept.high, swept.points)[1:-1]]
    return [swept.low, *inner, swept.high]  # the ends as they were given: a logarithm and back may miss them


@arguments.typed()
def grid_size(ranges: Mapping[str, Range]) -> int:
    """Configurations in a grid search, one where there is nothing to sweep. Raises ValueError as `grid`."""
    return math.prod(len(grid(name, swept)) for name, swept in ranges.items())


@arguments.typed()
def ends(swept: Range) -> list[Any]:
    """The values to try before all others: each choice, or the ends of a range."""
    return listed(swept.values) if isinstance(swept, Grid | Choices) else [swept.low, swept.high]


def listed(values: tuple[Any, ...]) -> list[Any]:
    """As JSON has them: tuples as lists."""
    return [list(value) if isinstance(value, tuple) else value for value in values]


@arguments.typed()
def contains(swept: Range, value: Any) -> bool:
    """Whether the value, as JSON has it, is one of the range."""
    if isinstance(swept, _CONTINUOUS):
        margin = 1e-9 * (swept.high - swept.low)  # for rounding
        return type(value) in (int, float) and swept.low - margin <= value <= swept.high + margin
    return any(value == one and type(value) is type(one) for one in listed(swept.values))


def _read(name: str, spec: Any, kind: Any) -> Range:
    if not isinstance(spec, Mapping) or len(kinds := [key for key in spec if key in _KINDS]) != 1:
        raise ValueError(
            f"{name} must be a table of one of {', '.join(_KINDS)}, as {{choices = [...]}}, got {shown(spec)}"
        )
    for key in spec:
        validation.look_up({**_KINDS, "points": int}, key, f"key of {name}")
    cls, values = _KINDS[kinds[0]], spec[kinds[0]]
    if not isinstance(values, list):
        raise ValueError(f"{name}: {kinds[0]} must be a list, got {shown(values)}")
    if cls in _CONTINUOUS:
        return _read_continuous(name, cls, kinds[0], spec, kind)
    if "points" in spec:
        raise ValueError(f"{name}: points are for uniform and log_uniform; leave them out for {kinds[0]}")
    if not values:
        raise ValueError(f"{name} has no values to take; give at least one, or leave it out")
    converted = [_value(name, value, kind) for value in values]
    for i, value in enumerate(converted):
        if value in converted[:i]:
            raise ValueError(f"{name} must have each value once, got {values[i]!r} twice")
    return cls(tuple(converted))


def _read_continuous(name: str, cls: type, called: str, spec: Mapping[str, Any], kind: Any) -> Range:
    values, points = spec[called], spec.get("points")
    if kind != Numeric:
        raise ValueError(f"{name} sets shapes or the program, and cannot be {called}; give choices = [...]")
    if len(values) != 2:
        raise ValueError(f"{name}: {called} must be two numbers, low and high, got {shown(values)}")
    low, high = (_value(name, value, kind) for value in values)
    if low >= high:
        raise ValueError(f"{name} must have low below high, got {called} = {values!r}")
    if cls is LogUniform and low < _SMALLEST:
        raise ValueError(
            f"{name}: log_uniform must be above 0 at both ends, {_SMALLEST:.2g} or more, got {shown(values)}; take a "
            "small positive low, or uniform"
        )
    if points is not None and (type(points) is not int or not 2 <= points <= 1_000_000):
        raise ValueError(f"{name}: points must be a whole number from 2 to 1,000,000, got {shown(points)}")
    return cls(low, high, points)


def _value(name: str, value: Any, kind: Any) -> Any:
    """The value of a range, as the name's field has it. Raises ValueError where it is none."""
    converted = convert(f"each value of {name}", value, kind)
    if kind == Numeric and not validation.is_held(converted):
        raise ValueError(f"each value of {name} must be {validation.held(converted)}, got {shown(value)}")
    return converted


def _values(text: str) -> list[Any] | None:
    """The values in `text`, written as in a TOML list; words need no quotes. None if there are none to read."""
    words = [word.strip() for word in text.split(",")]
    if all(re.fullmatch(r"[A-Za-z][\w-]*", word) and word not in ("true", "false", "inf", "nan") for word in words):
        return words
    try:
        content = documents.parse_toml(f"values = [{text}]")
    except ValueError:
        return None
    return content["values"] if content.keys() == {"values"} else None


def _example(swept: Uniform | LogUniform) -> str:
    kind = "uniform" if isinstance(swept, Uniform) else "log_uniform"
    return f"{{{kind} = [{swept.low}, {swept.high}], points = 5}}"
