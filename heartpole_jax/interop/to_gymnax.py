"""Our environments as gymnax's: `to_gymnax("HeartPole-v0")` with the six values of gymnax 1.0.

    env = to_gymnax("HeartPole-v0")
    params = env.default_params.replace(max_steps_in_episode=200, expected_penalty=1.0)
    obs, state = env.reset(reset_key, params)
    obs, state, reward, terminated, truncated, info = env.step(step_key, state, action, params)

The noise is ours: `step_env(key, ...)` is `Environment.step` and `reset_env(key)` is `Environment.reset` of that key.
gymnax's own `step` splits its key, steps with the first half and begins the next episode with the second.

HeartPole is never `terminated`: its time limit is `truncated`, and the value of `info["final_observation"]` is to be
bootstrapped there. HeartPole-v1's limit is a time, `max_half_hours`, and `max_steps_in_episode` the most decisions that
fit into it.
"""

import copy
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, ArrayTree, Numeric, PRNGKey

from heartpole_jax import arguments, struct
from heartpole_jax.envs.environment import Environment
from heartpole_jax.interop import adapting

try:
    from gymnax.environments import spaces
    from gymnax.environments.environment import Environment as GymnaxBase
except ImportError as error:
    raise ImportError("to_gymnax needs gymnax: pip install '.[gymnax]' in the clone") from error


@struct.dataclass
class State:
    """Our state, and what gymnax asks of a state that ours need not tell."""

    env_state: ArrayTree
    time: Array  # int32, decisions since the reset
    truncated: Array  # bool, the last step reached the time limit and no true end


@struct.exportable
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Params:
    """The environment's own parameters, read and replaced under their names and under gymnax's name for the limit."""

    env_params: Any

    @property
    def max_steps_in_episode(self) -> Any:
        """The environment's `max_steps`; the limit is stored there alone, or follows from another one."""
        own = self.env_params
        return own.max_steps if hasattr(own, "max_steps") else own.max_steps_in_episode

    def replace(self, **changes: Any) -> "Params":
        """The parameters with these values, `max_steps_in_episode` being the environment's `max_steps`.

        Raises:
          TypeError: for a name that is not the environment's, for both names of the limit, and for a limit of steps
            where the environment's own counts something else.
          ValueError: for a value that the environment refuses.
        """
        if "max_steps_in_episode" in changes and not hasattr(self.env_params, "max_steps_in_episode"):
            if "max_steps" in changes:
                raise TypeError("max_steps_in_episode and max_steps are the same limit: give one of them")
            if not hasattr(self.env_params, "_replace") and "max_steps" not in vars(self.env_params):
                raise TypeError(
                    "max_steps_in_episode follows from the environment's own limit and cannot be replaced; replace that"
                )
            changes["max_steps"] = changes.pop("max_steps_in_episode")
        if hasattr(self.env_params, "_replace"):  # a NamedTuple
            return Params(self.env_params._replace(**changes))
        return Params(dataclasses.replace(self.env_params, **changes))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "env_params":  # asked of an object that has none yet, as copy does
            raise AttributeError(name)
        return getattr(self.env_params, name)


def check_state(name: str, value: Any) -> None:
    """Raises TypeError where `value` is no state of a step of gymnax's."""
    arguments.check_type(name, value, State, "reset and step return obs first, then the state")
    arguments.check_arrays(name, value)
    for field, own in (("time", "int32[]"), ("truncated", "bool[]")):
        if (given := arguments.form(getattr(value, field))) != own:
            raise TypeError(f"{name}.{field} must be {own}, got {given}; reset and step return it, one patient's")


_typed_state = arguments.checked(state=check_state)
_typed = arguments.checked(key=arguments.check_key, state=check_state, action=arguments.check_numeric)


def to_gymnax(env: str | Environment = "HeartPole-v0", params: Any = None) -> "GymnaxEnvironment":
    """An environment of ours with the interface of gymnax 1.0.

    Hashable, and equal to any other of the same environment and parameters, so that jit compiles once for all of them.
    Gradients stop at a step, as in gymnax, until `with_transition_gradients()`.

    Args:
      env: the name of an environment, or one.
      params: the parameters behind `default_params`, the environment's own defaults where None. Values that are traced,
        to be swept or differentiated, are handed to `reset` and `step`, which take `Params` and the environment's own.

    Raises:
      ValueError: for an unknown name.
      TypeError: if `env` is neither a name nor an `Environment`, or `params` are not its kind, or hold tracers.
      ImportError: on importing this module without gymnax.
    """
    if isinstance(params, Params):
        params = params.env_params
    env, params = adapting.resolve(env, params)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(params)):
        raise TypeError("params of to_gymnax must be known before tracing; hand traced ones to reset and step")
    return GymnaxEnvironment(env, params)


