"""HeartPole-v1 solved on a grid: a policy, and what it reaches. What no policy exceeds is proven in `bound`."""

from heartpole_jax.optimum.heartpole_v1.solver import NoSolution, Solution, solve

__all__ = ["NoSolution", "Solution", "solve"]
