"""An upper bound on the expected return of every policy of HeartPole-v1 that drinks no alcohol.

U_t, for t half-hours left, is a multilinear function on a lattice (see `lattice`) with U_t >= T U_{t-1}, .. in whole
cells, T being Bellman's operator: so U_t is nowhere below the optimal value, history and randomness allowed. The proof:
docs/development/heartpole_v1.md.

Half-hour by half-hour the computation goes back as far as it must. T is monotone, and T (f + c) = T f + c where no
decision outlasts the episode. So once U_{t+P} <= U_t + c at all points of the lattice, for as many half-hours in a row
as a decision looks back, U_{t + k P} <= U_t + k c for all k.
"""

import dataclasses
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax import arguments
from heartpole_jax.arguments import shown
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.envs.menu import Row
from heartpole_jax.optimum.heartpole_v1.bound import lattice as lattices
from heartpole_jax.optimum.heartpole_v1.bound.actions import Action, action_of, body_of
from heartpole_jax.optimum.heartpole_v1.bound.backwards import half_hour
from heartpole_jax.optimum.heartpole_v1.bound.covered import (
    NeverPays,
    check,
    idling_is_better,
    late_returns,
    never_paying,
    within_reach,
)
from heartpole_jax.optimum.heartpole_v1.bound.covered import NoBound as NoBound
from heartpole_jax.optimum.heartpole_v1.bound.lattice import Lattice
from heartpole_jax.optimum.heartpole_v1.bound.sleep import Sleep, sleep_of
from heartpole_jax.optimum.heartpole_v1.grid import interpolation
from heartpole_jax.optimum.heartpole_v1.solver import choices, plain

ROUNDING = 1e-6  # added each half-hour. Sums of 100 products at 1e2 in float64 err by 1e-12; in float32 see `actions`
_EVERY = 24  # half-hours between the U that are kept to be compared with
_COMPARED = 4  # half-hours between those that are compared with them; a divisor of _EVERY
_KEPT = 12  # of them
_CLOSE, _DAYS = 0.02, 8  # the computation ends once so many half-days improve the bound by no more


@dataclasses.dataclass(frozen=True)
class UpperBound:
    """No policy without the actions `not_covered` has an expected return above `bound`."""

    bound: float
    half_hours: int  # that were computed one by one
    period: int  # by which the rest follows: U_{t + period} <= U_t + increment; 0 if none was needed
    increment: float
    covered: tuple[str, ...]  # actions on the lattice
    never_pay: tuple[str, ...]  # actions that idling beats
    not_covered: tuple[str, ...]  # actions that intoxicate


@arguments.typed()
def upper_bound(params: EnvParams | None = None, *, resolution: float = 1.0) -> UpperBound:
    """What no policy exceeds that never intoxicates itself. Any resolution gives a bound, a finer one a lower bound.

    Args:
      params: plain numbers. `expected_penalty` is ignored: it changes no expectation.
      resolution: of the lattice. Work and memory grow with its cube.

    Raises:
      ValueError: for parameters that are not plain numbers, a resolution outside [0.1, 4].
      NoBound: for parameters or a menu that the proof does not cover.
    """
    leaves, treedef = plain(params)
    if not (type(resolution) in (int, float) and 0.1 <= resolution <= 4):
        raise ValueError(f"resolution must be a number in [0.1, 4], got {shown(resolution)}")
    params = jax.tree.unflatten(treedef, leaves)
    with jax.enable_x64(True):
        return computed(params, lattices.lattice_of(params, list(rows_of(params).values()), float(resolution)))


def rows_of(params: EnvParams) -> dict[int, Row]:
    """The rows of the menu that the lattice has, by their numbers."""
    return choices(params, drunk=False)


class Problem(NamedTuple):
    """The actions on a lattice."""

    actions: tuple[Action, ...]  # but for sleep
    breaks: tuple[int, ...]  # of them, half-hours
    sleep: Sleep
    tired: int  # the lattice's
    night: int  # half-hours of the decision to sleep
    late: tuple[Array, ...]  # (h,) each: at most what an action that never pays earns with 1, 2, .. half-hours left
    never_pay: tuple[NeverPays, ...]  # such actions


def problem_of(params: EnvParams, grid: Lattice) -> Problem:
    """The covered actions of a menu on a lattice. Raises `NoBound`."""
    rows = rows_of(params)
    check(params, list(rows.values()), grid)
    body = body_of(params, grid)
    awake = [row for row in rows.values() if not row.wakes_up]
    (bed,) = (row for row in rows.values() if row.wakes_up)
    others = [row for number, row in enumerate(params.menu.actions) if number not in rows and row.intoxication is None]
    return Problem(
        actions=tuple(action_of(row, body) for row in awake),
        breaks=tuple(row.half_hours for row in awake),
        sleep=sleep_of(bed, params, body),
        tired=grid.tired,
        night=bed.half_hours + 1,
        late=late_returns(params, others, body),
        never_pay=never_paying(others, params, body),
    )


class Values(NamedTuple):
    """U with t, t - 1, .. half-hours left, as far as decisions look back; 0 after the end."""

    awake: tuple[Array, ...]  # (s, x, w, h) each, the latest first
    woken: tuple[Array, ...]  # (x, w, h) each, half an hour after waking up


