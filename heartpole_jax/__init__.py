"""HeartPole as a JAX-native functional environment: pure, jit- and vmap-compiled, differentiable, solved and measured.

    import heartpole_jax as hp

    reset_key, step_key = jax.random.split(jax.random.key(0))
    state, obs = hp.reset(reset_key)
    state, obs, reward, done = hp.step(state, hp.Action.COFFEE, step_key)

Importing makes no array and touches no device.
"""

from heartpole_jax import policies, policies_v1
from heartpole_jax.environment import Environment, checked, make, step_autoreset
from heartpole_jax.heartpole_v0 import (
    Action,
    EnvParams,
    EnvState,
    Noise,
    StepInfo,
    initial_state,
    observe,
    reset,
    sample_noise,
    step,
    terminated,
    transition,
    transition_info,
)
from heartpole_jax.policy import Policy
from heartpole_jax.rollout import Envs, Rollout, Transition, everything, rollout, stream
from heartpole_jax.saved_policy import load_policy

__all__ = [
    "Action",
    "EnvParams",
    "EnvState",
    "Environment",
    "Envs",
    "Noise",
    "Policy",
    "Rollout",
    "StepInfo",
    "Transition",
    "checked",
    "everything",
    "initial_state",
    "load_policy",
    "make",
    "observe",
    "policies",
    "policies_v1",
    "reset",
    "rollout",
    "sample_noise",
    "step",
    "step_autoreset",
    "stream",
    "terminated",
    "transition",
    "transition_info",
]
