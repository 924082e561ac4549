"""Means with their errors: of independent values, without the noise of heart attacks, and across training seeds.

A heart attack costs 100 at 0.12 % a step, so single returns of HeartPole-v0 have a standard deviation of 111 while
policies differ by hundredths. With R the return, N the heart attacks and M = N - sum of the risks at their draws, M is
a martingale: E[M] = 0 for every policy. So R + 100 beta M has the mean of R for any fixed beta, and beta =
-Cov(R, 100 M) / Var(100 M) makes its variance smallest: beta = 1 puts the risks in the place of the attacks. It is
estimated on one half of the episodes and used on the other, and the other way round.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from heartpole_jax import arguments, validation

HALF_HOURS_A_DAY = 48
_ENOUGH_ATTACKS = 30  # in half of the episodes, to learn from them what an attack does


class Estimate(NamedTuple):
    """A mean and its standard error."""

    mean: float
    standard_error: float


class AcrossSeeds(NamedTuple):
    """One number for each training seed, summarised."""

    median: float
    interquartile_mean: float
    interquartile_mean_low: float  # 95 % bootstrap interval
    interquartile_mean_high: float
    worst: float


@arguments.checked(values=validation.check_reals)
def estimate(values: np.ndarray) -> Estimate:
    """The mean of independent values and its standard error; never trimmed, which would trim the heart attacks away."""
    values = np.asarray(values, np.float64)
    if values.size < 2:
        raise ValueError(f"values must be at least two, for a standard error, got {values.size}")
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)))


@arguments.checked(
    values=validation.check_reals,
    attacks=validation.check_reals,
    risks=validation.check_reals,
    per_attack=validation.check_number,
)
def without_attack_noise(values: np.ndarray, attacks: np.ndarray, risks: np.ndarray, per_attack: float) -> np.ndarray:
    """`values` less beta (`attacks` - `risks`), the noise of heart attacks.

    beta is by regression on the other half of the episodes. Where they saw too few heart attacks for one it is
    `per_attack`, what an attack does by itself.

    Args:
      values: of each episode, as are the other two.
      attacks: heart attacks.
      risks: their probabilities, summed; attacks - risks has mean 0 whatever the policy does.
      per_attack: the beta of a policy that goes on as if nothing had happened.

    Raises:
      TypeError: for what is no number.
      ValueError: where there is not one number an episode in all three.
    """
    if np.ndim(values) != 1 or not np.shape(values) == np.shape(attacks) == np.shape(risks):
        raise ValueError(
            "values, attacks and risks must be of one number an episode, got shapes "
            f"{np.shape(values)}, {np.shape(attacks)} and {np.shape(risks)}"
        )
    adjusted, martingale = np.array(values, np.float64), np.asarray(attacks) - np.asarray(risks)
    for here, there in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        beta = per_attack
        if attacks[there].sum() >= _ENOUGH_ATTACKS and np.ptp(attacks[there]) > 0:
            # Centred, though the mean is known to be 0: so a policy that never drinks gets its beta to the digit.
            centred = martingale[there] - martingale[there].mean()
            beta = np.mean(values[there] * centred) / np.mean(centred**2)
        adjusted[here] -= beta * martingale[here]
    return adjusted


def _check_seed(name: str, seed: Any) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"{name} must be a whole number of at least 0, got {validation.shown(seed)}")


@arguments.checked(regrets=validation.check_reals, bootstrap_seed=_check_seed, num_resamples=validation.check_size)
def across_seeds(regrets: np.ndarray, *, bootstrap_seed: int, num_resamples: int = 10_000) -> AcrossSeeds:
    """Median, interquartile mean with a 95 % bootstrap interval, and the worst of one regret for each training seed.

    Raises:
      ValueError: for fewer than four seeds, or anything not finite.
    """
    regrets = np.asarray(regrets, np.float64)
    if regrets.ndim != 1 or regrets.size < 4 or not np.all(np.isfinite(regrets)):
        raise ValueError(f"regrets must be at least four finite numbers, one a seed, got {regrets!r}")
    generator = np.random.default_rng(bootstrap_seed)
    resamples = generator.choice(regrets, (num_resamples, regrets.size))
    low, high = np.quantile(interquartile_mean(resamples), [0.025, 0.975])
    return AcrossSeeds(
        median=float(np.median(regrets)),
        interquartile_mean=float(interquartile_mean(regrets)),
        interquartile_mean_low=float(low),
        interquartile_mean_high=float(high),
        worst=float(regrets.max()),
    )


@arguments.checked(values=validation.check_reals)
def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the middle half along the last axis: a quarter of the values, rounded down, cut off at either end.

    Raises:
      TypeError: for what is no array of real numbers.
      ValueError: for none of them.
    """
    values = np.asarray(values)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"values must be at least one along the last axis, got shape {values.shape}")
    cut = values.shape[-1] // 4
    return np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut].mean(axis=-1)


@arguments.typed()
def format_estimate(value: Estimate) -> str:
    """`mean ± standard error`, with as many decimals as the error makes sense of, five at most."""
    mean, error = value
    decimals = 5 if error <= 0 else min(5, max(0, 1 - math.floor(math.log10(error))))
    return f"{mean:.{decimals}f} ± {error:.{decimals}f}"
