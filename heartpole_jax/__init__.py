"""HeartPole as a JAX-native functional environment: pure, jit- and vmap-compiled, differentiable, solved and measured.

    import heartpole_jax as hp

    reset_key, step_key = jax.random.split(jax.random.key(0))
    state, obs = hp.reset(reset_key)
    state, obs, reward, done = hp.step(state, hp.Action.COFFEE, step_key)

Importing makes no array and touches no device. Where Gymnasium is imported too, it knows HeartPole-v0 and -v1.
"""

from heartpole_jax import evaluation, gradients, policies
from heartpole_jax.envs import heartpole_v0, heartpole_v1, menu
from heartpole_jax.envs.environment import Environment, checked, step_autoreset
from heartpole_jax.envs.heartpole_v0 import (
    NUM_ACTIONS,
    OBS_NAMES,
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
from heartpole_jax.envs.registry import make, register
from heartpole_jax.interop import registration
from heartpole_jax.policies.saved_policy import load_policy
from heartpole_jax.policy import Policy
from heartpole_jax.rollout import Envs, Rollout, Transition, everything, rollout, stream
from heartpole_jax.version import __version__

__all__ = [
    "NUM_ACTIONS",
    "OBS_NAMES",
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
    "__version__",
    "checked",
    "evaluation",
    "everything",
    "gradients",
    "heartpole_v0",
    "heartpole_v1",
    "initial_state",
    "load_policy",
    "make",
    "menu",
    "observe",
    "policies",
    "register",
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

registration.register_with_gymnasium()
