"""Our environments as brax's: `to_brax("HeartPole-v0")`.

    env = to_brax("HeartPole-v0")
    env = brax.envs.training.wrap(env, episode_length=env.episode_length)
    state = env.reset(jax.random.split(jax.random.PRNGKey(0), num_envs))
    state = env.step(state, actions)

Actions. brax's agents put out a vector of floats and know no choice among actions, so a vector of `num_actions` floats
is a preference for each, of which the largest acts (the first of equals). A whole number is the action itself.

The time limit is brax's EpisodeWrapper's to tell, as for brax's own environments: `done` here is a true end alone,
which HeartPole has not, since EpisodeWrapper takes a `done` for a death. Hand it `episode_length`, and its `done` and
`info["truncation"]` say it all. Without that wrapper `info["truncation"]` is 1 from the limit on, and nothing ends.
HeartPole-v1's limit is a time, and EpisodeWrapper knows none but of steps: where it is reached, `info["steps"]`, which
is that wrapper's, is set to the last step of `episode_length`, and the wrapper does the rest. brax's own count of steps
is that of a whole episode then; `info["episode_metrics"]["length"]` has the true one.

Keys. brax's `step` takes none: `info["rng"]` is split at each. brax's wrappers want raw keys, `jax.random.PRNGKey`. Its
AutoResetWrapper begins every episode of an environment in the state of the first and gives that observation for the
last; the random numbers go on, and `info["final_observation"]` is the true observation after each step.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, Numeric, PRNGKey

from heartpole_jax.envs.environment import Environment
from heartpole_jax.interop import adapting

try:
    from brax.envs.base import Env, State
except ImportError as error:
    raise ImportError("to_brax needs brax: pip install '.[brax]' in the clone") from error


def to_brax(env: str | Environment = "HeartPole-v0", params: Any = None) -> "BraxEnvironment":
    """An environment of ours with brax's interface.

    Args:
      env: the name of an environment, or one whose observations have one axis.
      params: its parameters, the environment's own defaults where None. They are `sys` to brax, whose domain
        randomization gives every environment its own: `randomization_fn(params)` returns (params with an axis of
        environments, axes).

    Raises:
      ValueError: for an unknown name, or observations of another number of axes.
      TypeError: if `env` is neither a name nor an `Environment`, or `params` are not its kind.
      ImportError: on importing this module without brax.
    """
    env, params = adapting.resolve(env, params)
    if len(env.obs_shape) != 1:
        raise ValueError(f"brax takes observations of one axis, {env.name!r} has the shape {env.obs_shape}")
    return BraxEnvironment(env, params)


class BraxEnvironment(Env):
    """What `to_brax` makes. `sys`, the parameters, is brax's to replace while it traces: its domain randomization."""

    def __init__(self, env: Environment, params: Any):
        self.env = env
        self.sys = params

    @property
    def observation_size(self) -> int:
        return self.env.obs_shape[0]

    @property
    def action_size(self) -> int:
        """Preferences, one for each action."""
        return self.env.num_actions

    @property
    def backend(self) -> str:
        """No physics engine of brax's."""
        return "heartpole_jax"

    @property
    def episode_length(self) -> Any:
        """The time limit, for brax's wrappers and agents; of HeartPole-v1 the most decisions that fit into it."""
        return self.env.most_steps(self.sys)

    def reset(self, rng: PRNGKey) -> State:
        """The start of an episode: the key is split, its first half begins the episode."""
        reset_key, next_key = jax.random.split(rng)
        env_state, obs = self.env.reset(reset_key, self.sys)
        zero = functools.partial(jnp.zeros, (), obs.dtype)
        return State(
            pipeline_state=env_state,
            obs=obs,
            reward=zero(),
            done=zero(),
            metrics=_floats(adapting.empty_info(self.env, self.sys, next_key), obs.dtype),
            info={"rng": next_key, "truncation": zero(), "final_observation": jnp.copy(obs)},
        )

    def step(self, state: State, action: Numeric) -> State:
        """The state after an action, a whole number or a preference for each: the key's first half is the step's.

        `metrics` are what the environment tells of a step, as floats, for HeartPole the fields of `StepInfo`.

        Raises:
          ValueError: if the action is neither.
        """
        step_key, next_key = jax.random.split(state.info["rng"])
        env_state, obs, reward, done, info = self.env.transition_info(
            state.pipeline_state, self._chosen(action), self.env.sample_noise(step_key), self.sys
        )
        terminated = self.env.terminated(env_state)
        truncation = (done & ~terminated).astype(obs.dtype)
        added = {"rng": next_key, "truncation": truncation, "final_observation": jnp.copy(obs)}
        if "steps" in state.info and not self.env.time_limit.counts_decisions:
            steps = state.info["steps"]
            last = jnp.maximum(steps, jnp.asarray(self.episode_length - 1, steps.dtype))
            added["steps"] = jnp.where(truncation > 0, last, steps)
        return state.replace(
            pipeline_state=env_state,
            obs=obs,
            reward=reward,
            done=terminated.astype(obs.dtype),
            # What wrappers have put beside ours stays
            metrics={**state.metrics, **_floats(adapting.info_dict(info), obs.dtype)},
            info={**state.info, **added},
        )

    def _chosen(self, action: Numeric) -> Array:
        action = jnp.asarray(action)
        if jnp.issubdtype(action.dtype, jnp.integer) and action.shape == ():
            return action
        if jnp.issubdtype(action.dtype, jnp.floating) and action.shape == (self.env.num_actions,):
            return jnp.argmax(action).astype(jnp.int32)
        raise ValueError(
            f"action must be a whole number or {self.env.num_actions} floats, a preference for each action, "
            f"got {action.dtype} of shape {action.shape}"
        )


def _floats(info: dict[str, Any], dtype: Any) -> dict[str, Array]:
    """The scalars among them, which is what brax averages."""
    return {name: jnp.asarray(x, dtype) for name, x in info.items() if jnp.shape(x) == ()}
