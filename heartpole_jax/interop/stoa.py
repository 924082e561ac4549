"""Our environments as stoa's, which Stoix trains on: `to_stoa("HeartPole-v0")`.

    env = stoa.RecordEpisodeMetrics(stoa.AutoResetWrapper(to_stoa("HeartPole-v0"), next_obs_in_extras=True))
    state, timestep = env.reset(key)
    state, timestep = env.step(state, action)

HeartPole's last step is TRUNCATED with discount 1; a true end, which other environments have, is TERMINATED with
discount 0. Nothing resets but stoa's wrappers.

stoa 0.1.2's AutoResetWrapper begins the next episode with the parameters given here and not with those given to `step`.
Where these are swept and decide how an episode begins, as HeartPole's `wake_up_alertness_low` and `_high` do, make an
environment of each.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, PRNGKey

from heartpole_jax.envs.environment import Environment
from heartpole_jax.interop import adapting

try:
    import stoa
    from stoa.env_adapters.base import AdapterStateWithKey
except ImportError as error:
    raise ImportError("to_stoa needs stoa: pip install '.[stoa]' in the clone") from error


def to_stoa(env: str | Environment = "HeartPole-v0", params: Any = None) -> "StoaEnvironment":
    """An environment of ours with stoa's interface.

    Args:
      env: the name of an environment, or one.
      params: the parameters where `reset` and `step` are given none; the environment's own defaults where None.

    Raises:
      ValueError: for an unknown name.
      TypeError: if `env` is neither a name nor an `Environment`, or `params` are not its kind.
      ImportError: on importing this module without stoa.
    """
    return StoaEnvironment(*adapting.resolve(env, params))


class StoaEnvironment(stoa.Environment):
    """What `to_stoa` makes. Its state is `AdapterStateWithKey`, stoa's own: ours, and the key of all noise to come."""

    def __init__(self, env: Environment, params: Any):
        self.env = env
        self.params = params

    # stoa's base is a dataclass without fields, by which all environments would be equal.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def reset(self, rng_key: PRNGKey, env_params: Any = None) -> tuple[AdapterStateWithKey, stoa.TimeStep]:
        """(state, timestep) at the start of an episode: the key is split, its first half begins the episode."""
        params = self._own(env_params)
        reset_key, next_key = jax.random.split(rng_key)
        env_state, obs = self.env.reset(reset_key, params)
        timestep = stoa.TimeStep(
            step_type=stoa.StepType.FIRST,
            reward=jnp.zeros((), jnp.float32),
            discount=jnp.ones((), jnp.float32),
            observation=obs,
            extras=adapting.empty_info(self.env, params, next_key),
        )
        return AdapterStateWithKey(base_env_state=env_state, rng_key=next_key), timestep

    def step(
        self, state: AdapterStateWithKey, action: Array, env_params: Any = None
    ) -> tuple[AdapterStateWithKey, stoa.TimeStep]:
        """(state, timestep) after an action: the state's key is split, its first half is the step's.

        `extras` are what the environment tells of a step, for HeartPole the fields of `StepInfo`; zeros at a reset.
        """
        step_key, next_key = jax.random.split(state.rng_key)
        noise = self.env.sample_noise(step_key)
        env_state, obs, reward, done, info = self.env.transition_info(
            state.base_env_state, action, noise, self._own(env_params)
        )
        terminated = self.env.terminated(env_state)
        last = jnp.where(terminated, stoa.StepType.TERMINATED, stoa.StepType.TRUNCATED)
        timestep = stoa.TimeStep(
            step_type=jnp.where(done, last, stoa.StepType.MID),
            reward=reward.astype(jnp.float32),
            discount=1.0 - terminated.astype(jnp.float32),
            observation=obs,
            extras=adapting.info_dict(info),
        )
        return AdapterStateWithKey(base_env_state=env_state, rng_key=next_key), timestep

    def observation_space(self, env_params: Any = None) -> stoa.BoundedArraySpace:
        bounds = self.env.observation_space(self.params)
        low, high = bounds.low, bounds.high
        return stoa.BoundedArraySpace(self.env.obs_shape, jnp.result_type(float), low, high, "observation")

    def action_space(self, env_params: Any = None) -> stoa.DiscreteSpace:
        return stoa.DiscreteSpace(self.env.num_actions, jnp.int32, "action")

    def state_space(self, env_params: Any = None) -> stoa.DictSpace:
        """What a state holds of the environment, by name; arrays are at least 0 or bounded by their types alone."""
        params = self._own(env_params)
        state, _ = jax.eval_shape(lambda key: self.env.reset(key, params), jax.random.key(0))
        fields = vars(state) if dataclasses.is_dataclass(state) else dict(enumerate(jax.tree.leaves(state)))
        non_negative = self.env.non_negative(self.params)
        return stoa.DictSpace(
            {
                str(name): stoa.BoundedArraySpace(x.shape, x.dtype, 0, _highest(x.dtype), str(name))
                if name in non_negative
                else stoa.ArraySpace(x.shape, x.dtype, str(name))
                for name, x in fields.items()
            },
            "state",
        )

    def _own(self, params: Any) -> Any:
        return self.params if params is None else self.env.params_or_default(params)

    def __repr__(self) -> str:
        return f"to_stoa({self.env.name!r})"


def _highest(dtype: Any) -> Any:
    return jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).max
