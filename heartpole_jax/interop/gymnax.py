"""gymnax's environments as an `Environment`: `from_gymnax("CartPole-v1")`. And ours as gymnax's: see `to_gymnax`.

gymnax's `step` begins the next episode by itself and hands its first observation back. Here `step` is gymnax's
`step_env`, which does not, so that the last observation of an episode is the true one. gymnax (1.0 or newer) tells a
true end from the time limit, and so does the `Environment`: `terminated` is the one, `done` either.

Its noise and its dynamics are one, so the noise of a step is the key itself, and so is the start of a reset.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree, Numeric, PRNGKey

from heartpole_jax import arguments, struct, validation
from heartpole_jax.envs.environment import Environment, TimeLimit
from heartpole_jax.envs.heartpole_v0 import check_action

try:
    import gymnax
    from gymnax.environments.spaces import Discrete
except ImportError as error:
    raise ImportError("gymnax's environments need gymnax: pip install '.[gymnax]' in the clone") from error

from heartpole_jax.interop.to_gymnax import to_gymnax
from heartpole_jax.interop.to_gymnax_legacy import to_gymnax_legacy

__all__ = ["State", "from_gymnax", "to_gymnax", "to_gymnax_legacy"]


@struct.dataclass
class State:
    """gymnax's state, and what only a step of gymnax's can tell of it, since both may depend on its parameters."""

    gymnax: ArrayTree
    obs: Array
    terminated: Array  # bool, a true end


def from_gymnax(env: Any, params: Any = None) -> Environment:
    """A gymnax environment as an `Environment` called "gymnax:<name>".

    Its parameters are gymnax's own. Observations keep their shape; they and rewards
    are JAX's default float, whatever gymnax makes them. Gradients do not pass a step: gymnax stops them. Every call
    makes another `Environment`, for which jit compiles again: keep it.

    Args:
      env: the name of one of `gymnax.registered_envs`, or an environment of gymnax's.
      params: gymnax's parameters for it, the environment's own defaults where None.

    Raises:
      ValueError: for an unknown name, actions that are not Discrete, observations that are not one array.
      TypeError: if `env` is neither a name nor an environment.
      ImportError: on importing this module without gymnax.
    """
    name = env if isinstance(env, str) else getattr(env, "name", None)
    if isinstance(env, str):
        validation.look_up({known: known for known in gymnax.registered_envs}, env, "gymnax environment")
        env, _ = gymnax.make(env)
    if not all(hasattr(env, function) for function in ("step_env", "reset_env", "is_truncated")):
        raise TypeError(f"env must be a name or an environment of gymnax 1.0 or newer, got {arguments.described(env)}")
    params = env.default_params if params is None else params
    arguments.check_type("params", params, type(env.default_params))

    actions = env.action_space(params)
    if not isinstance(actions, Discrete):
        raise ValueError(
            f"the actions of gymnax's {name!r} must be Discrete, numbered from 0, got {actions}; take an environment "
            "whose actions are, or make the actions to choose from a list of your own in a gymnax environment around it"
        )
    obs, _ = jax.eval_shape(env.reset_env, jax.random.key(0), params)
    if not isinstance(obs, jax.ShapeDtypeStruct):
        raise ValueError(
            f"the observation of gymnax's {name!r} must be one array, got {obs}; "
            "flatten it in a gymnax environment around it"
        )
    return Environment(
        name=f"gymnax:{name}",
        num_actions=actions.n,
        obs_shape=obs.shape,
        default_params=params,
        sample_start=_itself,
        initial_state=functools.partial(_initial_state, env),
        sample_noise=_itself,
        transition=functools.partial(_transition, env, params),
        transition_info=functools.partial(_transition_info, env, params),
        observe=_observe,
        terminated=_terminated,
        time_limit=TimeLimit("max_steps_in_episode"),
    )


def _itself(key: PRNGKey) -> PRNGKey:
    return key


def _initial_state(env: Any, start: PRNGKey, params: Any) -> State:
    arguments.check_key("key", start)
    obs, state = env.reset_env(start, params)
    return State(gymnax=_settled(state), obs=_as_float(obs), terminated=jnp.zeros((), bool))


def _transition_info(env: Any, default_params: Any, state: State, action: Numeric, noise: PRNGKey, params=None):
    """What gymnax's own `step` does before it resets: (state, obs, reward, done, info)."""
    params = default_params if params is None else params
    arguments.check_type("state", state, State, "reset and step return the state first, then obs")
    arguments.check_key("key", noise)
    action = check_action(action, env.action_space(params).n)
    obs, after, reward, terminated, info = env.step_env(noise, state.gymnax, action, params)
    terminated = jnp.asarray(terminated, bool)
    done = terminated | jnp.asarray(env.is_truncated(after, params), bool)
    state = State(gymnax=_settled(after), obs=_as_float(obs), terminated=terminated)
    return state, _observe(state), _as_float(reward), done, info


def _transition(env: Any, default_params: Any, state: State, action: Numeric, noise: PRNGKey, params=None):
    return _transition_info(env, default_params, state, action, noise, params)[:4]


def _observe(state: State) -> Array:
    return jnp.copy(state.obs)  # the caller's own, who may donate the state


def _terminated(state: State) -> Array:
    return state.terminated


def _as_float(x: Any) -> Array:
    return jnp.asarray(x).astype(jnp.result_type(float))


def _settled(tree: ArrayTree) -> ArrayTree:
    """The tree with arrays in the place of Python's numbers, whose type would change with the next step."""
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, jnp.result_type(x)), tree)
