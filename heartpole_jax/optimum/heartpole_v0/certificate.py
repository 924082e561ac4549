"""Does a drink ever pay? A proof, carried out in numbers for given parameters, that it does not: docs/optimum.md.

U is an upper solution: it is nowhere below the value of the best action, so no policy's expected return exceeds what U
is at the beginning. As long as nothing has been drunk, U is V, the best that can be done without drinks. After the
first drink it is

    V+ + psi(x) - c_m h

with m decisions left, blood alcohol x, hypertension h, and V+ the best without drinks where negative productivity
counts as none. Each function below computes one of the parts:

    c_m      at least what a unit of hypertension costs from now on             `_hypertension_cost`
    kappa_m  at least what a drink's dose of hypertension costs                 `_dose_cost`
    Gamma_m  at most what a drink's dose of alertness earns, half-hours         `_alertness_gain`
    psi      at most what the Ballmer peak earns, half-hours                    `_ballmer_gain`
    R        at least V+ - V before the first drink, of the score               `_enhancement`

Work is divided by the half-hours of the episode, which are at least its N decisions. So a drink with m decisions left
costs at least kappa_m - (Gamma_m + psi) / N, the first one at least R less: the slacks. Where they are positive for
every m, no policy that drinks is as good as the best one without.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.envs.heartpole_v0 import SLEEP_HALF_HOURS, EnvParams
from heartpole_jax.optimum.heartpole_v0 import body

_NODES = 256  # midpoint rule over doses and waking alertness
_STEP = 0.005  # of the alertness that a drink is tried at; coarser where the range is wide
_MOST_POINTS = 20_000
_FAR = 40.0  # beyond a threshold a sigmoid is 1 to 1e-17
_MOST_HALF_HOURS = 5_000  # that are looked at for the gain of one drink; a bound stands for those later in the day
_ROUNDING = 1e-6  # relative, by which costs are taken for less than computed: minima lie between points


@dataclasses.dataclass(frozen=True, eq=False)
class Certificate:
    """Whether the best policy without drinks is the best of all, and by how much. Costs are of the expected return.

    Arrays have shape (max_steps,), for 1, 2, .. decisions left.
    """

    certified: bool  # every slack is positive
    smallest_slack: float
    first_coffee: np.ndarray  # what the first drink, if it is a coffee, costs at least
    first_beer: np.ndarray
    later_coffee: np.ndarray  # what any drink after it costs at least
    later_beer: np.ndarray
    hypertension_cost: np.ndarray  # c_m: what a unit of hypertension costs at least
    reason: str  # in one line: what is certified, or why not


@arguments.checked(params=EnvParams)
def certificate(params: EnvParams | None = None) -> Certificate:
    """Whether `sober_optimum` is the optimum over all policies for these parameters, history and randomness allowed.

    Certified: then no policy's expected return exceeds it, and one that drinks is worse. Not certified: then that is
    not known, or false: in short episodes a coffee pays. Seconds; cached.

    Raises:
      ValueError: if the parameters are arrays or tracers, or an episode has more than 20,000 decisions.
    """
    return _certificate(body.plain_numbers(params, "certificate"))


@functools.lru_cache(maxsize=32)
def _certificate(params: EnvParams) -> Certificate:
    num_steps, bounds = int(params.max_steps), drink_bounds(params)
    later_coffee, later_beer = bounds.coffee_cost - bounds.coffee_gain, bounds.beer_cost - bounds.beer_gain
    first_coffee, first_beer = later_coffee - bounds.enhancement, later_beer - bounds.enhancement
    smallest = float(min(first_coffee.min(), first_beer.min()))
    name, slacks = min((("coffee", first_coffee), ("beer", first_beer)), key=lambda pair: pair[1].min())
    left = int(np.argmin(slacks)) + 1
    if smallest > 0:
        reason = f"no drink pays: the first one costs at least {smallest:.4f} of the expected return"
    elif not np.isfinite(bounds.enhancement):
        reason = "not certified: the proof needs a waking alertness that is never negative"
    else:
        reason = (
            f"not certified: the proof cannot exclude that a first {name} pays with {left:,} of "
            f"{num_steps:,} decisions left, where its slack is {smallest:.3g}"
        )
    return Certificate(
        certified=smallest > 0,
        smallest_slack=smallest,
        first_coffee=first_coffee,
        first_beer=first_beer,
        later_coffee=later_coffee,
        later_beer=later_beer,
        hypertension_cost=bounds.hypertension_cost,
        reason=reason,
    )


class DrinkBounds(NamedTuple):
    """What a drink costs at least and earns at most; arrays of shape (max_steps,), for 1, 2, .. decisions left."""

    coffee_cost: np.ndarray  # kappa_m of the expected return: proportional to `heart_attack_penalty`
    beer_cost: np.ndarray
    coffee_gain: np.ndarray  # Gamma_m / N of the score
    beer_gain: np.ndarray  # (Gamma_m + psi) / N of the score
    enhancement: float  # R, which the first drink may earn besides
    hypertension_cost: np.ndarray  # c_m, proportional to `heart_attack_penalty`


def drink_bounds(params: EnvParams) -> DrinkBounds:
    """The parts of the proof, for parameters that are plain numbers."""
    num_steps, most = int(params.max_steps), _most_hypertension(params)
    coffee, beer = _hypertension_dose(params, "coffee"), _hypertension_dose(params, "beer")
    cost = _hypertension_cost(params, most)
    coffee_gain = _alertness_gain(params, float(params.coffee_alertness_low), float(params.coffee_alertness_high))
    beer_gain = _alertness_gain(params, -float(params.beer_alertness_loss_high), -float(params.beer_alertness_loss_low))
    return DrinkBounds(
        coffee_cost=_dose_cost(params, coffee, cost, most),
        beer_cost=_dose_cost(params, beer, cost, most),
        coffee_gain=coffee_gain / num_steps,
        beer_gain=(beer_gain + _ballmer_gain(params)) / num_steps,
        enhancement=_enhancement(params),
        hypertension_cost=cost[1:],
    )


def _hypertension_dose(params: EnvParams, drink: str) -> tuple[float, float]:
    return tuple(float(getattr(params, f"{drink}_hypertension_{end}")) for end in ("low", "high"))  # type: ignore[return-value]


def _midpoints(low: float, high: float) -> np.ndarray:
    return low + (high - low) * (np.arange(_NODES) + 0.5) / _NODES


def _most_hypertension(params: EnvParams) -> float:
    """The hypertension that no patient gets above, right after a drink."""
    dose = max(_hypertension_dose(params, "coffee")[1], _hypertension_dose(params, "beer")[1])
    decay = float(params.hypertension_decay)
    return dose * min(float(params.max_steps), np.inf if decay == 1.0 else 1.0 / (1.0 - decay))


def _excess(hypertension: np.ndarray, params: EnvParams) -> tuple[np.ndarray, np.ndarray]:
    """(penalty over that at rest, hypertension that is left) at a draw, in expectation: an attack leaves none."""
    risk = body.risk(hypertension, params)
    return float(params.heart_attack_penalty) * (risk - body.risk(0.0, params)), (1.0 - risk) * hypertension


def _hypertension_cost(params: EnvParams, most: float) -> np.ndarray:
    """c_m, shape (num_steps + 1,): c_m h is at most what a hypertension of h costs with m decisions left.

    The largest for which that holds in one decision: c_m h <= penalty(q h) + c_{m-1} (what is left of q h), with
    q = 0.97 for a half-hour and 0.97^17 for a night.
    """
    costs = np.zeros(int(params.max_steps) + 1)
    if most == 0.0:
        return costs
    bend = min(most, max(float(params.heart_attack_threshold), 0.0) + _FAR)
    h = np.unique(np.concatenate([np.geomspace(1e-9 * most, most, 4_000), np.linspace(0.0, bend, 8_001)[1:]]))
    rates = float(params.hypertension_decay) ** np.array([1, SLEEP_HALF_HOURS + 1])
    penalty, left = (each / h for each in _excess(rates[:, None] * h, params))
    for m in range(1, len(costs)):
        costs[m] = np.min(penalty + costs[m - 1] * left) * (1.0 - _ROUNDING)
    return costs


def _dose_cost(params: EnvParams, dose: tuple[float, float], cost: np.ndarray, most: float) -> np.ndarray:
    """kappa_m, shape (num_steps,): the least that a dose costs, at any hypertension there may be before it."""
    h, step = np.linspace(0.0, most, 8_001, retstep=True)
    decay, proclivity = float(params.hypertension_decay), float(params.heart_attack_proclivity)
    penalty, left = (each.mean(axis=0) for each in _excess(decay * (h + _midpoints(*dose)[:, None]), params))
    # Between the points by the second derivative times their distance squared / 8: sigma' is below 0.25, sigma'' 0.1.
    bend = float(params.heart_attack_penalty) * 0.1 + cost.max() * (0.5 + 0.1 * most)
    between = step**2 / 8 * proclivity * bend
    return np.array([np.min(penalty + cost[m - 1] * left - cost[m] * h) for m in range(1, len(cost))]) - between


def _alertness_gain(params: EnvParams, low: float, high: float) -> np.ndarray:
    """Gamma_m, shape (num_steps,): the most that a shift of alertness by U(low, high) earns until the next night.

    A patient who is awake for s half-hours has an alertness of a - D_s(j) after j more. With phi(z) the expected
    gain of one half-hour from a shift at alertness z, or 0, this is the supremum over a and s of the sum of phi(a -
    D_s(j)) over j < m. Later in the day alertness falls faster and passes where phi is large in fewer half-hours: the
    sum is at most the integral of phi over the pace at s, plus phi's total variation, and s ends where that is less.
    """
    num_steps, reach = int(params.max_steps), max(abs(low), abs(high))
    # Below, no shift makes a patient productive; above, nobody is. Who begins there comes by later, at more haste.
    bottom, top = -reach, max(float(params.anxiety_threshold), 0.0) + _FAR + reach
    z, step = np.linspace(bottom, top, min(int((top - bottom) / _STEP) + 2, _MOST_POINTS), retstep=True)
    useful = lambda a: np.maximum(body.productivity(a, 0.0, params), 0.0)
    phi = np.maximum(useful(z + _midpoints(low, high)[:, None]) - useful(z), 0.0).mean(axis=0)
    steepest, variation, integral = np.abs(np.diff(phi)).max() / step, np.abs(np.diff(phi)).sum(), phi.sum() * step
    if variation == 0.0:
        return np.zeros(num_steps)
    z, phi = z[phi > 1e-15 * phi.max()], phi[phi > 1e-15 * phi.max()]

    best, looked_at, awake = np.zeros(num_steps), 0, 0
    while True:
        pace = body.fatigue(awake + np.arange(num_steps), params)
        rest = variation + integral / pace[0] if pace[0] > 0 else np.inf
        if rest <= best[-1] or looked_at > _MOST_HALF_HOURS:
            break
        lost = np.cumsum(pace) - pace
        lost = lost[lost <= z[-1] - z[0]]
        sums, total = np.zeros(num_steps), np.zeros_like(z)
        for j, already in enumerate(lost):
            total += np.interp(z - already, z, phi, left=0.0, right=0.0)
            sums[j] = total.max()
        sums[len(lost) :] = sums[len(lost) - 1]
        best, looked_at, awake = np.maximum(best, sums), looked_at + len(lost), awake + 1
    # Between the points of a, of phi and of the doses; and later in the day.
    between = np.minimum(np.arange(1, num_steps + 1), len(lost)) * steepest * (step + (high - low) / _NODES / 2)
    later = np.minimum(np.arange(1, num_steps + 1) * phi.max(), rest)
    return np.maximum(best, later) + between


def _ballmer_gain(params: EnvParams) -> float:
    """psi: the most that alcohol earns in all half-hours together, at the best alertness. Infinite if it may stay.

    Blood alcohol falls by a factor a half-hour, so that every course which passes the peak begins in one interval of
    that ratio above it. Elsewhere alcohol only harms.
    """
    decay, width = float(params.intoxication_decay), float(params.ballmer_peak_width)
    top = float(params.ballmer_peak) + 10 * width
    bottom = max(float(params.ballmer_peak) - 10 * width, 0.0)
    if top <= 0.0 or float(params.ballmer_peak_height) == 0.0:
        return 0.0
    sober = float(body.ballmer(0.0, params))
    work = float(body.work(body.best_alertness(params), params))
    if decay == 1.0 or bottom == 0.0:  # it may stay there for as long as the episode lasts
        at_once = np.maximum(body.ballmer(np.linspace(bottom, top, 20_001), params) - sober, 0.0).max()
        return np.inf if at_once > 0 else 0.0
    points = int(min(max(20_001, 200 * top * (1 - decay) / width), 1_000_000))
    x, step = np.linspace(decay * top, top, points, retstep=True)
    total, count = np.zeros_like(x), 0
    while x[-1] > bottom:
        total += np.maximum(body.ballmer(x, params) - sober, 0.0)
        x, count = x * decay, count + 1
        if count > 10_000:
            return np.inf
    steepest = float(params.ballmer_peak_height) / width * np.exp(-0.5)  # of a Gaussian
    return work * float(total.max() + count * step / 2 * steepest)


def _enhancement(params: EnvParams) -> float:
    """R: the most by which V+ exceeds V before the first drink. Infinite where a patient may wake up below 0.

    Productivity below 0 counts as none in V+. So a patient tired below 0 sleeps at once, or idles for ever, and only
    the idling earns more than it could in truth. A patient who instead sleeps every n decisions, never tired below 0,
    keeps the score q so far but for [16 q E - (E - 1) w] / (N + 16 E), E the nights and w the work of n decisions. q is
    at most what the best days earn: beta a half-hour, and one night more.
    """
    low, high = float(params.wake_up_alertness_low), float(params.wake_up_alertness_high)
    num_steps, night = int(params.max_steps), SLEEP_HALF_HOURS
    lost = body.fatigue(np.arange(num_steps), params)
    lost = np.cumsum(lost) - lost
    if low < 0.0:
        return np.inf
    best = np.clip(body.best_alertness(params), low - lost, high - lost)
    most_work = np.cumsum(np.maximum(body.productivity(best, 0.0, params), 0.0))
    beta = float(np.max(most_work / (np.arange(1, num_steps + 1) + night)))
    score = beta * (1.0 + night / num_steps)
    awake = lost[lost <= low]
    blocks = np.cumsum(body.productivity(_midpoints(low, high)[:, None] - awake, 0.0, params).mean(axis=0))
    least = np.inf
    for decisions, work in enumerate(blocks, start=1):
        nights = np.arange(1, -(-num_steps // decisions) + 1)
        least = min(least, float(np.max((night * score * nights - (nights - 1) * work) / (num_steps + night * nights))))
    return max(least, 0.0)
