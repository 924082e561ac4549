"""A population: `train` for many keys and hyperparameters in one program, divided into slices that fit the cache."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, PRNGKey
from jax.sharding import Mesh, PartitionSpec

from agents.dqn import agent, training
from agents.dqn.config import DQNConfig, Hyperparams
from heartpole_jax import Environment, arguments, struct, validation
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.platforms import ByPlatform

_SLICE_TRIALS = ByPlatform(cpu=16, accelerator=None)


@struct.dataclass
class Population:
    """What `train_population` returns, leaves of shape (num_trials, ...)."""

    weights: Array  # each trial's ema_params at the end
    best_weights: Array  # as of `Training`
    metrics: agent.Metrics  # (num_trials, num_chunks)
    mean_return: Array  # (num_trials, num_chunks)


@arguments.typed(
    keys=arguments.check_keys,
    num_chunks=validation.check_size,
    iterations_per_chunk=validation.check_size,
    evaluation_episodes=validation.check_count,
    params=arguments.check_arrays,
    slice_size=validation.check_size,
)
@functools.partial(
    jax.jit,
    static_argnames=(
        "config", "env", "num_chunks", "iterations_per_chunk", "evaluation_episodes", "slice_size", "devices",
    ),
)  # fmt: skip
def train_population(
    keys: PRNGKey,
    hyperparams: Hyperparams,
    config: DQNConfig,
    env: Environment = HEARTPOLE_V0,
    *,
    num_chunks: int,
    iterations_per_chunk: int,
    evaluation_episodes: int = 0,
    params: Any = None,
    slice_size: int | None = None,
    devices: tuple[jax.Device, ...] | None = None,
) -> Population:
    """`train` for every key, in slices of `slice_size`, divided among `devices`. One program.

    Only a slice's buffers exist at a time, on each device.

    Args:
      keys: (num_trials,) of them, a multiple of the devices. Each device's share that is no multiple of
        `slice_size` is one slice.
      slice_size: trained at a time on a device; on a CPU by default as many as fit the cache, elsewhere all.
      hyperparams: leaves of shape () or (num_trials,).
    """
    num_trials = keys.shape[0]
    num_devices = len(devices) if devices else 1
    if num_trials % num_devices:
        raise ValueError(f"the trials must be a multiple of the {num_devices} devices, got {num_trials}")
    share = num_trials // num_devices
    slice_size = slice_size or _SLICE_TRIALS.here() or share
    trials = share if share % slice_size else slice_size
    hyperparams = jax.tree.map(lambda x: jnp.broadcast_to(jnp.asarray(x), (num_trials,)), hyperparams)

    def one(trial):
        key, hyperparams = trial
        result = training.train(
            key, hyperparams, config, env, num_chunks=num_chunks, iterations_per_chunk=iterations_per_chunk,
            evaluation_episodes=evaluation_episodes, params=params,
        )  # fmt: skip
        return Population(
            weights=result.train_state.ema_params,
            best_weights=result.best_weights,
            metrics=result.metrics,
            mean_return=result.mean_return,
        )

    def run(population):
        if trials == 1:  # a program without the axis of trials is faster
            return jax.lax.map(one, population)
        slices = jax.tree.map(lambda x: x.reshape(-1, trials, *x.shape[1:]), population)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), jax.lax.map(jax.vmap(one), slices))

    if devices:
        split = PartitionSpec("trials")
        mesh = Mesh(np.array(devices), ("trials",))
        run = jax.shard_map(run, mesh=mesh, in_specs=(split,), out_specs=split, check_vma=False)
    return run((keys, hyperparams))
