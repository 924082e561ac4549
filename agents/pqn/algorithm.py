"""PQN as the rest of the house knows it, and what a run must be for anything to be learned in it."""

import numpy as np

from agents.common import networks, observations
from agents.common.algorithm import Algorithm
from agents.pqn import agent
from agents.pqn.config import Hyperparams, PQNConfig
from heartpole_jax import Environment, arguments, validation
from heartpole_jax.platforms import ByPlatform


@arguments.typed(num_steps=validation.check_size)
def check(hyperparams: Hyperparams, config: PQNConfig, env: Environment, num_steps: int) -> None:
    """Raises ValueError for a run in which nothing would be learned, or whose transform takes other observations."""
    check_learns(hyperparams)
    observations.check(config, env)


@arguments.typed()
def check_learns(hyperparams: Hyperparams) -> None:
    """Raises ValueError for numbers by which nothing is learned."""
    rate = hyperparams.learning_rate
    if not np.all(validation.as_computed(rate) > 0):
        raise ValueError(f"learning_rate must be greater than 0, or nothing is learned, got {validation.shown(rate)}")


# A CPU's fit its cache; a GPU is bound by launches until some thousands of them.
SLICE_TRIALS = ByPlatform(cpu=4, accelerator=4096)

ALGORITHM = Algorithm(
    name="pqn",
    config=PQNConfig,
    hyperparams=Hyperparams,
    init=agent.init,
    train_chunk=agent.train_chunk,
    greedy=networks.greedy,
    layers=networks.layers,
    check=check,
    check_learns=check_learns,
    memory_bytes=agent.memory_bytes,
    population_axes=agent.POPULATION_AXES,
    slice_size=SLICE_TRIALS,
    policy_params="online_params",
    learned=("online_params", "opt_state"),
    size="num_envs",
)
