"""What the best policies can reach: a ceiling for all, and the optimum without drinks by dynamic programming.

HeartPole-v0's expected return is E[W/t] - penalty * E[heart attacks], with W the work done and t the half-hours of the
whole episode, since the rewards telescope.

**Ceiling.** Hypertension is never negative, so no half-hour is safer than risk(0), and no policy has fewer than
T risk(0) heart attacks in T decisions (1.23631 in 1000). The mean productivity is at most that of the best imaginable
half-hour: max_a a sigma(3 - a) times the Ballmer peak, 3.14. Together: no expected return above -120.5.

**Without drinks** hypertension stays 0, heart attacks cost T risk(0) * penalty whatever one does, and only sleep is to
be chosen. A day starts with a known alertness a (uniform, drawn on waking up) and then runs on rails: j decisions later
alertness is a - D(j), with D(j) the fatigue so far. So the one choice of a day is its length n, made on waking up. With
m decisions left and a price of lambda for a half-hour,

    V(m) = E_a max over n <= m of [ sum_{j<n} p(a - D(j)) - lambda n  +  (n < m) (V(m - n) - 16 lambda) ],

where p is the productivity and 16 lambda pays for the night. (The first day may also have length 0.) The lambda with
V(T) = 0 is the largest E[W] / E[t] (Dinkelbach 1967, "On nonlinear fractional programming"), and the maximising n tell
when to sleep. The score of that policy, E[W/t], is then computed as well. For any policy the two ratios differ by no
more than sd(t) sd(W - lambda t) / (t E[t]), less than 0.0001 here, as t varies by one per cent: so much could be
missing at most. The expectation over a is a midpoint rule, whose error is smaller still.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax import arguments
from heartpole_jax.envs import heartpole_v0, physiology
from heartpole_jax.envs.heartpole_v0 import SLEEP_HALF_HOURS, EnvParams

_WAKE_UP_NODES = 256  # midpoint rule over the waking alertness
_MOST_STEPS = 20_000  # time and memory grow with their square
_LONGEST_DAY = 96  # decisions to begin with; longer where that turns out too short


@dataclasses.dataclass(frozen=True)
class SoberOptimum:
    """The best one can do without drinks."""

    score: float  # productive half-hours a half-hour, E[W / t]
    heart_attacks: float  # expected number
    expected_return: float
    bedtimes: (
        np.ndarray
    )  # (num_steps + 1, longest day + 1): sleep if alertness is below bedtimes[steps left, steps awake]


@arguments.checked(params=EnvParams)
def resting_risk(params: EnvParams | None = None) -> float:
    """The heart attack risk of a step at hypertension 0, which no policy can get below."""
    params = EnvParams() if params is None else params
    return float(
        _in_float64(physiology.heart_attack_risk)(0.0, params.heart_attack_proclivity, params.heart_attack_threshold)
    )


@arguments.checked(params=EnvParams)
def heart_attack_floor(params: EnvParams | None = None) -> float:
    """The expected heart attacks that no policy can avoid in an episode: max_steps * risk(0)."""
    params = EnvParams() if params is None else params
    return float(params.max_steps) * resting_risk(params)


@arguments.checked(params=EnvParams)
def return_ceiling(params: EnvParams | None = None) -> float:
    """A number that no policy's expected return exceeds (-120.5): the best half-hour at risk(0), for ever."""
    params = EnvParams() if params is None else params
    # The maxima lie inside these grids: beyond c + 2, a sigma(c - a) falls; ten widths off its peak a Gaussian is gone.
    alertness = np.linspace(0.0, max(float(params.anxiety_threshold), 0.0) + 2.0, 100_001)
    peak, spread = float(params.ballmer_peak), 10.0 * float(params.ballmer_peak_width)
    intoxication = np.append(np.linspace(max(0.0, peak - spread), peak + spread, 100_001), 0.0)
    best_alertness = alertness[np.argmax(_productivity(alertness, 0.0, params))]
    best_half_hour = np.max(_productivity(best_alertness, intoxication, params))
    return float(best_half_hour) - float(params.heart_attack_penalty) * heart_attack_floor(params)


@arguments.checked(params=EnvParams)
def sober_optimum(params: EnvParams | None = None) -> SoberOptimum:
    """The best policy without drinks, for parameters that are plain numbers. Takes a second; cached.

    Raises:
      ValueError: if the parameters are arrays or tracers, if an episode has more than 20,000 decisions, or if somebody
        more rested can be less productive (waking alertness near `anxiety_threshold`), on whose absence the bedtimes
        rely.
    """
    params = EnvParams() if params is None else params
    if not all(isinstance(value, int | float | np.number) for value in vars(params).values()):
        raise ValueError(f"sober_optimum needs parameters that are plain numbers, got {params}")
    if params.max_steps > _MOST_STEPS:
        raise ValueError(
            f"sober_optimum is a dynamic program over the decisions of an episode, {_MOST_STEPS:,} at most, "
            f"got max_steps {params.max_steps:,}; evaluate shorter episodes, or use rollout"
        )
    return _solve(params)


