"""What Gymnasium's interfaces accept, and what they say to the rest: spaces, parameters, actions, seeds, modes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from heartpole_jax import validation
from heartpole_jax.environment import HEARTPOLE_V0
from heartpole_jax.heartpole_v0 import EnvParams

try:
    from gymnasium import error, spaces
    from gymnasium.vector import AutoresetMode
except ImportError as missing:
    raise ImportError("this needs Gymnasium: pip install 'heartpole-jax[gym]'") from missing


def observation_space() -> spaces.Box:
    """The tutorial's bounds: alertness and work_done any real, the rest at least 0; float32 of shape (6,)."""
    low = np.array([-np.inf, 0, 0, 0, 0, -np.inf], np.float32)
    return spaces.Box(low, np.full(6, np.inf, np.float32), dtype=np.float32)


def action_space() -> spaces.Discrete:
    """Nothing, coffee, beer, sleep."""
    return spaces.Discrete(HEARTPOLE_V0.num_actions)


def env_params(keywords: dict[str, Any]) -> EnvParams:
    """`EnvParams` of keyword arguments.

    Raises:
      ValueError: for an unknown one, with the nearest that is known, or a value out of range.
      TypeError: for a value that is not a number.
    """
    known = {field.name: field.name for field in dataclasses.fields(EnvParams)}
    for name, value in keywords.items():
        validation.look_up(known, name, "parameter of HeartPole")
        if np.ndim(value) > 0:
            raise TypeError(f"{name} must be one number, got {value!r}")
    if "max_steps" in keywords:
        EnvParams(max_steps=keywords["max_steps"])
        keywords = keywords | {"max_steps": int(keywords["max_steps"])}
    return EnvParams(**{name: value if name == "max_steps" else float(value) for name, value in keywords.items()})


def check_action(action: Any) -> int:
    array = np.asarray(action)
    if array.shape != () or array.dtype.kind not in "iu":
        raise error.InvalidAction(
            f"action must be one whole number in 0 .. 3, got {action!r} of shape {array.shape} and dtype {array.dtype}"
        )
    if not 0 <= int(array) < HEARTPOLE_V0.num_actions:
        raise error.InvalidAction(f"action must be in 0 .. 3, got {int(array)}")
    return int(array)


def check_actions(actions: Any, num_envs: int) -> np.ndarray:
    """A batch of actions, int32 of shape (num_envs,)."""
    array = np.asarray(actions)
    if array.shape != (num_envs,) or array.dtype.kind not in "iu":
        raise error.InvalidAction(
            f"actions must be whole numbers of shape ({num_envs},), got shape {array.shape} of dtype {array.dtype}"
        )
    if array.min() < 0 or array.max() >= HEARTPOLE_V0.num_actions:
        lane = int(np.flatnonzero((array < 0) | (array >= HEARTPOLE_V0.num_actions))[0])
        raise error.InvalidAction(f"actions must be in 0 .. 3, got {array[lane]} for lane {lane}")
    return array.astype(np.int32)


def check_seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise error.Error(f"a seed must be a whole number of at least 0, got {seed!r}")
    return int(seed)


def check_options(options: Any, known: tuple[str, ...]) -> None:
    for name in options or {}:
        if name not in known:
            raise ValueError(
                f"unknown option {name!r}; known: {', '.join(known) or 'none'}. Parameters are keywords of make: "
                "gymnasium.make('heartpole_jax.gym:HeartPole-v0', max_steps=200)"
            )


def check_render_mode(mode: str | None, known: Sequence[str]) -> str | None:
    if mode is not None and mode not in known:
        raise error.UnsupportedMode(f"render_mode must be None or one of {', '.join(known)}, got {mode!r}")
    return mode


def check_autoreset_mode(mode: Any) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        known = ", ".join(repr(each.value) for each in AutoresetMode)
        raise error.UnsupportedMode(f"autoreset_mode must be one of {known}, got {mode!r}") from None


def refuse_step(closed: bool) -> None:
    if closed:
        raise error.ClosedEnvironmentError("step was called on a closed environment; make another one")
    raise error.ResetNeeded("step was called before reset; call env.reset() first")
