"""Traces: what was done and what was seen of one patient, from waking up on.

    trace = make_trace(actions, alertness=..., hypertension=..., heart_attacks=...)
    trace = trace_of_rollout(hp.rollout(..., record=hp.everything).records, patient=3)

Row 0 is the patient who has just woken up for the first time (`heartpole_v0.initial_state`), row t + 1 is after action
t. Time and the hours since waking up follow from the actions. A value that was not observed is NaN.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, Numeric, PRNGKey

from heartpole_jax import arguments, struct, validation
from heartpole_jax.envs.heartpole_v0 import NUM_ACTIONS, SLEEP_HALF_HOURS, Action, EnvState
from heartpole_jax.rollout import Transition

OBSERVED = ("alertness", "hypertension", "intoxication", "work_done")
UNKNOWN = -1


@struct.dataclass
class Trace:
    """One patient's trace of T decisions. Build it with `make_trace`, which checks it."""

    actions: Array  # (T,) int32
    heart_attacks: Array  # (T,) int32: 1 there was one, 0 there was none, -1 unknown
    alertness: Array  # (T + 1,) after each decision, the first row before any; NaN where not observed
    hypertension: Array  # (T + 1,)
    intoxication: Array  # (T + 1,) %
    work_done: Array  # (T + 1,) productive half-hours so far


@struct.dataclass
class ObservationNoise(metaclass=validation.Checked):
    """Standard deviations of independent Gaussian errors of observation, in the units of `EnvState`; 0 is exact.

    Raises:
      ValueError: for a known value below 0 or not finite.
      TypeError: for a value that is not a number.
    """

    alertness: Numeric = 0.0
    hypertension: Numeric = 0.0
    intoxication: Numeric = 0.0
    work_done: Numeric = 0.0

    def __check__(self) -> None:
        validation.check_numbers(self, OBSERVED)
        validation.check_values(self, OBSERVED, "a standard deviation, at least 0", lambda x: x >= 0)


def make_trace(
    actions: Any,
    *,
    heart_attacks: Any = None,
    alertness: Any = None,
    hypertension: Any = None,
    intoxication: Any = None,
    work_done: Any = None,
) -> Trace:
    """A `Trace` of NumPy arrays, float64. What is left out was not observed.

    Args:
      actions: (T,) whole numbers, see `Action`.
      heart_attacks: (T,) bools, or 1, 0 and -1 for unknown.
      alertness, hypertension, intoxication, work_done: (T + 1,) floats, the first before any decision, NaN for gaps.

    Raises:
      TypeError: for actions or heart attacks that are not whole numbers.
      ValueError: for a wrong shape, an unknown action or flag, an infinite value.
    """
    actions = checked_actions("actions", actions)
    num_steps = len(actions)
    values = {
        "alertness": alertness,
        "hypertension": hypertension,
        "intoxication": intoxication,
        "work_done": work_done,
    }
    return Trace(
        actions=actions,
        heart_attacks=_flags(heart_attacks, num_steps),
        **{name: _rows(name, value, num_steps) for name, value in values.items()},
    )


def checked_actions(name: str, value: Any) -> np.ndarray:
    """`value` as the actions of a trace, (T,) int32. Raises TypeError or ValueError where it is none."""
    actions = arguments.as_array(name, value)
    if actions.dtype.kind not in "iu":
        raise TypeError(f"{name} must be whole numbers in 0 .. {NUM_ACTIONS - 1}, got dtype {actions.dtype}")
    if actions.ndim != 1 or actions.size == 0:
        raise ValueError(
            f"{name} must be of shape (T,) with T at least 1, got {actions.shape}; a trace is one patient's"
        )
    wrong = np.flatnonzero((actions < 0) | (actions >= NUM_ACTIONS))
    if wrong.size:
        raise ValueError(f"{name} must be in 0 .. {NUM_ACTIONS - 1}, got {actions[wrong[0]]} at step {wrong[0]}")
    return actions.astype(np.int32)


def trace_of_rollout(records: Transition, patient: int = 0) -> Trace:
    """What patient number `patient` did and went through in `rollout(..., record=everything).records`, seen exactly.

    Raises:
      TypeError: if `records` is not a `Transition` of HeartPole-v0.
      ValueError: if they do not begin with a reset, or several episodes are in them.
    """
    if not isinstance(records, Transition):
        raise TypeError(
            f"records must be a Transition, got {type(records).__name__}; take rollout(..., record=everything).records"
        )
    if not isinstance(records.state, EnvState):
        raise TypeError(f"a trace is of HeartPole-v0, got records of states of {type(records.state).__module__}")
    if isinstance(patient, bool) or not isinstance(patient, int | np.integer):
        raise TypeError(f"patient must be a whole number, got {validation.shown(patient)}")
    num_patients = np.shape(records.reward)[1]
    if not 0 <= patient < num_patients:
        raise ValueError(f"patient must be in 0 .. {num_patients - 1}, got {patient}")
    records = jax.tree.map(lambda x: np.asarray(x)[:, patient], records)
    torn = np.flatnonzero(records.state.time_elapsed[1:] != records.next_state.time_elapsed[:-1])
    if records.state.time_elapsed[0] != 0 or torn.size:
        raise ValueError(
            "a trace is one episode from its start, got records that begin at half-hour "
            f"{records.state.time_elapsed[0]} and hold {1 + torn.size}; cut them there"
        )
    return make_trace(
        records.action,
        heart_attacks=records.info.heart_attack,
        **{name: np.append(getattr(records.state, name)[:1], getattr(records.next_state, name)) for name in OBSERVED},
    )


