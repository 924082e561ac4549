"""Environment: an environment as a bundle of pure functions, and `make`, which finds one by name.

The bundle keeps the noise apart from the dynamics: `step` is `transition` after `sample_noise`. A caller who rolls out,
compares policies on the same noise, or asks what would have happened, samples once and calls `transition`. An
environment that cannot be taken apart uses the key itself as its noise (`sample_noise=lambda key: key`).
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree, Numeric, PRNGKey
from jax.experimental import checkify

from heartpole_jax import arguments, threefry, validation
from heartpole_jax.envs import heartpole_v0, heartpole_v1
from heartpole_jax.envs import menu as menus


@dataclasses.dataclass(frozen=True, eq=False)
class Environment:
    """The functions and sizes of one environment, for one patient; hashable, so it can be a static argument of jit.

    Probe environments and adapters are built by filling in the fields. `params` is whatever the functions take; `None`
    means `default_params`.

    Raises:
      TypeError: for a name that is no text, sizes that are no whole numbers, a function that cannot be called.
      ValueError: for a size below 1.
    """

    name: str
    num_actions: int
    obs_shape: tuple[int, ...]
    default_params: Any
    sample_start: Callable[[PRNGKey], ArrayTree]  # key -> start, the random numbers of a reset
    initial_state: Callable[[ArrayTree, Any], ArrayTree]  # start, params -> state
    sample_noise: Callable[[PRNGKey], ArrayTree]  # key -> noise, the random numbers of a step
    transition: Callable[..., tuple]  # state, action, noise, params -> state, obs, reward, done
    transition_info: Callable[..., tuple]  # the same and info, a pytree of whatever else is measured
    observe: Callable[[ArrayTree], Array]  # state -> obs, of shape obs_shape
    terminated: Callable[[ArrayTree], Array]  # state -> bool: a true end, after which no reward can follow

    def __post_init__(self):
        arguments.check_fields(self)
        validation.check_size("num_actions", self.num_actions)
        for size in self.obs_shape:
            validation.check_size("each of obs_shape", size)

    def reset(self, key: PRNGKey, params: Any = None) -> tuple[ArrayTree, Array]:
        """A fresh (state, obs)."""
        state = self.initial_state(self.sample_start(key), self._params(params))
        return state, self.observe(state)

    def step(self, state: ArrayTree, action: Numeric, key: PRNGKey, params: Any = None) -> tuple:
        """(state, obs, reward, done) after `action`. Never resets: see `step_autoreset`."""
        return self.transition(state, action, self.sample_noise(key), self._params(params))

    def _params(self, params: Any) -> Any:
        """`params`, or the defaults for None. Raises TypeError for those of another environment, or none at all."""
        if params is None:
            return self.default_params
        if dataclasses.is_dataclass(self.default_params):
            validation.check_type("params", params, type(self.default_params))
        return params

    def __reduce__(self) -> tuple:
        """What `make` gave is pickled and copied by its name and menu, so that it is the same object again, for which
        jit finds its program; any other by its fields."""
        if self in _MADE:
            return make, _MADE[self]
        return Environment, tuple(getattr(self, field.name) for field in dataclasses.fields(self))


def _of_module(name: str, module: ModuleType, num_actions: int, default_params: Any) -> Environment:
    """The environment whose functions `module` has under their usual names."""
    return Environment(
        name=name,
        num_actions=num_actions,
        obs_shape=module.OBS_SHAPE,
        default_params=default_params,
        sample_start=module.sample_wake_up,
        initial_state=module.initial_state,
        sample_noise=module.sample_noise,
        transition=module.transition,
        transition_info=module.transition_info,
        observe=module.observe,
        terminated=module.terminated,
    )


HEARTPOLE_V0 = _of_module("HeartPole-v0", heartpole_v0, heartpole_v0.NUM_ACTIONS, heartpole_v0.EnvParams())
_MADE: dict[Environment, tuple] = {HEARTPOLE_V0: ("HeartPole-v0",)}  # what `make` was given for them


@functools.cache  # the same object for the same menu, so that jit finds its program again
def _heartpole_v1(menu: menus.Menu) -> Environment:
    env = _of_module("HeartPole-v1", heartpole_v1, len(menu.actions), heartpole_v1.EnvParams(menu=menu))
    _MADE[env] = ("HeartPole-v1", menu)
    return env


_NAMES = dict.fromkeys(("HeartPole-v0", "HeartPole-v1"))


def make(name: str, menu: menus.Menu | str | Path | None = None) -> Environment:
    """The environment called `name`; its parameters are `make(name).default_params`.

    Args:
      menu: of HeartPole-v1: a TOML file, the name of a shipped one, or a `Menu`; its own by default.

    Raises:
      ValueError: if there is none of that name, for a menu that `menu.load` refuses, and for one that is not asked for.
    """
    validation.look_up(_NAMES, name, "environment")
    if name == "HeartPole-v1":
        return _heartpole_v1(menus.as_menu(menu))
    if menu is not None:
        raise ValueError(f"{name} has no menu, got {validation.described(menu)}; HeartPole-v1 takes one")
    return HEARTPOLE_V0


@arguments.checked(env=Environment, key=arguments.check_key)
def step_autoreset(
    env: Environment, state: ArrayTree, action: Numeric, key: PRNGKey, params: Any = None
) -> tuple[ArrayTree, Array, Array, Array, Array, Array]:
    """A step that starts a new episode where one has ended: (state, obs, reward, done, terminated, last_obs).

    `last_obs` is the true observation after the action, whatever `done` says: the one to bootstrap from, unless
    `terminated` says that the episode has truly ended there. `state` and `obs` are those to go on with: after a `done`
    they belong to the next episode. The step's noise has the key `threefry.derived_key(key, 0)`, the next
    episode's start `derived_key(key, 1)`.
    """
    # Not `jax.random.split`, whose keys XLA puts into memory: on a GPU twice the bytes of a step.
    step_key, reset_key = (threefry.derived_key(key, purpose) for purpose in (0, 1))
    next_state, last_obs, reward, done = env.step(state, action, step_key, params)
    reset_state, reset_obs = env.reset(reset_key, params)
    terminated = env.terminated(next_state)
    state = jax.tree.map(lambda fresh, old: jnp.where(done, fresh, old), reset_state, next_state)
    return state, jnp.where(done, reset_obs, last_obs), reward, done, terminated, last_obs


@arguments.checked(env=Environment)
def checked(env: Environment) -> Environment:
    """`env` with run-time checks for use under `jax.experimental.checkify`, inside jit as well.

        step = checkify.checkify(jax.jit(checked(env).step))
        error, (state, obs, reward, done) = step(state, action, key)
        error.throw()

    An action out of range and a state or reward that is not finite are reported; without checks such an action acts as
    NOTHING.
    """
    checks = _Checked(env)
    return dataclasses.replace(env, transition=checks.transition, transition_info=checks.transition_info)


@dataclasses.dataclass(frozen=True)
class _Checked:
    """The transitions of an environment with checks."""

    env: Environment

    def transition(self, state, action, noise, params=None):
        return self.transition_info(state, action, noise, params)[:4]

    def transition_info(self, state, action, noise, params=None):
        env = self.env
        checkify.check(
            (action >= 0) & (action < env.num_actions),
            "action must be in 0 .. {last}, got {action}",
            last=jnp.int32(env.num_actions - 1),
            action=jnp.asarray(action),
        )
        old_obs = env.observe(state)  # checked as well: a heart attack would wipe an infinite hypertension out
        checkify.check(jnp.all(jnp.isfinite(old_obs)), "observation is not finite: {obs}", obs=old_obs)
        next_state, obs, reward, done, info = env.transition_info(state, action, noise, env._params(params))
        checkify.check(jnp.all(jnp.isfinite(obs)), "observation is not finite: {obs}", obs=obs)
        checkify.check(jnp.isfinite(reward), "reward is not finite: {reward}", reward=reward)
        return next_state, obs, reward, done, info
