"""Routines: simple policies of any menu of HeartPole-v1, to hold a solution against.

A routine sleeps after so many half-hours awake; while tired it takes one action, or another that calms where
hypertension is high; it may keep its blood alcohol at a level; else it idles. `policies.heartpole_v1`'s "coffee",
"coffee and exercise" and "energy drinks" are routines, and so is every action for ever.
"""

import dataclasses
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax import arguments
from heartpole_jax.envs import heartpole_v1
from heartpole_jax.envs import menu as menus
from heartpole_jax.envs.heartpole_v1 import OBS_NAMES, EnvParams, effective_alertness
from heartpole_jax.policy import Policy
from heartpole_jax.rollout import rollout

_ALERTNESS = (1.0, 1.5, 2.0, np.inf)  # below which a routine is tired
_LAST_DRINK = (18.0, np.inf)  # half-hours awake
_BEDTIME = (16.0, 24.0, 40.0)  # half-hours awake
_TENSE = 0.5  # hypertension
_TIPSY = (0.02, 0.05, 0.13)  # % blood alcohol


class Routine(NamedTuple):
    """What is done when: numbers of actions, and the levels that decide; an infinite one switches an action off."""

    idle: int
    sleep: int
    bedtime: float
    drink: int
    alertness: float
    last_drink: float
    calm: int
    hypertension: float
    alcohol: int
    intoxication: float


@arguments.typed()
def routines(menu: menus.Menu) -> list[Routine]:
    """Routines of the menu, with alcohol only the plainest."""
    rows = list(enumerate(menu.actions))
    sober = [(number, row) for number, row in rows if row.intoxication is None] or rows
    awake = [number for number, row in sober if not row.wakes_up] or [sober[0][0]]
    idle = [number for number, row in rows if menus.idles(row)][:1] or awake
    sleeps = [(number, time) for number, row in sober if row.wakes_up for time in _BEDTIME] + [(idle[0], np.inf)]
    calms = [(number, _TENSE) for number, row in sober if row.hypertension is not None and row.hypertension[0] < 0]
    calms = [(idle[0], np.inf), *calms]
    found = [
        Routine(rest, *sleep, drink, alertness, last, *calm, idle[0], -np.inf)
        for rest, sleep, drink, alertness, last, calm in itertools.product(
            idle, sleeps, awake, _ALERTNESS, _LAST_DRINK, calms
        )
    ]
    drinks = [(number, level) for number, row in rows if row.intoxication is not None for level in _TIPSY]
    plain = [each for each in found if each.alertness == 2.0 and each.last_drink == 18.0 and each.bedtime != 16.0]
    for alcohol, level in drinks:
        found += [each._replace(alcohol=alcohol, intoxication=level) for each in plain]
    return found


@arguments.typed()
def policy_of(routine: Routine) -> Policy:
    """The routine as a policy."""
    return Policy(act=_act, params=routine)


@arguments.typed()
def simulate(found: list[Routine], params: EnvParams, num_episodes: int = 32) -> np.ndarray:
    """The expected return of each routine by simulation, all on the same noise; penalties are risks."""
    env = heartpole_v1.environment(params.menu)
    params = dataclasses.replace(params, expected_penalty=1.0)

    @jax.jit
    @jax.vmap
    def returns(routine):
        key = jax.random.key(0)  # of a check that should say the same twice
        policy = Policy(act=_act, params=routine)
        totals = rollout(
            policy, key, params, env=env, num_envs=num_episodes, num_steps=int(params.max_half_hours)
        ).totals
        return jnp.mean(totals)

    return np.asarray(returns(jax.tree.map(lambda *values: jnp.array(values), *found)), float)


def _act(routine: Routine, carry: Any, obs: Array, draw: Any) -> tuple[Array, Any]:
    seen = dict(zip(OBS_NAMES, obs, strict=True))
    awake = seen["time_since_slept"]
    tired = effective_alertness(seen["alertness"], seen["stimulation"], seen["impairment"]) < routine.alertness
    action = jnp.where(tired & (awake < routine.last_drink), routine.drink, routine.idle)
    action = jnp.where(tired & (seen["hypertension"] > routine.hypertension), routine.calm, action)
    action = jnp.where(seen["intoxication"] < routine.intoxication, routine.alcohol, action)
    return jnp.where(awake >= routine.bedtime, routine.sleep, action), carry