class GymnaxEnvironment(GymnaxBase):
    """What `to_gymnax` makes; `reset`, `step` and `with_transition_gradients` do what gymnax's own do."""

    _supports_transition_gradients = True

    def __init__(self, env: Environment, params: Any):
        self.env = env
        self._params = params
        self._values = _values(params)  # once, since jit asks for the hash at every call

    @property
    def default_params(self) -> Params:
        return Params(self._params)

    @property
    def name(self) -> str:
        return self.env.name

    @property
    def num_actions(self) -> int:
        return self.env.num_actions

    @property
    def obs_shape(self) -> tuple[int, ...]:
        return self.env.obs_shape

    @_typed
    def reset(self, key: PRNGKey, params: Params | None = None) -> tuple[Array, State]:
        """(obs, state) at the start of an episode, compiled."""
        self._own(params)
        return super().reset(key, params)

    @_typed
    def step(
        self, key: PRNGKey, state: State, action: Numeric, params: Params | None = None
    ) -> tuple[Array, State, Array, Array, Array, dict[str, Any]]:
        """(obs, state, reward, terminated, truncated, info), compiled; begins the next episode where one has ended."""
        self._own(params)
        return super().step(key, state, action, params)

    @_typed
    def reset_env(self, key: PRNGKey, params: Params | None = None) -> tuple[Array, State]:
        """(obs, state) at the start of an episode, with the random numbers of `Environment.reset`."""
        env_state, obs = self.env.reset(key, self._own(params))
        return obs, State(env_state=env_state, time=jnp.zeros((), jnp.int32), truncated=jnp.zeros((), bool))

    @_typed
    def step_env(
        self, key: PRNGKey, state: State, action: Numeric, params: Params | None = None
    ) -> tuple[Array, State, Array, Array, dict[str, Any]]:
        """(obs, state, reward, terminated, info) with the random numbers of `Environment.step`; never resets.

        `info` is what the environment tells of a step, for HeartPole the fields of `StepInfo`, and `discount`: 0 after
        a true end, 1 otherwise, the time limit included.
        """
        noise = self.env.sample_noise(key)
        env_state, obs, reward, done, info = self.env.transition_info(state.env_state, action, noise, self._own(params))
        terminated = self.env.terminated(env_state)
        after = State(env_state=env_state, time=state.time + 1, truncated=done & ~terminated)
        obs, after = self._apply_transition_gradient_policy(obs, after)
        info = {**adapting.info_dict(info), "discount": 1.0 - terminated.astype(reward.dtype)}
        return obs, after, reward, terminated, info

    @_typed_state
    def observe(self, key: PRNGKey, state: State, action: Any = None, params: Params | None = None) -> Array:
        """The observation of a state, which depends on it alone."""
        return self.env.observe(state.env_state)

    @_typed_state
    def get_obs(self, state: State, params: Params | None = None, key: PRNGKey | None = None) -> Array:
        """`observe` under gymnax's older name."""
        return self.env.observe(state.env_state)

    @_typed_state
    def is_truncated(self, state: State, params: Params | None = None) -> Array:
        """Whether the step to this state reached the time limit, by the parameters of that step."""
        return state.truncated

    @_typed_state
    def is_terminated(self, state: State, params: Params | None = None) -> Array:
        """Whether this state is a true end; False for HeartPole."""
        return self.env.terminated(state.env_state)

    def action_space(self, params: Params | None = None) -> spaces.Discrete:
        return spaces.Discrete(self.env.num_actions)

    def observation_space(self, params: Params | None = None) -> spaces.Box:
        bounds = self.env.observation_space(self._params)
        low, high = bounds.low, bounds.high
        dtype = jnp.result_type(float)
        return spaces.Box(low.astype(dtype), high.astype(dtype), self.env.obs_shape, dtype)

    def state_space(self, params: Params | None = None) -> spaces.Dict:
        _, state = jax.eval_shape(self.reset_env, jax.random.key(0), Params(self._own(params)))
        return _space(state, frozenset(self.env.non_negative(self._params)) | {"time"})

    def _own(self, params: Any) -> Any:
        """The environment's own parameters."""
        if params is None:
            return self._params
        return self.env.params_or_default(params.env_params if isinstance(params, Params) else params)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._identity == self._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple:
        return self.env, self._transition_gradients_enabled, self._values

    def __deepcopy__(self, memo: dict) -> "GymnaxEnvironment":
        return copy.copy(self)  # the environment's identity is its equality, and nothing in here ever changes

    def __repr__(self) -> str:
        return f"to_gymnax({self.name!r})"


def _values(params: ArrayTree) -> tuple:
    """What jit would tell two parameters apart by, as something hashable: structure, types and values."""
    leaves, treedef = jax.tree.flatten(params)
    arrays = [np.asarray(leaf) for leaf in leaves]
    return treedef, *((type(x), y.dtype, y.shape, y.tobytes()) for x, y in zip(leaves, arrays, strict=True))


def _space(tree: Any, non_negative: frozenset[str], name: str = "") -> Any:
    """The space of a state, a Dict for what has names; arrays are at least 0 or bounded by their types alone."""
    if dataclasses.is_dataclass(tree):
        return spaces.Dict({name: _space(value, non_negative, name) for name, value in vars(tree).items()})
    if isinstance(tree, tuple):
        return spaces.Tuple([_space(value, non_negative) for value in tree])
    if tree.dtype == jnp.bool_:
        return spaces.Discrete(2)
    is_float = jnp.issubdtype(tree.dtype, jnp.floating)
    low, high = (-np.inf, np.inf) if is_float else (jnp.iinfo(tree.dtype).min, jnp.iinfo(tree.dtype).max)
    return spaces.Box(0 if name in non_negative else low, high, tree.shape, tree.dtype)
