"""What no policy of HeartPole-v1 exceeds: an upper solution of Bellman's equation in whole cells of a lattice."""

from heartpole_jax.optimum.heartpole_v1.bound.upper_solution import NoBound, UpperBound, upper_bound

__all__ = ["NoBound", "UpperBound", "upper_bound"]
