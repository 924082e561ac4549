"""What can be differentiated with respect to actions: soft policies and schedules of fractional doses."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, PRNGKey

from heartpole_jax import arguments, struct, threefry, validation
from heartpole_jax.envs import heartpole_v0
from heartpole_jax.envs.environment import Environment, imported
from heartpole_jax.envs.heartpole_v0 import EnvParams, EnvState, Noise, StepInfo
from heartpole_jax.policy import Policy


@functools.partial(jax.tree_util.register_dataclass, data_fields=["params", "carry"], meta_fields=["logits"])
@dataclasses.dataclass(frozen=True)
class SoftPolicy:
    """A policy that gives its probabilities: softmax of logits of shape (num_actions,). A pytree as `Policy` is."""

    logits: Callable[[Any, Any, Array], tuple[Array, Any]]  # params, carry, obs -> logits, carry
    params: Any = ()
    carry: Any = ()

    @arguments.checked(num_actions=validation.check_size)
    def policy(self, num_actions: int = heartpole_v0.NUM_ACTIONS) -> Policy:
        """The same as a `Policy`, for rollouts and evaluation: it draws its actions."""
        sample = _sampler(num_actions)
        return Policy(act=_Sampled(self.logits), sample=sample, params=self.params, carry=self.carry)


@struct.exportable
@functools.partial(jax.tree_util.register_dataclass, data_fields=["weights"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class Doses:
    """A schedule in fractions, of HeartPole-v0: `weights` (num_steps, 4), each row a point of the actions' simplex.

    0.3 of a coffee is a coffee with three tenths of its doses, exactly; half of a sleep takes eight half-hours and
    halves the way to the alertness and the hours awake of a rested patient, which is an assumption. The clock runs in
    fractions.

    Raises:
      TypeError: if the weights are a list.
      ValueError: if they are known and no such rows.
    """

    weights: Array

    def __post_init__(self) -> None:
        if isinstance(self.weights, list | tuple):
            raise TypeError(f"weights must be an array, got a {type(self.weights).__name__}; jnp.array(...) makes one")
        if not isinstance(self.weights, np.ndarray | jax.Array) or isinstance(self.weights, jax.core.Tracer):
            return
        if not validation.is_real(self.weights):
            raise TypeError(f"weights must be real numbers, got {validation.described(self.weights)}")
        weights = np.asarray(self.weights)
        if weights.ndim != 2:
            raise ValueError(f"weights must have shape (num_steps, num_actions), got {weights.shape}")
        wrong = (weights < 0).any(axis=1) | ~np.isclose(weights.sum(axis=1), 1.0, atol=1e-5)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(f"every row of weights must be >= 0 and sum to 1, got {weights[row]} in row {row}")

    def check_env(self, env: Environment) -> None:
        """Raises ValueError where `env` has no fractional actions, or another number of them."""
        check_fractional(env)
        shape = np.shape(self.weights)
        if len(shape) != 2 or shape[1] != env.num_actions:
            raise ValueError(f"weights must have shape (num_steps, {env.num_actions}), got {shape}")


def check_fractional(env: Environment) -> None:
    """Raises ValueError for an environment that has no fractional actions."""
    if env.fractional_transition_info is None:
        raise ValueError(f"{env.name} has no fractional actions, as HeartPole-v0 has; take a SoftPolicy, and hybrid")


@dataclasses.dataclass(frozen=True)
class _Sampled:
    """A draw from the softmax of logits, as an `act`: the greatest of logits + Gumbel noise."""

    logits: Callable[[Any, Any, Array], tuple[Array, Any]]

    def __call__(self, params, carry, obs, draw):
        logits, carry = self.logits(params, carry, obs)
        return jnp.argmax(logits + draw).astype(jnp.int32), carry


@functools.cache  # the same function for the same number, so that jit finds its program again
def _sampler(num: int) -> Callable[[PRNGKey], Array]:
    return functools.partial(gumbels, num=num)


def gumbels(key: PRNGKey, num: int) -> Array:
    """`num` independent draws of the standard Gumbel distribution."""
    uniforms = jnp.stack(threefry.uniforms(key, num))
    tiny = jnp.finfo(uniforms.dtype).tiny
    return -jnp.log(-jnp.log(jnp.maximum(uniforms, tiny)))


def fractional_transition_info(
    state: EnvState, weights: Array, noise: Noise, params: EnvParams
) -> tuple[EnvState, Array, Array, Array, StepInfo]:
    """`heartpole_v0.transition_info` for a point of the simplex instead of an action, weights of shape (4,).

    The state after the action is the mean of those after each. Its counters are floats.
    """
    drunk = (heartpole_v0.drink_coffee(state, noise, params), heartpole_v0.drink_beer(state, noise, params))
    each = (state, *drunk, heartpole_v0.sleep(state, noise, params))  # in the order of `Action`
    acted = jax.tree.map(lambda *leaves: sum(w * leaf for w, leaf in zip(weights, leaves, strict=True)), *each)
    return heartpole_v0.work_half_hour(state, acted, noise, params)


@functools.cache  # the same function for the same environment, so that jit finds its program again
def relaxed_transition_info(env: Environment) -> Callable[..., tuple]:
    """The fractional transition of an environment with the heart attack relaxed as well: it takes its probability's
    share of hypertension, always."""
    fractional = imported(env.fractional_transition_info)

    def relaxed(state: Any, weights: Array, noise: Any, params: Any) -> tuple:
        spared = dataclasses.replace(noise, heart_attack=jnp.ones_like(noise.heart_attack))
        after, _, reward, done, info = fractional(state, weights, spared, params)
        after = dataclasses.replace(after, hypertension=(1.0 - info.heart_attack_risk) * after.hypertension)
        return after, env.observe(after), reward, done, info

    return relaxed


def in_floats(state: EnvState) -> EnvState:
    """The state with counters as floats, to begin with where they count fractions."""
    return jax.tree.map(lambda x: jnp.asarray(x, state.alertness.dtype), state)
