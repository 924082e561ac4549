"""Published programs for HeartPole-v0 as policies: rules of the observation alone, written anew.

Source: V. Liventsev, "Deep Program Induction for Personal Healthcare", 2026, chapter "(In)sanity check: HeartPole".
`evaluation.literature` has their printed scores. The reference strategy of the package `heartpole` is
`policies.reference`.
"""

from collections.abc import Callable

import jax.numpy as jnp

from heartpole_jax.envs.heartpole_v0 import Action, EnvParams
from heartpole_jax.policy import Policy


def vadim() -> Policy:
    """The hand-written program: a coffee after a reset, then nothing up to 31 half-hours awake, then sleep.

    It is meant to drink a coffee a day, when time_since_slept is 0. Only a reset shows that: the half-hour worked after
    sleep has passed by the next decision. So it drinks once in an episode.
    """
    return Policy(act=_vadim)


def deepseek_coder() -> Policy:
    """The program that SEIDR generated with deepseek-coder."""
    return Policy(act=_deepseek_coder)


def gpt_4o() -> Policy:
    """The program that SEIDR generated with gpt-4o."""
    return Policy(act=_gpt_4o)


PUBLISHED: dict[str, Callable[[EnvParams | None], Policy]] = {
    "vadim": lambda params: vadim(),
    "deepseek-coder": lambda params: deepseek_coder(),
    "gpt-4o": lambda params: gpt_4o(),
}


def _vadim(params, carry, obs, draw):
    _, _, _, time_since_slept, _, _ = obs
    awake = jnp.where(time_since_slept == 0, Action.COFFEE, Action.NOTHING)
    return jnp.where(time_since_slept < 31, awake, Action.SLEEP), carry


def _deepseek_coder(params, carry, obs, draw):
    alertness, hypertension, intoxication, time_since_slept, _, work_done = obs
    sleeps = (hypertension > 0.4) | (intoxication > 0.4) | (time_since_slept > 18)
    calm = (intoxication < 0.1) & (hypertension < 0.1)
    drink = jnp.where(alertness < 0.7, Action.COFFEE, jnp.where(work_done < 0.6, Action.BEER, Action.NOTHING))
    return jnp.where(sleeps, Action.SLEEP, jnp.where(calm, drink, Action.NOTHING)), carry


def _gpt_4o(params, carry, obs, draw):
    alertness, hypertension, intoxication, time_since_slept, _, _ = obs
    sleeps = (hypertension > 0.3) | (intoxication > 0.2) | (time_since_slept > 12) | (alertness < 0.5)
    drinks = (alertness < 0.8) & (hypertension <= 0.2) & (intoxication <= 0.1)
    return jnp.where(sleeps, Action.SLEEP, jnp.where(drinks, Action.COFFEE, Action.NOTHING)), carry