@arguments.typed(key=validation.check_key, missing=validation.check_share)
def observe(trace: Trace, key: PRNGKey, noise: ObservationNoise, missing: Numeric = 0.0) -> Trace:
    """`trace` as it would be seen with `noise`, each value missing with probability `missing`. Pure; can be vmapped."""
    error_key, gap_key = jax.random.split(key)
    shape = (len(OBSERVED), trace.alertness.shape[0])
    errors = jax.random.normal(error_key, shape, jnp.result_type(float))
    gaps = jax.random.uniform(gap_key, shape) < missing
    seen = {
        name: jnp.where(gap, jnp.nan, getattr(trace, name) + getattr(noise, name) * error)
        for name, error, gap in zip(OBSERVED, errors, gaps, strict=True)
    }
    return dataclasses.replace(trace, **seen)


@arguments.checked(actions=arguments.check_array)
def half_hours_awake(actions: Array) -> Array:
    """time_since_slept at the half-hour of work of each step, before it grows: (T,) int32, 0 where one slept."""
    if actions.ndim != 1:
        raise ValueError(f"actions must be of shape (T,), got {actions.shape}; jax.vmap over a batch")
    step = jnp.arange(len(actions), dtype=jnp.int32)
    return step - jax.lax.cummax(jnp.where(jnp.asarray(actions) == Action.SLEEP, step, 0))


@arguments.typed()
def states_of(trace: Trace) -> EnvState:
    """The states of a trace that was seen whole and exactly: an `EnvState` with leaves of shape (T + 1,)."""
    actions = jnp.asarray(trace.actions, jnp.int32)
    half_hours = jnp.where(actions == Action.SLEEP, SLEEP_HALF_HOURS + 1, 1)
    zero = jnp.zeros((1,), jnp.int32)
    values = {name: jnp.asarray(getattr(trace, name), jnp.result_type(float)) for name in OBSERVED}
    return EnvState(
        **values,
        time_since_slept=jnp.concatenate([zero, half_hours_awake(actions) + 1]),
        time_elapsed=jnp.concatenate([zero, jnp.cumsum(half_hours, dtype=jnp.int32)]),
        num_steps=jnp.arange(len(actions) + 1, dtype=jnp.int32),
    )


@arguments.checked(states=EnvState)
def trace_of_states(states: EnvState, actions: Array, heart_attacks: Array | None = None) -> Trace:
    """The trace of a patient whose states, leaves of shape (T + 1,), were seen whole. Raises as `make_trace`."""
    return make_trace(actions, heart_attacks=heart_attacks, **{name: getattr(states, name) for name in OBSERVED})


def _flags(heart_attacks: Any, num_steps: int) -> np.ndarray:
    if heart_attacks is None:
        return np.full(num_steps, UNKNOWN, np.int32)
    flags = arguments.as_array("heart_attacks", heart_attacks)
    if flags.dtype.kind not in "biu":
        raise TypeError(f"heart_attacks must be bools, or 1, 0 and -1 for unknown, got dtype {flags.dtype}")
    if flags.shape != (num_steps,):
        raise ValueError(f"heart_attacks must be of shape ({num_steps},), one for each action, got {flags.shape}")
    wrong = np.flatnonzero((flags > 1) | (flags < -1)) if flags.dtype.kind != "b" else np.array([], int)
    if wrong.size:
        raise ValueError(f"heart_attacks must be 1, 0 or -1 for unknown, got {flags[wrong[0]]} at step {wrong[0]}")
    return flags.astype(np.int32)


def _rows(name: str, value: Any, num_steps: int) -> np.ndarray:
    if value is None:
        return np.full(num_steps + 1, np.nan)
    rows = arguments.as_array(name, value)
    if rows.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be real numbers, NaN where not observed, got dtype {rows.dtype}")
    if rows.shape != (num_steps + 1,):
        raise ValueError(
            f"{name} must be of shape ({num_steps + 1},), before the first action and after each, got {rows.shape}"
        )
    infinite = np.flatnonzero(np.isinf(rows))
    if infinite.size:
        raise ValueError(f"{name} must be finite, NaN where not observed, got {rows[infinite[0]]} in row {infinite[0]}")
    return rows.astype(np.float64)
