"""The likelihood of a trace, one row after the other: two filters over the body, given what was done.

Given the actions, hypertension is independent of the rest; alertness and intoxication meet only in the work that is
done. So there are two beliefs (`beliefs`): over alertness, intoxication, work done and the latest noise of the first
two, and over hypertension and its latest noise. A row counts with the probability of what it shows given
the rows before it. The sum of the logarithms is the log-likelihood of the trace; each of them is differentiable in
every parameter.

Where heart attacks are unknown, hypertension has one belief for each time at which it may last have fallen to 0.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, Numeric

from heartpole_jax import struct
from heartpole_jax.envs import physiology
from heartpole_jax.envs.heartpole_v0 import SLEEP_HALF_HOURS, Action, EnvParams
from heartpole_jax.identification import beliefs
from heartpole_jax.identification.beliefs import Belief, Uniformity
from heartpole_jax.identification.traces import OBSERVED, ObservationNoise, Trace, half_hours_awake

_ALERTNESS, _INTOXICATION, _WORK, _ALERTNESS_NOISE, _INTOXICATION_NOISE = range(5)
_HYPERTENSION, _HYPERTENSION_NOISE = range(2)
_IMPOSSIBLE = -1e30  # the logarithm of a probability of 0 that has a gradient
# Five Gauss-Hermite points carry productivity's mean, slope and spread over a belief.
_HERMITE, _HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_HERMITE_WEIGHTS = _HERMITE_WEIGHTS / _HERMITE_WEIGHTS.sum()


@struct.dataclass
class Rows:
    """A trace as the filters take it, made by `rows_of`; `step_*` have T rows, `values` and `seen` one more."""

    actions: Array  # (T,) int32
    heart_attacks: Array  # (T,) int32: 1, 0 or -1 for unknown
    counted: Array  # (T,) bool, False for steps that only fill a trace up to the length of another
    awake: Array  # (T,) half-hours since waking up, at work
    values: Array  # (T + 1, 4) in the order of `OBSERVED`, 0 where not seen
    seen: Array  # (T + 1, 4) bool


class Prediction(NamedTuple):
    """What a filter expected to see."""

    mean: Array
    deviation: Array
    quantile: Array  # of the value that came among those expected (probability integral transform); NaN without one


def rows_of(trace: Trace, num_steps: int | None = None) -> Rows:
    """`trace` as the filters take it, filled up to `num_steps` steps in which nothing happens and nothing is seen."""
    length = len(trace.actions)
    fill = 0 if num_steps is None else num_steps - length
    values = np.stack([np.asarray(getattr(trace, name), float) for name in OBSERVED], axis=1)
    values = np.concatenate([values, np.full((fill, len(OBSERVED)), np.nan)])
    actions = np.concatenate([trace.actions, np.zeros(fill, np.int32)])
    return Rows(
        actions=actions,
        heart_attacks=np.concatenate([trace.heart_attacks, np.zeros(fill, np.int32)]),
        counted=np.arange(length + fill) < length,
        awake=np.asarray(half_hours_awake(actions), float),
        values=np.nan_to_num(values),
        seen=~np.isnan(values),
    )


def body_log_likelihoods(rows: Rows, params: EnvParams, noise: ObservationNoise) -> Array:
    """The log-likelihood of each row's alertness, intoxication and work_done given the rows before it, (T + 1,).

    Pure, can be vmapped and differentiated. Errors of observation must have a standard deviation greater than 0.
    """
    return _body(rows, params, noise, predict=False)[0]


def heart_log_likelihoods(
    rows: Rows, params: EnvParams, noise: ObservationNoise, unknown_attacks: bool = False
) -> Array:
    """The log-likelihood of each row's hypertension and heart attack given the rows before it, (T + 1,).

    With `unknown_attacks` flags of -1 are taken for unknown, in T times the time; without it for 0.
    """
    return _heart(rows, params, noise, unknown_attacks, predict=False)[0]


def predictions(rows: Rows, params: EnvParams, noise: ObservationNoise) -> dict[str, Prediction]:
    """What was expected of each row given the rows before it, by name, leaves of shape (T + 1,). Pure; can be vmapped.

    "heart_attack_risk" is the mean of a prediction, 0 in the first row, its value being 0 or 1. Work is predicted when
    the alertness and intoxication of its row have been seen. Heart attacks must be known.
    """
    _, body = _body(rows, params, noise, predict=True)
    _, heart = _heart(rows, params, noise, unknown_attacks=False, predict=True)
    return body | heart


def _body(rows: Rows, params: EnvParams, noise: ObservationNoise, predict: bool):
    """Of alertness, intoxication and work: log-likelihoods (T + 1,), predictions by name."""
    variances = {name: jnp.square(getattr(noise, name)) for name in OBSERVED}
    start = beliefs.unknown_noise(5, (_ALERTNESS_NOISE, _INTOXICATION_NOISE))
    start = _woken(start, params, jnp.array(True))
    start, first = _see_body(start, rows.values[0], rows.seen[0], 0.0, 1.0, variances, predict)
    found = _uniformities(start)

    def step(carry, inputs):
        belief, found, total = carry
        action, awake, values, seen = inputs
        coffee, beer, sleep = action == Action.COFFEE, action == Action.BEER, action == Action.SLEEP
        belief = beliefs.settle(belief, _ALERTNESS_NOISE, found[0], coffee | beer | sleep)
        belief = beliefs.settle(belief, _INTOXICATION_NOISE, found[1], beer)
        asleep = jnp.where(sleep, params.intoxication_decay**SLEEP_HALF_HOURS, 1.0)
        belief = beliefs.rescale(belief, _factors(_INTOXICATION, asleep))
        belief = _woken(belief, params, sleep)
        belief = beliefs.add_dose(
            belief, _ALERTNESS, _ALERTNESS_NOISE,
            jnp.where(beer, -params.beer_alertness_loss_low, params.coffee_alertness_low),
            jnp.where(beer, params.beer_alertness_loss_low - params.beer_alertness_loss_high,
                      params.coffee_alertness_high - params.coffee_alertness_low),
            coffee | beer,
        )  # fmt: skip
        width = params.beer_intoxication_high - params.beer_intoxication_low
        belief = beliefs.add_dose(belief, _INTOXICATION, _INTOXICATION_NOISE, params.beer_intoxication_low, width, beer)
        # At work, but already with what is seen half an hour later: nothing happens to the body in between.
        fatigue = physiology.alertness_decay(awake, params.fatigue_onset, params.fatigue_width)
        belief, predicted = _see_body(
            belief, values, seen, fatigue, params.intoxication_decay, variances, predict, lambda b: _work(b, params)
        )
        belief = beliefs.rescale(belief, _factors(_INTOXICATION, params.intoxication_decay))
        belief = beliefs.add_to(belief, _ALERTNESS, -fatigue, jnp.zeros(5, belief.mean.dtype), 0.0)
        found = _uniformities(belief)
        new_total = belief.log_likelihood + found[0].log_likelihood + found[1].log_likelihood
        return (belief, found, new_total), (new_total - total, predicted)

    total = start.log_likelihood + found[0].log_likelihood + found[1].log_likelihood
    inputs = rows.actions, rows.awake, rows.values[1:], rows.seen[1:]
    _, (gains, predicted) = jax.lax.scan(step, (start, found, total), inputs)
    return _with_first((total, first), (gains, predicted))


def _see_body(belief, values, seen, fatigue, decay, variances, predict, work=lambda belief: belief):
    """The belief after a row, alertness and intoxication first, then the work that they do, then the work as seen."""
    see = {}
    for name, quantity, noise, factor, offset in (
        ("alertness", _ALERTNESS, _ALERTNESS_NOISE, 1.0, -fatigue),
        ("intoxication", _INTOXICATION, _INTOXICATION_NOISE, decay, 0.0),
        ("work_done", _WORK, _ALERTNESS_NOISE, 1.0, 0.0),
    ):
        column = OBSERVED.index(name)
        if name == "work_done":
            belief = work(belief)
        args = values[column], seen[column], variances[name], factor, offset
        if predict:
            see[name] = _predict(belief, quantity, noise, *args)
        belief = beliefs.observe(belief, quantity, *args)
    return belief, see


def _woken(belief: Belief, params: EnvParams, woken: Array) -> Belief:
    belief = beliefs.forget(belief, _ALERTNESS, woken)
    low, high = params.wake_up_alertness_low, params.wake_up_alertness_high
    return beliefs.add_dose(belief, _ALERTNESS, _ALERTNESS_NOISE, low, high - low, woken)


def _work(belief: Belief, params: EnvParams) -> Belief:
    """Half an hour of work done: a product of two functions, of alertness and of intoxication, as if independent."""

    def effort(alertness):
        return physiology.productivity(alertness, 1.0, params.anxiety_threshold)

    def ballmer(intoxication):
        return physiology.ballmer_function(
            intoxication, params.ballmer_limit, params.ballmer_steepness, params.ballmer_peak,
            params.ballmer_peak_width, params.ballmer_peak_height,
        )  # fmt: skip

    (a, slope_a, square_a, variance_a) = _over(belief, _ALERTNESS, effort)
    (x, slope_x, square_x, variance_x) = _over(belief, _INTOXICATION, ballmer)
    slope_a, slope_x = slope_a * x, a * slope_x
    explained = jnp.square(slope_a) * variance_a + jnp.square(slope_x) * variance_x
    rest = jnp.maximum(square_a * square_x - jnp.square(a * x) - explained, 0.0)
    slopes = _factors(_ALERTNESS, slope_a, 0.0) + _factors(_INTOXICATION, slope_x, 0.0)
    return beliefs.add_to(belief, _WORK, a * x, slopes, rest)


def _over(belief: Belief, quantity: int, function):
    """The mean of a function of one quantity, of its slope and of its square; and the quantity's variance."""
    variance = jnp.maximum(belief.covariance[quantity, quantity], 1e-18)
    points = belief.mean[quantity] + jnp.sqrt(variance) * jnp.asarray(_HERMITE, belief.mean.dtype)
    values, slopes = jax.vmap(jax.value_and_grad(function))(points)
    weights = jnp.asarray(_HERMITE_WEIGHTS, belief.mean.dtype)
    return jnp.sum(weights * values), jnp.sum(weights * slopes), jnp.sum(weights * values * values), variance


