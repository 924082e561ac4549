"""What Gymnasium's interfaces accept, and what they say to the rest: spaces, parameters, actions, seeds, modes."""

import copy
import dataclasses
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from heartpole_jax import arguments, validation
from heartpole_jax.arguments import shown
from heartpole_jax.envs.environment import Environment

try:
    from gymnasium import error, spaces
    from gymnasium.vector import AutoresetMode
except ImportError as missing:
    raise ImportError("this needs Gymnasium: pip install '.[gym]' in the clone") from missing


def observation_space(env: Environment, params: Any) -> spaces.Box:
    """The environment's bounds, see `Environment.observation_space`, float32 of shape `env.obs_shape`."""
    bounds = env.observation_space(params)
    return spaces.Box(bounds.low.astype(np.float32), bounds.high.astype(np.float32), dtype=np.float32)


def action_space(env: Environment) -> spaces.Discrete:
    """The numbers of the environment's actions."""
    return spaces.Discrete(env.num_actions)


def env_params(env: Environment, keywords: dict[str, Any], num_envs: int | None = None) -> Any:
    """The environment's `EnvParams` of keyword arguments, its default menu included.

    Args:
      num_envs: how many environments there are, where each may have its own value: a keyword is one number, or an
        array of so many. None: one number it must be.

    Raises:
      TypeError: for an unknown one, as Python does, with the nearest that is known; for a value that is not a number.
      ValueError: for a value out of range, an array of another shape.
    """
    defaults, limit = env.default_params, env.time_limit.parameter
    numeric = (name for name, value in vars(defaults).items() if isinstance(value, int | float))
    known = {name: name for name in numeric} if dataclasses.is_dataclass(defaults) else {}
    for name in keywords:
        unexpected = f"{env.name} got an unexpected keyword argument {name!r}"
        if name == "max_steps" and not env.time_limit.counts_decisions:
            raise TypeError(f"{unexpected}: its limit is a time, {limit}, and no number of decisions")
        try:
            validation.look_up(known, name, "parameter")
        except ValueError as unknown:
            raise TypeError(f"{unexpected}: {unknown}") from None
    if not keywords:
        return defaults
    given = {name: _one_or_each(name, value, num_envs) for name, value in keywords.items()}
    dataclasses.replace(defaults, **given)  # refuses what is no number, or out of range, by its name
    numbers = {name: _own(value, int if name == limit else float) for name, value in given.items()}
    return dataclasses.replace(defaults, **numbers)


def params_of(params: Any, index: int) -> Any:
    """The parameters of one environment, of those that `env_params` gave for several."""
    return jax.tree.map(lambda x: x[index].item() if isinstance(x, np.ndarray) else x, params)


def _one_or_each(name: str, value: Any, num_envs: int | None) -> Any:
    """`value` as it is, which is no array, or the array that it is, of a number for each environment."""
    array = arguments.as_array(name, value)
    if array.ndim == 0:
        return value
    if num_envs is None:
        raise TypeError(f"{name} must be one number, got {shown(value)}")
    if array.shape != (num_envs,):
        raise ValueError(
            f"{name} must be one number, or {num_envs} of them, one for each environment, got an array of shape "
            f"{array.shape}"
        )
    return array


def _own(value: Any, kind: type) -> Any:
    """The number as Python's own, the array as one that the caller cannot write on."""
    return value.astype(kind) if isinstance(value, np.ndarray) and value.ndim else kind(value)


def check_action(action: Any, num_actions: int) -> int:
    array = _as_array(action)
    if array.shape != () or array.dtype.kind not in "iu":
        raise error.InvalidAction(
            f"action must be one whole number in 0 .. {num_actions - 1}, got {validation.described(action)}"
        )
    if not 0 <= int(array) < num_actions:
        raise error.InvalidAction(f"action must be in 0 .. {num_actions - 1}, got {int(array)}")
    return int(array)


def check_actions(actions: Any, num_envs: int, num_actions: int) -> np.ndarray:
    """A batch of actions, int32 of shape (num_envs,)."""
    array = _as_array(actions)
    if array.shape != (num_envs,) or array.dtype.kind not in "iu":
        raise error.InvalidAction(
            f"actions must be whole numbers of shape ({num_envs},), got shape {array.shape} of dtype {array.dtype}"
        )
    if array.min() < 0 or array.max() >= num_actions:
        index = int(np.flatnonzero((array < 0) | (array >= num_actions))[0])
        raise error.InvalidAction(
            f"actions must be in 0 .. {num_actions - 1}, got {array[index]} for environment {index}"
        )
    return array.astype(np.int32)


def _as_array(value: Any) -> np.ndarray:
    """The array that `value` is; one of an object where it is none, as keys and lists of uneven lengths are."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        return np.array(None)


def check_seed(seed: Any) -> int:
    """A seed as Python's own number, which Gymnasium asks for; it may come as NumPy's or JAX's."""
    try:
        whole = -1 if isinstance(seed, bool | np.bool_) else operator.index(seed)
    except TypeError:
        whole = -1
    if whole < 0:
        raise error.Error(f"a seed must be a whole number of at least 0, got {validation.shown(seed)}")
    return whole


def with_step_limit(spec: Any, most_steps: Any) -> Any:
    """A Gymnasium spec, or None, that tells the most decisions of an episode, as wrappers ask that know the time."""
    if spec is None or spec.max_episode_steps is not None or most_steps is None:
        return spec
    spec = copy.copy(spec)
    spec.max_episode_steps = int(np.max(most_steps))
    return spec


def check_options(options: Any, known: tuple[str, ...]) -> None:
    if options is not None:
        arguments.check_type("options", options, Mapping)
    for name in options or {}:
        if name not in known:
            raise ValueError(
                f"unknown option {name!r}; known: {', '.join(known) or 'none'}. Parameters are keywords of make: "
                "gymnasium.make(name, heart_attack_proclivity=0.1)"
            )


def check_render_mode(mode: str | None, known: Sequence[str]) -> str | None:
    if mode is not None and not (isinstance(mode, str) and mode in known):
        raise error.UnsupportedMode(f"render_mode must be None or one of {', '.join(known)}, got {shown(mode)}")
    return mode


def check_autoreset_mode(mode: Any) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        known = ", ".join(repr(each.value) for each in AutoresetMode)
        raise error.UnsupportedMode(f"autoreset_mode must be one of {known}, got {shown(mode)}") from None


def refuse_step(closed: bool) -> None:
    if closed:
        raise error.ClosedEnvironmentError("step was called on a closed environment; call env.reset() to open it again")
    raise error.ResetNeeded("step was called before reset; call env.reset() first")
