"""The random numbers of a step, inferred from what happened: abduction, the first step of every counterfactual.

    inferred = infer_noise(state, action, next_state)
    transition(state, action, inferred.value)                               # next_state again
    noise = sample_noise_given(key, state, action, next_state)              # the rest of the noise drawn as well

A step uses the uniforms that its action needs, and only those leave a mark: coffee two doses, beer three, sleep one. A
heart attack happens where its uniform is below the risk, so what happened bounds that uniform and no more.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, Numeric, PRNGKey

from heartpole_jax import arguments, struct, validation
from heartpole_jax.envs import heartpole_v0, physiology
from heartpole_jax.envs.heartpole_v0 import Action, EnvParams, EnvState, Noise


@struct.dataclass
class InferredNoise:
    """What one step shows of its four uniforms, each field a `Noise` with leaves of shape ().

    Where `determined`, low = high = value; rounding may put it a few units in the last place outside of [0, 1).
    Elsewhere the uniform lies in [low, high), which is [0, 1) where the step shows nothing, and `value` is one choice
    that replays the step.

    After a heart attack the dose of hypertension is gone as well, and with it the risk that the uniform lay below:
    `high.heart_attack` is then the highest risk possible, and `value.heart_attack` fits `value.hypertension`.
    """

    value: Noise
    low: Noise
    high: Noise
    determined: Noise  # bools
    heart_attack: Array  # int32: 1 there was one, 0 there was none, -1 it would have left no mark


def _check_flag(name: str, value: Any) -> None:
    """Raises TypeError or ValueError where a known `value` is no flag of a heart attack."""
    if isinstance(value, jax.core.Tracer):
        return
    is_bool = getattr(value, "dtype", type(value)) in (bool, np.bool_)
    if not is_bool and (not validation.is_real(value) or np.asarray(value).dtype.kind not in "iu"):
        raise TypeError(f"{name} must be a bool, or 1, 0 and -1 for unknown, got {validation.shown(value)}")
    flags = np.asarray(value)
    if not is_bool and np.any((flags > 1) | (flags < -1)):
        raise ValueError(f"{name} must be 1, 0 or -1 for unknown, got {validation.shown(value)}")


@arguments.typed(heart_attack=_check_flag)
def infer_noise(
    state: EnvState,
    action: Numeric,
    next_state: EnvState,
    params: EnvParams | None = None,
    heart_attack: Numeric | None = None,
) -> InferredNoise:
    """The noise of the step from `state` to `next_state`, as far as that shows it: `heartpole_v0.transition` inverted.

    Pure and for one patient; can be jitted, vmapped and differentiated. The step is taken as it is: whether it is
    possible at all is the question of `check_trace`.

    Args:
      state: before the step.
      action: an integer of shape (), see `Action`.
      next_state: after it.
      params: the constants, `EnvParams()` by default. A range whose ends are equal leaves its uniform undetermined.
      heart_attack: 1 if there was one, 0 if not, -1 or None if unknown: it is then read off the hypertension, which is
        exactly 0 after one. Where it would be 0 anyway nothing is known of that uniform.

    Raises:
      TypeError, ValueError: for an action that is none, as `transition`.
    """
    params = EnvParams() if params is None else params
    action = heartpole_v0.check_action(action)
    before, low, high = _hypertension(state, action, params)
    attack = _heart_attack(next_state, before, high, params, heart_attack)

    alertness, alertness_known = _alertness(state, action, next_state, params)
    intoxication, intoxication_known = _fraction(
        _undecayed(next_state.intoxication, params.intoxication_decay) - state.intoxication,
        *_range(params, (action == Action.BEER, "beer_intoxication")),
    )
    hypertension, hypertension_known = _fraction(
        _undecayed(next_state.hypertension, params.hypertension_decay) - before, low, high
    )
    known = Noise(
        alertness=alertness_known,
        hypertension=hypertension_known & (attack != 1) & (params.hypertension_decay > 0),
        intoxication=intoxication_known & (params.intoxication_decay > 0),
        heart_attack=jnp.array(False),
    )
    half = jnp.full((), 0.5, state.alertness.dtype)
    value = Noise(alertness=alertness, hypertension=hypertension, intoxication=intoxication, heart_attack=half)
    value = _where(known, value, half)
    risk = _risk(before, low, high, value.hypertension, params)
    bounds = jnp.where(attack == 0, risk, 0.0), jnp.where(attack == 1, _risk(before, low, high, 1.0, params), 1.0)
    middle = 0.5 * (bounds[0] + jnp.where(attack == 1, risk, 1.0))
    return InferredNoise(
        value=dataclasses.replace(value, heart_attack=middle),
        low=dataclasses.replace(_where(known, value, 0.0 * half), heart_attack=bounds[0]),
        high=dataclasses.replace(_where(known, value, 2.0 * half), heart_attack=bounds[1]),
        determined=known,
        heart_attack=attack,
    )


@arguments.typed(key=validation.check_key, heart_attack=_check_flag)
def sample_noise_given(
    key: PRNGKey,
    state: EnvState,
    action: Numeric,
    next_state: EnvState,
    params: EnvParams | None = None,
    heart_attack: Numeric | None = None,
) -> Noise:
    """The noise of a step, drawn given what happened: what it determines exactly, the rest from what is left.

    Undetermined uniforms have their prior, U[0, 1); that of the heart attack is uniform on its side of the risk.
    After a heart attack the dose of hypertension is drawn with a density proportional to the risk that it leads to, by
    inverting its distribution function: the integral of sigma is log(1 + exp).

    Arguments and errors are those of `infer_noise`.
    """
    params = EnvParams() if params is None else params
    inferred = infer_noise(state, action, next_state, params, heart_attack)
    drawn = heartpole_v0.sample_noise(key)
    before, low, high = _hypertension(state, action, params)
    attacked = inferred.heart_attack == 1
    tilted = jnp.where(attacked, _tilted_by_risk(before, low, high, drawn.hypertension, params), drawn.hypertension)
    noise = _where(inferred.determined, inferred.value, dataclasses.replace(drawn, hypertension=tilted))
    risk = _risk(before, low, high, noise.hypertension, params)
    u = drawn.heart_attack
    # The product may round up to the risk itself, which would be no heart attack.
    below, above = jnp.minimum(u * risk, jnp.nextafter(risk, jnp.zeros_like(risk))), risk + u * (1.0 - risk)
    uniform = jnp.where(attacked, below, jnp.where(inferred.heart_attack == 0, above, u))
    return dataclasses.replace(noise, heart_attack=uniform)


def _alertness(state: EnvState, action: Array, next_state: EnvState, params: EnvParams) -> tuple[Array, Array]:
    """The uniform of alertness and whether it is determined: the dose is what fatigue does not explain."""
    coffee, beer, sleep = action == Action.COFFEE, action == Action.BEER, action == Action.SLEEP
    awake = jnp.where(sleep, 0, state.time_since_slept).astype(state.alertness.dtype)
    at_work = next_state.alertness + physiology.alertness_decay(awake, params.fatigue_onset, params.fatigue_width)
    gained = at_work - state.alertness
    return _fraction(
        jnp.where(sleep, at_work, jnp.where(beer, -gained, gained)),
        *_range(params, (coffee, "coffee_alertness"), (beer, "beer_alertness_loss"), (sleep, "wake_up_alertness")),
    )


def _hypertension(state: EnvState, action: Array, params: EnvParams) -> tuple[Array, Array, Array]:
    """Hypertension before the dose, after any sleep, and the ends of the dose's range, (0, 0) where there is none."""
    asleep = jnp.where(action == Action.SLEEP, heartpole_v0.SLEEP_HALF_HOURS, 0)
    low, high = _range(
        params, (action == Action.COFFEE, "coffee_hypertension"), (action == Action.BEER, "beer_hypertension")
    )
    return state.hypertension * params.hypertension_decay**asleep, low, high