def _heart(rows: Rows, params: EnvParams, noise: ObservationNoise, unknown_attacks: bool, predict: bool):
    """Of hypertension and heart attacks: log-likelihoods (T + 1,), predictions by name."""
    variance = jnp.square(noise.hypertension)
    column = OBSERVED.index("hypertension")
    values, seen = rows.values[:, column], rows.seen[:, column]
    nothing = beliefs.unknown_noise(2, (_HYPERTENSION_NOISE,))
    start = beliefs.observe(nothing, _HYPERTENSION, values[0], seen[0], variance)
    first = {}
    if predict:
        first["hypertension"] = _predict(
            nothing, _HYPERTENSION, _HYPERTENSION_NOISE, values[0], seen[0], variance, 1.0, 0.0
        )
        first["heart_attack_risk"] = _risk_prediction(jnp.zeros_like(start.log_likelihood))
    found = beliefs.uniformity(start, _HYPERTENSION_NOISE)
    half_hour = functools.partial(_half_hour, params=params, variance=variance, predict=predict)

    def step(carry, inputs):
        belief, found, total = carry
        inputs, value, seen, flag, _ = inputs
        left, log_attack, predicted = half_hour(belief, found, inputs, value, seen, flag)
        struck = beliefs.observe(nothing, _HYPERTENSION, value, seen, variance)
        struck = Belief(struck.mean, struck.covariance, struck.log_likelihood + log_attack)
        belief = jax.tree.map(functools.partial(jnp.where, flag == 1), struck, left)
        found = beliefs.uniformity(belief, _HYPERTENSION_NOISE)
        new_total = belief.log_likelihood + found.log_likelihood
        return (belief, found, new_total), (new_total - total, predicted)

    def step_unknown(carry, inputs):
        belief, found, total = carry
        inputs, value, seen, flag, slot = inputs
        left, log_attacks, predicted = jax.vmap(half_hour, (0, 0, None, None, None, None))(
            belief, found, inputs, value, seen, flag
        )
        struck = beliefs.observe(nothing, _HYPERTENSION, value, seen, variance)
        log_attack = jax.nn.logsumexp(log_attacks) + struck.log_likelihood
        struck = Belief(struck.mean, struck.covariance, jnp.where(flag == 0, _IMPOSSIBLE, log_attack))
        kept = jnp.where(flag == 1, _IMPOSSIBLE, left.log_likelihood)
        left = Belief(left.mean, left.covariance, kept)
        born = jnp.arange(kept.shape[0]) == slot
        belief = jax.tree.map(
            lambda new, old: jnp.where(born.reshape(-1, *[1] * new.ndim), new[None], old), struck, left
        )
        found = jax.vmap(beliefs.uniformity, (0, None))(belief, _HYPERTENSION_NOISE)
        new_total = jax.nn.logsumexp(belief.log_likelihood + found.log_likelihood)
        return (belief, found, new_total), (new_total - total, predicted)

    total = start.log_likelihood + found.log_likelihood
    if unknown_attacks:
        slots = len(rows.actions) + 1
        start, found = jax.tree.map(lambda x: jnp.broadcast_to(x, (slots, *x.shape)), (start, found))
        alive = jnp.where(jnp.arange(slots) == 0, start.log_likelihood, _IMPOSSIBLE)
        start = Belief(start.mean, start.covariance, alive)
    slot = jnp.arange(1, len(rows.actions) + 1)
    inputs = (rows.actions, rows.counted), values[1:], seen[1:], rows.heart_attacks, slot
    carry = start, found, total
    _, (gains, predicted) = jax.lax.scan(step_unknown if unknown_attacks else step, carry, inputs)
    return _with_first((total, first), (gains, predicted))


