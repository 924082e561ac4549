"""The best that can be done: HeartPole-v0 solved, HeartPole-v1 solved on a grid."""

from heartpole_jax.optimum.heartpole_v0 import (
    SoberOptimum,
    heart_attack_floor,
    resting_risk,
    return_ceiling,
    sober_optimum,
)

__all__ = ["SoberOptimum", "heart_attack_floor", "resting_risk", "return_ceiling", "sober_optimum"]
