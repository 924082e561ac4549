"""Recipes: which environment, for how long, and with what numbers. One TOML file each; those of this project by name.

    algorithm = "dqn"  # where it is left out
    env = "HeartPole-v0"
    num_steps = 2_000_000  # decisions of all lanes together
    keep = "last"  # or "best": the policy of the chunk whose greedy policy did best
    num_evaluations = 50  # about so many times the policy is evaluated: what "best" is the best of
    evaluation_episodes = 16  # of the greedy policy after every chunk

    [config]  # fields of the algorithm's configuration, as DQNConfig, other than its defaults
    hidden_sizes = [64, 64]

    [hyperparams]  # fields of Hyperparams, likewise
    discount = 0.99

    [params]  # of the environment, likewise
    heart_attack_penalty = 50.0

Keys that are none, and values of another type, are refused.
"""

import dataclasses
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from chex import Numeric

from agents.common import env_params
from agents.common.algorithm import Config
from agents.runs import algorithms
from heartpole_jax import arguments, disk, documents, registry, validation
from heartpole_jax.arguments import shown

FOLDER = Path(__file__).parent.parent / "recipes"

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
    env: str  # as `registry.make` knows it
    num_steps: int  # decisions of all lanes together
    config: Config  # whose type is the algorithm's
    hyperparams: Any  # likewise, plain floats
    keep: str = "last"  # which policy a run ends with, that of the last chunk or of the best: "last" or "best"
    num_evaluations: int = 50  # about so many times the policy is evaluated
    evaluation_episodes: int = 16  # of the greedy policy after every chunk
    params: Mapping[str, float] = dataclasses.field(default_factory=dict)  # the environment's, other than its defaults

    def __post_init__(self) -> None:
        arguments.check_fields(self)


@arguments.typed()
def named(name: str) -> Recipe:
    """The recipe of this project called `name`. Raises ValueError if there is none."""
    return load(validation.look_up(_shipped(), name, "recipe"))


@arguments.checked(name_or_file=str)
def find(name_or_file: str) -> Recipe:
    """The recipe in a file, where the name ends in ".toml", or else the one of this project called so.

    Raises:
      ValueError: as `load` and `named`.
    """
    return load(name_or_file) if name_or_file.endswith(".toml") else named(name_or_file)


@arguments.checked(env=str)
def for_env(env: str, algorithm: str = "dqn") -> Recipe:
    """This project's recipe for the environment `env`, or where it has none the defaults, and a million steps."""
    chosen = algorithms.named(algorithm)
    recipes = [load(path) for path in _shipped().values()]
    own = env.partition(":")[0] if env.startswith("HeartPole") else env  # a menu of one's own changes no recipe
    fitting = [recipe for recipe in recipes if recipe.env == own and isinstance(recipe.config, chosen.config)]
    fitting.sort(key=lambda recipe: recipe.name != slug(own))
    if fitting:
        return dataclasses.replace(fitting[0], env=env)
    return defaults(env, algorithm)


def defaults(env: str, algorithm: str) -> Recipe:
    """The algorithm's own settings, for a million steps."""
    chosen = algorithms.named(algorithm)
    return Recipe("defaults", env, 1_000_000, chosen.config(), _floats(chosen.hyperparams()))


@arguments.checked(path=arguments.check_path)
def load(path: Path | str) -> Recipe:
    """The recipe in the TOML file `path`.

    Raises:
      ValueError: if the file cannot be read, is no TOML, lacks `env` or `num_steps`, or holds an unknown key or a value
        that is not what the key takes.
    """
    path = disk.as_path(path)
    content = documents.read_toml(path, "recipe")
    known: dict[str, type] = {"algorithm": str, "env": str, "num_steps": int, "keep": str}
    known |= {"num_evaluations": int, "evaluation_episodes": int}
    tables = dict.fromkeys(("config", "hyperparams", "params"), dict)
    try:
        for key in content:
            validation.look_up(known | tables, key, "key")
        for key in ("env", "num_steps"):
            if key not in content:
                raise ValueError(f"{key} is missing")
        for key in content.keys() - tables:
            check_kind(key, content[key], known[key])
        validation.check_size("num_steps", content["num_steps"])
        algorithm = algorithms.named(content.get("algorithm", "dqn"))
        rest = {key: content[key] for key in ("keep", "num_evaluations", "evaluation_episodes") if key in content}
        return Recipe(
            name=path.stem,
            env=content["env"],
            num_steps=content["num_steps"],
            config=read_config(content, algorithm.config()),
            hyperparams=read_hyperparams(content, algorithm.hyperparams()),
            params=read_params(content, content["env"]),
            **rest,
        )
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


@arguments.typed()
def as_toml(recipe: Recipe) -> str:
    """The recipe as a file, every value of it: `load` gives it back, under the file's name."""
    return tomli_w.dumps(
        {
            "algorithm": algorithms.of(recipe.config).name,
            "env": recipe.env,
            "num_steps": recipe.num_steps,
            "keep": recipe.keep,
            "num_evaluations": recipe.num_evaluations,
            "evaluation_episodes": recipe.evaluation_episodes,
            "config": dataclasses.asdict(recipe.config),
            "hyperparams": vars(recipe.hyperparams),
            "params": dict(recipe.params),
        }
    )


def slug(name: str) -> str:
    """`name` as part of a file name: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _shipped() -> dict[str, Path]:
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


@arguments.typed()
def read_config(content: Mapping[str, Any], base: Config) -> Config:
    """The table [config] of `content`, and `base` where it says nothing. Raises ValueError."""
    return _read("config", content, base)


@arguments.typed()
def read_hyperparams(content: Mapping[str, Any], base: Any) -> Any:
    """The table [hyperparams], likewise, every number as a float."""
    return _floats(_read("hyperparams", content, base))


@arguments.typed()
def read_params(content: Mapping[str, Any], env: str) -> dict[str, float]:
    """The table [params], parameters of the environment called `env`: it is made only where there are any."""
    values = table("params", content)
    try:
        return env_params.read(registry.make(env), values) if values else {}
    except (ValueError, TypeError) as error:
        raise ValueError(f"[params] {error}") from error


def table(name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The table called `name`, empty where there is none. Raises ValueError where it is something else."""
    values = content.get(name, {})
    if not isinstance(values, dict):
        raise ValueError(f"{name} must be a table, [{name}], got {shown(values)}")
    return values


def _read(name: str, content: Mapping[str, Any], base: Any) -> Any:
    """`base` with the table's values."""
    values = table(name, content)
    kinds = typing.get_type_hints(type(base))
    try:
        for key, value in values.items():
            check_kind(key, value, validation.look_up(kinds, key, "key"))
        read = {key: validation.as_float(value) if kinds[key] == Numeric else value for key, value in values.items()}
        return dataclasses.replace(base, **read)
    except (ValueError, TypeError) as error:
        raise ValueError(f"[{name}] {error}") from error


def check_kind(key: str, value: Any, kind: Any) -> None:
    """Raises ValueError where `value` is not of the type that a field of this `kind` takes from TOML."""
    if kind == tuple[int, ...]:
        fits = isinstance(value, list) and all(type(item) is int for item in value)
    else:
        fits = type(value) in ((int, float) if kind == Numeric else (kind,))  # type and not isinstance: True is an int
    if not fits:
        raise ValueError(f"{key} must be {_KINDS[kind]}, got {shown(value)}")


def _floats(hyperparams: Any) -> Any:
    """With every number as a float, since 1 and 1.0 make different programs."""
    return type(hyperparams)(**{name: float(value) for name, value in vars(hyperparams).items()})
