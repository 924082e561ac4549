"""The checks of the arguments of every estimate."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax import validation
from heartpole_jax.envs import menu as menus
from heartpole_jax.envs.environment import Environment
from heartpole_jax.gradients.soft import Doses, SoftPolicy
from heartpole_jax.platforms import ByPlatform
from heartpole_jax.policy import Policy

POLICY = "policy"  # in `wrt`: the policy's own parameters
MENU = "menu"
# Episodes at a time: a CPU's fit its cache; elsewhere what 1,000 steps keep for the backward pass takes 1 GB or so.
_BLOCK_EPISODES = ByPlatform(cpu=128, accelerator=4096)
CLOCK = ("time_since_slept", "time_elapsed")  # of an observation, what no parameter changes
LEAST_EPISODES = 32  # in a block: fewer are slow, and too few for control variates


def differentiable(params: Any, env: Environment) -> list[str]:
    """The names of the constants of `params` that can be differentiated: but the time limit, menus, the weight of a
    noise."""
    others = (env.time_limit.parameter, "expected_penalty")
    return [name for name, value in vars(params).items() if name not in others and not dataclasses.is_dataclass(value)]


def with_expected_penalty(params: Any) -> Any:
    """`params` with the penalty's noise integrated out, where they have such a parameter."""
    return dataclasses.replace(params, expected_penalty=1.0) if hasattr(params, "expected_penalty") else params


def checked_names(wrt: str | Sequence[str], params: Any, env: Environment) -> list[str]:
    """The names in `wrt`; ValueError if there is none, one unknown, or a menu and a part of it. "policy" is known."""
    names = [wrt] if isinstance(wrt, str) else list(wrt)
    if not names:
        raise ValueError("wrt must name at least one parameter, got none")
    for name in names:
        validation.look_up(
            dict.fromkeys([*differentiable(params, env), *menu_names(params), POLICY]), name, "parameter"
        )
    if MENU in names and (part := next((name for name in names if name.startswith(f"{MENU}.")), None)):
        raise ValueError(f"wrt names the menu and {part!r}, a part of it; give one of them")
    return names


def menu_names(params: Any) -> list[str]:
    """What a menu has to differentiate: "menu", all of it, and as "menu.coffee.hypertension" each dose and hazard."""
    if not hasattr(params, MENU):
        return []
    columns = (*menus.CHANNELS, "hazard")
    parts = [f"{MENU}.{row.name}.{column}" for row in params.menu.actions for column in columns
             if getattr(row, column) is not None]  # fmt: skip
    return [MENU, *parts]


def values_of(params: Any, names: Sequence[str]) -> dict[str, Any]:
    """The parameters of these names, each an array or (of a menu) a tree of them, of JAX's default float."""
    number = jnp.result_type(float)
    return {name: jax.tree.map(lambda x: jnp.asarray(x, number), _value_of(params, name)) for name in names}


def replaced(params: Any, values: Mapping[str, Any]) -> Any:
    """`params` with these in the place of their own, named as in `values_of`."""
    whole = {name: value for name, value in values.items() if not name.startswith(f"{MENU}.")}
    for name, value in values.items():
        if name not in whole:
            _, action, column = _parts_of(name)
            whole[MENU] = menus.change(whole.get(MENU, params.menu), action, **{column: value})
    return dataclasses.replace(params, **whole)


def _value_of(params: Any, name: str) -> Any:
    if not name.startswith(f"{MENU}."):
        return getattr(params, name)
    _, action, column = _parts_of(name)
    return getattr(params.menu.actions[menus.index(params.menu, action)], column)


def _parts_of(name: str) -> tuple[str, str, str]:
    """("menu", action, column); an action's own name may have dots."""
    menu, rest = name.split(".", 1)
    return menu, *rest.rsplit(".", 1)  # type: ignore[return-value]


def checked_steps(num_steps: int | None, env: Environment, params: Any, policy: Policy | SoftPolicy | Doses) -> int:
    """How many decisions; raises ValueError where they are not known or the policy has too few."""
    if isinstance(policy, Doses):
        validation.check_type("weights of Doses", policy.weights, (np.ndarray, jax.Array))
    if num_steps is None:
        num_steps = policy.weights.shape[0] if isinstance(policy, Doses) else env.most_steps(params)
        if num_steps is None or isinstance(num_steps, jax.core.Tracer):
            raise ValueError("num_steps must be given, since the time limit of the parameters is not known")
        num_steps = int(num_steps)
    validation.check_size("num_steps", num_steps)
    if isinstance(policy, Doses) and policy.weights.shape[0] != num_steps:
        raise ValueError(f"weights must have num_steps = {num_steps} rows, got {policy.weights.shape[0]}")
    return num_steps


def checked_block(num_episodes: int, block_episodes: int | None = None, most: int | None = None) -> int:
    """How many episodes at a time, a divisor of `num_episodes`: as many as `most` allows where they are not given.

    Raises:
      ValueError: where they are too few, or do not divide.
    """
    most = most or _BLOCK_EPISODES.here()
    validation.check_size("num_episodes", num_episodes)
    if num_episodes < 2:
        raise ValueError(f"num_episodes must be at least 2, for a standard error, got {num_episodes}")
    if block_episodes is None:
        block_episodes = max(size for size in range(1, min(num_episodes, most) + 1) if num_episodes % size == 0)
        if block_episodes < min(LEAST_EPISODES, num_episodes):
            near = max(num_episodes // most, 1) * most
            raise ValueError(
                f"num_episodes are simulated in equal blocks of {LEAST_EPISODES} to {most}, {num_episodes:,} has no "
                f"such divisor: take {near:,}, or give block_episodes"
            )
        return block_episodes
    validation.check_size("block_episodes", block_episodes)
    if num_episodes % block_episodes or block_episodes == 1:
        raise ValueError(
            f"block_episodes must divide num_episodes = {num_episodes:,} and be at least 2, got {block_episodes:,}"
        )
    return block_episodes
