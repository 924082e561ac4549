"""The estimators: how much each part of an outcome counts in the gradient.

An estimate is a vector-Jacobian product of an `EpisodeOutcome`: its numbers are differentiated as they are, its log
probabilities with what came after them as weight (a score function), its risks with what the attack costs.

Scores have mean zero, so they are control variates as well (Williams 1992; Greensmith, Bartlett and Baxter 2004):
multiplied by what does not depend on the sample, they take noise out and leave the mean. A baseline is one of those;
the best one cancels noise of the pathwise part too, and is found by regression for each derivative.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree, PRNGKey
from jax.flatten_util import ravel_pytree

from heartpole_jax.envs.environment import Environment
from heartpole_jax.gradients.actors import Actor
from heartpole_jax.gradients.objectives import Objective
from heartpole_jax.gradients.simulate import EpisodeOutcome, NoiseSequence, marginalise, simulate

_POWERS = 2  # of the time, for control variates
_RIDGE = 1e-6  # of the trace, lest variates that vanish or coincide make it singular


class Setup(NamedTuple):
    """What the sequences of an estimate have in common."""

    actor: Actor
    objective: Objective
    env: Environment
    window: int | None
    num_branches: int | None


@dataclasses.dataclass(frozen=True)
class Estimator:
    """How to simulate, and what to multiply the derivatives of the outcome by."""

    unbiased: bool
    promise: str
    simulate: Callable[[Setup, object, NoiseSequence], EpisodeOutcome]  # params of the environment
    weights: Callable[
        [Setup, object, NoiseSequence, EpisodeOutcome, PRNGKey], EpisodeOutcome
    ]  # of a batch of sequences, leaves (num_episodes, ...)
    scores: tuple[str, ...] = ()  # which parts of its outcomes are log probabilities


def _simulate_sampled(setup: Setup, params, sequence: NoiseSequence) -> EpisodeOutcome:
    return simulate(setup.actor, params, sequence, setup.objective, setup.env)


def _simulate_marginal(setup: Setup, params, sequence: NoiseSequence) -> EpisodeOutcome:
    return marginalise(setup.actor, params, sequence, setup.objective, setup.env, setup.window)


def _numbers_alone(
    setup: Setup, params, sequence: NoiseSequence, outcome: EpisodeOutcome, key: PRNGKey
) -> EpisodeOutcome:
    zero = jnp.zeros_like(outcome.steps)
    one = jnp.ones_like
    return EpisodeOutcome(
        steps=one(outcome.steps), final=one(outcome.final), action_log_prob=zero, attack_log_prob=zero, risk=zero
    )


def _with_actions(
    setup: Setup, params, sequence: NoiseSequence, outcome: EpisodeOutcome, key: PRNGKey
) -> EpisodeOutcome:
    """The numbers, and the action's score with what is to go from its decision on."""
    weights = _numbers_alone(setup, params, sequence, outcome, key)
    return dataclasses.replace(weights, action_log_prob=_to_go(outcome))


def _with_both(setup: Setup, params, sequence: NoiseSequence, outcome: EpisodeOutcome, key: PRNGKey) -> EpisodeOutcome:
    """The numbers, the action's score, and the attack's with what is to go after it."""
    to_go = _to_go(outcome)
    after = to_go
    if setup.objective.integrates_attacks:  # then its own decision's number is the same with it and without
        after = to_go - outcome.steps
    weights = _with_actions(setup, params, sequence, outcome, key)
    return dataclasses.replace(weights, attack_log_prob=after)


def _with_branches(
    setup: Setup, params, sequence: NoiseSequence, outcome: EpisodeOutcome, key: PRNGKey
) -> EpisodeOutcome:
    """The numbers, the action's score, and each risk with what its attack changes: the same noise, used twice."""
    num_episodes, num_steps = outcome.steps.shape
    num_branches = num_steps if setup.num_branches is None else min(setup.num_branches, num_steps)
    total = jnp.sum(outcome.steps, axis=1) + outcome.final

    def differences(sequence: NoiseSequence, total: Array, attacked: Array, key: PRNGKey) -> Array:
        def flipped(time: Array) -> Array:
            forced = sequence.noise.heart_attack.at[time].set(jnp.where(attacked[time], 1.0, -1.0))
            other = dataclasses.replace(sequence, noise=dataclasses.replace(sequence.noise, heart_attack=forced))
            outcome = _simulate_sampled(setup, params, other)
            return jnp.sum(outcome.steps) + outcome.final

        if num_branches == num_steps:
            times = jnp.arange(num_steps)
        else:
            times = jax.random.permutation(key, num_steps)[:num_branches]
        changes = jax.lax.map(flipped, times) - total
        share = num_branches / num_steps
        return jnp.zeros(num_steps).at[times].set(jnp.where(attacked[times], -changes, changes) / share)

    attacked = sequence.noise.heart_attack < outcome.risk
    weights = _with_actions(setup, params, sequence, outcome, key)
    keys = jax.random.split(key, num_episodes)
    return dataclasses.replace(weights, risk=jax.vmap(differences)(sequence, total, attacked, keys))


