"""Recipes: which environment, for how long, and with what numbers. One TOML file each; those of this project by name.

    env = "HeartPole-v0"
    num_steps = 2_000_000  # decisions of all lanes together
    keep = "last"  # or "best": the policy of the chunk whose greedy policy did best
    evaluation_episodes = 16  # of the greedy policy after every chunk

    [config]  # fields of DQNConfig other than its defaults
    hidden_sizes = [64, 64]

    [hyperparams]  # fields of Hyperparams, likewise
    discount = 0.99

Keys that are none, and values of another type, are refused.
"""

import dataclasses
import re
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chex import Numeric

from agents.config import DQNConfig, Hyperparams
from heartpole_jax import validation

FOLDER = Path(__file__).parent / "recipes"

# What the values of each type are called, and how they come from TOML.
_KINDS = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    tuple[int, ...]: "a list of whole numbers",
    Numeric: "a number",
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What to train on and how."""

    name: str
    env: str  # as `environments.make` knows it
    num_steps: int  # decisions of all lanes together
    config: DQNConfig
    hyperparams: Hyperparams  # plain floats
    keep: str = "last"  # which policy a run ends with, that of the last chunk or of the best: "last" or "best"
    evaluation_episodes: int = 16  # of the greedy policy after every chunk


def named(name: str) -> Recipe:
    """The recipe of this project called `name`. Raises ValueError if there is none."""
    return load(validation.look_up(_shipped(), name, "recipe"))


def find(name_or_file: str) -> Recipe:
    """The recipe in a file, where the name ends in ".toml", or else the one of this project called so.

    Raises:
      ValueError: as `load` and `named`.
    """
    return load(Path(name_or_file)) if name_or_file.endswith(".toml") else named(name_or_file)


def for_env(env: str) -> Recipe:
    """This project's recipe for the environment `env`, or where it has none the defaults, and a million steps."""
    recipes = [load(path) for path in _shipped().values()]
    fitting = sorted((recipe for recipe in recipes if recipe.env == env), key=lambda recipe: recipe.name != slug(env))
    return fitting[0] if fitting else Recipe("defaults", env, 1_000_000, DQNConfig(), _floats(Hyperparams()))


def load(path: Path | str) -> Recipe:
    """The recipe in the TOML file `path`.

    Raises:
      ValueError: if the file cannot be read, is no TOML, lacks `env` or `num_steps`, or holds an unknown key or a value
        that is not what the key takes.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read the recipe {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    known = {"env": str, "num_steps": int, "keep": str, "evaluation_episodes": int, "config": dict, "hyperparams": dict}
    try:
        for key in content:
            validation.look_up(known, key, "key")
        for key in ("env", "num_steps"):
            if key not in content:
                raise ValueError(f"{key} is missing")
        for key in content.keys() - {"config", "hyperparams"}:
            _check_kind(key, content[key], known[key])
        validation.check_size("num_steps", content["num_steps"])
        rest = {key: content[key] for key in ("keep", "evaluation_episodes") if key in content}
        return Recipe(
            name=path.stem,
            env=content["env"],
            num_steps=content["num_steps"],
            config=_read(DQNConfig, "config", content),
            hyperparams=_floats(_read(Hyperparams, "hyperparams", content)),
            **rest,
        )
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def slug(name: str) -> str:
    """`name` as part of a file name: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _shipped() -> dict[str, Path]:
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def _read(cls: Any, table: str, content: Mapping[str, Any]) -> Any:
    """A `cls` of the table's values."""
    values = content.get(table, {})
    if not isinstance(values, dict):
        raise ValueError(f"{table} must be a table, [{table}], got {values!r}")
    kinds = typing.get_type_hints(cls)
    try:
        for key, value in values.items():
            _check_kind(key, value, validation.look_up(kinds, key, "key"))
        return cls(**values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"[{table}] {error}") from error


def _check_kind(key: str, value: Any, kind: Any) -> None:
    if kind == tuple[int, ...]:
        fits = isinstance(value, list) and all(type(item) is int for item in value)
    else:
        fits = type(value) in ((int, float) if kind == Numeric else (kind,))  # type and not isinstance: True is an int
    if not fits:
        raise ValueError(f"{key} must be {_KINDS[kind]}, got {value!r}")


def _floats(hyperparams: Hyperparams) -> Hyperparams:
    """With every number as a float, since 1 and 1.0 make different programs."""
    return Hyperparams(**{name: float(value) for name, value in vars(hyperparams).items()})
