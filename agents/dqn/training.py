"""Whole training runs: init, training and evaluation as one pure function, to be jitted once and vmapped over anything.

result = jax.jit(train, static_argnames=...)(key, hyperparams, config, env, num_chunks=10, iterations_per_chunk=2_500)
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, PRNGKey

from agents.common.evaluation import evaluation_key
from agents.dqn import agent, evaluation
from agents.dqn.config import DQNConfig, Hyperparams
from heartpole_jax import Environment, arguments, struct, validation
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0


@struct.dataclass
class Training:
    """What `train` returns."""

    train_state: agent.TrainState
    metrics: agent.Metrics  # leaves of shape (num_chunks,)
    mean_return: Array  # (num_chunks,) of the greedy policy, see `evaluate`; NaN without evaluation episodes
    best_weights: Array  # (num_weights,) after the chunk of the greatest mean_return; without evaluation, the last


@arguments.typed(
    key=validation.check_key,
    num_chunks=validation.check_size,
    iterations_per_chunk=validation.check_size,
    evaluation_episodes=validation.check_count,
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
    under = evaluation_key(key)

    def chunk(carry, _):
        train_state, best_value, best_weights = carry
        train_state, metrics = agent.train_chunk(train_state, hyperparams, config, env, iterations_per_chunk, params)
        weights = train_state.ema_params
        if evaluation_episodes:
            value = evaluation.evaluate(weights, under, config, env, evaluation_episodes, params)
            better = value > best_value
        else:
            value, better = jnp.full((), jnp.nan), jnp.array(True)
        best = jnp.where(better, value, best_value), jnp.where(better, weights, best_weights)
        return (train_state, *best), (metrics, value)

    train_state = agent.init(key, hyperparams, config, env, params)
    start = train_state, jnp.full((), -jnp.inf), train_state.ema_params
    (train_state, _, best_weights), (metrics, values) = jax.lax.scan(chunk, start, length=num_chunks)
    return Training(train_state=train_state, metrics=metrics, mean_return=values, best_weights=best_weights)
