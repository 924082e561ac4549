"""The score of a policy: expected return and regret on HeartPole, the mean return elsewhere."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from heartpole_jax import Environment, Policy, annotations, arguments, evaluation, rollout, validation
from heartpole_jax.envs import heartpole_v0, heartpole_v1
from heartpole_jax.evaluation import Estimate
from heartpole_jax.evaluation import heartpole_v1 as evaluation_v1
from heartpole_jax.optimum import sober_optimum

OTHER_EPISODES = 100


def _check_seed(name: str, seed: int) -> None:
    """Raises ValueError where `seed` is no whole number in 0 .. 2^32 - 1."""
    if not annotations.fits(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"{name} must be a whole number in 0 .. 2^32 - 1, got {arguments.shown(seed)}")


def is_heartpole(env: Environment) -> bool:
    """Whether policies are compared by `evaluate` and `leaderboard` there, and not by their mean return alone."""
    return isinstance(env.default_params, heartpole_v0.EnvParams | heartpole_v1.EnvParams)


@arguments.typed()
def can_rank(env: Environment, params: Any = None) -> bool:
    """Whether `evaluate` and `leaderboard` can do these params: HeartPole-v1's always, v0's where regret is known."""
    return isinstance(env.default_params, heartpole_v1.EnvParams) or has_regret(env, params)


@arguments.typed()
def has_regret(env: Environment, params: Any = None) -> bool:
    """Whether the best expected return is known: HeartPole's is, where dynamic programming can do its params."""
    return _best_of(env, params) is not None


@arguments.typed()
def regret(env: Environment, mean_return: float, params: Any = None) -> float | None:
    """What `mean_return` lacks of the best known one, None where that is unknown.

    Args:
      params: of the environment, its defaults where None.
    """
    best = _best_of(env, params)
    return None if best is None else best - mean_return


def num_episodes(env: Environment) -> int:
    """How many episodes a policy is evaluated in."""
    return _module(env.default_params).NUM_EPISODES if is_heartpole(env) else OTHER_EPISODES


@arguments.typed(seed=_check_seed, num_episodes=validation.check_size)
def evaluate(policy: Policy, env: Environment, *, num_episodes: int, seed: int, name: str, params: Any = None) -> Any:
    """The `Evaluation` of the policy on a HeartPole, on every device; `seed` is the noise's.

    Raises:
      ValueError: for params of HeartPole-v0 whose best expected return is unknown.
    """
    params = env.default_params if params is None else params
    return _module(params).evaluate(
        policy, jax.random.key(seed), params, num_episodes=num_episodes, name=name, devices=jax.devices()
    )


@arguments.typed(seed=_check_seed, num_episodes=validation.check_size)
def leaderboard(
    agents: Mapping[str, Policy],
    env: Environment,
    *,
    num_episodes: int,
    seed: int,
    progress: Callable[[str], None] = lambda name: None,
    params: Any = None,
) -> list[evaluation.Row]:
    """The scripted policies of a HeartPole and `agents` on the same noise, best first.

    Raises:
      ValueError: for an agent with the name of a scripted policy, and as `evaluate`.
    """
    params = env.default_params if params is None else params
    entrants = _module(params).default_policies(params)
    for name, agent in agents.items():
        if name in entrants:
            raise ValueError(f"an agent cannot have the name of a scripted policy, got {name!r}; rename its folder")
        entrants[name] = agent
    return _module(params).leaderboard(
        jax.random.key(seed), entrants, params, num_episodes=num_episodes, devices=jax.devices(), progress=progress
    )


@arguments.typed(seed=_check_seed, num_episodes=validation.check_size)
def mean_return(policy: Policy, env: Environment, *, num_episodes: int, seed: int, params: Any = None) -> Estimate:
    """The mean of the returns of whole episodes of any environment, with its standard error.

    Raises:
      ValueError: for fewer than two episodes.
    """
    if num_episodes < 2:
        raise ValueError(f"num_episodes must be at least 2, for a standard error, got {num_episodes}")
    returns = rollout(policy, jax.random.key(seed), params, env=env, num_envs=num_episodes).totals
    return evaluation.estimate(np.asarray(returns))


def _module(params: Any) -> Any:
    """The module that evaluates policies on the HeartPole with such `params`."""
    return evaluation_v1 if isinstance(params, heartpole_v1.EnvParams) else evaluation


def _best_of(env: Environment, params: Any) -> float | None:
    if not is_heartpole(env):
        return None
    leaves, treedef = jax.tree.flatten(env.default_params if params is None else params)
    return _best(tuple(leaves), treedef)


@functools.cache
def _best(leaves: tuple[float, ...], treedef: Any) -> float | None:
    """None for parameters that dynamic programming cannot do."""
    params = jax.tree.unflatten(treedef, leaves)
    try:
        if isinstance(params, heartpole_v1.EnvParams):
            return evaluation_v1.best_expected_return(params)
        return sober_optimum(params).expected_return
    except ValueError:
        return None
