"""The score of a policy in a run: its evaluation and its regret, of the parameters that it was trained with."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from heartpole_jax import Environment, Policy, annotations, arguments, evaluation, policies


def _check_seed(name: str, seed: int) -> None:
    """Raises ValueError where `seed` is no whole number in 0 .. 2^32 - 1."""
    if not annotations.fits(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"{name} must be a whole number in 0 .. 2^32 - 1, got {arguments.shown(seed)}")


@arguments.typed()
def metric(env: Environment, params: Any = None) -> str:
    """What policies are compared by with these params: "regret", "behind best known" or, if none is known, "return"."""
    best = evaluation.best_known(params, env)
    return "return" if best is None else evaluation.gap_name(best.certified)


@arguments.typed()
def regret(env: Environment, mean_return: float, params: Any = None) -> float | None:
    """What `mean_return` lacks of the best known one, None where that is unknown. `metric` tells its name.

    Args:
      params: of the environment, its defaults where None.
    """
    best = evaluation.best_known(params, env)
    return None if best is None else best.expected_return - mean_return


@arguments.typed(seed=_check_seed)
def evaluate(
    policy: Policy, env: Environment, *, num_episodes: int | None, seed: int, name: str, params: Any = None
) -> evaluation.Evaluation:
    """The policy's `Evaluation`, on every device; `seed` is the noise's, None the environment's own `num_episodes`."""
    return evaluation.evaluate(
        policy, jax.random.key(seed), params, env=env, num_episodes=num_episodes, name=name, devices=jax.devices()
    )


@arguments.typed(seed=_check_seed)
def leaderboard(
    agents: Mapping[str, Policy],
    env: Environment,
    *,
    num_episodes: int | None,
    seed: int,
    progress: Callable[[str], None] = lambda name: None,
    params: Any = None,
) -> evaluation.Leaderboard:
    """The environment's scripted policies and `agents` on the same noise, best first.

    Raises:
      ValueError: for an agent with the name of a scripted policy, and as `evaluate`.
    """
    entrants = policies.default_policies(params, env)
    for name, agent in agents.items():
        if name in policies.of(env):
            raise ValueError(f"an agent cannot have the name of a scripted policy, got {name!r}; rename its folder")
        entrants[name] = agent
    return evaluation.leaderboard(
        entrants, jax.random.key(seed), params, env=env, num_episodes=num_episodes, devices=jax.devices(),
        progress=progress,
    )  # fmt: skip
