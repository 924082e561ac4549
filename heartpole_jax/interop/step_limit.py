"""A limit of decisions beside an environment's own: `max_episode_steps` of HeartPole-v1, which counts half-hours."""

import dataclasses
import functools
from typing import Any

from chex import ArrayTree, Numeric

from heartpole_jax import struct
from heartpole_jax.envs.environment import Environment, TimeLimit


@struct.dataclass
class Params:
    """The environment's own parameters, and the limit."""

    own: Any
    max_steps: Numeric

    @property
    def expected_penalty(self) -> Numeric:
        """The environment's own."""
        return self.own.expected_penalty


@functools.lru_cache(maxsize=256)  # the same object for the same environment, so that jit finds its program again
def with_step_limit(env: Environment) -> Environment:
    """`env`, whose states count `num_steps`, done after the `max_steps` of its `Params` as well."""
    return dataclasses.replace(
        env,
        default_params=Params(own=env.default_params, max_steps=env.most_steps()),
        time_limit=TimeLimit(),
        true_of=(),
        check_params=functools.partial(_check_params, env),
        initial_state=functools.partial(_initial_state, env),
        transition=functools.partial(_transition, env),
        transition_info=functools.partial(_transition_info, env),
    )


def _check_params(env: Environment, params: Params) -> None:
    env.check_params(params.own)


def _initial_state(env: Environment, start: ArrayTree, params: Params) -> ArrayTree:
    return env.initial_state(start, params.own)


def _transition(env: Environment, state: Any, action: Numeric, noise: ArrayTree, params: Params) -> tuple:
    return _transition_info(env, state, action, noise, params)[:4]


def _transition_info(env: Environment, state: Any, action: Numeric, noise: ArrayTree, params: Params) -> tuple:
    state, obs, reward, done, info = env.transition_info(state, action, noise, params.own)
    return state, obs, reward, done | (state.num_steps >= params.max_steps), info
