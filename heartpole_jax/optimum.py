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

where p is the productivity and 16 lambda pays for the night. The lambda with V(T) = 0 is the largest E[W] / E[t]
(Dinkelbach 1967, "On nonlinear fractional programming"), and the maximising n tell when to sleep. The score of that
policy, E[W/t], is then computed exactly. For any policy the two ratios differ by no more than
sd(t) sd(W - lambda t) / (t E[t]), less than 0.0001 here, as t varies by one per cent: so much could be missing at most.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax import heartpole_v0, physiology
from heartpole_jax.heartpole_v0 import SLEEP_HALF_HOURS, EnvParams

_WAKE_UP_NODES = 256  # midpoint rule over the waking alertness
_LONGEST_DAY = 96  # decisions; far beyond any sensible bedtime


@dataclasses.dataclass(frozen=True)
class SoberOptimum:
    """The best one can do without drinks."""

    score: float  # productive half-hours a half-hour, E[W / t]
    heart_attacks: float  # expected number
    expected_return: float
    bedtimes: (
        np.ndarray
    )  # (num_steps + 1, longest day + 1): sleep if alertness is below bedtimes[steps left, steps awake]


def resting_risk(params: EnvParams | None = None) -> float:
    """The heart attack risk of a step at hypertension 0, which no policy can get below."""
    params = EnvParams() if params is None else params
    return float(
        _in_float64(physiology.heart_attack_risk)(0.0, params.heart_attack_proclivity, params.heart_attack_threshold)
    )


def heart_attack_floor(params: EnvParams | None = None) -> float:
    """The expected heart attacks that no policy can avoid in an episode: max_steps * risk(0)."""
    params = EnvParams() if params is None else params
    return float(params.max_steps) * resting_risk(params)


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


def sober_optimum(params: EnvParams | None = None) -> SoberOptimum:
    """The best policy without drinks, for parameters that are plain numbers. Takes a second; cached.

    Raises:
      ValueError: if the parameters are arrays or tracers, or if somebody more rested can be less productive
        (waking alertness near `anxiety_threshold`), on whose absence the bedtimes rely.
    """
    params = EnvParams() if params is None else params
    if not all(isinstance(value, int | float | np.number) for value in vars(params).values()):
        raise ValueError(f"sober_optimum needs parameters that are plain numbers, got {params}")
    return _solve(params)


@functools.cache
def _solve(params: EnvParams) -> SoberOptimum:
    num_steps = int(params.max_steps)
    low, high = float(params.wake_up_alertness_low), float(params.wake_up_alertness_high)
    rested = low + (high - low) * (np.arange(_WAKE_UP_NODES) + 0.5) / _WAKE_UP_NODES
    _check_rested_is_productive(rested, params)
    half_hours = np.arange(min(num_steps, _LONGEST_DAY))
    decay = _in_float64(physiology.alertness_decay)(half_hours, params.fatigue_onset, params.fatigue_width)
    fatigue = np.cumsum(decay) - decay
    work = np.cumsum(_productivity(rested[:, None] - fatigue, 0.0, params), axis=1)

    price = 0.0
    while True:
        days, expected_work, expected_time = _best_days(work, price, num_steps)
        if expected_work / expected_time <= price + 1e-12:
            break
        price = expected_work / expected_time
    score = _expected_score(days, work, num_steps)
    return SoberOptimum(
        score=score,
        heart_attacks=heart_attack_floor(params),
        expected_return=score - float(params.heart_attack_penalty) * heart_attack_floor(params),
        bedtimes=_bedtimes(days, rested, fatigue),
    )


def _best_days(work: np.ndarray, price: float, num_steps: int) -> tuple[np.ndarray, float, float]:
    """Day lengths (num_steps + 1, nodes) that maximise work - price * time, and their expected work and time."""
    nodes, longest = work.shape
    value, total_work, total_time = np.zeros(num_steps + 1), np.zeros(num_steps + 1), np.zeros(num_steps + 1)
    days = np.zeros((num_steps + 1, nodes), np.int64)
    lengths = np.arange(1, longest + 1)
    for left in range(1, num_steps + 1):
        n = lengths[: min(left, longest)]
        night = np.where(n < left, SLEEP_HALF_HOURS, 0)
        gain = work[:, : n.size] + (value[left - n] - price * (n + night))
        best = np.argmax(gain, axis=1)
        days[left] = n[best]
        value[left] = gain[np.arange(nodes), best].mean()
        total_work[left] = np.mean(work[np.arange(nodes), best] + total_work[left - n[best]])
        total_time[left] = np.mean(n[best] + night[best] + total_time[left - n[best]])
    return days, float(total_work[num_steps]), float(total_time[num_steps])


def _expected_score(days: np.ndarray, work: np.ndarray, num_steps: int) -> float:
    """E[W/t] at the end of the episode, when days are as long as `days` says.

    By recursion over the decisions left, for every number of nights k slept so far at once: `inverse` is E[1/t], and
    `earned` the part of E[W/t] still to come. The time at the end is num_steps + 16 * nights.
    """
    nodes, most_nights = np.arange(work.shape[0]), num_steps + 1
    inverse = np.zeros((num_steps + 1, most_nights + 1))
    earned = np.zeros_like(inverse)
    inverse[0] = 1.0 / (num_steps + SLEEP_HALF_HOURS * np.arange(most_nights + 1))
    for left in range(1, num_steps + 1):
        lengths, number = np.unique(days[left], return_counts=True)
        for length, count in zip(lengths, number, strict=True):
            after = left - length
            night = 1 if after else 0
            span = most_nights + 1 - night
            day_work = work[nodes[days[left] == length], length - 1].sum()
            inverse[left, :span] += count * inverse[after, night:]
            earned[left, :span] += count * earned[after, night:] + day_work * inverse[after, night:]
        inverse[left] /= nodes.size
        earned[left] /= nodes.size
    return float(earned[num_steps, 0])


def _bedtimes(days: np.ndarray, rested: np.ndarray, fatigue: np.ndarray) -> np.ndarray:
    """The day lengths as thresholds on what a patient shows: (steps left, steps awake) -> alertness to sleep below."""
    num_steps, nodes = days.shape[0] - 1, rested.size
    bounds = np.append((rested[:-1] + rested[1:]) / 2, np.inf)  # above each node
    bedtimes = np.full((num_steps + 1, fatigue.size + 1), -np.inf)
    for awake in range(1, fatigue.size):
        # With `left` decisions to go, the day began with left + awake. The least rested should be asleep by now.
        asleep = np.count_nonzero(days[awake + 1 :] <= awake, axis=1)
        bound = np.where(asleep > 0, bounds[np.clip(asleep - 1, 0, nodes - 1)], -np.inf)
        bedtimes[1 : num_steps + 1 - awake, awake] = bound - fatigue[awake]
    # Nobody is awake for longer than the longest day; whoever is (after coffee, say) goes to bed.
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
        with jax.enable_x64(True):
            return np.asarray(function(*(jnp.asarray(x, jnp.float64) for x in args)))

    return call
