"""Derivatives without derivatives: the same noise with a little more and a little less of each parameter.

For policies whose actions jump with the parameters, "sleep below 0.4" among them: a derivative sees no jump, and a
difference does.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, PRNGKey
from jax.flatten_util import ravel_pytree

from heartpole_jax import arguments, validation
from heartpole_jax.arguments import shown
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.gradients.actors import Actor, as_actor
from heartpole_jax.gradients.checking import (
    POLICY,
    checked_block,
    checked_names,
    checked_steps,
    replaced,
    values_of,
    with_expected_penalty,
)
from heartpole_jax.gradients.dependence import depends_on_obs
from heartpole_jax.gradients.estimate import Gradient
from heartpole_jax.gradients.moments import Block, Moments, as_block, moments_of
from heartpole_jax.gradients.objectives import Objective, as_objective
from heartpole_jax.gradients.simulate import NoiseSequence, marginalise, sample_noise_sequence, simulate
from heartpole_jax.gradients.soft import Doses, SoftPolicy
from heartpole_jax.platforms import ByPlatform
from heartpole_jax.policy import Policy, as_policy

PROMISE = "biased by the square of the step, and noisy where heart attacks or thresholds flip"
# Episodes at a time, at most.
_BLOCK_EPISODES = ByPlatform(cpu=2048, accelerator=65_536)
_INTEGRATED_EPISODES = ByPlatform(cpu=128, accelerator=4096)
_DECAY = "_decay"  # how a name ends whose natural size is what is lost, 1 - the factor


def _check_step(name: str, value: Any) -> None:
    """Raises ValueError where a known `value` is no finite number greater than 0."""
    if not isinstance(value, jax.core.Tracer) and not (
        validation.is_real(value) and np.ndim(value) == 0 and 0 < value < np.inf
    ):
        raise ValueError(f"{name} must be a finite number greater than 0, got {validation.shown(value)}")


@arguments.typed(key=validation.check_key, policy=object, relative_step=_check_step)
def finite_differences(
    objective: str | Objective,
    key: PRNGKey,
    params: Any = None,
    *,
    policy: Policy | SoftPolicy | Doses | Callable[[PRNGKey, Array], Any],
    wrt: str | Sequence[str],
    num_episodes: int = 1024,
    num_steps: int | None = None,
    env: Environment = HEARTPOLE_V0,
    relative_step: float = 1e-2,
    integrate_attacks: bool | None = None,
) -> Gradient:
    """The derivative of the mean of `objective` over episodes with respect to `wrt`, by central differences.

    (J(theta + step) - J(theta - step)) / (2 step) on common random numbers, for one parameter after the other. The step
    is `relative_step` of the parameter's size: its absolute value, or 1 where that is 0. A decay is close to 1, and
    what matters is how close: its size is 1 - decay, and at least 1 / num_steps.

    Args:
      objective, key, params, policy, num_episodes, num_steps, env: as for `estimate`.
      wrt: names of the environment's parameters. They may leave their range by a step.
      relative_step: smaller is less biased and, where decisions jump, noisier.
      integrate_attacks: whether heart attacks are integrated out, exactly, for a policy that does not look at
        hypertension. That takes their noise out, and makes an episode `num_steps` times as much work. By default where
        it can be done, which is tried out (see `dependence.depends_on_obs`), and so never under jit and vmap.

    Raises:
      ValueError: for unknown names, sizes that are none, a policy's own parameters, and `Doses` of anything but
        HeartPole-v0.
      TypeError: for a policy that is none.
    """
    if not isinstance(policy, SoftPolicy | Doses):
        policy = as_policy(policy)
    params = env.params_or_default(params)
    names = checked_names(wrt, params, env)
    if POLICY in names:
        raise ValueError(
            "finite_differences are taken of the environment's parameters, got 'policy': take estimate() with a "
            "SoftPolicy or Doses"
        )
    num_steps = checked_steps(num_steps, env, params, policy)
    if not 0 < relative_step < 1:
        raise ValueError(f"relative_step must be between 0 and 1, got {shown(relative_step)}")
    params = with_expected_penalty(params)
    actor = as_actor(policy, env)
    if integrate_attacks is not False:
        possible = _can_integrate(actor, params, key, env, num_steps)
        if integrate_attacks and not possible:
            raise ValueError(
                "integrate_attacks needs a policy that is known not to look at hypertension, in an environment that "
                "shows it: leave it out"
            )
        integrate_attacks = possible
    block_episodes = checked_block(
        num_episodes, most=(_INTEGRATED_EPISODES if integrate_attacks else _BLOCK_EPISODES).here()
    )

    values = values_of(params, names)
    size = lambda name: jax.tree.map(lambda x: _size(name.rpartition(".")[2], x, num_steps), values[name])
    theta, steps = ravel_pytree(values)[0], relative_step * ravel_pytree({name: size(name) for name in names})[0]
    with jax.debug_key_reuse(False):  # the same sequence at either side: meant
        value, gradient = _run(
            theta, steps, key, params, actor.params, actor.carry,
            functions=actor._replace(params=None, carry=None), objective=as_objective(objective, env), env=env,
            names=tuple(names), num_steps=num_steps, num_blocks=num_episodes // block_episodes,
            block_episodes=block_episodes, integrate_attacks=integrate_attacks,
        )  # fmt: skip
    return Gradient(
        value=value, gradient=gradient, hessian=None, estimator="finite_differences", unbiased=False, promise=PROMISE
    )


@functools.partial(
    jax.jit,
    static_argnames=(
        "functions", "objective", "env", "names", "num_steps", "num_blocks", "block_episodes", "integrate_attacks"
    ),
)  # fmt: skip
def _run(
    theta, steps, key, params, policy_params, carry, *, functions: Actor, objective: Objective, env: Environment,
    names: tuple[str, ...], num_steps: int, num_blocks: int, block_episodes: int, integrate_attacks: bool,
) -> tuple[Moments, Moments]:  # fmt: skip
    """(value, gradient)."""
    actor = functions._replace(params=policy_params, carry=carry)
    unravel = ravel_pytree(values_of(params, names))[1]
    up, down = theta[None] + jnp.diag(steps), theta[None] - jnp.diag(steps)  # a row for each parameter
    apart = jnp.diagonal(up - down)  # what the rounding of both has left of 2 steps

    def total(point: Array, sequence: NoiseSequence) -> Array:
        own = replaced(params, unravel(point))
        if integrate_attacks:
            outcome = marginalise(actor, own, sequence, objective, env)
        else:
            outcome = simulate(actor, own, sequence, objective, env)
        return jnp.sum(outcome.steps) + outcome.final

    def of_block(block: Array) -> tuple[Block, Block]:
        indices = block * block_episodes + jnp.arange(block_episodes, dtype=jnp.uint32)
        sequences = jax.vmap(lambda index: sample_noise_sequence(key, index, num_steps, actor, env))(indices)
        totals = lambda point: jax.vmap(lambda sequence: total(point, sequence))(sequences)
        # One point after the other: a block of sequences is enough for the machine, and no program is compiled twice.
        values = jax.lax.map(totals, jnp.concatenate([theta[None], up, down]))
        above, below = jnp.split(values[1:], 2)
        derivatives = (above - below) / apart[:, None]
        return as_block(values[0]), as_block(derivatives.T)

    blocks = jax.lax.map(of_block, jnp.arange(num_blocks, dtype=jnp.uint32))
    value, gradient = (moments_of(part, block_episodes) for part in blocks)
    return value, Moments(mean=unravel(gradient.mean), standard_error=unravel(gradient.standard_error))


def _size(name: str, value: Array, num_steps: int) -> Array:
    """What a step is relative to."""
    if name.endswith(_DECAY):
        return jnp.maximum(jnp.abs(1.0 - value), 1.0 / num_steps)
    return jnp.where(value == 0, 1.0, jnp.abs(value))


def _can_integrate(actor: Actor, params: Any, key: PRNGKey, env: Environment, num_steps: int) -> bool:
    """Whether the policy is known not to look at hypertension, in an environment that has it."""
    hypertension = tuple(i for i, name in enumerate(env.obs_names) if name == "hypertension")
    if not hypertension or any(
        isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((params, actor.params, actor.carry, key))
    ):
        return False
    return not depends_on_obs(actor, params, key, env, num_steps, hypertension)
