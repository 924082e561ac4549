"""Gaussian beliefs with uniform noise: what is known of a patient's state, given what was seen.

A dose is low + (high - low) u with u uniform in [0, 1). The belief is a Gaussian over the state and the latest u of
each kind, as if u were Gaussian of the same mean 1/2 and variance 1/12: then every observation is a Kalman update. That
u is uniform is made up for afterwards: `uniformity` weighs the two densities of u against each other, which is a
one-dimensional integral. So everything seen between two doses counts with the exact shape of the first, edges included;
only when the next dose comes is the noise settled, and what is left of it is taken as Gaussian.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, Numeric

from heartpole_jax import struct

_NOISE_MEAN, _NOISE_VARIANCE = 0.5, 1.0 / 12.0
# 24 Gauss-Legendre points over what matters of the noise's density, down to exp(-30) of its top: 3e-9 of its integral.
_NUM_NODES, _DEPTH = 24, 30.0
_NODES, _WEIGHTS = (
    0.5 * (x + shift) for x, shift in zip(np.polynomial.legendre.leggauss(_NUM_NODES), (1, 0), strict=True)
)


@struct.dataclass
class Belief:
    """A Gaussian over n quantities, some of them noise, and the log-likelihood of what was seen, the noise Gaussian."""

    mean: Array  # (n,)
    covariance: Array  # (n, n)
    log_likelihood: Array  # ()


class Uniformity(NamedTuple):
    """What changes about a uniform when its prior is flat and not Gaussian, given all that was seen since its dose."""

    log_likelihood: Array  # to add
    shift: Array  # of its mean
    spread: Array  # of its variance
    nodes: Array  # (24,) points of the noise
    weights: Array  # (24,) their posterior probabilities


def unknown_noise(num_quantities: int, noise: tuple[int, ...]) -> Belief:
    """All quantities known to be 0, but for the noise, of which nothing is known."""
    is_noise = np.isin(np.arange(num_quantities), noise)
    mean = jnp.asarray(np.where(is_noise, _NOISE_MEAN, 0.0))
    return Belief(
        mean=mean, covariance=jnp.diag(jnp.asarray(np.where(is_noise, _NOISE_VARIANCE, 0.0))),
        log_likelihood=jnp.zeros((), mean.dtype),
    )  # fmt: skip


def add_dose(belief: Belief, quantity: int, noise: int, low: Numeric, width: Numeric, dosed: Array) -> Belief:
    """`quantity` + low + width u, with a fresh uniform u; as it was where not `dosed`. The old one must be settled."""
    fresh = jnp.where(dosed, 1.0 - _one(belief, noise), 1.0)
    column = jnp.where(dosed, _NOISE_VARIANCE * (_one(belief, noise) + width * _one(belief, quantity)), 0.0)
    mean = jnp.where(dosed, belief.mean * fresh + _one(belief, noise) * _NOISE_MEAN, belief.mean)
    mean = mean + jnp.where(dosed, low + width * _NOISE_MEAN, 0.0) * _one(belief, quantity)
    covariance = belief.covariance * jnp.outer(fresh, fresh) + jnp.outer(column, column) / _NOISE_VARIANCE
    return Belief(mean=mean, covariance=covariance, log_likelihood=belief.log_likelihood)


def rescale(belief: Belief, factors: Array) -> Belief:
    """Every quantity times its factor, (n,)."""
    covariance = belief.covariance * jnp.outer(factors, factors)
    return Belief(mean=belief.mean * factors, covariance=covariance, log_likelihood=belief.log_likelihood)


def observe(
    belief: Belief,
    quantity: int,
    value: Array,
    seen: Array,
    variance: Numeric,
    factor: Numeric = 1.0,
    offset: Numeric = 0.0,
) -> Belief:
    """After seeing factor * quantity + offset + a Gaussian error of `variance`, where `seen`."""
    column = belief.covariance[:, quantity] * factor
    total = column[quantity] * factor + variance
    error = value - (belief.mean[quantity] * factor + offset)
    gain = jnp.where(seen, 1.0 / total, 0.0)
    log_density = -0.5 * (jnp.log(2.0 * jnp.pi * total) + error * error / total)
    return Belief(
        mean=belief.mean + column * (gain * error),
        covariance=belief.covariance - gain * jnp.outer(column, column),
        log_likelihood=belief.log_likelihood + jnp.where(seen, log_density, 0.0),
    )


def weigh(belief: Belief, quantity: int, log_weight: tuple[Array, Array, Array], counted: Array) -> Belief:
    """After an event whose probability depends smoothly on `quantity`, where `counted`.

    `log_weight` is the logarithm of that probability and its first two derivatives at the mean, and counts as a
    parabola.
    """
    value, slope, curvature = (jnp.where(counted, part, 0.0) for part in log_weight)
    column = belief.covariance[:, quantity]
    variance = column[quantity]
    # Convex weights widen the belief; more than twofold would mean that a parabola is no description of them.
    total = jnp.maximum(1.0 - curvature * variance, 0.5)
    return Belief(
        mean=belief.mean + column * (slope / total),
        covariance=belief.covariance + jnp.outer(column, column) * (curvature / total),
        log_likelihood=belief.log_likelihood + value + 0.5 * slope * slope * variance / total - 0.5 * jnp.log(total),
    )


def add_to(belief: Belief, quantity: int, gain: Numeric, slopes: Array, variance: Numeric) -> Belief:
    """`quantity` + gain + slopes . (deviations from the mean) + a Gaussian of `variance`."""
    row = jnp.sum(belief.covariance * slopes[None, :], axis=1)
    one = _one(belief, quantity)
    cross = jnp.outer(one, row)
    own = jnp.outer(one, one) * (jnp.sum(slopes * row) + variance)
    covariance = belief.covariance + cross + cross.T + own
    return Belief(mean=belief.mean + one * gain, covariance=covariance, log_likelihood=belief.log_likelihood)


def uniformity(belief: Belief, noise: int) -> Uniformity:
    """The integral over a uniform of its own density in place of the Gaussian one, and the moments it then has."""
    mean, variance = belief.mean[noise], belief.covariance[noise, noise]
    # The exponent of the ratio of densities is slope u - precision u^2 / 2, up to a constant.
    slope, precision = mean / variance - _NOISE_MEAN / _NOISE_VARIANCE, 1.0 / variance - 1.0 / _NOISE_VARIANCE
    bent = jnp.maximum(precision, 1e-9)
    top = jnp.clip(slope / bent, 0.0, 1.0)
    steepness = jnp.abs(slope - precision * top)
    reach = 2.0 * _DEPTH / (steepness + jnp.sqrt(steepness * steepness + 2.0 * _DEPTH * bent))
    # Where to integrate changes nothing about the integral, so no derivative goes through it.
    low, high = jax.lax.stop_gradient((jnp.maximum(top - reach, 0.0), jnp.minimum(top + reach, 1.0)))
    nodes = low + (high - low) * jnp.asarray(_NODES, mean.dtype)
    exponents = 0.5 * (jnp.square(nodes - _NOISE_MEAN) / _NOISE_VARIANCE - jnp.square(nodes - mean) / variance)
    highest = jax.lax.stop_gradient(jnp.max(exponents))
    masses = jnp.asarray(_WEIGHTS, mean.dtype) * jnp.exp(exponents - highest)
    total = jnp.sum(masses)
    weights = masses / total
    settled = jnp.sum(weights * nodes)
    log_likelihood = highest + jnp.log(total * (high - low)) + 0.5 * jnp.log(_NOISE_VARIANCE / variance)
    spread = jnp.sum(weights * jnp.square(nodes - settled)) - variance
    return Uniformity(log_likelihood, settled - mean, spread, nodes, weights)


def settle(belief: Belief, noise: int, found: Uniformity, settled: Array) -> Belief:
    """The belief with the moments that the noise has as a uniform, where `settled`; the others follow along with it."""
    column = belief.covariance[:, noise] / belief.covariance[noise, noise]
    return Belief(
        mean=belief.mean + column * jnp.where(settled, found.shift, 0.0),
        covariance=belief.covariance + jnp.outer(column, column) * jnp.where(settled, found.spread, 0.0),
        log_likelihood=belief.log_likelihood + jnp.where(settled, found.log_likelihood, 0.0),
    )


def forget(belief: Belief, quantity: int, forgotten: Array) -> Belief:
    """`quantity` known to be 0, where `forgotten`."""
    return rescale(belief, jnp.where(forgotten, 1.0 - _one(belief, quantity), 1.0))


def _one(belief: Belief, index: int) -> Array:
    return jnp.asarray(np.arange(belief.mean.shape[0]) == index, belief.mean.dtype)
