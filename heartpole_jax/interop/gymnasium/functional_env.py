"""HeartPole by Gymnasium's experimental functional interface."""

from typing import Any

import jax
import jax.numpy as jnp
from gymnasium.experimental.functional import FuncEnv

from heartpole_jax import struct
from heartpole_jax.environment import HEARTPOLE_V0
from heartpole_jax.heartpole_v0 import EnvParams, EnvState, StepInfo
from heartpole_jax.interop import checks


@struct.dataclass
class FunctionalState:
    """A patient, and what the step that led there told."""

    patient: EnvState
    reward: jax.Array
    info: StepInfo


class FunctionalEnv(FuncEnv):
    """HeartPole by Gymnasium's experimental functional interface, pure and for one patient; `params` are `EnvParams`.

    Gymnasium takes the reward for a function of state, action and next state; a heart attack is chance, so the state
    carries the reward of the step that led to it. There is no end (`terminal` is False); the time limit is the
    caller's, or `FunctionalJaxVectorEnv(..., max_episode_steps=1000)`'s.
    """

    observation_space, action_space = checks.observation_space(), checks.action_space()

    def get_default_params(self, **kwargs: Any) -> EnvParams:
        return checks.env_params(kwargs)

    def initial(self, rng: Any, params: EnvParams | None = None) -> FunctionalState:
        """A patient who has just woken up, the same as `hp.reset(rng, params)`."""
        patient, _ = HEARTPOLE_V0.reset(rng, params)
        zero = jnp.zeros_like(patient.alertness)
        info = StepInfo(
            productivity=zero,
            half_hours=jnp.zeros((), jnp.int32),
            heart_attack_risk=zero,
            heart_attack=jnp.zeros((), bool),
        )
        return FunctionalState(patient=patient, reward=zero, info=info)

    def transition(self, state: FunctionalState, action: Any, rng: Any, params: EnvParams | None = None):
        """The state after a decision, the same as `hp.step(state, action, rng, params)`."""
        noise = HEARTPOLE_V0.sample_noise(rng)
        patient, _, reward, _, info = HEARTPOLE_V0.transition_info(state.patient, action, noise, params)
        return FunctionalState(patient=patient, reward=reward, info=info)

    def observation(self, state: FunctionalState, rng: Any, params: EnvParams | None = None) -> jax.Array:
        return HEARTPOLE_V0.observe(state.patient)

    def reward(self, state: Any, action: Any, next_state: FunctionalState, rng: Any, params=None) -> jax.Array:
        return next_state.reward

    def terminal(self, state: FunctionalState, rng: Any, params: EnvParams | None = None) -> jax.Array:
        return HEARTPOLE_V0.terminated(state.patient)

    def transition_info(self, state: Any, action: Any, next_state: FunctionalState, params=None) -> dict[str, Any]:
        return dict(vars(next_state.info))
