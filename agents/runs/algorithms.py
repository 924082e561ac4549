"""The algorithms, by name and by the type of their configurations."""

from typing import Any

from agents import dqn, pqn
from agents.common.algorithm import Algorithm
from heartpole_jax import arguments, validation

ALGORITHMS = {algorithm.name: algorithm for algorithm in (dqn.ALGORITHM, pqn.ALGORITHM)}
CONFIGS = tuple(algorithm.config for algorithm in ALGORITHMS.values())


def named(name: str) -> Algorithm:
    """The algorithm called `name`. Raises ValueError where there is none."""
    return validation.look_up(ALGORITHMS, name, "algorithm")


def of(config: Any) -> Algorithm:
    """The algorithm that `config` configures. Raises TypeError for what configures none."""
    arguments.check_type("config", config, CONFIGS)
    return next(algorithm for algorithm in ALGORITHMS.values() if isinstance(config, algorithm.config))