def _half_hour(belief, found, inputs, value, seen, flag, *, params, variance, predict):
    """One step of a belief over hypertension: itself without a heart attack, the log-likelihood with one."""
    action, counted = inputs
    coffee, beer, sleep = action == Action.COFFEE, action == Action.BEER, action == Action.SLEEP
    belief = beliefs.settle(belief, _HYPERTENSION_NOISE, found, coffee | beer)
    low = jnp.where(beer, params.beer_hypertension_low, params.coffee_hypertension_low)
    high = jnp.where(beer, params.beer_hypertension_high, params.coffee_hypertension_high)
    belief = beliefs.add_dose(belief, _HYPERTENSION, _HYPERTENSION_NOISE, low, high - low, coffee | beer)
    decay = params.hypertension_decay
    decay = jnp.where(sleep, decay ** (SLEEP_HALF_HOURS + 1), decay)
    belief = beliefs.rescale(belief, jnp.stack([decay, jnp.ones_like(decay)]))

    # A heart attack wipes out what a later row could have shown of the noise: it is settled with what is known by now.
    settled = beliefs.settle(belief, _HYPERTENSION_NOISE, found, ~(coffee | beer))
    struck = beliefs.weigh(settled, _HYPERTENSION, _log_risk(settled.mean[_HYPERTENSION], params), counted)
    predicted = {}
    if predict:
        predicted["hypertension"] = _predict(
            belief, _HYPERTENSION, _HYPERTENSION_NOISE, value, seen & (flag == 0), variance, 1.0, 0.0
        )
        risk = jnp.exp(struck.log_likelihood - settled.log_likelihood)
        predicted["heart_attack_risk"] = _risk_prediction(jnp.where(counted, risk, 0.0))
    left = beliefs.observe(belief, _HYPERTENSION, value, seen, variance)
    left = beliefs.weigh(left, _HYPERTENSION, _log_no_risk(left.mean[_HYPERTENSION], params), counted)
    return left, struck.log_likelihood, predicted


