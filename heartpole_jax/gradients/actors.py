"""Who acts: a policy of any kind as functions of what is differentiated."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree, PRNGKey

from heartpole_jax import arguments
from heartpole_jax.envs.environment import Environment, imported
from heartpole_jax.envs.heartpole_v0 import check_action
from heartpole_jax.gradients.soft import (
    Doses,
    SoftPolicy,
    check_fractional,
    gumbels,
    in_floats,
    relaxed_transition_info,
)
from heartpole_jax.policy import Policy


class Actor(NamedTuple):
    """Who acts: pure functions of what is differentiated, `params`."""

    choose: Callable[
        [Any, Any, Array, Any], tuple[Any, Array, Any]
    ]  # params, carry, obs, draw -> choice, log_prob, carry
    transition_info: Callable[..., tuple]  # state, choice, noise, params of the environment
    sample: Callable[[PRNGKey], Any]
    begin: Callable[[ArrayTree], ArrayTree]  # the first state as this actor needs it
    soft: bool = False  # whether it gives the probability of what it did
    params: Any = None
    carry: Any = None


def as_actor(policy: Policy | SoftPolicy | Doses, env: Environment, relaxed: bool = False) -> Actor:
    """The actor of a policy; `relaxed` for one that acts by its probabilities, and is attacked by fractions."""
    if isinstance(policy, Doses):
        policy.check_env(env)
        return _dosing(relaxed, env)._replace(params=policy.weights, carry=jnp.zeros((), jnp.int32))
    if isinstance(policy, SoftPolicy):
        arguments.check_fields(policy)
        arguments.check_arrays("params of a policy", policy.params)
        arguments.check_arrays("carry of a policy", policy.carry)
        if relaxed:
            check_fractional(env)
        actor = _mean_of(policy.logits, env) if relaxed else _drawing(policy.logits, env)
    else:
        actor = _acting(policy.act, policy.sample, env)
    return actor._replace(params=policy.params, carry=policy.carry)


# Cached, so that the same functions make the same actor and jit finds its program again.
@functools.cache
def _dosing(relaxed: bool, env: Environment) -> Actor:
    fractions = relaxed_transition_info(env) if relaxed else imported(env.fractional_transition_info)
    return Actor(
        lambda weights, time, obs, draw: (weights[time], jnp.zeros(()), time + 1), fractions, _no_draw, in_floats
    )


@functools.cache
def _mean_of(logits: Callable, env: Environment) -> Actor:
    def choose(params, carry, obs, draw):
        values, carry = logits(params, carry, obs)
        return jax.nn.softmax(values), jnp.zeros(()), carry

    return Actor(choose, relaxed_transition_info(env), _no_draw, in_floats)


@functools.cache
def _drawing(logits: Callable, env: Environment) -> Actor:
    def choose(params, carry, obs, gumbels):
        values, carry = logits(params, carry, obs)
        action = jnp.argmax(jax.lax.stop_gradient(values) + gumbels).astype(jnp.int32)
        return action, jax.nn.log_softmax(values)[action], carry

    sample = functools.partial(gumbels, num=env.num_actions)
    return Actor(choose, env.transition_info, sample, _as_it_is, soft=True)


@functools.cache
def _acting(act: Callable, sample: Callable, env: Environment) -> Actor:
    def choose(params, carry, obs, draw):
        action, carry = act(params, carry, obs, draw)
        return check_action(action, env.num_actions), jnp.zeros(()), carry

    return Actor(choose, env.transition_info, sample, _as_it_is)


def _no_draw(key: PRNGKey) -> Array:
    return jnp.zeros(())


def _as_it_is(state: ArrayTree) -> ArrayTree:
    return state
