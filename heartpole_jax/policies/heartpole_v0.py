"""Scripted policies of HeartPole-v0, pure functions of what a patient shows: the baselines that an agent has to beat.

policies.make("reference")        policies.rested(alertness=0.4)        policies.optimal(params)
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, Numeric

from heartpole_jax import arguments, validation
from heartpole_jax.envs.heartpole_v0 import NUM_ACTIONS, OBS_NAMES, SLEEP_HALF_HOURS, Action, EnvParams, check_action
from heartpole_jax.optimum import sober_optimum
from heartpole_jax.policies.scripted import uniformly_random
from heartpole_jax.policy import Policy

_ALERTNESS = OBS_NAMES.index("alertness")
_INTOXICATION = OBS_NAMES.index("intoxication")
_TIME_ELAPSED = OBS_NAMES.index("time_elapsed")
_TIME_SINCE_SLEPT = OBS_NAMES.index("time_since_slept")
_WORK_DONE = OBS_NAMES.index("work_done")


def always(action: Numeric) -> Policy:
    """The same action at every step. Raises as `transition` does for an action that is none."""
    return Policy(act=_always, params=check_action(action))


def schedule(actions: Sequence[int] | Array) -> Policy:
    """These actions one after the other, shape (num_steps,), whatever happens; nothing after the last.

    Raises:
      TypeError: if they are not whole numbers.
      ValueError: for another shape, none at all, or an action that is none.
    """
    planned = actions if isinstance(actions, jax.Array) else np.asarray(actions)
    if planned.ndim != 1 or planned.shape[0] == 0:
        raise ValueError(f"actions must be a list of at least one action, got shape {planned.shape}")
    if not jnp.issubdtype(planned.dtype, jnp.integer):
        raise TypeError(f"actions must be whole numbers in 0 .. {NUM_ACTIONS - 1}, got dtype {planned.dtype}")
    if not isinstance(planned, jax.core.Tracer) and not np.all((planned >= 0) & (planned < NUM_ACTIONS)):
        wrong = int(np.argmax((planned < 0) | (planned >= NUM_ACTIONS)))
        raise ValueError(f"actions must be in 0 .. {NUM_ACTIONS - 1}, got {planned[wrong]} at {wrong}")
    return Policy(act=_schedule, params=jnp.asarray(planned, jnp.int32), carry=jnp.zeros((), jnp.int32))


def reference() -> Policy:
    """The "reference strategy" of the package `heartpole`: a coffee, 31 half-hours of nothing, sleep; and again."""
    return Policy(act=_reference, carry=jnp.zeros((), jnp.int32))


@arguments.checked(alertness=validation.check_number, time_since_slept=validation.check_number)
def rested(alertness: Numeric = -jnp.inf, time_since_slept: Numeric = jnp.inf) -> Policy:
    """Sleeps when alertness is below `alertness`, or after `time_since_slept` half-hours awake; else nothing."""
    return Policy(act=_rested, params=(alertness, time_since_slept))


@arguments.checked(alertness=validation.check_number)
def coffee_after_waking(alertness: Numeric = 0.4) -> Policy:
    """`rested(alertness)` with one coffee after each night: the effect of a daily cup."""
    return Policy(act=_coffee_after_waking, params=alertness)


@arguments.checked(intoxication=validation.check_number, alertness=validation.check_number)
def ballmer_peak(intoxication: Numeric = 0.125, alertness: Numeric = 0.4) -> Policy:
    """Drinks up to the Ballmer peak and stays there, sleeping as `rested(alertness)` does: what the peak costs."""
    return Policy(act=_ballmer_peak, params=(intoxication, alertness))


def optimal(params: EnvParams | None = None) -> Policy:
    """The best policy without drinks (see `optimum`): it knows what is left of the episode, and when a day pays.

    `optimum.certificate` tells for which parameters no other policy is better, drinks or not.
    """
    solved, dtype = sober_optimum(params), jnp.result_type(float)
    tables = _Days(*(jnp.asarray(getattr(solved, name), dtype) for name in _Days._fields))
    return Policy(act=_optimal, params=tables, carry=(jnp.zeros((), jnp.int32), tables.prices[1]))


SCRIPTED: dict[str, Callable[[EnvParams | None], Policy]] = {
    "optimal": optimal,
    "rested below 0.4": lambda params: rested(alertness=0.4),
    "rested after 16": lambda params: rested(time_since_slept=16),
    "sleep": lambda params: always(Action.SLEEP),
    "coffee after waking": lambda params: coffee_after_waking(),
    "reference": lambda params: reference(),
    "random": lambda params: uniformly_random(),
    "nothing": lambda params: always(Action.NOTHING),
    "ballmer peak": lambda params: ballmer_peak(),
    "beer": lambda params: always(Action.BEER),
    "coffee": lambda params: always(Action.COFFEE),
}


def _always(action, carry, obs, draw):
    return action, carry


def _schedule(actions, time, obs, draw):
    last = actions.shape[0] - 1
    return jnp.where(time > last, Action.NOTHING, actions[jnp.minimum(time, last)]), time + 1


def _reference(params, hour, obs, draw):
    action = jnp.where(hour == 0, Action.COFFEE, jnp.where(hour == 32, Action.SLEEP, Action.NOTHING))
    return action, (hour + 1) % 33


def _rested(limits, carry, obs, draw):
    alertness, time_since_slept = limits
    tired = (obs[_ALERTNESS] < alertness) | (obs[_TIME_SINCE_SLEPT] >= time_since_slept)
    return jnp.where(tired, Action.SLEEP, Action.NOTHING), carry


def _coffee_after_waking(alertness, carry, obs, draw):
    # The half-hour worked after sleep has already passed, so a day's first decision comes with 1, but the first day's.
    first, awake_for_one = obs[_TIME_ELAPSED] == 0, obs[_TIME_SINCE_SLEPT] == 1
    morning = first | (awake_for_one & (obs[_TIME_ELAPSED] > 1))
    awake = jnp.where(morning, Action.COFFEE, Action.NOTHING)
    return jnp.where(~morning & (obs[_ALERTNESS] < alertness), Action.SLEEP, awake), carry


def _ballmer_peak(limits, carry, obs, draw):
    intoxication, alertness = limits
    awake = jnp.where(obs[_INTOXICATION] < intoxication, Action.BEER, Action.NOTHING)
    return jnp.where(obs[_ALERTNESS] < alertness, Action.SLEEP, awake), carry


class _Days(NamedTuple):
    """What the optimal policy knows: the fields of `SoberOptimum` by the same names."""

    prices: Array
    bedtimes: Array
    work_left: Array
    half_hours_left: Array


def _optimal(days, carry, obs, draw):
    num_steps, price = carry  # of a half-hour today
    left = jnp.maximum(days.work_left.shape[0] - 1 - num_steps, 0)
    awake = jnp.minimum(obs[_TIME_SINCE_SLEPT].astype(jnp.int32), days.bedtimes.shape[2] - 1)
    low, middle, high = days.bedtimes[:, left, awake]
    # An infinite bedtime is so at every price nearby, or begins to be so at one of them.
    between = jnp.clip((price - days.prices[1]) / (days.prices[2] - days.prices[1]), -1.0, 1.0)
    slope = jnp.where(between > 0, high - middle, middle - low)
    bedtime = jnp.where(jnp.isfinite(slope), middle + between * slope, middle)
    tired = obs[_ALERTNESS] < bedtime
    # Tomorrow a half-hour costs the ratio of work to time that the episode should end with.
    half_hours = obs[_TIME_ELAPSED] + SLEEP_HALF_HOURS + days.half_hours_left[left]
    tomorrow = (obs[_WORK_DONE] + days.work_left[left]) / half_hours
    return jnp.where(tired, Action.SLEEP, Action.NOTHING), (num_steps + 1, jnp.where(tired, tomorrow, price))
