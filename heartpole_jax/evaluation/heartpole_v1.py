"""How good is a policy of HeartPole-v1: `evaluation`'s methods, for its rewards and its clock.

A heart attack costs 100 and comes by chance, so returns are corrected by the heart attacks that came unexpectedly,
N - sum of the risks, a martingale with mean 0 (see `evaluation`). All policies of a leaderboard have the same noise.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import PRNGKey

from heartpole_jax import arguments, validation
from heartpole_jax.envs.environment import make
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.evaluation.heartpole_v0 import (
    HALF_HOURS_A_DAY,
    Estimate,
    Row,
    check,
    estimate,
    rank,
    without_attack_noise,
)
from heartpole_jax.optimum import heartpole_v1 as optimum_v1
from heartpole_jax.policies import heartpole_v1 as policies_v1
from heartpole_jax.policy import Policy
from heartpole_jax.rollout import Transition, rollout

NUM_EPISODES = 16_384  # gives returns to 0.1
_BEST_SEED = 0xBE57  # of the random numbers that the best policy is evaluated on
_PIECE = 60  # decisions between looks at whether anybody is still at it


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The score of a policy, over `num_episodes` whole episodes of HeartPole-v1."""

    name: str
    num_episodes: int
    expected_return: Estimate
    regret: Estimate | None  # `best_expected_return` - expected_return, None where that is unknown
    work_done: Estimate  # productive half-hours, an episode
    heart_attacks: Estimate  # an episode
    decisions: Estimate  # an episode
    actions_a_day: dict[str, Estimate]  # of every action on the menu, by name
    returns: np.ndarray  # (num_episodes,) each return without the noise of heart attacks, for paired comparisons


def best_expected_return(params: EnvParams | None = None) -> float | None:
    """What regrets are against: what the policy of `optimum_v1.solve` reaches, in 8,192 episodes of its own noise.

    For params of plain numbers, None for a menu that cannot be solved. Half a minute of work; cached. How far it may be
    from the optimum: docs/heartpole_v1.md.
    """
    return _best_expected_return(*optimum_v1.plain(params))


@functools.cache
def _best_expected_return(leaves: tuple[float, ...], treedef: Any) -> float | None:
    params = jax.tree.unflatten(treedef, leaves)
    try:
        policy = optimum_v1.solve(params).policy
    except optimum_v1.NoSolution:
        return None
    returns, _ = _live(policy, jax.random.key(_BEST_SEED), params, 8_192, None)
    return estimate(returns).mean


@arguments.checked(name=str)
def evaluate(
    policy: Policy | Callable[..., Any],
    key: PRNGKey,
    params: EnvParams | None = None,
    *,
    num_episodes: int = NUM_EPISODES,
    name: str = "policy",
    devices: Sequence[jax.Device] | None = None,
) -> Evaluation:
    """The value of a policy on HeartPole-v1 and its parts.

    Args:
      policy: as for `rollout`.
      key: the noise; two policies under one key have the same random numbers.
      params: plain numbers, with the menu. `expected_penalty` is ignored: it changes no expectation.
      num_episodes: whole episodes, at least 4.
      name: for the table.
      devices: as for `rollout`.

    Raises:
      ValueError: for too few episodes, or parameters that are not plain numbers.
    """
    params = EnvParams() if params is None else params
    check(policy, key, params, EnvParams, num_episodes)
    best = best_expected_return(params)
    returns, sums = _live(policy, key, params, num_episodes, devices)
    attacks, risks = sums["heart_attacks"], sums["risk"]
    days = sums["half_hours"] / HALF_HOURS_A_DAY
    return Evaluation(
        name=name,
        num_episodes=num_episodes,
        expected_return=estimate(returns),
        regret=None if best is None else estimate(best - returns),
        work_done=estimate(sums["work_done"]),
        heart_attacks=estimate(without_attack_noise(attacks, attacks, risks, 1.0)),
        decisions=estimate(sums["actions"].sum(axis=1)),
        actions_a_day={
            row.name: estimate(sums["actions"][:, number] / days) for number, row in enumerate(params.menu.actions)
        },
        returns=returns,
    )


@arguments.checked(key=validation.check_key, policies=Mapping, params=EnvParams)
def leaderboard(
    key: PRNGKey,
    policies: Mapping[str, Policy | Callable[..., Any]] | None = None,
    params: EnvParams | None = None,
    *,
    num_episodes: int = NUM_EPISODES,
    devices: Sequence[jax.Device] | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> list[Row]:
    """The policies, best first, on the same noise; by default those of `default_policies`.

    `progress` is called with each name before its turn; the rest is as for `evaluate`.
    """
    policies = default_policies(params) if policies is None else policies
    evaluate_one = functools.partial(evaluate, key=key, params=params, num_episodes=num_episodes, devices=devices)
    return rank(policies, evaluate_one, progress)


@arguments.checked(params=EnvParams)
def default_policies(params: EnvParams | None = None) -> dict[str, Policy]:
    """The scripted policies that the menu allows, and the optimum's where it is known."""
    params = EnvParams() if params is None else params
    policies = {name: policies_v1.make(name, params.menu) for name in policies_v1.available(params.menu)}
    return policies if best_expected_return(params) is None else {"optimal": policies_v1.optimal(params), **policies}


def _live(policy, key, params: EnvParams, num_episodes: int, devices) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The returns of whole episodes without the noise of heart attacks, and the sums of `_parts`.

    In pieces: some policies take 80 decisions and others 1344.
    """
    env = make("HeartPole-v1", params.menu)
    sums: dict[str, np.ndarray] = {}
    envs, running = None, True
    while running:
        piece = rollout(
            policy, key, params, env=env, num_envs=num_episodes, num_steps=_PIECE, start=envs, devices=devices,
            total=_parts(len(params.menu.actions)),
        )  # fmt: skip
        envs = piece.envs
        for part, value in piece.totals.items():
            sums[part] = sums.get(part, 0.0) + np.asarray(value, np.float64)
        running = bool(np.any(np.asarray(envs.running)))
    attacks, penalty = sums["heart_attacks"], float(params.heart_attack_penalty)
    return without_attack_noise(sums["work_done"] - penalty * attacks, attacks, sums["risk"], -penalty), sums


@functools.cache  # the same function for menus of one size, so that its compiled program is found again
def _parts(num_actions: int) -> Callable[[Transition], dict[str, Any]]:
    def parts(transition: Transition) -> dict[str, Any]:
        info = transition.info
        return {
            "work_done": info.productivity,
            "half_hours": info.half_hours,
            "heart_attacks": info.heart_attack,
            "risk": info.heart_attack_risk,
            "actions": jnp.arange(num_actions) == transition.action,
        }

    return parts
