"""HeartPole by Gymnasium's experimental functional interface."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from chex import ArrayTree
from gymnasium.experimental.functional import FuncEnv

from heartpole_jax import arguments, struct
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.menu import Menu
from heartpole_jax.interop import adapting, checks


@struct.dataclass
class FunctionalState:
    """A patient, and the info of the step that led there."""

    patient: ArrayTree  # an `EnvState`
    reward: jax.Array
    truncated: jax.Array  # bool, the step reached the time limit
    info: dict[str, jax.Array]

    @property
    def at(self) -> "_At":
        """`state.at[indices].set(fresh)`: a batch of states with some of them replaced, as Gymnasium's own
        `FunctionalJaxVectorEnv` begins episodes. The index and `set` are those of an array's `at`."""
        return _At(self)


@dataclasses.dataclass(frozen=True)
class _At:
    """A batch of states, and once indexed the place where to set others."""

    states: FunctionalState
    index: Any = None

    def __getitem__(self, index: Any) -> "_At":
        return dataclasses.replace(self, index=index)

    def set(self, fresh: FunctionalState) -> FunctionalState:
        return jax.tree.map(lambda all_, some: all_.at[self.index].set(some), self.states, fresh)


class FunctionalEnv(FuncEnv):
    """HeartPole by Gymnasium's experimental functional interface, pure and for one patient; `params` are `EnvParams`.

    Gymnasium takes the reward for a function of state, action and next state; a heart attack is chance, so the state
    carries the reward of the step that led to it. There is no end (`terminal` is False), and the interface knows no
    time limit: `truncated` of the state tells it, and `FunctionalJaxVectorEnv(..., max_episode_steps=1000)` counts one
    of its own, of decisions.

    Args:
      options: Gymnasium's: attributes.
      env, menu: an `Environment`, or the name and the menu of `heartpole_jax.make`.

    Raises:
      ValueError, TypeError: for an unknown name or a bad menu.
    """

    def __init__(
        self,
        options: dict[str, Any] | None = None,
        env: str | Environment = "HeartPole-v0",
        menu: Menu | str | Path | None = None,
    ):
        self.environment = adapting.find(env, menu)
        self.observation_space = checks.observation_space(self.environment, self.environment.default_params)
        self.action_space = checks.action_space(self.environment)
        super().__init__(options)

    def get_default_params(self, **kwargs: Any) -> Any:
        return checks.env_params(self.environment, kwargs)

    @arguments.checked(rng=arguments.check_key)
    def initial(self, rng: Any, params: Any = None) -> FunctionalState:
        """A patient who has just woken up, the same as `hp.reset(rng, params)`."""
        params = self._own(params)
        patient, obs = self.environment.reset(rng, params)
        return FunctionalState(
            patient=patient,
            reward=jnp.zeros((), obs.dtype),
            truncated=jnp.zeros((), bool),
            info=_with_cost(adapting.empty_info(self.environment, params, rng), params),
        )

    @arguments.checked(rng=arguments.check_key)
    def transition(self, state: FunctionalState, action: Any, rng: Any, params: Any = None) -> FunctionalState:
        """The state after a decision, the same as `hp.step(state, action, rng, params)`."""
        params = self._own(params)
        patient, _, reward, done, info = self.environment.transition_info(
            _patient(state), action, self.environment.sample_noise(rng), params
        )
        info = _with_cost(adapting.info_dict(info), params)
        return FunctionalState(patient=patient, reward=reward, truncated=done, info=info)

    def observation(self, state: FunctionalState, rng: Any, params: Any = None) -> jax.Array:
        return self.environment.observe(_patient(state))

    def reward(self, state: Any, action: Any, next_state: FunctionalState, rng: Any, params: Any = None) -> jax.Array:
        arguments.check_type("next_state", next_state, FunctionalState)
        return next_state.reward

    def terminal(self, state: FunctionalState, rng: Any, params: Any = None) -> jax.Array:
        return self.environment.terminated(_patient(state))

    def state_info(self, state: FunctionalState, params: Any = None) -> dict[str, Any]:
        """The info of the step that led to this state; zeros after a reset."""
        return dict(state.info)

    def transition_info(self, state: Any, action: Any, next_state: FunctionalState, params=None) -> dict[str, Any]:
        return dict(next_state.info)

    def _own(self, params: Any) -> Any:
        return self.default_params if params is None else self.environment.params_or_default(params)


def _with_cost(info: dict[str, Any], params: Any) -> dict[str, Any]:
    if not {"heart_attack", "heart_attack_risk"} <= info.keys() or not hasattr(params, "expected_penalty"):
        return info
    risk = info["heart_attack_risk"]
    return {**info, "cost": adapting.cost(info["heart_attack"].astype(risk.dtype), risk, params.expected_penalty)}


def _patient(state: FunctionalState) -> Any:
    arguments.check_type("state", state, FunctionalState, "`initial` and `transition` return one")
    return state.patient
