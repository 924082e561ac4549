"""Parameters as free coordinates: any real vector is a valid set of parameters, one unit is a large change.

| parameters | coordinate |
|---|---|
| decays, heart_attack_proclivity | logit |
| widths, steepness, height, observation noise | logarithm |
| a range's low end | itself, in units of the table below |
| a range's high end | logarithm of high - low; that of a low end alone, where the high one is given |
| the others | themselves, in units of the table below |

A low end that must not be negative has a bound, which the search keeps (`bounds`).
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax import validation
from heartpole_jax.envs.heartpole_v0 import EnvParams
from heartpole_jax.identification.traces import OBSERVED, ObservationNoise

NOISE_PREFIX = "noise_"
_LOGIT = ("heart_attack_proclivity", "hypertension_decay", "intoxication_decay")
_LOGARITHM = ("fatigue_width", "ballmer_steepness", "ballmer_peak_width", "ballmer_peak_height")
_UNITS = {
    "heart_attack_threshold": 1.0, "fatigue_onset": 10.0, "anxiety_threshold": 1.0, "ballmer_limit": 0.02,
    "ballmer_peak": 0.01, "wake_up_alertness_low": 0.3, "coffee_alertness_low": 0.5, "coffee_hypertension_low": 0.1,
    "beer_alertness_loss_low": 0.3, "beer_hypertension_low": 0.1, "beer_intoxication_low": 0.01,
}  # fmt: skip
_HEART = ("heart_attack_proclivity", "heart_attack_threshold", "hypertension_decay", "coffee_hypertension_low",
          "coffee_hypertension_high", "beer_hypertension_low", "beer_hypertension_high",
          "noise_hypertension")  # fmt: skip
_NON_NEGATIVE = ("coffee_hypertension_low", "beer_hypertension_low", "beer_intoxication_low")
_NO_MARK = ("max_steps", "heart_attack_penalty", "expected_penalty")
RANGE_ENDS = tuple(field.name for field in dataclasses.fields(EnvParams) if field.name.endswith(("_low", "_high")))
FITTABLE = tuple(field.name for field in dataclasses.fields(EnvParams) if field.name not in _NO_MARK) + tuple(
    NOISE_PREFIX + name for name in OBSERVED
)


class Coordinates(NamedTuple):
    """Which parameters vary, and the values of those that do not."""

    names: tuple[str, ...]
    fixed: dict[str, float]  # every parameter and noise, also of the named, where the search begins


def coordinates(names: tuple[str, ...], params: EnvParams, noise: ObservationNoise) -> Coordinates:
    """The coordinates of the parameters called `names`.

    Raises:
      ValueError: for a name that is none, that leaves no mark on a trace, or that comes twice; for parameters that are
        not plain numbers.
    """
    for name in names:
        if name in _NO_MARK:
            raise ValueError(f"{name} leaves no mark on a trace, so it cannot be fitted; leave it out of names")
        validation.look_up(dict.fromkeys(FITTABLE), name, "parameter")
    if not names or len(set(names)) != len(names):
        raise ValueError(f"names must be at least one and all different, got {list(names)}")
    fixed = {name: np.asarray(value) for name, value in vars(params).items()}
    fixed |= {NOISE_PREFIX + name: np.asarray(value) for name, value in vars(noise).items()}
    for name, value in fixed.items():
        if value.shape != ():
            raise ValueError(f"{name} must be one number, got shape {value.shape}; a fit is of one set of parameters")
    return Coordinates(tuple(names), {name: float(value) for name, value in fixed.items()})


def values(theta: Array, space: Coordinates) -> Array:
    """The parameters at the coordinates `theta` (p,), in the order of the names, (p,)."""
    found: dict[str, Array] = {}
    for name, x in zip(space.names, theta, strict=True):
        if name in _UNITS and not _is_width(name, space):
            found[name] = x * _UNITS[name]
    for name, x in zip(space.names, theta, strict=True):
        if name in _LOGIT:
            found[name] = jax.nn.sigmoid(x)
        elif _is_width(name, space):
            other = _other_end(name)
            end = found.get(other, jnp.asarray(space.fixed[other], theta.dtype))
            if name.endswith("_low"):  # at its bound rounding may put it below the limit
                value = end - jnp.exp(x)
                found[name] = value + jax.lax.stop_gradient(jnp.maximum(lowest(name) - value, 0.0))
            else:
                found[name] = end + jnp.exp(x)
        elif name not in found:
            found[name] = jnp.exp(x)
    return jnp.stack([found[name] for name in space.names])


def start(space: Coordinates) -> np.ndarray:
    """The coordinates of the values that `space` was made with, (p,). Raises ValueError where they are at a limit."""
    theta = []
    for name in space.names:
        value = space.fixed[name]
        if _is_width(name, space):
            width = abs(value - space.fixed[_other_end(name)])
            _check(name, width > 0, "a start inside of its range, which must not be empty", value)
            theta.append(np.log(width))
        elif name in _UNITS:
            theta.append(value / _UNITS[name])
        elif name in _LOGIT:
            _check(name, 0 < value < 1, "a start between 0 and 1, exclusive", value)
            theta.append(np.log(value / (1 - value)))
        else:
            _check(name, value > 0, "a start greater than 0", value)
            theta.append(np.log(value))
    return np.array(theta)


def bounds(space: Coordinates) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest coordinates allowed, (p,) each, mostly infinite."""
    low, high = np.full(len(space.names), -np.inf), np.full(len(space.names), np.inf)
    for i, name in enumerate(space.names):
        if name in _NON_NEGATIVE:
            if _is_width(name, space):
                high[i] = np.log(space.fixed[_other_end(name)])
            else:
                low[i] = 0.0
    return low, high


def lowest(name: str) -> float:
    """The lowest value that a parameter may have."""
    return 0.0 if name in _NON_NEGATIVE else -np.inf


def build(theta: Array, space: Coordinates) -> tuple[EnvParams, ObservationNoise]:
    """The parameters and the observation noise at the coordinates `theta`; can be traced."""
    found = dict(space.fixed) | dict(zip(space.names, values(theta, space), strict=True))
    noise = {name: found.pop(NOISE_PREFIX + name) for name in OBSERVED}
    return EnvParams(**found), ObservationNoise(**noise)


def split(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that bear upon alertness, intoxication and work; and those upon hypertension and heart attacks."""
    return tuple(name for name in names if name not in _HEART), tuple(name for name in names if name in _HEART)


def _is_width(name: str, space: Coordinates) -> bool:
    return name.endswith("_high") or (name.endswith("_low") and _other_end(name) not in space.names)


def _other_end(name: str) -> str:
    return name.removesuffix("_low") + "_high" if name.endswith("_low") else name.removesuffix("_high") + "_low"


def _check(name: str, holds: bool, requirement: str, value: float) -> None:
    if not holds:
        raise ValueError(f"{name} needs {requirement}, got {value}; pass other init_params or observation_noise")
