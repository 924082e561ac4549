"""The gradient of an expectation, with its standard error and what its estimator promises."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, PRNGKey

from heartpole_jax import arguments, threefry, validation
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.gradients.actors import as_actor
from heartpole_jax.gradients.checking import (
    CLOCK,
    LEAST_EPISODES,
    POLICY,
    checked_block,
    checked_names,
    checked_steps,
    replaced,
    values_of,
    with_expected_penalty,
)
from heartpole_jax.gradients.dependence import depends_on_obs
from heartpole_jax.gradients.estimators import ESTIMATORS, Estimator, Setup, apply_control_variates, zero_means
from heartpole_jax.gradients.moments import Moments, as_block, moments_of
from heartpole_jax.gradients.objectives import Objective, as_objective
from heartpole_jax.gradients.simulate import EpisodeOutcome, NoiseSequence, sample_noise_sequence
from heartpole_jax.gradients.soft import Doses, SoftPolicy
from heartpole_jax.policy import Policy, as_policy


class Gradient(NamedTuple):
    """What `estimate` found. Trees are {name of a parameter: (), "policy": like the policy's params}, of a menu's like
    the dose or the menu."""

    value: Moments  # of the objective
    gradient: Moments
    hessian: Moments | None  # {name: {name: ...}}, with order = 2
    estimator: str
    unbiased: bool
    promise: str


@arguments.typed(key=validation.check_key, policy=object)
def estimate(
    objective: str | Objective,
    key: PRNGKey,
    params: Any = None,
    *,
    policy: Policy | SoftPolicy | Doses | Callable[[PRNGKey, Array], Any],
    wrt: str | Sequence[str],
    estimator: str = "hybrid",
    num_episodes: int = 1024,
    num_steps: int | None = None,
    env: Environment = HEARTPOLE_V0,
    order: int = 1,
    window: int | None = None,
    num_branches: int | None = None,
    control_variates: bool = True,
    block_episodes: int | None = None,
) -> Gradient:
    """The derivative of the mean of `objective` over episodes with respect to `wrt`.

    Works under jit and vmap as well, where checks that need numbers are left out.

    Args:
      objective: "return", "heart_attacks", "score", "penalty", "observed_penalty", or an `Objective`.
      key: of the noise sequences, those of `rollout` under the same key.
      params: of the environment.
      policy: who acts. A `SoftPolicy` or `Doses` for derivatives with respect to actions.
      wrt: names of the environment's parameters, and "policy" for the policy's own; of HeartPole-v1's menu
        "menu.coffee.hypertension" or "menu.coffee.hazard", whose gradient has the form of the dose, or "menu" for all.
      estimator: "pathwise", "marginal", "hybrid", "branch" or "relaxed"; what each promises is in the answer.
      num_episodes: independent episodes, at least 2.
      num_steps: decisions of an episode, the time limit by default.
      order: 2 for second derivatives as well, of the marginal estimator alone.
      window: slots of the marginal estimator, exact by default; fewer are faster and biased.
      num_branches: decisions of each episode that the branch estimator simulates both ways, drawn anew for each; all by
        default.
      control_variates: whether to take noise out by regression on the scores, in blocks of at least 32 episodes.
      block_episodes: episodes at a time, which bounds the memory: a number that divides `num_episodes`.

    Raises:
      ValueError: for unknown names, sizes that are none, and a policy or an order that the estimator does not take.
      TypeError: for a policy that is none.
    """
    if not isinstance(policy, SoftPolicy | Doses):
        policy = as_policy(policy)
    params = env.params_or_default(params)
    names = checked_names(wrt, params, env)
    if POLICY in names and not isinstance(policy, SoftPolicy | Doses):
        raise ValueError(
            "wrt names the policy, and its actions jump with its parameters: give a SoftPolicy, which has its "
            "probabilities, or Doses"
        )
    chosen = validation.look_up(ESTIMATORS, estimator, "estimator")
    num_steps = checked_steps(num_steps, env, params, policy)
    _check_options(estimator, window, num_branches)
    block_episodes = checked_block(num_episodes, block_episodes)
    params = with_expected_penalty(params)
    setup = Setup(
        actor=as_actor(policy, env, relaxed=estimator == "relaxed"),
        objective=as_objective(objective, env),
        env=env,
        window=window,
        num_branches=num_branches,
    )
    _check_promise(estimator, setup, params, names, policy, key, num_steps, order)

    theta = values_of(params, [name for name in names if name != POLICY])
    if POLICY in names:
        theta[POLICY] = setup.actor.params
    # A sequence is used more than once, which JAX's checker of reused keys cannot know to be meant.
    with jax.debug_key_reuse(False):
        value, gradient, hessian = _run(
            theta, key, params, setup.actor.params, setup.actor.carry, chosen=chosen,
            setup=setup._replace(actor=setup.actor._replace(params=None, carry=None)), num_steps=num_steps,
            num_blocks=num_episodes // block_episodes, block_episodes=block_episodes, order=order,
            scores=_scores(chosen, setup) if control_variates and block_episodes >= LEAST_EPISODES else (),
        )  # fmt: skip
    exact = window is None or window > num_steps
    return Gradient(
        value=value,
        gradient=gradient,
        hessian=hessian if order == 2 else None,
        estimator=estimator,
        unbiased=chosen.unbiased and exact,
        promise=chosen.promise if exact else f"biased: heart attacks older than {window} decisions are taken together",
    )


@functools.partial(
    jax.jit, static_argnames=("chosen", "setup", "num_steps", "num_blocks", "block_episodes", "order", "scores")
)  # fmt: skip
def _run(
    theta, key, params, policy_params, carry, *, chosen, setup, num_steps, num_blocks, block_episodes, order, scores
):
    """(value, gradient, hessian or ()), each `Moments`."""
    actor = setup.actor._replace(params=policy_params, carry=carry)

    def outcome_of(theta: dict[str, Any], sequence: NoiseSequence) -> EpisodeOutcome:
        own = setup._replace(actor=actor._replace(params=theta.get(POLICY, policy_params)))
        return chosen.simulate(own, replaced(params, {n: x for n, x in theta.items() if n != POLICY}), sequence)

    def total_of(theta: dict[str, Any], sequence: NoiseSequence) -> Array:
        outcome = outcome_of(theta, sequence)
        return jnp.sum(outcome.steps) + outcome.final

    def of_block(block: Array) -> Any:
        indices = block * block_episodes + jnp.arange(block_episodes, dtype=jnp.uint32)
        sequences = jax.vmap(lambda index: sample_noise_sequence(key, index, num_steps, actor, setup.env))(indices)
        outcome, pull = jax.vmap(lambda sequence: jax.vjp(lambda theta: outcome_of(theta, sequence), theta))(sequences)
        words = jnp.stack(threefry.fold_in(key, 3))
        branch_key = jax.random.fold_in(jax.random.wrap_key_data(words, impl="threefry2x32"), block)
        weights = chosen.weights(setup._replace(actor=actor), params, sequences, outcome, branch_key)
        # The estimate's weights and those of its control variates, one after the other through one compiled pass.
        every = jax.tree.map(lambda *w: jnp.stack(w), weights, *zero_means(outcome, scores))
        backward = jax.vmap(lambda pull, weights: pull(weights)[0])
        derivatives = jax.lax.map(lambda weights: backward(pull, weights), every)
        gradient = apply_control_variates(derivatives)
        value = jnp.sum(outcome.steps, axis=1) + outcome.final
        hessian = jax.vmap(lambda sequence: jax.hessian(total_of)(theta, sequence))(sequences) if order == 2 else ()
        return jax.tree.map(as_block, (value, gradient, hessian))

    blocks = jax.lax.map(of_block, jnp.arange(num_blocks, dtype=jnp.uint32))
    return tuple(moments_of(part, block_episodes) for part in blocks)


def _scores(chosen: Estimator, setup: Setup) -> tuple[str, ...]:
    """The parts of an outcome to take control variates from; a policy without probabilities has no score."""
    return tuple(name for name in chosen.scores if setup.actor.soft or name != "action_log_prob")


def _check_options(estimator: str, window: int | None, num_branches: int | None) -> None:
    """Raises ValueError for an option that the estimator does not have, or that is out of range."""
    for name, value, owner, least in (("window", window, "marginal", 2), ("num_branches", num_branches, "branch", 1)):
        if value is not None and estimator != owner:
            raise ValueError(f"{name} is of the {owner} estimator, got {value} and {estimator}; leave it out")
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def _check_promise(
    estimator: str, setup: Setup, params: Any, names: list[str], policy: Any, key: PRNGKey, num_steps: int, order: int
) -> None:
    """Raises ValueError where the estimator cannot keep its promise for this policy."""
    if estimator == "relaxed" and not isinstance(policy, SoftPolicy | Doses):
        raise ValueError(
            "relaxed needs probabilities or fractions to act by: give a SoftPolicy or Doses, or take hybrid"
        )
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {arguments.shown(order)}")
    if order == 2 and (estimator != "marginal" or isinstance(policy, SoftPolicy)):
        raise ValueError(
            "second derivatives are unbiased for the marginal estimator of a policy without probabilities alone; "
            f"got {estimator} and {type(policy).__name__}"
        )
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((params, policy, key))):
        return
    if estimator == "hybrid" and np.any(np.asarray(params.heart_attack_proclivity) == 0):
        raise ValueError(
            "hybrid learns from heart attacks that happen, and at heart_attack_proclivity = 0 none do: take marginal "
            "or branch"
        )
    looked_at = functools.partial(depends_on_obs, setup.actor, params, key, setup.env, num_steps)
    obs_names = setup.env.obs_names or tuple(f"observation {i}" for i in range(setup.env.obs_shape[0]))
    hypertension = tuple(i for i, name in enumerate(obs_names) if name == "hypertension")
    if estimator == "marginal" and looked_at(hypertension):
        raise ValueError(
            "marginal cannot be given for a policy that looks at hypertension, whose actions would depend on the heart "
            "attacks that it integrates out: take hybrid or branch"
        )
    if ESTIMATORS[estimator].unbiased and isinstance(policy, Policy):
        columns = tuple(i for i, name in enumerate(obs_names) if name not in CLOCK)
        if found := looked_at(columns):
            shown = ", ".join(obs_names[i] for i in sorted(found))
            raise ValueError(
                f"the policy looks at {shown}, which parameters change: its actions jump, and no derivative sees that. "
                "Make it a SoftPolicy, take finite_differences, or pathwise, which is biased"
            )
