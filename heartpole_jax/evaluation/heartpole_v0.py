"""How good is a policy of HeartPole-v0: expected return, regret and their parts, with errors small enough to rank by.

Single returns have a standard deviation of 111 while policies differ by hundredths. What takes the noise out, unbiased:

- The noise of heart attacks, by a control variate: see `estimates.without_attack_noise`.
- Exact sums. Risks are summed as their excess over risk(0), the rest is a multiple of a known number: in float32 the
  sum of 1000 risks would be wrong by up to 0.00003, the return by 0.003. The excess is a product, risk(h) sigma(6)
  (1 - exp(-h)), in which nothing cancels: exactly 0 for the sober.
- Common random numbers. All policies of a leaderboard are simulated on the same noise; differences have paired errors.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import SLEEP_HALF_HOURS, Action, EnvParams
from heartpole_jax.evaluation import evaluator
from heartpole_jax.evaluation.estimates import HALF_HOURS_A_DAY, Estimate, estimate, without_attack_noise
from heartpole_jax.evaluation.evaluator import BestKnown, Evaluator, Row
from heartpole_jax.optimum import certificate, heart_attack_floor, resting_risk, return_ceiling, sober_optimum
from heartpole_jax.rollout import Transition, rollout

_ROUNDING = 2e-6  # relative: of the optimum and of episodes in float32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation(evaluator.Evaluation):
    """The score of a policy of HeartPole-v0; the regret is against `sober_optimum`, see `optimum.certificate`."""

    score: Estimate  # productive half-hours a half-hour, W / t at the end
    heart_attacks: Estimate  # an episode
    excess_heart_attacks: Estimate  # over the floor that no policy gets below
    drinks_a_day: Estimate  # coffees and beers
    share_asleep: Estimate  # of the half-hours


@functools.lru_cache(maxsize=10_000)  # two numbers each; a sweep may have as many environments
def best_known(params: EnvParams) -> BestKnown | None:
    """The best policy without drinks; None where `sober_optimum` cannot be computed."""
    try:
        return BestKnown(sober_optimum(params).expected_return, certificate(params).certified)
    except ValueError:
        return None


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
    """Raises RuntimeError if the estimate lies above what any policy can reach, which would be an error of ours."""
    best = best_known(params)
    sums = rollout(
        policy,
        key,
        params,
        num_envs=num_episodes,
        total=_parts(resting_risk(params), float(params.heart_attack_threshold)),
        env=env,
        devices=devices,
    ).totals
    sums = {part: np.asarray(value, np.float64) for part, value in sums.items()}

    score = sums["productivity"] / sums["half_hours"]
    attacks, floor = sums["heart_attacks"], heart_attack_floor(params)
    risks, penalty = floor + sums["excess_risk"], float(params.heart_attack_penalty)
    returns = without_attack_noise(score - penalty * attacks, attacks, risks, -penalty)
    evaluation = Evaluation(
        name=name,
        num_episodes=num_episodes,
        expected_return=estimate(returns),
        regret=None if best is None else estimate(best.expected_return - returns),
        certified=best is not None and best.certified,
        score=estimate(score),
        heart_attacks=estimate(without_attack_noise(attacks, attacks, risks, 1.0)),
        excess_heart_attacks=estimate(without_attack_noise(attacks - floor, attacks, risks, 1.0)),
        drinks_a_day=estimate(HALF_HOURS_A_DAY * sums["drinks"] / sums["half_hours"]),
        share_asleep=estimate(SLEEP_HALF_HOURS * sums["sleeps"] / sums["half_hours"]),
        returns=returns,
    )
    mean, error = evaluation.expected_return
    ceiling = best.expected_return if best is not None and best.certified else return_ceiling(params)
    if mean - 6 * error > ceiling + _ROUNDING * abs(ceiling):
        raise RuntimeError(
            f"{name}: an expected return of {mean} +- {error} is above the ceiling {ceiling} of all "
            "policies; this evaluation is wrong, please report it"
        )
    return evaluation


@functools.lru_cache(maxsize=32)
def _parts(floor: float, threshold: float) -> Callable[[Transition], dict[str, Any]]:
    """What `evaluate` sums over an episode; cached, so that the same floor finds its compiled program again."""
    spared = float(0.5 + 0.5 * np.tanh(0.5 * threshold))  # sigma(c), which this way does not overflow

    def parts(transition: Transition) -> dict[str, Any]:
        info, action = transition.info, transition.action
        drinks = (action == Action.COFFEE) | (action == Action.BEER)
        # kappa sigma(h - c) - kappa sigma(-c). An attack has wiped h out, and few steps have one.
        excess = info.heart_attack_risk * spared * -jnp.expm1(-transition.next_state.hypertension)
        is_sober = (transition.state.hypertension == 0.0) & ~drinks
        attacked = jnp.where(is_sober, 0.0, info.heart_attack_risk - floor)
        return {
            "productivity": info.productivity,
            "half_hours": info.half_hours,
            "heart_attacks": info.heart_attack,
            "excess_risk": jnp.where(info.heart_attack, attacked, excess),
            "drinks": drinks,
            "sleeps": action == Action.SLEEP,
        }

    return parts


def _cells(found: Evaluation) -> tuple[str, ...]:
    return (
        f"{found.score.mean:.4f}",
        f"{found.heart_attacks.mean:.4f}",
        f"{max(found.excess_heart_attacks.mean, 0.0):.4f}",
        f"{found.drinks_a_day.mean:.2f}",
        f"{100 * found.share_asleep.mean:.1f} %",
    )


def _notes(rows: Sequence[Row], params: EnvParams) -> list[str]:
    best = best_known(params)
    return [
        f"{rows[0].evaluation.num_episodes:,} episodes of {int(params.max_steps):,} decisions for each policy, all on "
        "the same noise; ± is one standard error.",
        *_what_is_known(best, params),
        f"No policy has fewer heart attacks than {heart_attack_floor(params):.5f}.",
    ]


def _what_is_known(best: BestKnown | None, params: EnvParams) -> list[str]:
    ceiling = f"no policy at all exceeds {return_ceiling(params):.1f}"
    if best is None:
        return [
            f"Regret is unknown: for these parameters the best policy without drinks cannot be computed; {ceiling}."
        ]
    found = f"the best policy without drinks, computed by dynamic programming: {best.expected_return:.5f}"
    if best.certified:
        return [f"Regret is against {found}. It is the optimum over all policies; {certificate(params).reason}."]
    return [f"Best known is {found}. Others may be better: {ceiling}.", f"{certificate(params).reason.capitalize()}."]


def _facts(params: EnvParams) -> dict[str, Any]:
    best = best_known(params)
    return {
        "params": {name: float(value) for name, value in vars(params).items()},
        "best_known_return": None if best is None else best.expected_return,
        "certified": best is not None and best.certified,
        "return_ceiling": return_ceiling(params),
        "heart_attack_floor": heart_attack_floor(params),
    }


EVALUATOR = Evaluator(
    evaluate=_evaluate,
    num_episodes=65_536,  # gives regrets to 0.00003 among the sober
    best_known=best_known,
    constant_penalty=lambda params: params.heart_attack_penalty * resting_risk(params),
    columns=("score", "attacks", "excess", "drinks/day", "asleep"),
    cells=_cells,
    notes=_notes,
    facts=_facts,
    literature=Path(__file__).parent / "literature.toml",
)
