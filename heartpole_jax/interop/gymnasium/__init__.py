"""HeartPole for Gymnasium: `Env`, a native `VectorEnv`, and `FunctionalEnv`.

    env = gymnasium.make("heartpole_jax:HeartPole-v0")
    env = gymnasium.make("heartpole_jax:HeartPole-v1", menu="my_menu.toml", max_half_hours=336)
    envs = gymnasium.make_vec("heartpole_jax:HeartPole-v0", num_envs=1024)

Observations are the six raw numbers, eight of HeartPole-v1, float32; `terminated` is never True and `truncated` the
time limit. `info` tells heart_attack, heart_attack_risk, productivity, half_hours and cost of the step; the cost is 1.0
at a heart attack, with `expected_penalty` beta (1 - beta) attack + beta risk. Every constant of `EnvParams` is a
keyword, and so is HeartPole-v1's menu. What is handed out is NumPy's, and the caller's own.

Seeds: `reset(seed=s)` fixes all that follows until the next seed; a reset without one begins another episode. The
environments of a vector environment take s, s + 1, ..., as those of Gymnasium's `SyncVectorEnv` do, and agree with them
but for the last digit. The one environment of `hp.rollout(policy, jax.random.key(s), num_envs=1, autoreset=True)` has
the same random numbers.
"""

try:
    import gymnasium  # noqa: F401  (here, for the message)
except ImportError as missing:
    raise ImportError("this needs Gymnasium: pip install '.[gym]' in the clone") from missing

from heartpole_jax.interop.gymnasium.env import Env
from heartpole_jax.interop.gymnasium.functional_env import FunctionalEnv, FunctionalState
from heartpole_jax.interop.gymnasium.vector_env import VectorEnv

__all__ = ["Env", "FunctionalEnv", "FunctionalState", "VectorEnv"]
