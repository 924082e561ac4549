"""The search for the highest likelihood, for many data sets at once, and how far it falls around it.

Every row of a trace has a score, the gradient of its log-likelihood given the rows before it. Scores are uncorrelated
at the true parameters, so the sum of their squares J estimates the information (Berndt, Hall, Hall and Hausman, 1974):
scoring steps solve J d = gradient, damped as by Levenberg and Marquardt. What is compiled is one function, the scores
of a batch of data sets; the search itself is NumPy, in float64.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array

TOLERANCE = 1e-6  # of the log-likelihood that another step would gain
_NEARLY = 1e-4  # the same, where scoring leaves off and Newton takes over
_ENDED = 1e-5  # the same, below which a new Hessian does not pay
_SCORING_STEPS, _NEWTON_STEPS, _HESSIANS = 60, 6, 4
_LONGEST = 1.0  # coordinate units a step
_CHUNK = 32  # data sets at a time: few enough for a cache, and only those whose search goes on


class Slope(NamedTuple):
    """The likelihood of B data sets at a point of each."""

    value: Any  # (B,)
    gradient: Any  # (B, p)
    information: Any  # (B, p, p) the sum of squared scores


class Maximum(NamedTuple):
    theta: np.ndarray  # (B, p)
    value: np.ndarray  # (B,)
    observed: np.ndarray  # (B, p, p) the observed information, minus the Hessian
    scores: np.ndarray  # (B, p, p) the sum of squared scores
    left_to_gain: np.ndarray  # (B,) of log-likelihood, by another Newton step
    evaluations: int


Evaluate = Callable[[np.ndarray, np.ndarray], Slope]  # points (L, p) and which L of the B data sets they are for


def slope(log_likelihoods: Callable[[Array], Array], theta: Array) -> Slope:
    """The likelihood at one point (p,), its gradient and squared scores, for a function theta -> its rows' terms."""

    def rows_twice(theta):
        rows = log_likelihoods(theta)
        return rows, rows

    scores, rows = jax.jacfwd(rows_twice, has_aux=True)(theta)
    scores = scores.reshape(-1, theta.shape[0])
    return Slope(jnp.sum(rows), jnp.sum(scores, axis=0), scores.T @ scores)


def evaluation(
    chunk: Callable[[Array, Array], Slope], num_sets: int, evaluated: Callable[[], None] = lambda: None
) -> Evaluate:
    """An `Evaluate` out of a compiled function of as many points as are taken at a time, and their data sets.

    `evaluated` is called after each evaluation.
    """
    size = min(_CHUNK, num_sets)

    def evaluate(thetas, rows):
        parts = []
        for first in range(0, len(rows), size):
            here = np.arange(first, min(first + size, len(rows)))
            padded = np.resize(here, size)
            with jax.enable_x64(True):
                part = chunk(jnp.asarray(thetas[padded], float), jnp.asarray(rows[padded]))
            parts.append(Slope(*(x[: len(here)] for x in jax.device_get(part))))
        evaluated()
        return Slope(*(np.concatenate(x) for x in zip(*parts, strict=True)))

    return evaluate


