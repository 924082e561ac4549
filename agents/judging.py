"""What a policy is worth: expected return and regret on HeartPole-v0, the mean return elsewhere."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from heartpole_jax import Environment, Policy, evaluation, policies, rollout
from heartpole_jax.environment import HEARTPOLE_V0
from heartpole_jax.evaluation import Estimate
from heartpole_jax.heartpole_v0 import EnvParams
from heartpole_jax.optimum import sober_optimum

HEARTPOLE_EPISODES = 65_536  # tells regrets to 0.00003 among the sober
OTHER_EPISODES = 100


def has_regret(env: Environment, params: Any = None) -> bool:
    """Whether the best expected return is known: that of HeartPole-v0 is, where `sober_optimum` can do its params."""
    return env is HEARTPOLE_V0 and (params is None or _best(params) is not None)


def regret(env: Environment, mean_return: float, params: Any = None) -> float | None:
    """What `mean_return` lacks of the best known one, None where that is unknown.

    Args:
      params: of the environment, its defaults where None.
    """
    best = _best(env.default_params if params is None else params) if has_regret(env) else None
    return None if best is None else best - mean_return


@functools.cache
def _best(params: EnvParams) -> float | None:
    """None for parameters that `sober_optimum` cannot do."""
    try:
        return sober_optimum(params).expected_return
    except ValueError:
        return None


def evaluate(
    policy: Policy, *, num_episodes: int, seed: int, name: str, params: EnvParams | None = None
) -> evaluation.Evaluation:
    """The policy's worth on HeartPole-v0 and its parts, on every device; `seed` is the noise tape's."""
    return evaluation.evaluate(
        policy, jax.random.key(seed), params, num_episodes=num_episodes, name=name, devices=jax.devices()
    )


def leaderboard(
    agents: Mapping[str, Policy],
    *,
    num_episodes: int,
    seed: int,
    progress: Callable[[str], None] = lambda name: None,
    params: EnvParams | None = None,
) -> list[evaluation.Row]:
    """The scripted policies and `agents` on one noise tape of HeartPole-v0, best first.

    Raises:
      ValueError: for an agent with the name of a scripted policy.
    """
    params = EnvParams() if params is None else params
    contestants = {name: policies.make(name, params) for name in policies.SCRIPTED}
    for name, agent in agents.items():
        if name in contestants:
            raise ValueError(f"an agent cannot have the name of a scripted policy, got {name!r}; rename its folder")
        contestants[name] = agent
    return evaluation.leaderboard(
        jax.random.key(seed), contestants, params, num_episodes=num_episodes, devices=jax.devices(), progress=progress
    )


def mean_return(policy: Policy, env: Environment, *, num_episodes: int, seed: int, params: Any = None) -> Estimate:
    """The mean of the returns of whole episodes of any environment, with its standard error.

    Raises:
      ValueError: for fewer than two episodes.
    """
    if num_episodes < 2:
        raise ValueError(f"num_episodes must be at least 2, for a standard error, got {num_episodes}")
    returns = rollout(policy, jax.random.key(seed), params, env=env, num_envs=num_episodes).totals
    return evaluation.estimate(np.asarray(returns))
