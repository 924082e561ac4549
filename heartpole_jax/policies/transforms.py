"""The fixed transforms of observations that come before a Q-network, and the scale of values that comes after it.

Learners want numbers near 1, and HeartPole's alertness runs to -958 and its work_done to thousands. So a network begins
with a fixed function of the raw observation, named in the configuration and saved with the policy: whatever loads the
policy hands it raw observations. Transforms take the array library as `xp`: saved policies run in NumPy.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.envs import heartpole_v0, heartpole_v1

HALF_HOURS_A_DAY = 48.0

_Function = TypeVar("_Function", bound=Callable)


def _takes(*sizes: int) -> Callable[[_Function], _Function]:
    """A decorator: `obs` must be an array of numbers, (..., size), of one of these sizes where they are given."""

    def check_obs(name: str, obs: Any) -> None:
        arguments.check_array(name, obs)
        if 0 in obs.shape[-1:] or obs.ndim == 0 or (sizes and obs.shape[-1] not in sizes):
            size = " or ".join(map(str, sizes)) or "size"
            raise ValueError(f"{name} must be of shape (..., {size}), got {arguments.described(obs)}")

    return arguments.checked(obs=check_obs, xp=ModuleType)


@_takes()
def raw(obs: Any, xp: Any = np) -> Any:
    """The observation as it is, (..., size)."""
    return obs


@_takes(6)
def heartpole_features(obs: Any, xp: Any = np) -> Any:
    """HeartPole's six numbers as eleven of size about 1, (..., 11).

    Alertness, wide and sharp around where a developer gets tired, and on a log scale, which it needs (-958 after 1000
    decisions awake), absolute and over the days so far; hypertension, near 0 and on the scale of the risk; blood
    alcohol, near the limit and at the Ballmer peak; hours awake; mean productivity so far; the time, on a log scale.
    """
    alertness, hypertension, intoxication, time_since_slept, time_elapsed, work_done = (obs[..., i] for i in range(6))
    elapsed = xp.maximum(time_elapsed, 1.0)
    return xp.stack(
        [
            xp.tanh(alertness - 0.5),
            xp.tanh(4.0 * (alertness - 0.5)),
            _symlog(alertness, xp) / 3.0,
            _symlog(alertness * HALF_HOURS_A_DAY / (time_elapsed + HALF_HOURS_A_DAY), xp),
            xp.tanh(hypertension),
            xp.tanh(hypertension / 6.0),
            xp.tanh(20.0 * intoxication),
            xp.exp(-0.5 * ((intoxication - 0.135) / 0.02) ** 2),
            xp.tanh((time_since_slept - 16.0) / 16.0),
            xp.tanh(2.0 * work_done / elapsed),
            xp.log1p(time_elapsed) / 4.0 - 1.0,
        ],
        axis=-1,
    )


@_takes(6)
def heartpole_days_features(obs: Any, xp: Any = np) -> Any:
    """`heartpole_features` and two more, (..., 13): hypertension times the days so far, by its logarithm and as it is.

    What hypertension costs does not depend on the time, and so grows with the days in units of `heartpole_days`.
    """
    cost = obs[..., 1] / heartpole_days(obs)
    more = xp.stack([_symlog(cost, xp) / 2.0, xp.minimum(cost / 20.0, 4.0)], axis=-1)
    return xp.concatenate([heartpole_features(obs, xp), more], axis=-1)


@_takes(8)
def heartpole_v1_features(obs: Any, xp: Any = np) -> Any:
    """HeartPole-v1's eight numbers as fourteen of size about 1, (..., 14).

    Alertness, and the effective alertness that works, around where it is wanted; stimulation and impairment;
    hypertension, near 0 and on the scale of the risk; blood alcohol, near the limit and at the Ballmer peak; hours
    awake; and how much of four weeks has passed, the last day apart.
    """
    alertness, hypertension, intoxication, time_since_slept, time_elapsed, _, stimulation, impairment = (
        obs[..., i] for i in range(8)
    )
    effective = alertness + stimulation - impairment
    return xp.stack(
        [
            xp.tanh(alertness),
            _symlog(alertness, xp) / 2.0,
            xp.tanh(effective),
            xp.tanh(effective - 1.0),
            xp.tanh(effective - 2.0),
            xp.tanh(stimulation),
            xp.tanh(impairment),
            xp.tanh(hypertension),
            xp.tanh(hypertension / 6.0),
            xp.tanh(20.0 * intoxication),
            xp.exp(-0.5 * ((intoxication - 0.135) / 0.02) ** 2),
            xp.tanh((time_since_slept - 16.0) / 16.0),
            time_elapsed / 672.0 - 1.0,
            xp.exp(xp.minimum(time_elapsed - 1344.0, 0.0) / HALF_HOURS_A_DAY),
        ],
        axis=-1,
    )


@_takes(6, 8)
def half_hours(obs: Any) -> Any:
    """HeartPole's time at an observation in half-hours, (...)."""
    return obs[..., 4]


