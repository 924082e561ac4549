"""Studies: what is swept, over which seeds, and how it is searched."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from agents.common.algorithm import Config
from agents.sweeps import space
from agents.sweeps.space import LogUniform, Range
from agents.sweeps.tasks import Halving
from heartpole_jax import arguments


@dataclasses.dataclass(frozen=True)
class Study:
    """What to train. Built by `study_file`, which checks it. Raises TypeError for a field of another type."""

    name: str
    env: str  # as `registry.make` knows it
    recipe: str  # where values came from that the study's own file did not give
    num_steps: int  # of a trial, decisions of all its environments together
    config: Config
    hyperparams: Any  # of the algorithm's type, plain floats
    params: Mapping[str, float]  # the environment's, other than its defaults
    space: Mapping[str, Range]  # in order: a grid's last name is its fastest
    seeds: tuple[int, ...]
    evaluation_episodes: int  # of each evaluation while a trial is trained
    num_evaluations: int  # of a whole run, evenly
    keep: str  # which policy a trial ends with, that of the last evaluation or of the best: "last" or "best"
    final_episodes: int = 64  # of the kept policy, at the end
    search: str = "grid"  # or random, optuna
    num_configurations: int | None = None  # None for a grid
    batch_configurations: int | None = None  # trained before the search gets their results; None but for optuna
    search_seed: int = 0
    halving: Halving | None = None

    def __post_init__(self):
        arguments.check_fields(self)


@dataclasses.dataclass(frozen=True)
class ResolvedConfig:
    """One configuration: all that a trial needs but a seed."""

    config: Config
    hyperparams: Any  # of the algorithm's type, plain floats
    params: dict[str, float]  # the environment's, fixed and swept


@arguments.typed()
def resolve(study: Study, values: Mapping[str, Any]) -> ResolvedConfig:
    """The configuration with these values of the swept names.

    Raises:
      ValueError, TypeError: if names are missing or not swept, or a value is refused.
    """
    if values.keys() != study.space.keys():
        raise ValueError(f"values must be given for the swept names {list(study.space)}, got {list(values)}")
    config = {name: value for name, value in values.items() if space.is_static(name)}
    params = {name: float(value) for name, value in values.items() if space.is_param(name)}
    rest = {name: float(value) for name, value in values.items() if name not in config and name not in params}
    return ResolvedConfig(
        config=dataclasses.replace(study.config, **config),
        hyperparams=dataclasses.replace(study.hyperparams, **rest),
        params={**study.params, **params},
    )


@arguments.typed()
def count(study: Study) -> int:
    """The number of configurations."""
    if study.num_configurations is not None:
        return study.num_configurations
    return space.grid_size(study.space)


@arguments.typed()
def batch_size(study: Study) -> int:
    """Configurations that are trained before the search gets their results; all, where it is not."""
    return count(study) if study.batch_configurations is None else study.batch_configurations


@arguments.typed()
def swept_params(study: Study) -> tuple[str, ...]:
    """The swept names that are parameters of the environment."""
    return tuple(name for name in study.space if space.is_param(name))


@arguments.typed()
def log_scaled(study: Study) -> frozenset[str]:
    """The swept names whose range is of the logarithm."""
    return frozenset(name for name, swept in study.space.items() if isinstance(swept, LogUniform))
