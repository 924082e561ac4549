"""Numbers over seeds with bootstrap intervals, many configurations at once (rliable, Agarwal et al. 2021, one task).

A bootstrap resample of sorted values is sorted where its indices are. So one set of sorted indices serves every
configuration with as many seeds, and each statistic of all resamples is a product of matrices: a thousand
configurations of eight seeds take a second.
"""

import math
from typing import NamedTuple

import numpy as np

from heartpole_jax import arguments, validation

NUM_RESAMPLES = 10_000
_CONFIDENCE = 0.95
_SEED = 0  # of the resamples: the same results give the same intervals


class Interval(NamedTuple):
    """A number, and its 95 % percentile-bootstrap interval: not a number where there is but one seed."""

    value: float
    low: float
    high: float


class OverSeeds(NamedTuple):
    """One configuration's losses over its training seeds, the lower the better."""

    median: Interval
    interquartile_mean: Interval
    worst: Interval


@arguments.checked(losses=validation.check_reals, num_resamples=validation.check_size)
def over_seeds(losses: np.ndarray, num_resamples: int = NUM_RESAMPLES) -> list[OverSeeds]:
    """For each row of `losses`, (configurations, seeds), its median, interquartile mean and worst, with intervals.

    Infinite losses stand for trials that diverged. The interquartile mean leaves out a quarter of the seeds, rounded
    down, at either end: none of fewer than four. No resample is worse than the worst, so the interval of the worst ends
    there: it bounds how much better the worst of as many seeds may be, and not how bad one more seed could be.

    Raises:
      ValueError: where `losses` is no such matrix, or holds something that is not a number.
    """
    losses = np.asarray(losses, np.float64)
    if losses.ndim != 2 or losses.shape[1] < 1 or np.any(np.isnan(losses)):
        raise ValueError(f"losses must be numbers of shape (configurations, seeds), got {arguments.described(losses)}")
    losses = np.sort(losses, axis=1)
    num_seeds = losses.shape[1]
    drawn = np.random.default_rng(_SEED).integers(num_seeds, size=(num_resamples, num_seeds))
    drawn.sort(axis=1)
    return [
        OverSeeds(*row) for row in zip(*(_with_interval(losses, drawn, s) for s in _middles(num_seeds)), strict=True)
    ]


@arguments.typed()
def mean_name(num_seeds: int) -> str:
    """What the interquartile mean of so many seeds is: of fewer than four, which leaves none out, the mean."""
    return "interquartile mean" if num_seeds >= 4 else "mean"


def _middles(num_seeds: int) -> tuple[slice, slice, slice]:
    """Which of the sorted losses the median, the interquartile mean and the worst are the mean of."""
    cut = num_seeds // 4
    return (
        slice((num_seeds - 1) // 2, num_seeds // 2 + 1),
        slice(cut, num_seeds - cut),
        slice(num_seeds - 1, num_seeds),
    )


def _with_interval(losses: np.ndarray, drawn: np.ndarray, taken: slice) -> list[Interval]:
    """The mean of the sorted losses `taken`, a row each, and the interval of the same over the resamples."""
    num_seeds = losses.shape[1]
    values = losses[:, taken].mean(axis=1)
    if num_seeds == 1:
        return [Interval(float(value), math.nan, math.nan) for value in values]
    weights = np.stack([np.mean(drawn[:, taken] == seed, axis=1) for seed in range(num_seeds)])  # (seeds, resamples)
    infinite = np.isinf(losses)
    resampled = np.where(infinite, 0.0, losses) @ weights  # infinity times no weight would be no number
    resampled[(infinite.astype(np.float64) @ weights) > 0] = np.inf
    # The order statistics themselves: between a finite and an infinite one there is nothing to interpolate.
    last = resampled.shape[1] - 1
    low, high = math.floor((1 - _CONFIDENCE) / 2 * last), math.ceil((1 + _CONFIDENCE) / 2 * last)
    resampled.partition((low, high), axis=1)
    return [Interval(*map(float, row)) for row in zip(values, resampled[:, low], resampled[:, high], strict=True)]
