"""Stable-Baselines3's DQN and `evaluate_policy` for the tutorial's class, whose old interface they do not speak.

    from heartpole_jax.interop.tutorial_agents import DQN, evaluate_policy

in the place of `from stable_baselines3 import DQN` lets the tutorial's agent train on the tutorial's environment. They
are Stable-Baselines3's own, given the environment through `Translated`.
"""

from typing import Any

import gymnasium

from heartpole_jax.interop.tutorial import HeartPole

try:
    import stable_baselines3
    from stable_baselines3.common import evaluation
except ImportError as missing:
    raise ImportError("this needs Stable-Baselines3: pip install '.[sb3]' in the clone") from missing


class Translated(gymnasium.Wrapper):
    """The tutorial's `HeartPole`, by itself or as `gymnasium.make` gives it, in Gymnasium's interface."""

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        return self.env.reset(seed=seed, options=options), {}

    def step(self, action: Any) -> tuple:
        obs, reward, done, info = self.env.step(action)  # type: ignore[misc]
        return obs, reward, False, done, info


class DQN(stable_baselines3.DQN):
    """Stable-Baselines3's DQN, for the tutorial's `HeartPole` as well."""

    def __init__(self, policy: Any, env: Any, *args: Any, **kwargs: Any):
        super().__init__(policy, translated(env), *args, **kwargs)


def evaluate_policy(model: Any, env: Any, *args: Any, **kwargs: Any) -> Any:
    """Stable-Baselines3's `evaluate_policy`, for the tutorial's `HeartPole` as well."""
    kwargs.setdefault("warn", False)
    return evaluation.evaluate_policy(model, translated(env), *args, **kwargs)


def translated(env: Any) -> Any:
    """`env` in Gymnasium's interface if it is the tutorial's, and as it is otherwise."""
    is_tutorials = isinstance(env, gymnasium.Env) and isinstance(env.unwrapped, HeartPole)
    return Translated(env) if is_tutorials and not isinstance(env, Translated) else env
