"""The tutorial's facts about developers, one function per equation.

Scalars in, scalars out (arrays broadcast). Every function is pure, finite for every finite input, and has a finite
gradient there. The defaults are the tutorial's constants; `heartpole_v0.EnvParams` holds the same numbers as
parameters. The sigmoid sigma(z) = 1 / (1 + exp(-z)) is `jax.nn.sigmoid`, which does not overflow.

Source of every equation: Vadim Liventsev, "Writing a custom OpenAI Gym environment" (the HeartPole tutorial), and his
package `heartpole` 1.2. None of it is medicine.
"""

import jax
import jax.numpy as jnp
from chex import Array, Numeric

from heartpole_jax import arguments

# Beyond this many widths a Gaussian is zero in float64 as well, so clipping there changes no value.
_GAUSSIAN_SUPPORT = 100.0


@arguments.numeric()
def uniform_between(low: Numeric, high: Numeric, u: Numeric) -> Array:
    """The point of [low, high) at the fraction `u` in [0, 1): low + (high - low) u. How every dose is drawn."""
    return low + (high - low) * u


@arguments.numeric()
def heart_attack_risk(hypertension: Numeric, proclivity: Numeric = 0.5, threshold: Numeric = 6.0) -> Array:
    """Probability of a heart attack in a half-hour (fact 4): proclivity * sigma(hypertension - threshold).

    Args:
      hypertension: arbitrary units, 0 is normal; any real.
      proclivity: the risk at infinite hypertension, in [0, 1].
      threshold: the hypertension at which the risk is half of it.
    """
    return proclivity * jax.nn.sigmoid(hypertension - threshold)


@arguments.numeric(width=arguments.check_positive)
def alertness_decay(time_since_slept: Numeric, onset: Numeric = 40.0, width: Numeric = 10.0) -> Array:
    """Alertness lost in one half-hour (fact 6): sigma((time_since_slept - onset) * (1.0 / width)), in (0, 1).

    Args:
      time_since_slept: half-hours since waking up, >= 0, a whole number or a float.
      onset: the half-hour at which fatigue costs 0.5 a half-hour.
      width: half-hours over which fatigue sets in, > 0.
    """
    return jax.nn.sigmoid((time_since_slept - onset) * (1.0 / width))


@arguments.numeric()
def crippling_anxiety(alertness: Numeric, threshold: Numeric = 3.0) -> Array:
    """Share of productivity lost to anxiety (fact 7): sigma(alertness - threshold), in (0, 1)."""
    return jax.nn.sigmoid(alertness - threshold)


@arguments.numeric(peak_width=arguments.check_positive)
def ballmer_function(
    intoxication: Numeric,
    limit: Numeric = 0.05,
    steepness: Numeric = 50.0,
    peak: Numeric = 0.135,
    peak_width: Numeric = 0.005,
    peak_height: Numeric = 2.0,
) -> Array:
    """Productivity multiplier of alcohol, the Ballmer peak (fact 8).

    sigma(steepness (limit - x)) + peak_height exp(-(x - peak)^2 / (2 peak_width^2)): sober developers get 0.924,
    drunk ones nothing, but at a blood alcohol of 0.135 % the peak yields 2.014.

    The flanks of the peak are steep: a relative error in x becomes one up to 70 times as large. In float32 that is up
    to 4e-6 for every rounding that x has gone through.

    Args:
      intoxication: x, blood alcohol content in %, >= 0.
      limit: x at which half of the sober productivity is gone, in %.
      steepness: of that loss, per %.
      peak: x of the Ballmer peak, in %.
      peak_width: its standard deviation in %, > 0.
      peak_height: multiplier gained at the peak.
    """
    # Clipped, since the square of a huge deviation would overflow and its gradient become 0 * inf.
    deviation = jnp.clip((intoxication - peak) * (1.0 / peak_width), -_GAUSSIAN_SUPPORT, _GAUSSIAN_SUPPORT)
    return jax.nn.sigmoid(steepness * (limit - intoxication)) + peak_height * jnp.exp(-0.5 * deviation * deviation)


@arguments.numeric()
def productivity(alertness: Numeric, ballmer: Numeric, anxiety_threshold: Numeric = 3.0) -> Array:
    """Productive half-hours done in one half-hour of work: alertness (1 - crippling_anxiety(alertness)) ballmer.

    Negative alertness undoes work, as in the tutorial. 1 - sigma(z) is written sigma(-z), which keeps its digits when
    anxiety is nearly complete.

    Args:
      alertness: arbitrary units, 1 is rested; any real.
      ballmer: the multiplier, `ballmer_function(intoxication)`.
      anxiety_threshold: alertness at which half of the productivity is lost.
    """
    return alertness * jax.nn.sigmoid(anxiety_threshold - alertness) * ballmer


@arguments.numeric()
def decay(level: Numeric, rate: Numeric = 0.97) -> Array:
    """What is left of hypertension or of intoxication after a half-hour (fact 5): rate * level.

    At the default rate half of it is gone after about 12 hours: 0.97^24 = 0.4814.
    """
    return rate * level


@arguments.numeric()
def score(work_done: Numeric, time_elapsed: Numeric) -> Array:
    """Mean productivity so far, work_done / time_elapsed, and 0 at time 0.

    Args:
      work_done: productive half-hours.
      time_elapsed: half-hours, a whole number >= 0.
    """
    # where(t > 0, W / t, 0) would have a NaN gradient at t = 0; work_done is 0 there.
    return work_done / jnp.maximum(time_elapsed, 1).astype(jnp.result_type(work_done))
