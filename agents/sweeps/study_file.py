"""Studies as files: TOML that people write, JSON that a sweep's folder keeps.

    recipe = "heartpole-v0"  # or a file beside this one; by default the one for `env`
    seeds = 8  # 0 to 7; or a list
    search = "random"  # or "grid", "optuna"
    num_configurations = 256  # not for a grid, which has as many as it has
    halving = {keep_one_in = 4, rungs = 2}  # after each rung but the last one in 4 goes on

    [space]  # see `space`
    learning_rate = {log_uniform = [1e-4, 1e-2]}

All else comes from the recipe, unless the tables [config], [hyperparams] and [params], `env`, `num_steps`, `keep`,
`num_evaluations` and `evaluation_episodes` give others. A swept name's range takes the place of its value there.
"""

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from agents.common.algorithm import Algorithm
from agents.runs import algorithms, loop, recipes
from agents.runs.decoding import convert, decode_table, table
from agents.sweeps import space, study_checks
from agents.sweeps.space import Range
from agents.sweeps.study import Study
from agents.sweeps.tasks import Halving
from heartpole_jax import arguments, disk, documents, validation
from heartpole_jax.arguments import shown
from heartpole_jax.envs import registry

_TABLES = ("config", "hyperparams", "params", "space")
_KINDS = typing.get_type_hints(Study)
_DECODED = ("seeds", "halving", "space")  # here; tables of a recipe as there
_OF_RECIPE = ("env", "num_steps", "evaluation_episodes", "keep")  # where the study gives none


@arguments.checked(path=arguments.check_path)
def load(path: Path | str) -> Study:
    """The study in the TOML file `path`, named as the file where it has no name.

    Raises:
      ValueError: as `content` and `read`, with the file.
    """
    path = Path(path)
    described = content(path)
    try:
        return read(described, path.stem)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


@arguments.typed()
def content(path: Path | str) -> dict[str, Any]:
    """The content of the TOML file `path`, not checked yet; a recipe's file is looked for beside it.

    Raises:
      ValueError: if the file cannot be read, or is no TOML.
    """
    path = disk.as_path(path)
    described = documents.read_toml(path, "study")
    recipe = described.get("recipe")
    if isinstance(recipe, str) and recipe.endswith(".toml"):
        described["recipe"] = str(path.parent / recipe)
    return described