def _log_risk(hypertension: Array, params: EnvParams) -> tuple[Array, Array, Array]:
    """The logarithm of the risk of a heart attack, and its two derivatives."""
    z = hypertension - params.heart_attack_threshold
    share = jax.nn.sigmoid(z)
    return jnp.log(params.heart_attack_proclivity) + jax.nn.log_sigmoid(z), 1.0 - share, -share * (1.0 - share)


def _log_no_risk(hypertension: Array, params: EnvParams) -> tuple[Array, Array, Array]:
    """The logarithm of the probability of no heart attack, and its two derivatives."""
    z = hypertension - params.heart_attack_threshold
    kappa, share = params.heart_attack_proclivity, jax.nn.sigmoid(z)
    # 1 - kappa sigma(z), which keeps its digits where both are nearly 1.
    left = (1.0 - kappa) + kappa * jax.nn.sigmoid(-z)
    slope = -kappa * share * (1.0 - share) / left
    return jnp.log(left), slope, slope * (1.0 - 2.0 * share) - slope * slope


def _risk_prediction(risk: Array) -> Prediction:
    return Prediction(risk, jnp.sqrt(risk * (1.0 - risk)), jnp.full_like(risk, jnp.nan))


def _uniformities(belief: Belief) -> tuple[Uniformity, Uniformity]:
    return beliefs.uniformity(belief, _ALERTNESS_NOISE), beliefs.uniformity(belief, _INTOXICATION_NOISE)


def _predict(belief: Belief, quantity: int, noise: int, value, seen, variance, factor: Numeric, offset: Numeric):
    """What is expected of factor * quantity + offset + error: Gaussian for each value of the uniform noise."""
    found = beliefs.uniformity(belief, noise)
    column = belief.covariance[:, quantity] * factor
    slope = column[noise] / belief.covariance[noise, noise]
    means = belief.mean[quantity] * factor + offset + slope * (found.nodes - belief.mean[noise])
    spread = jnp.sqrt(jnp.maximum(column[quantity] * factor - slope * column[noise], 0.0) + variance)
    mean = jnp.sum(found.weights * means)
    deviation = jnp.sqrt(jnp.sum(found.weights * jnp.square(means - mean)) + jnp.square(spread))
    quantile = jnp.sum(found.weights * jax.scipy.stats.norm.cdf((value - means) / spread))
    return Prediction(mean, deviation, jnp.where(seen, quantile, jnp.nan))


def _factors(quantity: int, factor: Numeric, others: float = 1.0) -> Array:
    """(5,) with `factor` for one quantity of the body."""
    return jnp.where(np.arange(5) == quantity, factor, others)


def _with_first(first, rest):
    return jax.tree.map(lambda x, xs: jnp.concatenate([jnp.asarray(x)[None], xs]), first, rest)
