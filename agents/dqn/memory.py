"""The memory that a training run holds, and that there is."""

import math
import os

import jax
import jax.numpy as jnp

from agents.dqn import networks, replay
from agents.dqn.config import DQNConfig
from heartpole_jax import Environment
from heartpole_jax.environment import HEARTPOLE_V0


def memory_bytes(config: DQNConfig, env: Environment = HEARTPOLE_V0, population: int = 1) -> int:
    """Bytes that a training run holds: for each member `buffer_size` rows of 8 obs_size + 8 bytes, and 8 networks."""
    rows = config.buffer_size * replay.row_bytes(math.prod(env.obs_shape), jnp.result_type(float).itemsize)
    # Of networks: three, two moments, the gradient and what becomes of it.
    return population * (rows + 8 * weights_bytes(config, env))


def weights_bytes(config: DQNConfig, env: Environment = HEARTPOLE_V0) -> int:
    """Bytes of one network."""
    return networks.num_weights(config, env) * jnp.result_type(float).itemsize


def check_fits(config: DQNConfig, env: Environment = HEARTPOLE_V0, population: int = 1) -> int:
    """`memory_bytes`. Raises ValueError where that is more than the device (or, for CPUs, the machine) has."""
    needed = memory_bytes(config, env, population)
    available = available_bytes()
    if available is not None and needed > available:
        each = f" for each of {population:,} members" if population > 1 else ""
        raise ValueError(
            f"this run would hold {needed / 2**30:.1f} GiB, and there are {available / 2**30:.1f} GiB: take a smaller "
            f"buffer_size (now {config.buffer_size:,}{each})"
        )
    return needed


def available_bytes() -> int | None:
    """The memory of a device, or for CPUs of the machine; None where that is unknown."""
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    if limit or device.platform != "cpu" or not hasattr(os, "sysconf"):
        return limit
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