def _to_go(outcome: EpisodeOutcome) -> Array:
    """What is to go from each decision on, itself included: (num_episodes, num_steps)."""
    return jnp.cumsum(outcome.steps[:, ::-1], axis=1)[:, ::-1] + outcome.final[:, None]


def zero_means(outcome: EpisodeOutcome, scores: Sequence[str]) -> list[EpisodeOutcome]:
    """Weights whose vector-Jacobian products have mean zero: `scores` times powers of the time."""
    num_steps = outcome.steps.shape[1]
    time = 2.0 * jnp.arange(num_steps, dtype=jnp.result_type(float)) / num_steps - 1.0
    nothing = jax.tree.map(jnp.zeros_like, outcome)
    return [
        dataclasses.replace(nothing, **{name: jnp.broadcast_to(time**power, outcome.steps.shape)})
        for name in scores
        for power in range(_POWERS)
    ]


def apply_control_variates(derivatives: ArrayTree) -> ArrayTree:
    """The first of the derivatives less what the others, of mean zero, explain of it, element by element.

    The coefficients are of a regression on the other half of the sequences, so the mean stays what it is.

    Args:
      derivatives: leaves (1 + num_variates, num_episodes, ...).

    Returns:
      Leaves (num_episodes, ...).
    """
    first = jax.tree.map(lambda x: x[0], derivatives)
    leaves = jax.tree.leaves(derivatives)
    num_rows, num_episodes = leaves[0].shape[:2]
    if num_rows == 1:
        return first
    # All elements together, (elements, num_episodes, 1 + num_variates): one program of regressions and not one a leaf.
    elements = jnp.concatenate([x.reshape(num_rows, num_episodes, -1).T for x in leaves])
    adjusted = jax.vmap(_residuals)(elements[:, :, 0], elements[:, :, 1:])
    _, unravel = ravel_pytree(jax.tree.map(lambda x: x[0], first))
    return jax.vmap(unravel)(adjusted.T)


def _residuals(values: Array, design: Array) -> Array:
    """values (num_episodes,) less design (num_episodes, num_variates) times the coefficients of the other half."""

    def coefficients(values: Array, design: Array) -> Array:
        centred = design - jnp.mean(design, axis=0, keepdims=True)
        squares = centred.T @ centred
        ridge = _RIDGE * jnp.trace(squares) + jnp.finfo(values.dtype).tiny
        squares = squares + ridge * jnp.eye(design.shape[1])
        return jnp.linalg.solve(squares, centred.T @ (values - jnp.mean(values)))

    halves = jnp.stack([coefficients(values[i::2], design[i::2]) for i in (1, 0)])  # of the odd for the even
    own = halves[jnp.arange(values.shape[0]) % 2]
    return values - jnp.sum(design * own, axis=1)


_ACTION = ("action_log_prob",)
_BOTH = ("action_log_prob", "attack_log_prob")

ESTIMATORS = {
    "pathwise": Estimator(
        False, "biased: what a heart attack changes later, and what an action's probability does, is left out",
        _simulate_sampled, _numbers_alone,
    ),
    "marginal": Estimator(
        True, "unbiased, and exact over the heart attacks, for policies that do not look at hypertension",
        _simulate_marginal, _with_actions, _ACTION,
    ),
    "hybrid": Estimator(
        True, "unbiased, for any soft policy, and any whose actions the differentiated parameters do not change",
        _simulate_sampled, _with_both, _BOTH,
    ),
    "branch": Estimator(
        True, "unbiased, for any soft policy, and any whose actions the differentiated parameters do not change",
        _simulate_sampled, _with_branches, _BOTH,
    ),
    "relaxed": Estimator(
        False, "biased: of an environment in which actions and heart attacks happen by fractions",
        _simulate_sampled, _numbers_alone,  # of an actor that acts by fractions
    ),
}  # fmt: skip
