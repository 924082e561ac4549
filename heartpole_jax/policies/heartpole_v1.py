"""Scripted policies for HeartPole-v1: the baselines that an agent has to beat.

policies.make("coffee and exercise", env=env)        policies.heartpole_v1.daily("coffee", menu=my_menu)

They find their actions by name in the menu, and need no more of it than those.
"""

from collections.abc import Callable

import jax.numpy as jnp
from chex import Array, Numeric

from heartpole_jax import arguments, validation
from heartpole_jax.envs import menu as menus
from heartpole_jax.envs.heartpole_v0 import check_action
from heartpole_jax.envs.heartpole_v1 import OBS_NAMES, EnvParams, effective_alertness
from heartpole_jax.envs.menu import Menu
from heartpole_jax.optimum.heartpole_v1 import solve
from heartpole_jax.policy import Policy

_ALERTNESS = OBS_NAMES.index("alertness")
_HYPERTENSION = OBS_NAMES.index("hypertension")
_TIME_SINCE_SLEPT = OBS_NAMES.index("time_since_slept")
_STIMULATION = OBS_NAMES.index("stimulation")
_IMPAIRMENT = OBS_NAMES.index("impairment")


@arguments.checked(menu=Menu)
def always(name: str, menu: Menu | None = None) -> Policy:
    """The action called `name`, at every decision."""
    menu = menus.default() if menu is None else menu
    return Policy(act=_always, params=check_action(menus.index(menu, name), len(menu.actions)))


@arguments.checked(alertness=validation.check_number, menu=Menu)
def rested(alertness: Numeric = 0.4, menu: Menu | None = None) -> Policy:
    """Sleeps when alertness is below `alertness`; else nothing."""
    return Policy(act=_rested, params=(alertness, _numbers(menu, "sleep", "nothing")))


@arguments.checked(
    alertness=validation.check_number, last_drink=validation.check_number, bedtime=validation.check_number, menu=Menu
)
def daily(
    drink: str,
    alertness: Numeric = 2.0,
    last_drink: Numeric = 18.0,
    bedtime: Numeric = 24.0,
    menu: Menu | None = None,
) -> Policy:
    """Sleeps after `bedtime` half-hours awake, takes `drink` while effective alertness is below `alertness` and before
    `last_drink` half-hours awake; else nothing."""
    return Policy(act=_daily, params=(alertness, last_drink, bedtime, _numbers(menu, "sleep", drink, "nothing")))


@arguments.checked(
    hypertension=validation.check_number,
    alertness=validation.check_number,
    last_drink=validation.check_number,
    bedtime=validation.check_number,
    menu=Menu,
)
def coffee_and_exercise(
    hypertension: Numeric = 0.5,
    alertness: Numeric = 2.0,
    last_drink: Numeric = 18.0,
    bedtime: Numeric = 24.0,
    menu: Menu | None = None,
) -> Policy:
    """`daily("coffee")`, but exercise instead where hypertension is above `hypertension` and effective alertness below
    `alertness`, at any time of the day."""
    numbers = _numbers(menu, "sleep", "exercise", "coffee", "nothing")
    return Policy(act=_coffee_and_exercise, params=(hypertension, alertness, last_drink, bedtime, numbers))


def optimal(params: EnvParams | None = None, resolution: float = 1.0) -> Policy:
    """Greedy by the values of `optimum.heartpole_v1.solve`: the best known. Raises as that."""
    return solve(params, resolution=resolution).policy


SCRIPTED: dict[str, Callable[[EnvParams], Policy]] = {
    "optimal": optimal,
    "coffee and exercise": lambda params: coffee_and_exercise(menu=params.menu),
    "coffee": lambda params: daily("coffee", menu=params.menu),
    "energy drinks": lambda params: daily("energy_drink", alertness=1.5, menu=params.menu),
    "no drinks": lambda params: rested(menu=params.menu),
    "always sleep": lambda params: always("sleep", params.menu),
    "always nothing": lambda params: always("nothing", params.menu),
    "always coffee": lambda params: always("coffee", params.menu),
    "always cannabis": lambda params: always("cannabis", params.menu),
}


def _numbers(menu: Menu | None, *names: str) -> tuple[int, ...]:
    menu = menus.default() if menu is None else menu
    return tuple(menus.index(menu, name) for name in names)


def _effective_alertness(obs: Array) -> Array:
    return effective_alertness(obs[_ALERTNESS], obs[_STIMULATION], obs[_IMPAIRMENT])


def _always(action, carry, obs, draw):
    return action, carry


def _rested(params, carry, obs, draw):
    alertness, (sleep, nothing) = params
    return jnp.where(obs[_ALERTNESS] < alertness, sleep, nothing), carry


def _daily(params, carry, obs, draw):
    alertness, last_drink, bedtime, (sleep, drink, nothing) = params
    awake = obs[_TIME_SINCE_SLEPT]
    drinks = (_effective_alertness(obs) < alertness) & (awake < last_drink)
    return jnp.where(awake >= bedtime, sleep, jnp.where(drinks, drink, nothing)), carry


def _coffee_and_exercise(params, carry, obs, draw):
    hypertension, alertness, last_drink, bedtime, (sleep, exercise, coffee, nothing) = params
    awake = obs[_TIME_SINCE_SLEPT]
    tired = _effective_alertness(obs) < alertness
    action = jnp.where(tired & (awake < last_drink), coffee, nothing)
    action = jnp.where(tired & (obs[_HYPERTENSION] > hypertension), exercise, action)
    return jnp.where(awake >= bedtime, sleep, action), carry
