"""Our environments with gymnax's interface from before 1.0: `to_gymnax_legacy("HeartPole-v0")`, five values a step.

rejax 0.1 and programs in PureJaxRL's style want it. Its `done` is a true end or the time limit, and most of what takes
it masks either as death; `info` tells them apart: `terminated`, `truncated`, `final_observation`, and `discount`, which
is 1 at the time limit.
"""

import dataclasses
import functools
from typing import Any

import jax
from chex import Array, Numeric, PRNGKey

from heartpole_jax import arguments
from heartpole_jax.envs.environment import Environment
from heartpole_jax.interop.to_gymnax import GymnaxEnvironment, Params, State, check_state, to_gymnax


def to_gymnax_legacy(env: str | Environment = "HeartPole-v0", params: Any = None) -> "LegacyEnvironment":
    """An environment of ours with the interface of gymnax before 1.0; takes and raises what `to_gymnax` does."""
    return LegacyEnvironment(to_gymnax(env, params))


_typed = arguments.checked(
    key=arguments.check_key, state=check_state, action=arguments.check_numeric, params=arguments.check_arrays
)


@dataclasses.dataclass(frozen=True)
class LegacyEnvironment:
    """What `to_gymnax_legacy` makes: gymnax 1.0's environment, and done for terminated and truncated.

    No subclass of gymnax's, whose `step_env` says terminated where this one says done. Equal and hashable as `modern`.
    """

    modern: GymnaxEnvironment

    @_typed
    @functools.partial(jax.jit, static_argnums=0)
    def reset(self, key: PRNGKey, params: Params | None = None) -> tuple[Array, State]:
        """(obs, state) at the start of an episode."""
        return self.modern.reset_env(key, params)

    @_typed
    @functools.partial(jax.jit, static_argnums=0)
    def step(
        self, key: PRNGKey, state: State, action: Numeric, params: Params | None = None
    ) -> tuple[Array, State, Array, Array, dict[str, Any]]:
        """(obs, state, reward, done, info); after a done, obs and state are those of the next episode."""
        obs, state, reward, terminated, truncated, info = self.modern.step(key, state, action, params)
        return obs, state, reward, terminated | truncated, info

    def reset_env(self, key: PRNGKey, params: Params | None = None) -> tuple[Array, State]:
        """(obs, state) at the start of an episode."""
        return self.modern.reset_env(key, params)

    @_typed
    def step_env(
        self, key: PRNGKey, state: State, action: Numeric, params: Params | None = None
    ) -> tuple[Array, State, Array, Array, dict[str, Any]]:
        """(obs, state, reward, done, info); never resets."""
        obs, state, reward, terminated, info = self.modern.step_env(key, state, action, params)
        truncated = self.modern.is_truncated(state, params)
        info = {**info, "terminated": terminated, "truncated": truncated, "final_observation": obs}
        return obs, state, reward, terminated | truncated, info

    def get_obs(self, state: State, params: Params | None = None, key: PRNGKey | None = None) -> Array:
        """The observation of a state."""
        return self.modern.get_obs(state)

    @_typed
    def is_terminal(self, state: State, params: Params | None = None) -> Array:
        """Whether this state is a true end, or the step to it reached the time limit."""
        return self.modern.is_terminated(state) | self.modern.is_truncated(state)

    def discount(self, state: State, params: Params | None = None) -> Array:
        """0 after a true end, 1 otherwise: also at the time limit, where gymnax before 1.0 said 0."""
        return self.modern.discount(state, params)

    def action_space(self, params: Params | None = None) -> Any:
        return self.modern.action_space(params)

    def observation_space(self, params: Params | None = None) -> Any:
        return self.modern.observation_space(params)

    def state_space(self, params: Params | None = None) -> Any:
        return self.modern.state_space(params)

    @property
    def default_params(self) -> Params:
        return self.modern.default_params

    @property
    def name(self) -> str:
        return self.modern.name

    @property
    def num_actions(self) -> int:
        return self.modern.num_actions
