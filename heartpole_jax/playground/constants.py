"""The constants of an environment as fields and sliders: what values each may have, found by asking the environment."""

import dataclasses
import math
from typing import Any

from heartpole_jax import arguments
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs.environment import Environment

LARGEST = 1e6  # that a field takes; the environments set no limit
MOST_STEPS = 20_000  # decisions or half-hours: the page would take long to compute more
_GROUPS = (
    ("the episode", ("max_",)),
    ("the heart", ("heart_attack_", "hypertension_")),
    ("alertness and sleep", ("wake_up_", "fatigue_", "anxiety_", "stimulation_", "impairment_", "bedtime_")),
    ("coffee", ("coffee_",)),
    ("beer", ("beer_",)),
    ("alcohol in the blood", ("intoxication_", "ballmer_")),
)


@arguments.typed()
def describe(env: Environment, params: Any) -> dict[str, dict[str, Any]]:
    """Each constant by its name: its label and group, the values that its field takes, the range of its slider."""
    return {name: _describe(env, params, name) for name in env_params.defaults(env)}


def _describe(env: Environment, params: Any, name: str) -> dict[str, Any]:
    whole = not _accepts(env, name, 1.5) and _accepts(env, name, 2.0)
    low = -LARGEST if _accepts(env, name, -1.0) else 1.0 if whole else 0.0
    exclusive = low == 0.0 and not _accepts(env, name, 0.0)
    high = 1.0 if not _accepts(env, name, 2.0) and not whole else MOST_STEPS if whole else LARGEST
    default = float(getattr(params, name))
    top = _slider_top(params, name, default, high)
    step = 1.0 if whole else 1e-3 if high == 1.0 else 10.0 ** math.floor(math.log10(top / 50.0))
    return {
        "label": name.replace("_", " ").capitalize(),
        "group": next((group for group, heads in _GROUPS if name.startswith(heads)), "other"),
        "min": _plain(low),
        "exclusive": exclusive,
        "max": _plain(high),
        "whole": whole,
        "slider": [_plain(1.0 if whole else step if exclusive else 0.0), _plain(top), _plain(step)],
    }


def _slider_top(params: Any, name: str, default: float, high: float) -> float:
    """Where the slider ends: at 1 for shares, else at about three times the default, or of the pair's upper one."""
    if high == 1.0:
        return 1.0
    largest = max(abs(default), abs(float(getattr(params, name.removesuffix("_low") + "_high", 0.0))))
    if largest == 0.0:
        return 1.0
    grain = 10.0 ** math.floor(math.log10(3.0 * largest))
    return min(math.ceil(round(3.0 * largest / grain, 9)) * grain, high)


def _accepts(env: Environment, name: str, value: float) -> bool:
    """Whether the environment takes this value, its range's other end out of the way."""
    changes = {name: int(value) if value == int(value) else value}
    known = vars(env.default_params)
    for own, other, far in (("_low", "_high", 10.0), ("_high", "_low", -10.0)):
        pair = name.removesuffix(own) + other
        if name.endswith(own) and pair in known:
            # A lower end that may not be negative stands at 0.
            changes[pair] = far if far > 0 else min(known[pair], 0.0)
            if far < 0 and value < 0:
                changes[pair] = value
    try:
        dataclasses.replace(env.default_params, **changes)
    except (TypeError, ValueError):
        return False
    return True


def _plain(value: float) -> int | float:
    value = round(value, 9)
    return int(value) if value == int(value) else value
