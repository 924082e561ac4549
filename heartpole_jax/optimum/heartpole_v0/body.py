"""HeartPole-v0's equations in float64, as functions of NumPy arrays: what its optimum is computed from."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from heartpole_jax import validation
from heartpole_jax.envs import physiology
from heartpole_jax.envs.heartpole_v0 import EnvParams

MOST_STEPS = 20_000  # decisions of an episode that can be solved: the time grows with them


def plain_numbers(params: EnvParams | None, name: str) -> EnvParams:
    """The parameters, the default ones for None.

    Raises:
      TypeError: for another environment's parameters.
      ValueError: if they are arrays or tracers, or an episode has more than 20,000 decisions. `name` is the caller's.
    """
    params = EnvParams() if params is None else params
    validation.check_type("params", params, EnvParams)
    if not all(isinstance(value, int | float | np.number) for value in vars(params).values()):
        raise ValueError(f"{name} needs parameters that are plain numbers, got {params}")
    if params.max_steps > MOST_STEPS:
        raise ValueError(
            f"{name} is computed decision by decision, {MOST_STEPS:,} at most, got max_steps "
            f"{int(params.max_steps):,}; evaluate shorter episodes, or use rollout"
        )
    return params


def ballmer(intoxication: Any, params: EnvParams) -> np.ndarray:
    """The productivity multiplier at a blood alcohol."""
    return _in_float64(
        physiology.ballmer_function, intoxication, params.ballmer_limit, params.ballmer_steepness, params.ballmer_peak,
        params.ballmer_peak_width, params.ballmer_peak_height,
    )  # fmt: skip


def productivity(alertness: Any, intoxication: Any, params: EnvParams) -> np.ndarray:
    """Productive half-hours in half an hour of work."""
    return work(alertness, params) * ballmer(intoxication, params)


def work(alertness: Any, params: EnvParams) -> np.ndarray:
    """Productive half-hours in half an hour of work, were the Ballmer function 1."""
    return _in_float64(physiology.productivity, alertness, 1.0, params.anxiety_threshold)


def best_alertness(params: EnvParams) -> float:
    """The alertness at which most work is done."""
    # Beyond c + 2, a sigma(c - a) falls.
    alertness = np.linspace(0.0, max(float(params.anxiety_threshold), 0.0) + 2.0, 100_001)
    return float(alertness[np.argmax(work(alertness, params))])


def fatigue(awake: Any, params: EnvParams) -> np.ndarray:
    """Alertness lost in the half-hour after `awake` half-hours."""
    return _in_float64(physiology.alertness_decay, awake, params.fatigue_onset, params.fatigue_width)


def risk(hypertension: Any, params: EnvParams) -> np.ndarray:
    """The probability of a heart attack at a draw."""
    return _in_float64(
        physiology.heart_attack_risk, hypertension, params.heart_attack_proclivity, params.heart_attack_threshold
    )


def waking_alertness(params: EnvParams, nodes: int) -> np.ndarray:
    """The midpoints of `nodes` equal parts of the uniform on waking up, shape (nodes,)."""
    low, high = float(params.wake_up_alertness_low), float(params.wake_up_alertness_high)
    return low + (high - low) * (np.arange(nodes) + 0.5) / nodes


_BLOCKS = (1 << 10, 1 << 17)  # numbers that one call computes: a function is compiled for these sizes alone


def _in_float64(function: Callable, *args: Any) -> np.ndarray:
    """`function` of numbers and arrays, number by number, in float64 whatever JAX's default, as a NumPy array."""
    arrays = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in args))
    shape, size = arrays[0].shape, arrays[0].size
    block = _BLOCKS[0] if size <= _BLOCKS[0] else _BLOCKS[1]
    flat = [np.resize(x, -(-size // block) * block) for x in arrays]  # repeats itself at the end
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        found = [_compiled(function)(*(x[i : i + block] for x in flat)) for i in range(0, len(flat[0]), block)]
        return np.concatenate([np.asarray(x) for x in found])[:size].reshape(shape)


@functools.cache
def _compiled(function: Callable) -> Callable:
    return jax.jit(function)
