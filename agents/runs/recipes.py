"""Recipes: which environment, for how long, and with what numbers. One TOML file each; those of this project by name.

    algorithm = "dqn"  # where it is left out
    env = "HeartPole-v0"
    num_steps = 2_000_000  # decisions of all environments together
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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from agents.common.algorithm import Config
from agents.runs import algorithms
from agents.runs.decoding import decode, decode_table, table
from heartpole_jax import arguments, disk, documents, validation
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs import registry

FOLDER = Path(__file__).parent.parent / "recipes"
_TABLES = ("config", "hyperparams", "params")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What to train on and how."""

    name: str
    env: str  # as `registry.make` knows it
    num_steps: int  # decisions of all environments together
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
    own = (env, env.partition(":")[0])  # a menu of one's own changes no recipe
    fitting = [recipe for recipe in recipes if recipe.env in own and isinstance(recipe.config, chosen.config)]
    fitting.sort(key=lambda recipe: recipe.name != slug(recipe.env))
    if fitting:
        return dataclasses.replace(fitting[0], env=env)
    return defaults(env, algorithm)


def defaults(env: str, algorithm: str) -> Recipe:
    """The algorithm's own settings, for a million steps."""
    chosen = algorithms.named(algorithm)
    # Every number a float, since 1 and 1.0 make different programs.
    numbers = {name: float(value) for name, value in vars(chosen.hyperparams()).items()}
    return Recipe("defaults", env, 1_000_000, chosen.config(), chosen.hyperparams(**numbers))


@arguments.checked(path=arguments.check_path)
def load(path: Path | str) -> Recipe:
    """The recipe in the TOML file `path`.

    Raises:
      ValueError: if the file cannot be read, is no TOML, lacks `env` or `num_steps`, or holds an unknown key or a value
        that is not what the key takes.
    """
    path = disk.as_path(path)
    content = documents.read_toml(path, "recipe")
    known = ("algorithm", *(field.name for field in dataclasses.fields(Recipe) if field.name != "name"))
    try:
        for key in content:
            validation.look_up(dict.fromkeys(known), key, "key")
        for key in ("env", "num_steps"):
            if key not in content:
                raise ValueError(f"{key} is missing")
        plain = {key: value for key, value in content.items() if key not in (*_TABLES, "algorithm")}
        recipe = decode(plain, defaults("", content.get("algorithm", "dqn")))
        validation.check_size("num_steps", recipe.num_steps)
        return dataclasses.replace(
            recipe,
            name=path.stem,
            config=decode_table("config", content, recipe.config),
            hyperparams=decode_table("hyperparams", content, recipe.hyperparams),
            params=read_params(content, recipe.env),
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
def read_params(content: Mapping[str, Any], env: str) -> dict[str, float]:
    """The table [params], parameters of the environment called `env`: it is made only where there are any."""
    values = table("params", content)
    try:
        return env_params.read(registry.make(env), values) if values else {}
    except (ValueError, TypeError) as error:
        raise ValueError(f"[params] {error}") from error
