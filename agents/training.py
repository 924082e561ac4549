"""Whole training runs: init, training and evaluation as one pure function, to be jitted once and vmapped over anything.

result = jax.jit(train, static_argnames=...)(key, hyperparams, config, env, num_chunks=10, iterations_per_chunk=2_500)
"""

import functools
import math
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, PRNGKey
from jax.sharding import Mesh, PartitionSpec

from agents import dqn, env_params, networks, replay
from agents.config import DQNConfig, Hyperparams
from heartpole_jax import Environment, Transition, arguments, rollout, struct, threefry, validation
from heartpole_jax.environment import HEARTPOLE_V0
from heartpole_jax.optimum import resting_risk
from heartpole_jax.platforms import ByPlatform

_SLICE_MEMBERS = ByPlatform(cpu=16, accelerator=None)
_EVALUATION = 100  # what a key's dice are for, apart from those in dqn


@struct.dataclass
class Training:
    """What `train` returns."""

    train_state: dqn.TrainState
    metrics: dqn.Metrics  # leaves of shape (num_chunks,)
    mean_return: Array  # (num_chunks,) of the greedy policy, see `evaluate`; NaN without evaluation episodes
    best_weights: Array  # (num_weights,) after the chunk of the greatest mean_return; without evaluation, the last


def _check_episodes(name: str, value: Any) -> None:
    """Raises as `validation.check_size`, which 0 passes as well."""
    if type(value) is not int or value != 0:
        validation.check_size(name, value)


@arguments.checked(
    key=validation.check_key,
    hyperparams=Hyperparams,
    config=DQNConfig,
    env=Environment,
    num_chunks=validation.check_size,
    iterations_per_chunk=validation.check_size,
    evaluation_episodes=_check_episodes,
    params=arguments.check_arrays,
)
@functools.partial(
    jax.jit, static_argnames=("config", "env", "num_chunks", "iterations_per_chunk", "evaluation_episodes")
)
def train(
    key: PRNGKey,
    hyperparams: Hyperparams,
    config: DQNConfig,
    env: Environment = HEARTPOLE_V0,
    *,
    num_chunks: int,
    iterations_per_chunk: int,
    evaluation_episodes: int = 0,
    params: Any = None,
) -> Training:
    """A whole run: `num_chunks` times `iterations_per_chunk` iterations of `dqn.train_chunk`, evaluated after each.

    One compiled program. `jax.vmap(train)` over keys, hyperparameters and params is a sweep.
    """
    evaluation_key = dqn.key_of(threefry.derive(key, _EVALUATION))

    def chunk(carry, _):
        train_state, best_value, best_weights = carry
        train_state, metrics = dqn.train_chunk(train_state, hyperparams, config, env, iterations_per_chunk, params)
        weights = train_state.average_params
        if evaluation_episodes:
            value = evaluate(weights, evaluation_key, config, env, evaluation_episodes, params)
            better = value > best_value
        else:
            value, better = jnp.full((), jnp.nan), jnp.array(True)
        best = jnp.where(better, value, best_value), jnp.where(better, weights, best_weights)
        return (train_state, *best), (metrics, value)

    train_state = dqn.init(key, hyperparams, config, env, params)
    start = train_state, jnp.full((), -jnp.inf), train_state.average_params
    (train_state, _, best_weights), (metrics, values) = jax.lax.scan(chunk, start, length=num_chunks)
    return Training(train_state=train_state, metrics=metrics, mean_return=values, best_weights=best_weights)


@struct.dataclass
class Population:
    """What `train_population` returns, leaves of shape (num_members, ...)."""

    weights: Array  # each member's average_params at the end
    best_weights: Array  # as of `Training`
    metrics: dqn.Metrics  # (num_members, num_chunks)
    mean_return: Array  # (num_members, num_chunks)