def no_values(problem: Problem, grid: Lattice) -> Values:
    """Those after the end."""
    zeros = jnp.zeros(grid.shape)
    return Values((zeros,) * (max(problem.breaks) + 1), (zeros[0],) * problem.night)


def earlier(values: Values, left: int, problem: Problem) -> Values:
    """The values with one half-hour more, `left`."""
    late = problem.late[left - 1] if left <= len(problem.late) else jnp.full(values.awake[0].shape[-1], -jnp.inf)
    found = half_hour(
        problem.actions, problem.sleep, values.awake, values.woken[-1], late, problem.breaks, problem.tired
    )
    found = found + ROUNDING
    return Values((found, *values.awake[:-1]), (found[1], *values.woken[:-1]))


def at_start(found: Array, params: EnvParams, grid: Lattice) -> float:
    """The mean of U, (s, x, w, h), over the patients that an episode begins with: rested, calm, nothing drunk."""
    low, high = np.array([params.wake_up_alertness_low]), np.array([params.wake_up_alertness_high])
    weights = lattices.average(grid.wakefulness, low, high, 1.0)[0]
    return float(interpolation(grid.stimulation, np.zeros(1), cubic=False)[0] @ np.asarray(found[0, :, :, 0]) @ weights)


def computed(params: EnvParams, grid: Lattice) -> UpperBound:
    """The bound on one lattice, in float64. Raises `NoBound`."""
    horizon, starts = int(params.max_half_hours), [0.0]
    problem = problem_of(params, grid)
    values = no_values(problem, grid)
    for values in last_day(params, grid, min(horizon, lattices.LAST_DAY)):
        starts.append(at_start(values.awake[0], params, grid))
    reachable = jnp.asarray(within_reach(params, list(rows_of(params).values()), grid))
    kept: deque[tuple[int, Values]] = deque(maxlen=_KEPT)
    best = (starts[-1] if horizon < len(starts) else np.inf, horizon, 0, 0.0)
    bests: deque[float] = deque(maxlen=_DAYS)
    for left in range(len(starts), horizon + 1):
        values = earlier(values, left, problem)
        check_values(values, params, problem)
        starts.append(at_start(values.awake[0], params, grid))
        if left == horizon:
            best = min(best, (starts[-1], left, 0, 0.0))
        elif left % _COMPARED == 0:  # days have a length of their own: the increments are least over whole days
            for base, then in kept:
                increment, period = largest_increment(values, then, reachable), left - base
                times = -(-(horizon - left) // period)
                best = min(best, (starts[horizon - times * period] + times * increment, left, period, increment))
        if left % _EVERY == 0:
            if len(bests) == _DAYS and bests[0] - best[0] < _CLOSE:
                break
            bests.append(best[0])
            if left >= lattices.LAST_DAY + problem.night:
                kept.append((left, values))
    bound, left, period, increment = best
    solved, rows = rows_of(params), params.menu.actions
    return UpperBound(
        bound=bound,
        half_hours=left,
        period=period,
        increment=increment,
        covered=tuple(row.name for row in solved.values()),
        never_pay=tuple(
            row.name for number, row in enumerate(rows) if number not in solved and row.intoxication is None
        ),
        not_covered=tuple(row.name for row in rows if row.intoxication is not None),
    )


def last_day(params: EnvParams, grid: Lattice, half_hours: int) -> Iterator[Values]:
    """The values with 1, 2, .. half-hours left, of the last ones.

    With the end near a patient may well stay awake for longer than `grid` knows, so this lattice has more half-hours
    awake. Its values with `grid.tired` are also those of a patient who is awake for longer, and no more alert.
    """
    longer = dataclasses.replace(grid, awake=max(half_hours, grid.awake + 1))
    problem = problem_of(params, longer)
    values = no_values(problem, longer)
    for left in range(1, half_hours + 1):
        values = earlier(values, left, problem)
        check_values(values, params, problem)
        yield Values(tuple(each[: grid.awake + 1] for each in values.awake), values.woken)


def check_values(values: Values, params: EnvParams, problem: Problem) -> None:
    """Raises `NoBound` unless on the lattice a heart attack costs something, and idling beats what is not on it."""
    penalty = float(params.heart_attack_penalty)
    hypertension_cost = np.asarray(jnp.max(values.awake[0][..., :1] - values.awake[0], axis=(0, 1, 2)))
    if hypertension_cost[-1] > penalty:
        raise NoBound("hypertension costs more than a heart attack on this lattice: take a finer one")
    for row in problem.never_pay:
        if not idling_is_better(row, hypertension_cost, penalty):
            raise NoBound(f"{row.name} may pay where hypertension is high; leave it out")


def largest_increment(values: Values, then: Values, reachable: Array) -> float:
    """The largest difference at any point that matters, for all half-hours that a decision looks back."""
    awake = zip(values.awake, then.awake, strict=True)
    woken = zip(values.woken, then.woken, strict=True)
    within = lambda difference, where: float(jnp.max(jnp.where(where[..., None], difference, -jnp.inf)))
    everywhere = max(within(now - before, reachable[:, None]) for now, before in awake)
    return max(everywhere, *(within(now - before, reachable[1][None]) for now, before in woken))
