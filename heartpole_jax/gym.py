"""`gymnasium.make("heartpole_jax.gym:HeartPole-v0")`: importing this module registers HeartPole-v0 and -v1."""

from heartpole_jax.interop.gymnasium import Env, FunctionalEnv, VectorEnv

__all__ = ["Env", "FunctionalEnv", "VectorEnv"]
