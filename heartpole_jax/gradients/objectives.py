"""What is differentiated: the mean of a sum over the decisions of an episode, and of a number at its end."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from chex import Array, ArrayTree

from heartpole_jax import arguments, validation
from heartpole_jax.envs import physiology
from heartpole_jax.envs.environment import Environment, imported
from heartpole_jax.rollout import Transition


def _nothing(seen: Any, params: Any) -> Array:
    return jnp.zeros(())


@dataclasses.dataclass(frozen=True)
class Objective:
    """step(transition, params) summed over the decisions, + final(state, params) at the end.

    Both are differentiated through everything that they see, but the heart attack, which jumps.

    `integrates_attacks` is whether `step` takes the risk for the heart attack: it is the same number whether the attack
    of this decision happens or not. That is less noise. A function that looks at `info.heart_attack`, or at
    `next_state.hypertension`, must leave it False.
    """

    step: Callable[[Transition, Any], Array] = _nothing
    final: Callable[[ArrayTree, Any], Array] = _nothing
    integrates_attacks: bool = False


def _heart_attacks(transition: Transition, params: Any) -> Array:
    return transition.info.heart_attack_risk


def _penalty(transition: Transition, params: Any) -> Array:
    return -params.heart_attack_penalty * transition.info.heart_attack_risk


def _observed_penalty(transition: Transition, params: Any) -> Array:
    info = transition.info
    return -params.heart_attack_penalty * info.heart_attack.astype(info.heart_attack_risk.dtype)


def _reward(transition: Transition, params: Any) -> Array:
    return transition.reward  # with the penalty's noise integrated out: `estimate` sets expected_penalty to 1


def _score(state: ArrayTree, params: Any) -> Array:
    return physiology.score(state.work_done, state.time_elapsed)


HEART_ATTACKS = Objective(step=_heart_attacks, integrates_attacks=True)
PENALTY = Objective(step=_penalty, integrates_attacks=True)
OBSERVED_PENALTY = Objective(step=_observed_penalty)  # for comparison: no attack is integrated out
SCORE = Objective(final=_score, integrates_attacks=True)
# The return of an environment whose rewards telescope to the score, as HeartPole-v0's: no digits are lost to their sum.
SCORE_AND_PENALTY = Objective(step=_penalty, final=_score, integrates_attacks=True)
RETURN = Objective(step=_reward, integrates_attacks=True)

_NAMED = {"heart_attacks": HEART_ATTACKS, "penalty": PENALTY, "observed_penalty": OBSERVED_PENALTY, "score": SCORE}


def as_objective(objective: str | Objective, env: Environment) -> Objective:
    """The objective of a name: "return", "heart_attacks", "penalty", "observed_penalty", "score"; or itself.

    Raises:
      ValueError: for another name.
    """
    if isinstance(objective, Objective):
        arguments.check_fields(objective)
        return objective
    named = {"return": imported(env.return_objective), **_NAMED}
    return validation.look_up(named, objective, "objective")
