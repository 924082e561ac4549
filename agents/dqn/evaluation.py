"""The mean return of the greedy policy over whole episodes, inside of a compiled program."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, PRNGKey

from agents.dqn import env_params, networks
from agents.dqn.config import DQNConfig
from heartpole_jax import Environment, Transition, arguments, rollout, threefry, validation
from heartpole_jax.environment import HEARTPOLE_V0
from heartpole_jax.optimum import resting_risk

_PURPOSE = 100  # of random numbers, apart from those of `agent`


def evaluation_key(key: PRNGKey) -> PRNGKey:
    """The key under which a training run with this `key` is evaluated, always the same: common random numbers."""
    return threefry.derived_key(key, _PURPOSE)


_checked = arguments.checked(
    weights=arguments.check_arrays,
    key=validation.check_key,
    config=DQNConfig,
    env=Environment,
    num_episodes=validation.check_size,
    params=arguments.check_arrays,
)


@_checked
def evaluate(
    weights: Array,
    key: PRNGKey,
    config: DQNConfig,
    env: Environment = HEARTPOLE_V0,
    num_episodes: int = 16,
    params: Any = None,
) -> Array:
    """The mean return of the greedy policy, raw rewards, over whole episodes: a scalar.

    Where the environment has an `expected_penalty` it is 1 here, so that no heart attack's luck is in it: 16 episodes
    tell a sober policy's expected return to 0.003. `heartpole_jax.evaluation.evaluate` measures finer, outside jit.
    An episode is of `params.max_steps` decisions at most, where that is traced of as many as by default.
    """
    shift = _resting_penalty(env)
    sums, steps = _episodes(weights, key, config, env, num_episodes, params)
    return jnp.mean(sums) - shift * jnp.mean(steps)


@_checked
def episode_returns(
    weights: Array,
    key: PRNGKey,
    config: DQNConfig,
    env: Environment = HEARTPOLE_V0,
    num_episodes: int = 16,
    params: Any = None,
) -> Array:
    """The returns that `evaluate` averages, (num_episodes,)."""
    sums, steps = _episodes(weights, key, config, env, num_episodes, params)
    return sums - _resting_penalty(env) * steps


def _episodes(weights: Array, key: PRNGKey, config: DQNConfig, env: Environment, num_episodes: int, params: Any):
    """The sum of shifted rewards and the number of decisions of each episode, (num_episodes,) both."""
    params = env_params.with_expected_penalty(env, params, 1.0)
    known = not isinstance(params.max_steps, jax.core.Tracer)
    return rollout(
        networks.greedy(weights, config, env), key, params, env=env, num_envs=num_episodes,
        num_steps=int(params.max_steps if known else env.default_params.max_steps),
        total=_shifted_reward(_resting_penalty(env)),
    ).totals  # fmt: skip


@functools.cache
def _shifted_reward(shift: float) -> Callable[[Transition], tuple[Array, Array]]:
    """For `rollout` to sum: the reward + `shift`, and 1 for each step; the same function for the same number."""
    return lambda transition: (transition.reward + shift, jnp.ones_like(transition.reward))


def _resting_penalty(env: Environment) -> float:
    """What a sober patient's reward lacks by the risk at rest, most of it: without it float32 keeps more digits."""
    params = env.default_params
    return params.heart_attack_penalty * resting_risk(params) if env is HEARTPOLE_V0 else 0.0
