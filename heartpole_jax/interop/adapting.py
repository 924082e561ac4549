"""What the ways out of `Environment` have in common: which environment and parameters, bounds, what a step tells.

No library is imported here. An environment goes out as "HeartPole-v0", as "HeartPole-v1" with the menu that is shipped,
or as an `Environment`: `make("HeartPole-v1", menu=...)`, or one of one's own.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import ArrayTree

from heartpole_jax import arguments
from heartpole_jax.envs import heartpole_v0, heartpole_v1
from heartpole_jax.envs.environment import Environment, make
from heartpole_jax.envs.menu import Menu


def resolve(env: Any, params: Any = None) -> tuple[Environment, Any]:
    """(environment, its parameters), the environment's defaults where `params` is None.

    Raises:
      ValueError: for an unknown name.
      TypeError: if `env` is neither a name nor an `Environment`, or the parameters are not its own kind.
      ValueError: for parameters whose menu has another number of actions.
    """
    env = make(env) if isinstance(env, str) else env
    if not isinstance(env, Environment):
        raise TypeError(
            "env must be the name of an environment or an Environment, as heartpole_jax.make gives, got "
            f"{arguments.described(env)}"
        )
    if params is None:
        return env, env.default_params
    return env, check_params(env, params)


def check_params(env: Environment, params: Any) -> Any:
    """`params`, unless they cannot be this environment's.

    Raises:
      TypeError: for another type.
      ValueError: for a menu with another number of actions than the environment has.
    """
    arguments.check_type(f"params of {env.name!r}", params, type(env.default_params))
    if isinstance(params, heartpole_v1.EnvParams) and len(params.menu.actions) != env.num_actions:
        raise ValueError(
            f"the menu of params has {len(params.menu.actions)} actions, and this {env.name!r} has {env.num_actions}; "
            f"make the environment with that menu, heartpole_jax.make({env.name!r}, menu=...)"
        )
    return params


def time_limit(params: Any) -> str:
    """The name of the parameter that ends an episode: "max_half_hours" where that counts time, or "max_steps"."""
    return "max_half_hours" if hasattr(params, "max_half_hours") else "max_steps"


def obs_names(env: Environment) -> tuple[str, ...]:
    """The names of the numbers of an observation of HeartPole's, of variants by any name as well; else none."""
    versions = (heartpole_v0, heartpole_v1)
    return next((version.OBS_NAMES for version in versions if env.observe is version.observe), ())


def non_negative(env: Environment, params: Any) -> frozenset[str]:
    """What is never below 0 in a state, by name: the tutorial's bounds and the counters for HeartPole, else none.

    Of HeartPole-v1 also the work done, and stimulation and impairment unless the menu has a dose that lowers them.
    """
    names = obs_names(env)
    if names != heartpole_v1.OBS_NAMES:
        return _NON_NEGATIVE if names else frozenset()
    raised = (name for name in ("stimulation", "impairment") if not _may_lower(params.menu, name))
    return _NON_NEGATIVE | {"work_done", *raised}


_NON_NEGATIVE = frozenset({"hypertension", "intoxication", "time_since_slept", "time_elapsed", "num_steps"})


def _may_lower(menu: Menu, channel: str) -> bool:
    lowest = [getattr(row, channel)[0] for row in menu.actions if getattr(row, channel) is not None]
    return any(isinstance(low, jax.core.Tracer) or np.any(np.asarray(low) < 0) for low in lowest)


def obs_bounds(env: Environment, params: Any) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of an observation, floats of shape `env.obs_shape`: the tutorial's for HeartPole, else none."""
    low = np.full(env.obs_shape, -np.inf)
    if names := non_negative(env, params):
        low[[name in names for name in obs_names(env)]] = 0.0
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
