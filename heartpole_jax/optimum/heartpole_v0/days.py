"""How long to stay awake when a half-hour has a price: HeartPole-v0 without drinks, one day after the other.

A day starts with a known alertness a (uniform, drawn on waking up) and then takes a known course: j decisions later
alertness is a - D(j), with D(j) the fatigue so far. So the one choice of a day is its length n, made on waking up. With
m decisions left and a price of lambda for a half-hour, the best that can be earned is

    V(m) = E_a max over n <= m of [ w(a, n) - lambda n  +  (n < m) (V(m - n) - 16 lambda) ],

where w(a, n) is the work of n half-hours and 16 lambda pays for the night. The first day may also have length 0. The
lambda with V(N) = 0 is the largest E[W] / E[t] (Dinkelbach 1967, "On nonlinear fractional programming").
"""

from typing import NamedTuple

import numpy as np

from heartpole_jax.envs.heartpole_v0 import SLEEP_HALF_HOURS, EnvParams
from heartpole_jax.optimum.heartpole_v0 import body

_LONGEST_DAY = 96  # decisions to begin with; longer where that turns out too short


class Days(NamedTuple):
    """The best day lengths at a price, and what comes of them."""

    price: float
    first: np.ndarray  # (nodes,) length of the first day, 0 to begin with sleep
    lengths: np.ndarray  # (num_steps + 1, nodes) of a day that a night has come before, by the decisions left
    work: np.ndarray  # (num_steps + 1,) expected work from waking up to the end, by the decisions left
    half_hours: np.ndarray  # (num_steps + 1,) expected half-hours until then
    ratio: float  # E[W] / E[t] of the whole episode


def work_of_days(rested: np.ndarray, longest: int, params: EnvParams) -> tuple[np.ndarray, np.ndarray]:
    """(w, D): the work (nodes, longest + 1) of days of 0 .. longest decisions, the fatigue (longest,) before each."""
    lost = body.fatigue(np.arange(longest), params)
    fatigue = np.cumsum(lost) - lost
    work = np.cumsum(body.productivity(rested[:, None] - fatigue, 0.0, params), axis=1)
    return np.concatenate([np.zeros((rested.size, 1)), work], axis=1), fatigue


def best_ratio(rested: np.ndarray, params: EnvParams) -> tuple[Days, np.ndarray, np.ndarray]:
    """The days with the largest E[W] / E[t], by Dinkelbach's iteration on the price; and w and D as `work_of_days`."""
    num_steps = int(params.max_steps)
    longest = min(num_steps, _LONGEST_DAY)
    while True:
        work, fatigue = work_of_days(rested, longest, params)
        # Not above the optimum, or the iteration would stop at once: sleeping always earns this.
        days = best_days(work, min(0.0, float(work[:, 1].mean()) / (1 + SLEEP_HALF_HOURS)), num_steps)
        while days.ratio > days.price + 1e-12:
            days = best_days(work, days.ratio, num_steps)
        if longest == num_steps or not np.any(days.lengths[longest + 1 :] == longest):
            return days, work, fatigue
        longest = min(num_steps, 2 * longest)  # some would have stayed up for longer


def best_days(work: np.ndarray, price: float, num_steps: int) -> Days:
    """The day lengths that maximise work - price * half-hours."""
    nodes, longest = np.arange(work.shape[0]), work.shape[1] - 1
    value, total_work, total_time = np.zeros(num_steps + 1), np.zeros(num_steps + 1), np.zeros(num_steps + 1)
    days = np.zeros((num_steps + 1, nodes.size), np.int64)
    lengths = np.arange(1, longest + 1)
    for left in range(1, num_steps + 1):
        n = lengths[: min(left, longest)]
        night = np.where(n < left, SLEEP_HALF_HOURS, 0)
        gain = work[:, 1 : n.size + 1] + (value[left - n] - price * (n + night))
        best = np.argmax(gain, axis=1)
        days[left] = n[best]
        value[left] = gain[nodes, best].mean()
        total_work[left] = np.mean(work[nodes, n[best]] + total_work[left - n[best]])
        total_time[left] = np.mean(n[best] + night[best] + total_time[left - n[best]])
    first = np.where(gain[nodes, best] >= value[num_steps] - price * SLEEP_HALF_HOURS, days[num_steps], 0)
    rest = num_steps - first
    first_work = work[nodes, first] + total_work[rest]
    first_time = first + np.where(rest > 0, SLEEP_HALF_HOURS, 0) + total_time[rest]
    ratio = float(first_work.mean()) / float(first_time.mean())
    return Days(price, first, days, total_work, total_time, ratio)


def bedtimes(days: Days, rested: np.ndarray, fatigue: np.ndarray) -> np.ndarray:
    """The lengths as what a patient shows: sleep if alertness is below [decisions left, decisions awake]."""
    num_steps, nodes = days.lengths.shape[0] - 1, rested.size
    bounds = np.append((rested[:-1] + rested[1:]) / 2, np.inf)  # above each node
    below = np.full((num_steps + 1, fatigue.size + 1), -np.inf)
    if np.any(days.first == 0):
        below[num_steps, 0] = bounds[np.count_nonzero(days.first == 0) - 1]
    for awake in range(1, fatigue.size):
        # With `left` decisions to go, the day began with left + awake. The least rested should be asleep by now.
        asleep = np.count_nonzero(days.lengths[awake + 1 :] <= awake, axis=1)
        bound = np.where(asleep > 0, bounds[np.clip(asleep - 1, 0, nodes - 1)], -np.inf)
        below[1 : num_steps + 1 - awake, awake] = bound - fatigue[awake]
    # No patient is awake for longer than the longest day; one who is (after coffee, say) goes to bed.
    below[:, -1] = np.inf
    return below
