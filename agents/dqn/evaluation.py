"""The mean return of the greedy policy of a network, inside of a compiled program."""

from typing import Any

from chex import Array, PRNGKey

from agents.common import evaluation, networks
from agents.dqn.config import DQNConfig
from heartpole_jax import Environment, arguments
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0


@arguments.typed(weights=arguments.check_array)
def evaluate(
    weights: Array,
    key: PRNGKey,
    config: DQNConfig,
    env: Environment = HEARTPOLE_V0,
    num_episodes: int = 16,
    params: Any = None,
) -> Array:
    """The mean return of the greedy policy over whole episodes, a scalar: see `evaluation.mean_return`."""
    return evaluation.mean_return(networks.greedy(weights, config, env), key, env, num_episodes, params)