@arguments.typed()
def merge(content: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`content` with `overrides` over it: tables name by name, all else whole; None takes a key away."""
    merged = dict(content)
    for key, value in overrides.items():
        tables = key in _TABLES and isinstance(value, Mapping) and isinstance(merged.get(key, {}), Mapping)
        merged[key] = merge(merged.get(key, {}), value) if tables else value
    return {key: value for key, value in merged.items() if value is not None}


@arguments.checked(content=Mapping, name=str)
def read(content: Mapping[str, Any], name: str) -> Study:
    """The study that `content` describes, with defaults for the rest; `name` where it has none.

    Raises:
      ValueError, TypeError: for an unknown key, a value that is not what the key takes, or a study that could not be
        trained: see `study_checks.check`.
    """
    known = dict.fromkeys([*_KINDS, "algorithm", "based_on"])
    for key in content:
        validation.look_up(known, key, "key")
    plain = known.keys() - {*_TABLES, *_DECODED}
    given = {key: convert(key, value, _KINDS.get(key, str)) for key, value in content.items() if key in plain}
    recipe = _recipe(given)
    described = {"name": name, "recipe": recipe.name} | {key: getattr(recipe, key) for key in _OF_RECIPE} | given
    if described.get("search") == "optuna":
        described.setdefault("batch_configurations", 32)
    described["recipe"] = described.pop("based_on", described["recipe"])
    described.pop("algorithm", None)
    env = described["env"] = registry.located(described["env"])
    config = decode_table("config", content, recipe.config)
    if "num_evaluations" not in described:  # as often as `train` does: a trial is the run that it makes
        described["num_evaluations"] = loop.plan(described["num_steps"], config, recipe.num_evaluations).num_chunks
    study = Study(
        **described,
        seeds=_seeds(content.get("seeds", 8)),
        halving=_halving(content.get("halving")),
        config=config,
        hyperparams=decode_table("hyperparams", content, recipe.hyperparams),
        params=recipes.read_params({"params": {**recipe.params, **table("params", content)}}, env),
        space=_space(content, env, algorithms.of(recipe.config)),
    )
    study_checks.check(study, registry.make(env))
    return study


@arguments.typed()
def as_dict(study: Study) -> dict[str, Any]:
    """The study as JSON has it: `from_dict` gives it back."""
    described = _described(study)
    return described | {"space": [{"name": name, **table} for name, table in described["space"].items()]}


@arguments.checked(content=Mapping)
def from_dict(content: Mapping[str, Any]) -> Study:
    """The study that `as_dict` described.

    Raises:
      ValueError, TypeError: as `read`.
    """
    listed = content.get("space")
    if not isinstance(listed, list) or not all(isinstance(entry, dict) and "name" in entry for entry in listed):
        raise ValueError(f"space must be a list of ranges, each with its name, got {shown(listed)}")
    ranges = {entry["name"]: {key: entry[key] for key in entry if key != "name"} for entry in listed}
    return read({**content, "space": ranges}, "study")


@arguments.typed()
def as_toml(study: Study) -> str:
    """The study as a file, every value of it, so that no recipe is needed any more: `load` gives it back."""
    return tomli_w.dumps(_described(study))


@arguments.typed()
def digest(study: Study) -> str:
    """The SHA-256 of all that makes the study another, the menu in a file included.

    Its name, and where its values came from, are left out.
    """
    described = {key: value for key, value in as_dict(study).items() if key not in ("name", "based_on")}
    if (menu := registry.digest(study.env)) is not None:  # a file, of which the study has the name alone
        described |= {"menu": menu, "env": registry.family(study.env)}  # wherever the file lies
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _described(study: Study) -> dict[str, Any]:
    """As `read` takes it, in full."""
    fields = {field.name: getattr(study, field.name) for field in dataclasses.fields(study)}
    fields["based_on"] = fields.pop("recipe")
    config = dataclasses.asdict(study.config)
    fields |= {
        "algorithm": algorithms.of(study.config).name,
        "seeds": list(study.seeds),
        "halving": dataclasses.asdict(study.halving) if study.halving else None,
        "config": config | {"hidden_sizes": list(study.config.hidden_sizes)},
        "hyperparams": dict(vars(study.hyperparams)),
        "params": dict(study.params),
        "space": {name: space.as_table(swept) for name, swept in study.space.items()},
    }
    return {name: value for name, value in fields.items() if value is not None}


def _recipe(content: Mapping[str, Any]) -> recipes.Recipe:
    """Where the study's values come from that it does not give."""
    if "based_on" in content:
        for key in ("env", "num_steps"):
            if key not in content:
                raise ValueError(f"{key} is missing, and based_on names a recipe for the record alone; give {key}")
        if "recipe" in content:
            raise ValueError("recipe and based_on cannot both be given; leave based_on out")
        return dataclasses.replace(
            recipes.defaults(content["env"], content.get("algorithm", "dqn")), name=content["based_on"]
        )
    if "recipe" in content:
        return _of_algorithm(recipes.find(content["recipe"]), content)
    if "env" not in content:
        raise ValueError('env is missing; give it or a recipe, as in recipe = "heartpole-v0"')
    return recipes.for_env(content["env"], content.get("algorithm", "dqn"))


def _of_algorithm(recipe: recipes.Recipe, content: Mapping[str, Any]) -> recipes.Recipe:
    """The recipe. Raises ValueError where the study is of another algorithm."""
    own = algorithms.of(recipe.config).name
    if content.get("algorithm", own) != own:
        raise ValueError(f"algorithm is {content['algorithm']!r}, and the recipe {recipe.name} is for {own!r}")
    return recipe


def _space(content: Mapping[str, Any], env: str, algorithm: Algorithm) -> dict[str, Range]:
    try:
        return space.read(table("space", content), registry.make(env), algorithm)
    except ValueError as error:
        raise ValueError(f"[space] {error}") from error


def _seeds(seeds: Any) -> tuple[int, ...]:
    if type(seeds) is int:
        validation.check_size("seeds", seeds)
        if seeds > study_checks.MOST_TRIALS:
            raise ValueError(f"seeds must be at most {study_checks.MOST_TRIALS:,}, got {seeds:,}")
        return tuple(range(seeds))
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise ValueError(f"seeds must be how many, or a list of whole numbers, got {shown(seeds)}")
    return tuple(seeds)


def _halving(halving: Any) -> Halving | None:
    if halving is None:
        return None
    if not isinstance(halving, Mapping) or halving.keys() != {field.name for field in dataclasses.fields(Halving)}:
        raise ValueError(f"halving must be {{keep_one_in = ..., rungs = ...}}, got {shown(halving)}")
    return Halving(**halving)