def _symlog(x: Any, xp: Any) -> Any:
    """x for small x, its logarithm for large, with its sign."""
    return xp.sign(x) * xp.log1p(xp.abs(x))


@_takes(4)
def cartpole_features(obs: Any, xp: Any = np) -> Any:
    """CartPole's four numbers, (..., 4), near 1: place and angle over where an episode ends, both speeds over 2."""
    return xp.stack([obs[..., 0] / 2.4, obs[..., 1] / 2.0, obs[..., 2] / 0.2095, obs[..., 3] / 2.0], axis=-1)


@_takes(2)
def mountaincar_features(obs: Any, xp: Any = np) -> Any:
    """MountainCar's position and velocity, (..., 2), each over its range: the velocity never exceeds 0.07."""
    return xp.stack([(obs[..., 0] + 0.3) / 0.9, obs[..., 1] / 0.07], axis=-1)


@_takes()
def constant(obs: Any, xp: Any = np) -> Any:
    """1 for every observation, (...)."""
    return xp.ones_like(obs[..., 0])


@_takes(6)
def heartpole_days(obs: Any, xp: Any = np) -> Any:
    """One over the days so far, the first counted in, (...): HeartPole's reward is the gain of a mean over all time, so
    the value of a decision shrinks like that."""
    return HALF_HOURS_A_DAY / (obs[..., 4] + HALF_HOURS_A_DAY)


class Transform(NamedTuple):
    """What is done to observations before the network, and to its output after it."""

    features: Callable[..., Any]  # obs (..., size), xp -> features (..., num_features)
    value_scale: Callable[..., Any]  # obs (..., size), xp -> (...): q_values are the network's output times this
    env: str = ""  # part of the names of the environments whose observations it understands, where they have no names
    obs_size: int | None = None  # numbers in them
    time: Callable[[Any], Any] | None = None  # obs (..., size) -> (...), where decisions take different times
    obs_names: tuple[str, ...] = ()  # of these numbers: it understands environments whose observations have them


_V0, _V1 = heartpole_v0.OBS_NAMES, heartpole_v1.OBS_NAMES
TRANSFORMS = {
    "raw": Transform(raw, constant),
    "heartpole": Transform(heartpole_features, constant, "HeartPole-v0", len(_V0), obs_names=_V0),
    "heartpole-days": Transform(heartpole_days_features, heartpole_days, "HeartPole-v0", len(_V0), obs_names=_V0),
    "heartpole-v1": Transform(
        heartpole_v1_features, constant, "HeartPole-v1", len(_V1), time=half_hours, obs_names=_V1
    ),
    "cartpole": Transform(cartpole_features, constant, "CartPole", 4),
    "mountaincar": Transform(mountaincar_features, constant, "MountainCar", 2),
}
