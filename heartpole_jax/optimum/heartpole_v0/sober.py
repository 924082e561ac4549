"""The best policy without drinks, by dynamic programming; `certificate` tells where it is the best of all policies.

HeartPole-v0's expected return is E[W / t] - penalty * E[heart attacks], with W the work done and t the half-hours of
the whole episode, since the rewards telescope. Without drinks hypertension stays 0, heart attacks cost max_steps *
risk(0) * penalty whatever one does, and only the lengths of days are to be chosen (`days`).

**The optimum.** A patient who has been lucky with W stays up a little longer, since a half-hour costs the ratio that
the episode will end with. So the state on waking up is (m, k, y): m decisions left, k nights behind, and what has been
earned beyond a price, y = W - lambda t. At the end t is N + 16 k, whatever one has done, so that

    F(m, k, y) = E_a max( max over n < m of F(m - n, k + 1, y + w(a, n) - lambda (n + 16)),
                          (y + w(a, m) - lambda m) / (N + 16 k) )

and the score is F(N, 0, 0) + lambda. The price lambda is the largest E[W] / E[t], which keeps y near 0. F is nearly
quadratic in y: cubic interpolation between a few points of y is exact to 1e-7 for the default parameters.

**The policy** stays up for as long as is best at the price of the ratio that it expects to end with. This differs from
the optimum only by what is of third order in the spread of that ratio, one part in forty.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.envs.heartpole_v0 import SLEEP_HALF_HOURS, EnvParams
from heartpole_jax.optimum.heartpole_v0 import body
from heartpole_jax.optimum.heartpole_v0.ceiling import heart_attack_floor
from heartpole_jax.optimum.heartpole_v0.days import Days, bedtimes, best_days, best_ratio

_WAKE_UP_NODES = 128  # midpoint rule over the waking alertness
_SPREADS = 6.0  # standard deviations of y and k to either side that F is computed for
_POINTS = 400.0  # of y, divided by the square root of the decisions: as much work for each length of an episode
_MORE_DAYS = 2  # decisions by which days may be shorter or longer than at any of the policy's prices


@dataclasses.dataclass(frozen=True)
class SoberOptimum:
    """The best one can do without drinks, and the policy that does it."""

    score: float  # productive half-hours a half-hour, E[W / t]
    heart_attacks: float  # expected number
    expected_return: float
    prices: np.ndarray  # (3,) of a half-hour: increasing, the middle one the largest E[W] / E[t]
    bedtimes: np.ndarray  # (3, num_steps + 1, longest day + 1): at each price, sleep if alertness is below
    # [decisions left, decisions awake]
    work_left: np.ndarray  # (num_steps + 1,) expected work from waking up to the end, by the decisions left
    half_hours_left: np.ndarray  # (num_steps + 1,) expected half-hours until then


@arguments.checked(params=EnvParams)
def sober_optimum(params: EnvParams | None = None) -> SoberOptimum:
    """The best policy without drinks, for parameters that are plain numbers. Takes seconds; cached.

    Raises:
      ValueError: if the parameters are arrays or tracers, if an episode has more than 20,000 decisions, or if somebody
        more rested can be less productive (waking alertness near `anxiety_threshold`), on whose absence the bedtimes
        rely.
    """
    return _solve(body.plain_numbers(params, "sober_optimum"))


@functools.lru_cache(maxsize=32)  # a megabyte or two each
def _solve(params: EnvParams) -> SoberOptimum:
    rested = body.waking_alertness(params, _WAKE_UP_NODES)
    _check_rested_is_productive(rested, params)
    days, work, fatigue = best_ratio(rested, params)
    spread = _spread(days, work)
    num_steps = int(params.max_steps)
    step = max(2.0 * spread.earned[0] / days.half_hours[num_steps], 1e-3 * abs(days.price), 1e-9)
    at_prices = [best_days(work, days.price - step, num_steps), days, best_days(work, days.price + step, num_steps)]
    score = _score(at_prices, work, spread)
    floor = heart_attack_floor(params)
    return SoberOptimum(
        score=score,
        heart_attacks=floor,
        expected_return=score - float(params.heart_attack_penalty) * floor,
        prices=np.array([each.price for each in at_prices]),
        bedtimes=np.stack([bedtimes(each, rested, fatigue) for each in at_prices]),
        work_left=days.work,
        half_hours_left=days.half_hours,
    )


def _check_rested_is_productive(rested: np.ndarray, params: EnvParams) -> None:
    alertness = np.linspace(min(0.0, rested[0]), rested[-1], 1001)
    if np.any(np.diff(body.productivity(alertness, 0.0, params)) < 0):
        raise ValueError(
            "sober_optimum needs productivity to rise with alertness up to wake_up_alertness_high, got "
            f"wake_up_alertness_high {params.wake_up_alertness_high} with anxiety_threshold {params.anxiety_threshold}"
        )


@dataclasses.dataclass(frozen=True)
class _Spread:
    """What waking up with m decisions left is like, under the days of one price: arrays of shape (num_steps + 1,)."""

    nights: Any  # mean of k
    most_nights: float  # standard deviation of k, the largest over m
    earned: Any  # standard deviation of y = W - price * t
    reach: float  # |mean of y| + _SPREADS standard deviations, the largest over m


def _spread(days: Days, work: np.ndarray) -> _Spread:
    num_steps, nodes = days.lengths.shape[0] - 1, np.arange(work.shape[0])
    sums = np.zeros((num_steps + 1, 5))  # probability, and sums of k, k^2, y, y^2
    sums[num_steps, 0] = 1.0
    for left in range(num_steps, 0, -1):
        if sums[left, 0] == 0.0:
            continue
        share, k, kk, y, yy = sums[left] / nodes.size
        lengths = days.first if left == num_steps else days.lengths[left]
        lengths = np.maximum(lengths, 1)  # a night more at the very beginning changes nothing here
        more = work[nodes, lengths] - days.price * (lengths + np.where(lengths < left, SLEEP_HALF_HOURS, 0))
        after = np.stack(
            [np.full(nodes.size, share), np.full(nodes.size, k + share), np.full(nodes.size, kk + 2 * k + share),
             y + share * more, yy + 2 * y * more + share * more**2], axis=1
        )  # fmt: skip
        np.add.at(sums, left - lengths, after)
    reached = sums[:, 0] > 1e-12
    k, kk, y, yy = sums[reached, 1:].T / sums[reached, 0]
    deviation = lambda mean, square: np.sqrt(np.maximum(square - mean**2, 0.0))
    at = np.arange(num_steps + 1)
    everywhere = functools.partial(np.interp, at, at[reached])
    return _Spread(
        nights=everywhere(k),
        most_nights=float(deviation(k, kk).max()),
        earned=everywhere(deviation(y, yy)),
        reach=float(np.max(np.abs(y) + _SPREADS * deviation(y, yy))),
    )


def _score(at_prices: list[Days], work: np.ndarray, spread: _Spread) -> float:
    """The largest E[W / t] of any policy without drinks: the top of the file."""
    days = at_prices[1]
    num_steps = days.lengths.shape[0] - 1
    if spread.reach == 0.0 or np.ptp(work[:, 1]) == 0.0:  # nothing is random, and W / t is E[W] / E[t]
        return days.ratio
    points = 2 * int(np.clip(_POINTS / np.sqrt(num_steps), 13, 201) // 2) + 1  # one is at 0
    reach = spread.reach + SLEEP_HALF_HOURS * abs(days.price)
    earned = np.linspace(-reach, reach, points)
    num_nights = min(2 * int(np.ceil(_SPREADS * spread.most_nights)) + 5, num_steps + 2)
    fewest = np.maximum(np.round(spread.nights).astype(int) - num_nights // 2, 0)
    lengths = np.stack([each.lengths for each in at_prices])
    shortest = np.maximum(lengths.min(axis=0) - _MORE_DAYS, 1)
    longest = np.minimum(lengths.max(axis=0) + _MORE_DAYS, work.shape[1] - 1)
    tables = _Tables(days.price, work, earned, fewest, shortest, longest)
    best, asleep_at_once = _backwards(tables, num_nights)
    night = _cubic(earned, np.array(-days.price * SLEEP_HALF_HOURS)) @ asleep_at_once
    return float(np.mean(np.maximum(best[:, points // 2], night))) + days.price


class _Tables(NamedTuple):
    """What `_backwards` needs to know."""

    price: float  # of a half-hour
    work: np.ndarray  # (nodes, length) of a day
    earned: np.ndarray  # (y,) the points
    fewest: np.ndarray  # (num_steps + 1,) nights behind that are looked at with so many decisions left, and some more
    shortest: np.ndarray  # (num_steps + 1, nodes) days that are looked at
    longest: np.ndarray


def _backwards(tables: _Tables, num_nights: int) -> tuple[np.ndarray, np.ndarray]:
    """F on waking up in the first morning, (nodes, y), and in the second with as many decisions left, (y,)."""
    price, work, earned, fewest, shortest, longest = tables
    num_steps, numbers, num_nodes = len(fewest) - 1, np.arange(num_nights), len(work)

    @functools.cache
    def across(length: int) -> np.ndarray:
        """(y', nodes, y): from the values after a day of that length and a night to those before the day."""
        more = work[:, length, None] - price * (length + SLEEP_HALF_HOURS)
        return np.moveaxis(_cubic(earned, earned + more), -1, 0).copy()

    values: dict[int, np.ndarray] = {}  # (nights, y) by the decisions left

    def mornings(left: int) -> np.ndarray:
        """F for each alertness on waking up, (nights, nodes, y)."""
        best = np.full((num_nights, num_nodes, len(earned)), -np.inf)
        if left < work.shape[1]:  # awake to the end
            half_hours = num_steps + SLEEP_HALF_HOURS * (fewest[left] + numbers)
            best[:] = (earned + work[:, left, None] - price * left) / half_hours[:, None, None]
        for length in range(shortest[left].min(), min(longest[left].max(), left - 1) + 1):
            who = np.flatnonzero((shortest[left] <= length) & (length <= longest[left]))
            if len(who) == 0:
                continue
            some = slice(who[0], who[-1] + 1)
            nights = np.clip(fewest[left] + 1 - fewest[left - length] + numbers, 0, num_nights - 1)
            after = values[left - length][nights] @ across(length)[:, some].reshape(len(earned), -1)
            np.maximum(best[:, some], after.reshape(num_nights, -1, len(earned)), out=best[:, some])
        return best

    reached = np.zeros(num_steps + 1, bool)
    reached[num_steps] = True
    for left in range(num_steps, 0, -1):
        if reached[left]:
            reached[left - min(longest[left].max(), left) : left - shortest[left].min() + 1] = True
    for left in map(int, np.flatnonzero(reached[1:]) + 1):
        values[left] = mornings(left).mean(axis=1)
        values.pop(left - work.shape[1], None)  # no later day is so long
    return mornings(num_steps)[0], values[num_steps][1]


def _cubic(points: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The weights, (..., len(points)), by which values at equidistant points give those at `x`.

    By the cubic through four of them; beyond the ends by the line through the last two.
    """
    anywhere = (x - points[0]) / (points[1] - points[0])
    place = np.clip(anywhere, 0.0, len(points) - 1.0)
    first = np.clip(np.floor(place).astype(int) - 1, 0, len(points) - 4)
    weights = np.zeros((*x.shape, len(points)))
    for i in range(4):
        others = [j for j in range(4) if j != i]
        weight = np.prod([(place - first - j) / (i - j) for j in others], axis=0)
        np.put_along_axis(weights, (first + i)[..., None], weight[..., None], axis=-1)
    beyond = anywhere - place
    weights[..., :2] += np.minimum(beyond, 0.0)[..., None] * np.array([-1.0, 1.0])
    weights[..., -2:] += np.maximum(beyond, 0.0)[..., None] * np.array([-1.0, 1.0])
    return weights
