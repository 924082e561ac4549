"""Maximum likelihood for a batch of data sets: estimates, standard errors, intervals, as arrays."""

import functools
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax.envs.heartpole_v0 import Action
from heartpole_jax.identification import coordinates, filtering, maximising, profiling
from heartpole_jax.identification.coordinates import Coordinates
from heartpole_jax.identification.filtering import Rows
from heartpole_jax.identification.maximising import Maximum


class Estimates(NamedTuple):
    """What was found for B data sets and p names, in the order of the names."""

    maximum: Maximum
    values: np.ndarray  # (B, p)
    standard_errors: np.ndarray  # (B, p) from the observed information
    robust_standard_errors: np.ndarray  # (B, p) from the sandwich of scores and information
    low: np.ndarray  # (B, p) ends of the intervals
    high: np.ndarray  # (B, p)


def estimate(
    rows: Rows,
    space: Coordinates,
    *,
    confidence: float = 0.95,
    unknown_attacks: bool = False,
    evaluated: Callable[[], None] = lambda: None,
) -> Estimates:
    """The maximum likelihood of each of B data sets of N traces, and its intervals.

    Args:
      rows: leaves of shape (B, N, ...).
      space: parameters of one of the two parts of `coordinates.split`, not of both.
      confidence: of the intervals.
      unknown_attacks: whether any heart attack is unknown.
      evaluated: is called after each evaluation of the likelihood.
    """
    body, heart = coordinates.split(space.names)
    if body and heart:
        raise ValueError(f"body and heart are fitted each for itself, got {body} and {heart}")

    with jax.enable_x64(True):
        data = jax.tree.map(jnp.asarray, rows)
    num_sets = rows.actions.shape[0]
    evaluate = maximising.evaluation(
        lambda thetas, rows: _slopes(thetas, rows, data, space.fixed, space.names, unknown_attacks),
        num_sets,
        evaluated,
    )
    start = np.tile(coordinates.start(space), (num_sets, 1))
    best = maximising.maximise(evaluate, start, *coordinates.bounds(space))

    valued = _valued(space)
    values, slopes = valued(best.theta)
    covariance = maximising.inverse(best.observed)
    robust = covariance @ best.scores @ covariance
    errors, robust_errors = (np.sqrt(np.einsum("bji,bik,bjk->bj", slopes, x, slopes)) for x in (covariance, robust))
    cutoff = NormalDist().inv_cdf(0.5 + 0.5 * confidence)
    reach = cutoff * np.sqrt(np.einsum("bii->bi", covariance))
    # On the scale of the coordinates, which keeps limits; each moves alone.
    ends = np.stack([_moved(valued, best.theta, sign * reach) for sign in (-1.0, 1.0)])
    low, high = ends.min(axis=0), ends.max(axis=0)
    for j, name in enumerate(space.names):
        if name in coordinates.RANGE_ENDS:
            width = _width(name, space, values)
            own_cutoff = profiling.edge_cutoff(confidence, errors[:, j], width, _num_doses(name, rows))
            low[:, j], high[:, j] = profiling.interval(
                evaluate, best, functools.partial(_column, valued, j), coordinates.lowest(name), own_cutoff, width
            )
    return Estimates(best, values, errors, robust_errors, low, high)


@functools.partial(jax.jit, static_argnames=("names", "unknown_attacks"))
def _slopes(thetas: Array, rows: Array, data: Rows, fixed: dict, names: tuple[str, ...], unknown_attacks: bool):
    """The `Slope` of each data set of `rows` at its point."""
    body, _ = coordinates.split(names)

    def one(theta, rows):
        def log_likelihoods(theta):
            params, noise = coordinates.build(theta, Coordinates(names, fixed))
            if body:
                return jax.vmap(lambda rows: filtering.body_log_likelihoods(rows, params, noise))(rows)
            return jax.vmap(lambda rows: filtering.heart_log_likelihoods(rows, params, noise, unknown_attacks))(rows)

        return maximising.slope(log_likelihoods, theta)

    return jax.vmap(one)(thetas, jax.tree.map(lambda x: x[rows], data))


@functools.partial(jax.jit, static_argnames="names")
def _values(thetas: Array, fixed: dict, names: tuple[str, ...]) -> tuple[Array, Array]:
    """The parameters at each point (B, p), and their gradients (B, p, p)."""
    space = Coordinates(names, fixed)
    return jax.vmap(lambda x: (coordinates.values(x, space), jax.jacfwd(coordinates.values)(x, space)))(thetas)


def _valued(space: Coordinates):
    """`_values` as a function of NumPy arrays."""

    def valued(thetas):
        with jax.enable_x64(True):
            return jax.device_get(_values(jnp.asarray(thetas, float), space.fixed, space.names))

    return valued


def _moved(valued, theta: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Each parameter with its own coordinate moved by its reach, (B, p)."""
    moved = theta[:, None, :] + reach[:, :, None] * np.eye(theta.shape[1])
    values, _ = valued(moved.reshape(-1, theta.shape[1]))
    return np.einsum("bjj->bj", values.reshape(moved.shape)).copy()


def _column(valued, j: int, thetas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, slopes = valued(thetas)
    return values[:, j], slopes[:, j]


def _width(name: str, space: Coordinates, values: np.ndarray) -> np.ndarray:
    """The width of the range that `name` is an end of, (B,)."""
    stem = name.removesuffix("_low").removesuffix("_high")
    low, high = (
        values[:, space.names.index(end)] if end in space.names else space.fixed[end]
        for end in (f"{stem}_low", f"{stem}_high")
    )
    return np.asarray(high - low)


def _num_doses(name: str, rows: Rows) -> np.ndarray:
    """How often the range that `name` is an end of was drawn from, (B,)."""
    action = Action.COFFEE if name.startswith("coffee") else Action.BEER if name.startswith("beer") else Action.SLEEP
    at_start = rows.actions.shape[1] if action == Action.SLEEP else 0
    return at_start + np.sum(rows.counted & (rows.actions == action), axis=(1, 2))
