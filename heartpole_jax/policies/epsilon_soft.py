"""Policies that now and then take any action, and the probabilities of all actions: what off-policy evaluation needs.

behaviour = policies.epsilon_soft(policies.reference(), 0.1)
policies.action_probabilities(policies.reference(), obs, epsilon=0.1)          (num_steps, num_actions)
"""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, Numeric, PRNGKey

from heartpole_jax import arguments, threefry, validation
from heartpole_jax.envs.heartpole_v0 import NUM_ACTIONS
from heartpole_jax.policies import scripted
from heartpole_jax.policy import Policy, as_policy


@arguments.checked(epsilon=validation.check_share, num_actions=validation.check_size)
def epsilon_soft(policy: Policy | Callable[..., Any], epsilon: Numeric = 0.1, num_actions: int = NUM_ACTIONS) -> Policy:
    """`policy`, with each action replaced by a uniformly drawn one with probability `epsilon`.

    What the policy carries goes on as if its own action had been taken.

    Raises:
      ValueError: for an `epsilon` outside of [0, 1].
      TypeError: for what is no policy.
    """
    policy = as_policy(policy)
    return Policy(
        act=_Soft(policy.act),
        sample=_Draws(policy.sample, num_actions),
        params=(policy.params, epsilon),
        carry=policy.carry,
    )


@arguments.checked(obs=arguments.check_array, epsilon=validation.check_share, num_actions=validation.check_size)
def action_probabilities(
    policy: Policy | Callable[..., Any], obs: Any, epsilon: Numeric = 0.0, num_actions: int = NUM_ACTIONS
) -> Array:
    """The probabilities of all actions of `epsilon_soft(policy, epsilon)` along an episode, (num_steps, num_actions).

    Args:
      policy: one that decides without random numbers, or the uniformly random one.
      obs: an episode's observations in order from its first, (num_steps, *obs_shape): some policies count decisions.

    Raises:
      ValueError: for another policy, whose probabilities are unknown, or one for other observations.
    """
    policy = as_policy(policy)
    uniform = jnp.full((obs.shape[0], num_actions), 1.0 / num_actions)
    if scripted.is_uniformly_random(policy):
        return uniform
    check_deterministic(policy, jax.ShapeDtypeStruct(obs.shape[1:], obs.dtype))

    def decide(carry, obs):
        action, carry = policy.act(policy.params, carry, obs, None)
        return carry, action

    _, actions = jax.lax.scan(decide, jax.tree.map(jnp.asarray, policy.carry), jnp.asarray(obs))
    return (1.0 - epsilon) * jax.nn.one_hot(actions, num_actions) + epsilon * uniform


def check_deterministic(policy: Policy, obs: Any) -> None:
    """Raises ValueError unless the policy decides from such observations, and without random numbers."""
    decide = lambda obs: policy.act(policy.params, policy.carry, obs, None)
    try:
        action, _ = jax.eval_shape(decide, obs)
        reason = "" if action is not None and action.shape == () else "it returns no action without random numbers"
    except Exception as error:  # of somebody's function, which may raise anything
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
    with contextlib.suppress(Exception):
        try:  # an index too large, which JAX takes for the last and NumPy refuses
            jax.eval_shape(lambda: decide(np.zeros(obs.shape, obs.dtype)))
        except IndexError as error:
            reason = reason or str(error)
    if reason:
        raise ValueError(
            f"a policy must decide from observations of shape {tuple(obs.shape)} alone, for the probabilities of its "
            f"actions to be known ({reason}); give one without random numbers, and epsilon"
        )


@dataclasses.dataclass(frozen=True)
class _Soft:
    """An `act`; equal for equal policies, so that jit finds its program again."""

    act: Callable[..., Any]

    def __call__(self, params, carry, obs, draw):
        own, epsilon = params
        own_draw, u, other = draw
        action, carry = self.act(own, carry, obs, own_draw)
        return jnp.where(u < epsilon, other, action), carry


@dataclasses.dataclass(frozen=True)
class _Draws:
    """The policy's own random numbers, a uniform, and a uniformly drawn action."""

    sample: Callable[[PRNGKey], Any]
    num_actions: int

    def __call__(self, key: PRNGKey) -> tuple[Any, Array, Array]:
        own, which, other = (threefry.derived_key(key, purpose) for purpose in range(3))
        return self.sample(own), threefry.uniforms(which, 1)[0], threefry.random_int(other, self.num_actions)