def maximise(evaluate: Evaluate, theta: np.ndarray, low: np.ndarray, high: np.ndarray) -> Maximum:
    """The maximum of each of B likelihoods within the bounds (p,), from the points `theta` (B, p)."""
    theta = np.clip(theta, low, high)
    every = np.arange(len(theta))
    here = evaluate(theta, every)
    damping = np.full(len(theta), 1e-2)
    evaluations = 1
    for _ in range(_SCORING_STEPS):
        _, gain = _step(theta, here.gradient, here.information, 0 * damping, low, high)
        rows = np.flatnonzero(gain > _NEARLY)
        if not rows.size:
            break
        step, _ = _step(theta, here.gradient, here.information, damping, low, high)
        better = _try(evaluate, theta, here, step, rows)
        evaluations += 1
        damping[better] = np.maximum(damping[better] / 4, 1e-4)
        worse = np.setdiff1d(rows, better)
        damping[worse] = np.minimum(damping[worse] * 8, 1e8)
    # The end by Newton's steps, a few to a Hessian.
    observed, rows = np.zeros_like(here.information), every
    for _ in range(_HESSIANS):
        observed[rows] = observed_information(evaluate, theta, here.information, rows)
        evaluations += 2 * theta.shape[1]
        shares = np.ones(len(theta))
        for _ in range(_NEWTON_STEPS):
            step, gain = _step(theta, here.gradient, _positive(observed), 0 * damping, low, high)
            trying = np.flatnonzero((gain > TOLERANCE) & (shares > 1e-3))
            if not trying.size:
                break
            better = _try(evaluate, theta, here, step * shares[:, None], trying)
            evaluations += 1
            shares[better] = np.minimum(2 * shares[better], 1.0)
            shares[np.setdiff1d(trying, better)] /= 4
        _, gain = _step(theta, here.gradient, _positive(observed), 0 * damping, low, high)
        rows = np.flatnonzero(gain > _ENDED)
        if not rows.size:
            break
    return Maximum(theta, here.value, observed, here.information, gain, evaluations)


def _try(evaluate: Evaluate, theta: np.ndarray, here: Slope, step: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Takes the steps of `rows` that lead uphill, in place; returns which."""
    there = evaluate((theta + step)[rows], rows)
    uphill = np.isfinite(there.value) & (there.value > here.value[rows])
    better = rows[uphill]
    theta[better] += step[better]
    for old, new in zip(here, there, strict=True):
        old[better] = new[uphill]
    return better


def observed_information(evaluate: Evaluate, theta: np.ndarray, scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Minus the Hessian of `rows`, by central differences of the gradient over a fiftieth of a standard error."""
    theta, scores, num_parameters = theta[rows], scores[rows], theta.shape[1]
    observed = np.zeros_like(scores)
    for j in range(num_parameters):
        one = np.eye(num_parameters)[j]
        width = np.clip(0.02 / np.sqrt(np.maximum(scores[:, j, j], 1e-300)), 1e-5, 0.02)[:, None]
        ahead, behind = evaluate(theta + width * one, rows), evaluate(theta - width * one, rows)
        observed[:, j] = -(ahead.gradient - behind.gradient) / (2 * width)
    return 0.5 * (observed + observed.transpose(0, 2, 1))


def inverse(information: np.ndarray, smallest: float = 1e-4) -> np.ndarray:
    """The inverse of each matrix of (B, p, p), eigenvalues below `smallest` taken for it: 100 units are no answer."""
    values, vectors = np.linalg.eigh(information)
    return (vectors / np.maximum(values, smallest)[:, None, :]) @ vectors.transpose(0, 2, 1)


def _positive(information: np.ndarray) -> np.ndarray:
    """The same with every eigenvalue taken by its size: uphill also where the likelihood is no hill yet."""
    values, vectors = np.linalg.eigh(information)
    return (vectors * np.maximum(np.abs(values), 1e-6)[:, None, :]) @ vectors.transpose(0, 2, 1)


def _step(theta, gradient, information, damping, low, high) -> tuple[np.ndarray, np.ndarray]:
    """A step (B, p) uphill within the bounds, and the log-likelihood that it promises (B,)."""
    held = ((theta <= low) & (gradient < 0)) | ((theta >= high) & (gradient > 0))
    gradient = np.where(held, 0.0, gradient)
    matrix = np.where(held[:, :, None] | held[:, None, :], 0.0, information)
    diagonal = np.einsum("bii->bi", matrix).copy()
    matrix = matrix + np.eye(theta.shape[1]) * (damping[:, None] * diagonal + held + 1e-9)[:, None, :]
    step = np.linalg.solve(matrix, gradient[:, :, None])[:, :, 0]
    gain = 0.5 * np.sum(gradient * step, axis=1)
    longest = np.abs(step).max(axis=1, keepdims=True)
    step = step * np.minimum(1.0, _LONGEST / np.maximum(longest, 1e-300))
    return np.clip(theta + step, low, high) - theta, gain
