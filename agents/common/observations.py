"""Whether a network's transform takes an environment's observations."""

import math
from typing import Any

from agents.common.algorithm import check_config
from heartpole_jax import Environment, arguments
from heartpole_jax.policies.transforms import TRANSFORMS


@arguments.typed(config=check_config)
def check_size(config: Any, env: Environment) -> int:
    """How many numbers an observation has. Raises ValueError where the transform takes another number of them."""
    obs_size, expected = math.prod(env.obs_shape), TRANSFORMS[config.transform].obs_size
    if expected not in (None, obs_size):
        problem = f"takes observations of {expected} numbers, got {env.name} with {obs_size}"
        raise ValueError(f"transform {config.transform!r} {problem}; take 'raw'")
    return obs_size


@arguments.typed(config=check_config)
def check(config: Any, env: Environment) -> None:
    """Raises ValueError where the transform is of another environment's observations."""
    own = TRANSFORMS[config.transform]
    if own.obs_names and env.obs_names:
        check_size(config, env)
    if env.obs_names != own.obs_names if own.obs_names else own.env not in env.name:
        raise ValueError(f"transform {config.transform!r} is of {own.env}'s observations, got {env.name}; take 'raw'")
    check_size(config, env)
