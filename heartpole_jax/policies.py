"""Scripted policies, as pure functions of what a patient shows: the baselines that an agent has to beat.

Each name in `SCRIPTED` is a function without arguments that makes the policy for HeartPole-v0.
"""

from chex import Numeric

from heartpole_jax import threefry
from heartpole_jax.heartpole_v0 import NUM_ACTIONS, OBS_NAMES
from heartpole_jax.rollout import Policy

_ALERTNESS = OBS_NAMES.index("alertness")
_TIME_SINCE_SLEPT = OBS_NAMES.index("time_since_slept")


def always(action: Numeric) -> Policy:
    """The same action at every step."""
    return Policy(act=_always, params=int(action))


def _always(action, carry, obs, draw):
    return action, carry


def uniformly_random(num_actions: int = NUM_ACTIONS) -> Policy:
    """Every action with the same probability, at every step."""
    if num_actions != NUM_ACTIONS:
        return Policy(act=_take_draw, sample=lambda key: threefry.random_int(key, num_actions))
    return Policy(act=_take_draw, sample=_random_action)


def _random_action(key):
    return threefry.random_int(key, NUM_ACTIONS)


def _take_draw(params, carry, obs, draw):
    return draw, carry
