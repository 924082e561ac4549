"""How good is a policy of HeartPole-v1: expected return, regret and their parts.

A heart attack costs 100 and comes by chance, so returns are corrected by the heart attacks that came unexpectedly,
see `estimates.without_attack_noise`. All policies of a leaderboard have the same noise.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax.envs import heartpole_v1
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.evaluation import evaluator, routines
from heartpole_jax.evaluation.estimates import HALF_HOURS_A_DAY, Estimate, estimate, without_attack_noise
from heartpole_jax.evaluation.evaluator import BestKnown, Evaluator, Row
from heartpole_jax.optimum.heartpole_v1 import solver
from heartpole_jax.rollout import Transition, rollout

_BEST_SEED = 0xBE57  # of the random numbers that the best policy is evaluated on
TOLERANCE = 0.01  # within which a solution must be right
_TIPSY_MARGIN = 0.05  # by which routines that intoxicate must be worse for being left out
_WORK_SHARE = 0.1  # of the work done, which the return is compared to where it is about 0
_RESOLUTIONS = (0.7, 1.0, 1.4)  # of the grids that are tried, but the first only where the second would be too large
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


@dataclasses.dataclass(frozen=True)
class Best:
    """What is known of the best that can be done with a menu."""

    expected_return: float | None  # of the best known policy; None where it may not be within 1 % of the best
    on_grid: float | None = None  # of the interpolated problem
    achieved: float | None = None  # by the policy made of it, simulated
    routine: float | None = None  # of the best of `routines`
    why: str = ""  # there is no `expected_return`


def best_known(params: EnvParams) -> BestKnown | None:
    """What the policy of `optimum.heartpole_v1.solve` reaches in `best`, not certified; None where `best` has none."""
    found = best(params).expected_return
    return None if found is None else BestKnown(found, certified=False)


def best(params: EnvParams) -> Best:
    """The solution on a grid, checked: its policy is simulated, in 8,192 episodes and more of short ones.

    Its return must be that of the grid to 1 %, and no routine's may exceed it by more; else the grid is refined, and
    where that does not help there is no `expected_return`. The per cent are of the return, or of a tenth of the work
    done where that is more. Half a minute of work; cached. How far it may be from the optimum: docs/heartpole_v1.md.
    """
    return _best(*solver.plain(params))


@functools.lru_cache(maxsize=64)
def _best(leaves: tuple[float, ...], treedef: Any) -> Best:
    params = jax.tree.unflatten(treedef, leaves)
    found = routines.routines(params.menu)
    values = routines.simulate(found, params)
    tipsy = np.array([np.isfinite(routine.intoxication) for routine in found])
    sober, drunk = values[~tipsy].max(), values[tipsy].max(initial=-np.inf)
    best_routine = routines.policy_of(found[int(np.argmax(np.where(tipsy, -np.inf, values)))])
    known = Best(None, routine=float(max(sober, drunk)))
    for solution in _solutions(params):
        if isinstance(solution, solver.NoSolution):
            return dataclasses.replace(known, why=known.why or str(solution))
        achieved, work = _achieved(solution.policy, params)
        scale = max(abs(achieved.mean), _WORK_SHARE * work)
        known = dataclasses.replace(known, on_grid=solution.expected_return, achieved=achieved.mean)
        if drunk > sober - _TIPSY_MARGIN * max(abs(sober), work):
            return dataclasses.replace(known, why="what intoxicates may pay, and is left out")
        if 2.0 * achieved.standard_error > TOLERANCE * scale:
            why = "its episodes differ too much"
        elif abs(solution.expected_return - achieved.mean) > TOLERANCE * scale:
            why = "the grid and its policy differ"
        elif sober > achieved.mean and _achieved(best_routine, params)[0].mean > achieved.mean + TOLERANCE * scale:
            why = "a routine is better than its policy"
        else:
            return dataclasses.replace(known, expected_return=achieved.mean, why="")
        known = dataclasses.replace(known, why=why)
    return known


def _solutions(params: EnvParams) -> Iterator[solver.Solution | solver.NoSolution]:
    """Solutions on finer and finer grids, and the error of the last that cannot be solved."""
    coarse, *fine = _RESOLUTIONS
    for resolution in fine:
        try:
            yield solver.solve(params, resolution=resolution)
        except solver.NoSolution as error:
            if resolution == fine[0]:
                with contextlib.suppress(solver.NoSolution):
                    yield solver.solve(params, resolution=coarse)
            yield error
            return


def _achieved(policy: Any, params: EnvParams) -> tuple[Estimate, float]:
    """The expected return of a policy, and the work that it does."""
    num_episodes = 8_192 * min(max(1344 // int(params.max_half_hours), 1), 8)
    env = heartpole_v1.environment(params.menu)
    returns, sums = _simulate(policy, jax.random.key(_BEST_SEED), params, env, num_episodes, None)
    return estimate(returns), float(np.mean(sums["work_done"]))


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
    known = best_known(params)
    returns, sums = _simulate(policy, key, params, env, num_episodes, devices)
    attacks, risks = sums["heart_attacks"], sums["risk"]
    days = sums["half_hours"] / HALF_HOURS_A_DAY
    return Evaluation(
        name=name,
        num_episodes=num_episodes,
        expected_return=estimate(returns),
        regret=None if known is None else estimate(known.expected_return - returns),
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
    envs, running, num_steps = None, True, min(_PIECE, int(params.max_half_hours))
    while running:
        piece = rollout(
            policy, key, params, env=env, num_envs=num_episodes, num_steps=num_steps, start=envs, devices=devices,
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
    return [
        f"{rows[0].evaluation.num_episodes:,} episodes of {int(params.max_half_hours):,} half-hours for each policy, "
        "all on the same noise; ± is one standard error.",
        _describe(best(params)),
        "A toy: never dosing advice.",
    ]


def _describe(known: Best) -> str:
    """A line of what regrets are against, or of why there are none and what is known."""
    if known.expected_return is not None:
        return (
            "Best known is the policy of dynamic programming on a grid, without what intoxicates, in episodes of its "
            f"own: {known.expected_return:.1f}. Others may be better, by about 1 %."
        )
    facts = {"the grid says": known.on_grid, "its policy earns": known.achieved, "the best routine": known.routine}
    figures = ", ".join(f"{what} {value:.1f}" for what, value in facts.items() if value is not None)
    return f"No best policy is known: this menu cannot be solved to 1 %, {known.why} ({figures})."


def _facts(params: EnvParams) -> dict[str, Any]:
    known = best(params)
    constants = {name: value for name, value in vars(params).items() if name != "menu"}
    return {
        "params": {name: float(value) for name, value in constants.items()},
        "menu": [dataclasses.asdict(row) for row in params.menu.actions],
        "best_known_return": known.expected_return,
        "certified": False,
        "best": dataclasses.asdict(known),
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
