"""The best that can be done in HeartPole-v0, solved. HeartPole-v1 has a package of its own, `optimum.heartpole_v1`."""

from heartpole_jax.optimum.heartpole_v0.ceiling import heart_attack_floor, resting_risk, return_ceiling
from heartpole_jax.optimum.heartpole_v0.certificate import Certificate, certificate
from heartpole_jax.optimum.heartpole_v0.frontier import Frontier, frontier
from heartpole_jax.optimum.heartpole_v0.sober import SoberOptimum, sober_optimum

__all__ = [
    "Certificate",
    "Frontier",
    "SoberOptimum",
    "certificate",
    "frontier",
    "heart_attack_floor",
    "resting_risk",
    "return_ceiling",
    "sober_optimum",
]
