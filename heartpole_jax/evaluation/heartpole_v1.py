"""How good is a policy of HeartPole-v1: expected return, regret and their parts.

A heart attack costs 100 and comes by chance, so returns are corrected by the heart attacks that came unexpectedly,
see `estimates.without_attack_noise`. All policies of a leaderboard have the same noise.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax.envs import heartpole_v1
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.evaluation import evaluator
from heartpole_jax.evaluation.estimates import HALF_HOURS_A_DAY, Estimate, estimate, without_attack_noise
from heartpole_jax.evaluation.evaluator import BestKnown, Evaluator, Row
from heartpole_jax.optimum import heartpole_v1 as optimum
from heartpole_jax.rollout import Transition, rollout

_BEST_SEED = 0xBE57  # of the random numbers that the best policy is evaluated on
_PIECE = 60  # decisions between looks at whether any episode is still running


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation(evaluator.Evaluation):
    """The score of a policy of HeartPole-v1; what it lacks of the best known is against `best_known`."""

    work_done: Estimate  # productive half-hours, an episode
    heart_attacks: Estimate  # an episode
    decisions: Estimate  # an episode
    actions_a_day: dict[str, Estimate]  # of every action on the menu, by name

    def estimates(self) -> dict[str, Estimate]:
        """Every estimate by its name, those of the actions too."""
        return super().estimates() | {f"{name}_a_day": value for name, value in self.actions_a_day.items()}


def best_known(params: EnvParams) -> BestKnown | None:
    """What the policy of `optimum.heartpole_v1.solve` reaches, in 8,192 episodes of its own noise. Not certified.

    None for a menu that cannot be solved. Half a minute of work; cached. How far it may be from the optimum:
    docs/heartpole_v1.md.
    """
    return _best_known(*optimum.plain(params))


@functools.cache
def _best_known(leaves: tuple[float, ...], treedef: Any) -> BestKnown | None:
    params = jax.tree.unflatten(treedef, leaves)
    try:
        policy = optimum.solve(params).policy
    except optimum.NoSolution:
        return None
    returns, _ = _simulate(
        policy, jax.random.key(_BEST_SEED), params, heartpole_v1.environment(params.menu), 8_192, None
    )
    return BestKnown(estimate(returns).mean, certified=False)


def _evaluate(
    policy: Any,
    key: Any,
    params: EnvParams,
    env: Environment,
    *,
    num_episodes: int,
    name: str,
    devices: Sequence[jax.Device] | None,
) -> Evaluation:
    best = best_known(params)
    returns, sums = _simulate(policy, key, params, env, num_episodes, devices)
    attacks, risks = sums["heart_attacks"], sums["risk"]
    days = sums["half_hours"] / HALF_HOURS_A_DAY
    return Evaluation(
        name=name,
        num_episodes=num_episodes,
        expected_return=estimate(returns),
        regret=None if best is None else estimate(best.expected_return - returns),
        certified=False,
        work_done=estimate(sums["work_done"]),
        heart_attacks=estimate(without_attack_noise(attacks, attacks, risks, 1.0)),
        decisions=estimate(sums["actions"].sum(axis=1)),
        actions_a_day={
            row.name: estimate(sums["actions"][:, number] / days) for number, row in enumerate(params.menu.actions)
        },
        returns=returns,
    )


def _simulate(
    policy: Any, key: Any, params: EnvParams, env: Environment, num_episodes: int, devices: Any
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The returns of whole episodes without the noise of heart attacks, and the sums of `_parts`.

    In pieces: some policies take 80 decisions and others 1344.
    """
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


def _cells(found: Evaluation) -> tuple[str, ...]:
    often = [(value.mean, name) for name, value in found.actions_a_day.items() if value.mean >= 0.05]
    return (
        f"{found.work_done.mean:.1f}",
        f"{found.heart_attacks.mean:.3f}",
        f"{found.decisions.mean:.0f}",
        ", ".join(f"{name} {mean:.1f}" for mean, name in sorted(often, reverse=True)),
    )


def _notes(rows: Sequence[Row], params: EnvParams) -> list[str]:
    best = best_known(params)
    return [
        f"{rows[0].evaluation.num_episodes:,} episodes of {int(params.max_half_hours):,} half-hours for each policy, "
        "all on the same noise; ± is one standard error.",
        "No best policy is known: this menu cannot be solved."
        if best is None
        else "Best known is the policy of dynamic programming on a grid, without what intoxicates, in episodes of its "
        f"own: {best.expected_return:.1f}. Others may be better.",
        "A toy: never dosing advice.",
    ]


def _facts(params: EnvParams) -> dict[str, Any]:
    best = best_known(params)
    constants = {name: value for name, value in vars(params).items() if name != "menu"}
    return {
        "params": {name: float(value) for name, value in constants.items()},
        "menu": [dataclasses.asdict(row) for row in params.menu.actions],
        "best_known_return": None if best is None else best.expected_return,
        "certified": False,
    }


EVALUATOR = Evaluator(
    evaluate=_evaluate,
    num_episodes=16_384,  # gives returns to 0.1
    best_known=best_known,
    columns=("work done", "attacks", "decisions", "a day"),
    cells=_cells,
    notes=_notes,
    facts=_facts,
)
