"""What a policy is worth: expected return and regret on HeartPole-v0, the mean return elsewhere."""

from collections.abc import Callable, Mapping

import jax
import numpy as np

from heartpole_jax import Environment, Policy, evaluation, policies, rollout
from heartpole_jax.environment import HEARTPOLE_V0
from heartpole_jax.evaluation import Estimate
from heartpole_jax.heartpole_v0 import EnvParams
from heartpole_jax.optimum import sober_optimum

HEARTPOLE_EPISODES = 65_536  # tells regrets to 0.00003 among the sober
OTHER_EPISODES = 100


def has_regret(env: Environment) -> bool:
    """Whether the best expected return is known: that of HeartPole-v0 is."""
    return env is HEARTPOLE_V0


def regret(env: Environment, mean_return: float) -> float | None:
    """What `mean_return` lacks of the best known one, None where that is unknown."""
    return sober_optimum(env.default_params).expected_return - mean_return if has_regret(env) else None


def evaluate(policy: Policy, *, num_episodes: int, seed: int, name: str) -> evaluation.Evaluation:
    """The policy's worth on HeartPole-v0 and its parts, on every device; `seed` is the noise tape's."""
    return evaluation.evaluate(
        policy, jax.random.key(seed), num_episodes=num_episodes, name=name, devices=jax.devices()
    )


def leaderboard(
    agents: Mapping[str, Policy], *, num_episodes: int, seed: int, progress: Callable[[str], None] = lambda name: None
) -> list[evaluation.Row]:
    """The scripted policies and `agents` on one noise tape of HeartPole-v0, best first.

    Raises:
      ValueError: for an agent with the name of a scripted policy.
    """
    params = EnvParams()
    contestants = {name: policies.make(name, params) for name in policies.SCRIPTED}
    for name, agent in agents.items():
        if name in contestants:
            raise ValueError(f"an agent cannot have the name of a scripted policy, got {name!r}; rename its folder")
        contestants[name] = agent
    return evaluation.leaderboard(
        jax.random.key(seed), contestants, params, num_episodes=num_episodes, devices=jax.devices(), progress=progress
    )


def mean_return(policy: Policy, env: Environment, *, num_episodes: int, seed: int) -> Estimate:
    """The mean of the returns of whole episodes of any environment, with its standard error.

    Raises:
      ValueError: for fewer than two episodes.
    """
    if num_episodes < 2:
        raise ValueError(f"num_episodes must be at least 2, for a standard error, got {num_episodes}")
    return evaluation.estimate(np.asarray(rollout(policy, jax.random.key(seed), env=env, num_envs=num_episodes).totals))
