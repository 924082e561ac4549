"""What a study must be for its training to begin: refused at the start, and not after an hour."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.common.algorithm import Config
from agents.runs import algorithms, loop
from agents.sweeps import space
from agents.sweeps.space import LogUniform, Uniform
from agents.sweeps.study import Study
from agents.sweeps.tasks import rung_ends
from heartpole_jax import Environment, arguments, validation
from heartpole_jax.arguments import shown
from heartpole_jax.envs import params as env_params

SEARCHES = ("grid", "random", "optuna")
MOST_TRIALS = 1_000_000
_MOST_PROGRAMS = 10_000
_SEED_LIMIT = 2**32


def check(study: Study, env: Environment) -> None:
    """Raises ValueError or TypeError for numbers, a search or a space that cannot be, naming the first that cannot."""
    _check_numbers(study)
    _check_search(study)
    _check_trials(study)
    _check_traced(study, env)
    _check_whole(study)
    latest = _latest_start(study)
    for config in configs(study):
        loop.check(latest, config, env, study.num_steps)
        loop.iterations_a_chunk(study.num_steps, study.num_evaluations, config)
    if name := algorithms.of(study.config).starts:
        _check_first_rung(study, name, getattr(latest, name))


def _check_numbers(study: Study) -> None:
    arguments.check_type("hyperparams", study.hyperparams, algorithms.of(study.config).hyperparams)
    for name in ("num_steps", "num_evaluations", "evaluation_episodes", "final_episodes"):
        validation.check_size(name, getattr(study, name))
    if study.final_episodes < 2:
        raise ValueError(f"final_episodes must be at least 2, for a standard error, got {study.final_episodes}")
    if study.keep not in ("last", "best"):
        raise ValueError(f"keep must be 'last' or 'best', got {shown(study.keep)}")
    for name, seed in [("search_seed", study.search_seed), *(("each of seeds", seed) for seed in study.seeds)]:
        if not 0 <= seed < _SEED_LIMIT:
            raise ValueError(f"{name} must be at least 0 and below 2^32, got {seed}")
    if len(set(study.seeds)) < len(study.seeds):
        twice = next(seed for i, seed in enumerate(study.seeds) if seed in study.seeds[:i])
        raise ValueError(f"seeds must be distinct, got {twice} twice")
    rung_ends(study.num_evaluations, study.halving)


def _check_search(study: Study) -> None:
    validation.look_up(dict.fromkeys(SEARCHES), study.search, "search")
    adaptive, sampled = study.search == "optuna", study.search != "grid"
    if sampled and not study.space:
        raise ValueError(f"search = {study.search!r} needs ranges to search in; give [space], or take search = 'grid'")
    if sampled and study.num_configurations is None:
        raise ValueError(f"num_configurations is missing: search = {study.search!r} needs to know how many")
    if not sampled and study.num_configurations is not None:
        raise ValueError(
            f"num_configurations is not for a grid, which has {space.grid_size(study.space):,}, got "
            f"{study.num_configurations}; leave it out, or take search = 'random'"
        )
    if adaptive and study.halving is not None:
        raise ValueError(
            "halving goes with search = 'grid' or 'random': an adaptive search would compare configurations that were "
            "stopped with those that were not; leave one of them out"
        )
    if not adaptive and study.batch_configurations is not None:
        raise ValueError(
            f"batch_configurations is for search = 'optuna' alone, got it for {study.search!r}; leave it out"
        )
    for name in ("num_configurations", "batch_configurations"):
        if getattr(study, name) is not None:
            validation.check_size(name, getattr(study, name))


def _check_trials(study: Study) -> None:
    configurations = study.num_configurations or space.grid_size(study.space)
    trials = configurations * len(study.seeds)
    if trials > MOST_TRIALS:
        raise ValueError(
            f"a study must have at most {MOST_TRIALS:,} trials, got {configurations:,} configurations x "
            f"{len(study.seeds):,} seeds = {trials:,}; take fewer of either"
        )


def configs(study: Study) -> list[Config]:
    """Every static configuration that the space can make."""
    static = {name: space.ends(swept) for name, swept in study.space.items() if space.is_static(name)}
    programs = math.prod(map(len, static.values()))
    if programs > _MOST_PROGRAMS:
        raise ValueError(
            f"{', '.join(static)} make {programs:,} programs, each to be compiled, and at most {_MOST_PROGRAMS:,} are "
            "taken; give fewer choices"
        )
    return [
        _try(dict(zip(static, values, strict=True)), lambda changes: dataclasses.replace(study.config, **changes))
        for values in itertools.product(*static.values())
    ]


def _check_traced(study: Study, env: Environment) -> None:
    """That hyperparameters and parameters take the ends of their ranges, and parameters those of every two of them."""
    check_learns = algorithms.of(study.config).check_learns
    traced = {name: space.ends(swept) for name, swept in study.space.items() if not space.is_static(name)}
    params = {name: values for name, values in traced.items() if space.is_param(name)}
    for name in traced.keys() - params.keys():
        for value in traced[name]:
            _try({name: value}, lambda changes: check_learns(dataclasses.replace(study.hyperparams, **changes)))
    # Parameters refuse one another in pairs, as a low above its high. All others stand at a value of their ranges.
    first = {name: values[0] for name, values in params.items()}
    for changes in _pairs(params):
        _try(changes, lambda changes: env_params.replaced(env, {**study.params, **first, **changes}))


def _check_whole(study: Study) -> None:
    """That no hyperparameter that is a whole number is another between the ends of its range."""
    for name in algorithms.of(study.config).whole_numbers & study.space.keys():
        swept = study.space[name]
        if isinstance(swept, Uniform | LogUniform) and study.search != "grid":
            raise ValueError(
                f"[space] {name} must be a whole number, and a range has others, got {space.as_table(swept)}; give "
                "choices = [...]"
            )
        for value in space.grid(name, swept):
            if value % 1:
                raise ValueError(f"[space] {name} must be a whole number, got {shown(value)}")


def _pairs(values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Each value of each name, and each two values of two names."""
    alone = [{name: value} for name in values for value in values[name]]
    outer = {name: (min(values[name]), max(values[name])) for name in values}
    return alone + [
        {one: a, other: b} for one, other in itertools.combinations(outer, 2) for a in outer[one] for b in outer[other]
    ]


def _try(values: dict[str, Any], build: Callable[[dict[str, Any]], Any]) -> Any:
    try:
        return build(values)
    except (ValueError, TypeError) as error:
        described = ", ".join(f"{name} = {value!r}" for name, value in values.items())
        raise ValueError(f"[space] allows {described}, and {error}" if values else str(error)) from error


def _latest_start(study: Study) -> Any:
    """The study's hyperparameters with the most steps before the first update."""
    name = algorithms.of(study.config).starts
    if name is None or name not in study.space:
        return study.hyperparams
    return dataclasses.replace(study.hyperparams, **{name: max(space.ends(study.space[name]))})


def _check_first_rung(study: Study, name: str, starts: float) -> None:
    """That a trial has learned something by the end of the first rung."""
    steps = study.num_steps * rung_ends(study.num_evaluations, study.halving)[0] // study.num_evaluations
    if starts >= steps:
        raise ValueError(
            f"{name} must be below the {steps:,} steps of the first rung, or it compares what has not learned, "
            f"got {starts:,.0f}"
        )
