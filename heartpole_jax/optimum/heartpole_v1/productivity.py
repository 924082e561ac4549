"""Work done in half an hour of HeartPole-v1, by effective alertness and blood alcohol: functions of NumPy arrays."""

import numpy as np

from heartpole_jax.envs import physiology
from heartpole_jax.envs.heartpole_v1 import EnvParams


def sober_work(alertness: np.ndarray, params: EnvParams) -> np.ndarray:
    """Work done in half an hour, sober, by the effective alertness (before it is cut at 0)."""
    return np.asarray(physiology.productivity(np.maximum(alertness, 0.0), 1.0, params.anxiety_threshold), float)


def ballmer_multiplier(intoxication: np.ndarray, params: EnvParams) -> np.ndarray:
    """What sober work is multiplied by, by blood alcohol."""
    return np.asarray(
        physiology.ballmer_function(
            intoxication, params.ballmer_limit, params.ballmer_steepness, params.ballmer_peak,
            params.ballmer_peak_width, params.ballmer_peak_height,
        ),
        float,
    )  # fmt: skip


def best_alertness(params: EnvParams) -> float:
    """The effective alertness at which most work is done."""
    alertness = np.linspace(0.0, max(float(params.anxiety_threshold), 0.0) + 2.0, 10_001)
    return float(alertness[np.argmax(sober_work(alertness, params))])


def steepest_fall(params: EnvParams, drunk: bool) -> float:
    """The most work that half an hour loses for one unit of alertness more, at the blood alcohol of most work."""
    alcohol = np.append(np.linspace(0.0, 1.0, 10_001), params.ballmer_peak) if drunk else np.zeros(1)
    alertness = np.linspace(0.0, max(float(params.anxiety_threshold), 0.0) + 20.0, 10_001)
    steepest = np.max(-np.diff(sober_work(alertness, params)) / np.diff(alertness))
    return float(np.max(ballmer_multiplier(alcohol, params)) * max(steepest, 0.0))
