"""What the ways out of `Environment` have in common: which environment and parameters, bounds, what a step tells.

No library is imported here. An environment goes out as "HeartPole-v0" or as an `Environment` of one's own.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import ArrayTree

from heartpole_jax import heartpole_v0
from heartpole_jax.environment import Environment, make


def resolve(env: Any, params: Any = None) -> tuple[Environment, Any]:
    """(environment, its parameters), the environment's defaults where `params` is None.

    Raises:
      ValueError: for an unknown name.
      TypeError: if `env` is neither a name nor an `Environment`, or the parameters are not its own kind.
    """
    env = make(env) if isinstance(env, str) else env
    if not isinstance(env, Environment):
        raise TypeError(
            f"env must be the name of an environment or an Environment, as heartpole_jax.make gives, got {env!r}"
        )
    if params is None:
        return env, env.default_params
    return env, check_params(env, params)


def check_params(env: Environment, params: Any) -> Any:
    """`params`, unless they cannot be this environment's: then TypeError."""
    expected = type(env.default_params)
    if not isinstance(params, expected):
        raise TypeError(f"params of {env.name!r} must be {expected.__name__}, got {params!r}")
    return params


def non_negative(env: Environment) -> frozenset[str]:
    """What is never below 0 in a state, by name: the tutorial's bounds and the counters for HeartPole, else none."""
    return _NON_NEGATIVE if env.observe is heartpole_v0.observe else frozenset()  # so of variants by any name


_NON_NEGATIVE = frozenset({"hypertension", "intoxication", "time_since_slept", "time_elapsed", "num_steps"})


def obs_bounds(env: Environment) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of an observation, floats of shape `env.obs_shape`: the tutorial's for HeartPole, else none."""
    low = np.full(env.obs_shape, -np.inf)
    if names := non_negative(env):
        low[[name in names for name in heartpole_v0.OBS_NAMES]] = 0.0
    return low, np.full(env.obs_shape, np.inf)


def info_dict(info: ArrayTree) -> dict[str, Any]:
    """What a step tells, by name: a dataclass's fields, a dictionary as it is, nothing where there is nothing."""
    if dataclasses.is_dataclass(info):
        return dict(vars(info))
    if isinstance(info, dict):
        return dict(info)
    return {"info": info} if jax.tree.leaves(info) else {}


def empty_info(env: Environment, params: Any, key: Any) -> dict[str, Any]:
    """Zeros in the place of what a step tells, for a reset, since a scan wants the same of both."""

    def step(key, params):
        state = env.initial_state(env.sample_start(key), params)
        return info_dict(env.transition_info(state, np.int32(0), env.sample_noise(key), params)[4])

    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(step, key, params))
