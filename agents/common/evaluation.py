"""The mean return of a policy over whole episodes, inside of a compiled program."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, PRNGKey

from heartpole_jax import Environment, Policy, Transition, arguments, rollout, threefry, validation
from heartpole_jax.envs import params as env_params
from heartpole_jax.evaluation import evaluator_of

_PURPOSE = 100  # of random numbers, apart from those of training
_checked = arguments.checked(
    key=validation.check_key, env=Environment, num_episodes=validation.check_size, params=arguments.check_arrays
)


def evaluation_key(key: PRNGKey) -> PRNGKey:
    """The key under which a training run with this `key` is evaluated, always the same: common random numbers."""
    return threefry.derived_key(key, _PURPOSE)


@_checked
def mean_return(policy: Policy, key: PRNGKey, env: Environment, num_episodes: int, params: Any = None) -> Array:
    """The mean of the raw returns of whole episodes: a scalar.

    Where the environment has an `expected_penalty` it is 1 here, without the noise of heart attacks: 16 episodes
    give a sober policy's expected return to 0.003. `heartpole_jax.evaluation.evaluate` measures finer, outside jit.
    An episode ends at the time limit of `params`, where that is traced at the default one.
    """
    shift = _resting_penalty(env)
    sums, steps = _episodes(policy, key, env, num_episodes, params)
    return jnp.mean(sums) - shift * jnp.mean(steps)


@_checked
def episode_returns(policy: Policy, key: PRNGKey, env: Environment, num_episodes: int, params: Any = None) -> Array:
    """The returns that `mean_return` averages, (num_episodes,)."""
    sums, steps = _episodes(policy, key, env, num_episodes, params)
    return sums - _resting_penalty(env) * steps


def _episodes(policy: Policy, key: PRNGKey, env: Environment, num_episodes: int, params: Any):
    """The sum of shifted rewards and the number of decisions of each episode, (num_episodes,) both."""
    params = env_params.with_expected_penalty(env, params, 1.0)
    most_steps = env.most_steps(params)
    known = not isinstance(most_steps, jax.core.Tracer)
    return rollout(
        policy, key, params, env=env, num_envs=num_episodes,
        num_steps=int(most_steps if known else env.most_steps()),
        total=_shifted_reward(_resting_penalty(env)),
    ).totals  # fmt: skip


@functools.cache
def _shifted_reward(shift: float) -> Callable[[Transition], tuple[Array, Array]]:
    """For `rollout` to sum: the reward + `shift`, and 1 for each step; the same function for the same number."""
    return lambda transition: (transition.reward + shift, jnp.ones_like(transition.reward))


def _resting_penalty(env: Environment) -> float:
    """What a sober patient's reward lacks by the risk at rest, most of it: without it float32 keeps more digits."""
    return evaluator_of(env).constant_penalty(env.default_params)
