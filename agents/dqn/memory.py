"""The memory that a training run holds."""

import math

import jax.numpy as jnp

from agents.common import memory, networks
from agents.dqn import replay
from agents.dqn.config import DQNConfig
from heartpole_jax import Environment, arguments, validation
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0


@arguments.typed(population=validation.check_size)
def memory_bytes(config: DQNConfig, env: Environment = HEARTPOLE_V0, population: int = 1) -> int:
    """Bytes that a training run holds: for each trial `buffer_size` rows of 8 obs_size + 8 bytes, and 8 networks."""
    rows = config.buffer_size * replay.row_bytes(math.prod(env.obs_shape), jnp.result_type(float).itemsize)
    # Of networks: three, two moments, the gradient and what becomes of it.
    return population * (rows + 8 * networks.weights_bytes(config, env))


@arguments.typed(population=validation.check_size)
def check_fits(config: DQNConfig, env: Environment = HEARTPOLE_V0, population: int = 1) -> int:
    """`memory_bytes`. Raises ValueError where that is more than the device (or, for CPUs, the machine) has."""
    each = f" for each of {population:,} trials" if population > 1 else ""
    return memory.check_fits(memory_bytes(config, env, population), f"buffer_size (now {config.buffer_size:,}{each})")
