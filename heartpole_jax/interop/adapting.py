"""What the ways out of `Environment` have in common: which environment and parameters, and the info of a step.

No library is imported here. An environment goes out by its name, or as an `Environment`, one of one's own too.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import ArrayTree

from heartpole_jax import arguments
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.registry import make


def find(env: Any, menu: Any = None) -> Environment:
    """The environment of a name, made with a menu where there is one; an `Environment` is itself. Raises as `make`."""
    if isinstance(env, Environment) and menu is None:
        return env
    return make(env) if menu is None else make(env, menu=menu)


def resolve(env: Any, params: Any = None) -> tuple[Environment, Any]:
    """(environment, its parameters), the environment's defaults where `params` is None.

    Raises:
      ValueError: for an unknown name, or parameters that do not fit, as a menu with other actions.
      TypeError: if `env` is neither a name nor an `Environment`, or the parameters are not its own kind.
    """
    env = make(env) if isinstance(env, str) else env
    if not isinstance(env, Environment):
        raise TypeError(
            "env must be the name of an environment or an Environment, as heartpole_jax.make gives, got "
            f"{arguments.described(env)}"
        )
    return env, env.params_or_default(params)


def info_dict(info: ArrayTree) -> dict[str, Any]:
    """What a step tells, by name: a dataclass's fields, a dictionary as it is, nothing where there is nothing."""
    if dataclasses.is_dataclass(info):
        return dict(vars(info))
    if isinstance(info, dict):
        return dict(info)
    return {"info": info} if jax.tree.leaves(info) else {}


def cost(heart_attack: Any, risk: Any, expected_penalty: Any) -> Any:
    """What the reward is charged with, in heart attacks: (1 - beta) attack + beta risk, beta being `expected_penalty`.

    Algorithms of safe reinforcement learning read it as `info["cost"]`. Of numbers, NumPy's or JAX's arrays.
    """
    return (1.0 - expected_penalty) * heart_attack + expected_penalty * risk


def empty_info(env: Environment, params: Any, key: Any) -> dict[str, Any]:
    """Zeros in the place of what a step tells, for a reset, since a scan wants the same of both."""

    def step(key, params):
        state = env.initial_state(env.sample_start(key), params)
        return info_dict(env.transition_info(state, np.int32(0), env.sample_noise(key), params)[4])

    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(step, key, params))
