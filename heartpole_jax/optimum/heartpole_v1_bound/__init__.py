"""What no policy of HeartPole-v1 exceeds: an upper solution of Bellman's equation in whole cells of a lattice."""

from heartpole_jax.optimum.heartpole_v1_bound.bound import NoBound, UpperBound, upper_bound

__all__ = ["NoBound", "UpperBound", "upper_bound"]