def _heart_attack(
    next_state: EnvState, before: Array, high: Array, params: EnvParams, observed: Numeric | None
) -> Array:
    """1, 0 or -1, see `InferredNoise`. That a dose was exactly 0 is less likely than any heart attack."""
    marked = params.hypertension_decay * (before + high) > 0
    seen = jnp.where(marked, (next_state.hypertension == 0).astype(jnp.int32), -1)
    if observed is None:
        return seen
    observed = jnp.asarray(observed, jnp.int32)
    return jnp.where(observed < 0, seen, observed)


def _range(params: EnvParams, *choices: tuple[Array, str]) -> tuple[Array, Array]:
    """The ends of the one range whose condition holds, (0, 0) where none does."""
    low = sum(jnp.where(chosen, getattr(params, f"{name}_low"), 0.0) for chosen, name in choices)
    high = sum(jnp.where(chosen, getattr(params, f"{name}_high"), 0.0) for chosen, name in choices)
    return jnp.asarray(low), jnp.asarray(high)


def _fraction(amount: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Where `amount` lies in [low, high], as a fraction, and whether that determines it."""
    known = high > low
    return (amount - low) / jnp.where(known, high - low, 1.0), known


def _undecayed(level: Array, rate: Numeric) -> Array:
    """The level half an hour ago; where nothing lasts half an hour, any."""
    return level / jnp.where(rate > 0, rate, 1.0)


def _risk(before: Array, low: Array, high: Array, u: Numeric, params: EnvParams) -> Array:
    """The risk at the draw, for a dose of hypertension at the fraction `u`."""
    level = physiology.decay(before + physiology.uniform_between(low, high, u), params.hypertension_decay)
    return physiology.heart_attack_risk(level, params.heart_attack_proclivity, params.heart_attack_threshold)


def _tilted_by_risk(before: Array, low: Array, high: Array, u: Array, params: EnvParams) -> Array:
    """The fraction of a dose at the quantile `u` of the density proportional to `_risk`."""
    start = params.hypertension_decay * (before + low) - params.heart_attack_threshold
    width = params.hypertension_decay * (high - low)
    # softplus(start + width f) = (1 - u) softplus(start) + u softplus(start + width), solved for f. All of it relative
    # to softplus(start), which is tiny where the risk is: log(exp(y) - 1) would lose its digits.
    first, last = jax.nn.softplus(start), jax.nn.softplus(start + width)
    level = first + u * (last - first)
    end = level + jnp.log(-jnp.expm1(-level))
    fraction = (end - start) / jnp.where(width > 0, width, 1.0)
    return jnp.where(width > 0, jnp.clip(fraction, 0.0, 1.0), u)


def _where(condition: Noise, chosen: Noise, otherwise: Noise | Array) -> Noise:
    if not isinstance(otherwise, Noise):
        otherwise = jax.tree.map(lambda _: otherwise, chosen)
    return jax.tree.map(jnp.where, condition, chosen, otherwise)