@functools.partial(
    jax.jit,
    static_argnames=(
        "config", "env", "num_chunks", "iterations_per_chunk", "evaluation_episodes", "slice_members", "devices",
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
    slice_members: int | None = None,
    devices: tuple[jax.Device, ...] | None = None,
) -> Population:
    """`train` for every key, in slices of `slice_members`, divided among `devices`. One program.

    Only a slice's buffers exist at a time, on each device.

    Args:
      keys: (num_members,) of them, a multiple of the devices. Each device's share that is no multiple of
        `slice_members` is one slice.
      slice_members: trained at a time on a device; on a CPU by default as many as fit the cache, elsewhere all.
      hyperparams: leaves of shape () or (num_members,).
    """
    num_members = keys.shape[0]
    num_devices = len(devices) if devices else 1
    if num_members % num_devices:
        raise ValueError(f"the members must be a multiple of the {num_devices} devices, got {num_members}")
    share = num_members // num_devices
    slice_members = slice_members or _SLICE_MEMBERS.here() or share
    members = share if share % slice_members else slice_members
    hyperparams = jax.tree.map(lambda x: jnp.broadcast_to(jnp.asarray(x), (num_members,)), hyperparams)

    def one(member):
        key, hyperparams = member
        result = train(
            key, hyperparams, config, env, num_chunks=num_chunks, iterations_per_chunk=iterations_per_chunk,
            evaluation_episodes=evaluation_episodes, params=params,
        )  # fmt: skip
        return Population(
            weights=result.train_state.average_params,
            best_weights=result.best_weights,
            metrics=result.metrics,
            mean_return=result.mean_return,
        )

    def run(population):
        if members == 1:  # a program without the axis of members is faster
            return jax.lax.map(one, population)
        slices = jax.tree.map(lambda x: x.reshape(-1, members, *x.shape[1:]), population)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), jax.lax.map(jax.vmap(one), slices))

    if devices:
        split = PartitionSpec("members")
        mesh = Mesh(np.array(devices), ("members",))
        run = jax.shard_map(run, mesh=mesh, in_specs=(split,), out_specs=split, check_vma=False)
    return run((keys, hyperparams))


_checked = arguments.checked(
    weights=arguments.check_arrays,
    key=validation.check_key,
    config=DQNConfig,
    env=Environment,
    num_episodes=validation.check_size,
    params=arguments.check_arrays,
)


@_checked
def evaluate(
    weights: Array,
    key: PRNGKey,
    config: DQNConfig,
    env: Environment = HEARTPOLE_V0,
    num_episodes: int = 16,
    params: Any = None,
) -> Array:
    """The mean return of the greedy policy, raw rewards, over whole episodes: a scalar.

    Where the environment has an `expected_penalty` it is 1 here, so that no heart attack's luck is in it: 16 episodes
    tell a sober policy's expected return to 0.003. `heartpole_jax.evaluation.evaluate` measures finer, outside jit.
    An episode is of `params.max_steps` decisions at most, where that is traced of as many as by default.
    """
    shift = _resting_penalty(env)
    sums, steps = _episodes(weights, key, config, env, num_episodes, params)
    return jnp.mean(sums) - shift * jnp.mean(steps)


@_checked
def episode_returns(
    weights: Array,
    key: PRNGKey,
    config: DQNConfig,
    env: Environment = HEARTPOLE_V0,
    num_episodes: int = 16,
    params: Any = None,
) -> Array:
    """The returns that `evaluate` averages, (num_episodes,)."""
    sums, steps = _episodes(weights, key, config, env, num_episodes, params)
    return sums - _resting_penalty(env) * steps


def _episodes(weights: Array, key: PRNGKey, config: DQNConfig, env: Environment, num_episodes: int, params: Any):
    """The sum of shifted rewards and the number of decisions of each episode, (num_episodes,) both."""
    params = env_params.with_expected_penalty(env, params, 1.0)
    known = not isinstance(params.max_steps, jax.core.Tracer)
    return rollout(
        networks.greedy(weights, config, env), key, params, env=env, num_envs=num_episodes,
        num_steps=int(params.max_steps if known else env.default_params.max_steps),
        total=_shifted_reward(_resting_penalty(env)),
    ).totals  # fmt: skip


@functools.cache
def _shifted_reward(shift: float) -> Callable[[Transition], tuple[Array, Array]]:
    """For `rollout` to sum: the reward + `shift`, and 1 for each step; the same function for the same number."""
    return lambda transition: (transition.reward + shift, jnp.ones_like(transition.reward))


def _resting_penalty(env: Environment) -> float:
    """What a sober patient's reward lacks by the risk at rest, most of it: without it float32 keeps more digits."""
    params = env.default_params
    return params.heart_attack_penalty * resting_risk(params) if env is HEARTPOLE_V0 else 0.0


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