@functools.lru_cache(maxsize=32)  # a megabyte each
def _solve(params: EnvParams) -> SoberOptimum:
    num_steps = int(params.max_steps)
    low, high = float(params.wake_up_alertness_low), float(params.wake_up_alertness_high)
    rested = low + (high - low) * (np.arange(_WAKE_UP_NODES) + 0.5) / _WAKE_UP_NODES
    _check_rested_is_productive(rested, params)
    longest = min(num_steps, _LONGEST_DAY)
    while True:
        half_hours = np.arange(longest)
        decay = _in_float64(physiology.alertness_decay)(half_hours, params.fatigue_onset, params.fatigue_width)
        fatigue = np.cumsum(decay) - decay
        work = np.cumsum(_productivity(rested[:, None] - fatigue, 0.0, params), axis=1)
        work = np.concatenate([np.zeros((rested.size, 1)), work], axis=1)  # (nodes, day length)
        first, days = _best_schedule(work, num_steps)
        if longest == num_steps or not np.any(days[longest + 1 :] == longest):
            break
        longest = min(num_steps, 2 * longest)  # some would have stayed up for longer
    score = _expected_score(first, days, work)
    return SoberOptimum(
        score=score,
        heart_attacks=heart_attack_floor(params),
        expected_return=score - float(params.heart_attack_penalty) * heart_attack_floor(params),
        bedtimes=_bedtimes(first, days, rested, fatigue),
    )


def _best_schedule(work: np.ndarray, num_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The day lengths with the largest E[W] / E[t], by Dinkelbach's iteration on the price of a half-hour."""
    # Not above the optimum, or the iteration would stop at once: sleeping always earns this.
    price = min(0.0, float(work[:, 1].mean()) / (1 + SLEEP_HALF_HOURS))
    while True:
        first, days, expected_work, expected_time = _best_days(work, price, num_steps)
        if expected_work / expected_time <= price + 1e-12:
            return first, days
        price = expected_work / expected_time


def _best_days(work: np.ndarray, price: float, num_steps: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Day lengths that maximise work - price * time, and their expected work and time.

    The lengths are (nodes,) for the first day, 0 to begin with sleep, and (num_steps + 1, nodes) for a day that a night
    has come before, by the decisions left.
    """
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
    return first, days, float(first_work.mean()), float(first_time.mean())


def _expected_score(first: np.ndarray, days: np.ndarray, work: np.ndarray) -> float:
    """E[W/t] at the end of the episode, when days are as long as `first` and `days` say.

    By recursion over the decisions left, for every number of nights k slept so far at once: `inverse` is E[1/t], and
    `earned` the part of E[W/t] still to come. The time at the end is num_steps + 16 * nights.
    """
    num_steps, longest = days.shape[0] - 1, work.shape[1] - 1
    nights = np.arange(num_steps + 2)
    rows = {0: (1.0 / (num_steps + SLEEP_HALF_HOURS * nights), np.zeros(nights.size))}

    def row(left, today):
        inverse, earned = np.zeros(nights.size), np.zeros(nights.size)
        for length in np.unique(today):
            who = today == length
            inverse_after, earned_after = rows[left - length]
            if left > length:  # a night follows: one column on, and one night too many is never reached
                inverse_after, earned_after = (np.append(x[1:], 0.0) for x in (inverse_after, earned_after))
            inverse += who.sum() * inverse_after
            earned += who.sum() * earned_after + work[who, length].sum() * inverse_after
        return inverse / today.size, earned / today.size

    for left in range(1, num_steps + 1):
        rows[left] = row(left, days[left])
        rows.pop(left - longest - 1, None)  # no later day is so long
    _, earned = row(num_steps, first)
    return float(earned[0])


def _bedtimes(first: np.ndarray, days: np.ndarray, rested: np.ndarray, fatigue: np.ndarray) -> np.ndarray:
    """The day lengths as thresholds on what a patient shows: (steps left, steps awake) -> alertness to sleep below."""
    num_steps, nodes = days.shape[0] - 1, rested.size
    bounds = np.append((rested[:-1] + rested[1:]) / 2, np.inf)  # above each node
    bedtimes = np.full((num_steps + 1, fatigue.size + 1), -np.inf)
    if np.any(first == 0):
        bedtimes[num_steps, 0] = bounds[np.count_nonzero(first == 0) - 1]
    for awake in range(1, fatigue.size):
        # With `left` decisions to go, the day began with left + awake. The least rested should be asleep by now.
        asleep = np.count_nonzero(days[awake + 1 :] <= awake, axis=1)
        bound = np.where(asleep > 0, bounds[np.clip(asleep - 1, 0, nodes - 1)], -np.inf)
        bedtimes[1 : num_steps + 1 - awake, awake] = bound - fatigue[awake]
    # No patient is awake for longer than the longest day; one who is (after coffee, say) goes to bed.
    bedtimes[:, -1] = np.inf
    return bedtimes


def _check_rested_is_productive(rested: np.ndarray, params: EnvParams) -> None:
    alertness = np.linspace(min(0.0, rested[0]), rested[-1], 1001)
    if np.any(np.diff(_productivity(alertness, 0.0, params)) < 0):
        raise ValueError(
            "sober_optimum needs productivity to rise with alertness up to wake_up_alertness_high, got "
            f"wake_up_alertness_high {params.wake_up_alertness_high} with anxiety_threshold {params.anxiety_threshold}"
        )


def _productivity(alertness, intoxication, params: EnvParams) -> np.ndarray:
    def productivity(alertness, intoxication):
        state = heartpole_v0.initial_state(0.0, params)
        state = dataclasses.replace(state, alertness=jnp.asarray(alertness), intoxication=jnp.asarray(intoxication))
        return heartpole_v0.productivity(state, params)

    return _in_float64(productivity)(alertness, intoxication)


def _in_float64(function: Callable) -> Callable:
    """`function` of numbers and NumPy arrays, computed in float64 whatever JAX's default, as a NumPy array."""

    def call(*args):
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            return np.asarray(function(*(jnp.asarray(x, jnp.float64) for x in args)))

    return call
