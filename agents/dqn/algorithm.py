"""The DQN as the rest of the house knows it, and what a run must be for anything to be learned in it."""

import numpy as np

from agents.common import networks, observations
from agents.common.algorithm import Algorithm
from agents.dqn import agent, memory
from agents.dqn.config import DQNConfig, Hyperparams
from heartpole_jax import Environment, arguments, validation
from heartpole_jax.platforms import ByPlatform


@arguments.typed(num_steps=validation.check_size)
def check(hyperparams: Hyperparams, config: DQNConfig, env: Environment, num_steps: int) -> None:
    """Raises ValueError for a run in which nothing would be learned, or whose transform takes other observations."""
    if hyperparams.learning_starts >= num_steps:
        raise ValueError(
            f"learning_starts must be below the run's {num_steps:,} steps, or nothing is learned, "
            f"got {hyperparams.learning_starts:,.0f}"
        )
    check_learns(hyperparams)
    observations.check(config, env)


@arguments.typed()
def check_learns(hyperparams: Hyperparams) -> None:
    """Raises ValueError for numbers by which nothing that is learned reaches the policy."""
    for name in ("learning_rate", "ema_rate", "target_tau"):
        value = getattr(hyperparams, name)
        if not np.all(validation.as_computed(value) > 0):
            raise ValueError(f"{name} must be greater than 0, or nothing is learned, got {validation.shown(value)}")


# A CPU's fit its cache; a GPU is bound by launches until some thousands of them.
SLICE_TRIALS = ByPlatform(cpu=16, accelerator=4096)

ALGORITHM = Algorithm(
    name="dqn",
    config=DQNConfig,
    hyperparams=Hyperparams,
    init=agent.init,
    train_chunk=agent.train_chunk,
    greedy=networks.greedy,
    layers=networks.layers,
    check=check,
    check_learns=check_learns,
    memory_bytes=memory.memory_bytes,
    population_axes=agent.POPULATION_AXES,
    slice_size=SLICE_TRIALS,
    policy_params="ema_params",
    learned=("online_params", "target_params", "ema_params", "opt_state"),
    buffer="buffer",
    size="buffer_size",
    block_iterations=16,
    starts="learning_starts",
    whole_numbers=frozenset({"target_period"}),
)
