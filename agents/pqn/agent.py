"""PQN as one compiled program: environments and learning, with all state in one pytree.

An iteration is `steps_per_iteration` decisions of each of `num_envs` environments by the current network, then
`num_epochs` passes over them in random minibatches. Nothing is kept of them afterwards.

All noise depends on the train state's key, the environment's index and the time alone: training in chunks, or resumed
from a saved state, gives the same bits.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree, PRNGKey

from agents.common import networks, observations
from agents.common.algorithm import check_form, train_state_of
from agents.pqn import acting, learning
from agents.pqn.config import Hyperparams, PQNConfig
from heartpole_jax import Environment, arguments, struct, threefry, validation
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.policies.transforms import TRANSFORMS

# What a key's random numbers are for, beside the purposes in `acting`.
_SHUFFLE, _NETWORK = 20, 21


@struct.dataclass
class TrainState:
    """The whole state of a training run."""

    key: PRNGKey  # never changes; the noise is made of it and `iteration`
    iteration: Array  # int32, iterations done
    env_state: ArrayTree  # (num_envs, ...)
    episode_return: Array  # (num_envs,) so far
    online_params: Array  # (num_weights,), the policy
    opt_state: ArrayTree


@struct.dataclass
class Metrics:
    """What happened in a chunk, scalars. NaN is 0 here where `jax_debug_nans` is on."""

    env_steps: Array  # int32, since the beginning
    num_updates: Array  # in the chunk
    loss: Array  # mean over the chunk's updates
    q_value: Array  # mean of the chosen actions' values, before the value scale
    grad_norm: Array  # mean, before clipping
    num_episodes: Array  # finished in the chunk
    episode_return: Array  # their mean; NaN where there was none
    epsilon: Array  # at the end
    learning_rate: Array  # at the end


# For `jax.vmap(train_chunk, in_axes=(POPULATION_AXES, 0, None, None, None), out_axes=(POPULATION_AXES, 0))`: trials
# that are equally far share one counter.
POPULATION_AXES = TrainState(key=0, iteration=None, env_state=0, episode_return=0, online_params=0, opt_state=0)


@arguments.typed(key=validation.check_key, params=arguments.check_arrays)
def init(
    key: PRNGKey, hyperparams: Hyperparams, config: PQNConfig, env: Environment = HEARTPOLE_V0, params: Any = None
) -> TrainState:
    """A fresh train state.

    Args:
      key: typed or raw; all noise is made of it.
      hyperparams: numbers, or arrays of shape ().
      config: static.
      env: any `Environment`.
      params: of the environment, its defaults where None.

    Raises:
      ValueError: if the transform takes observations of another size.
    """
    observations.check_size(config, env)
    params = env_params.with_expected_penalty(env, params, hyperparams.expected_penalty)
    env_state = acting.initial_states(key, config, env, params)
    weights = networks.init_weights(threefry.derived_key(key, _NETWORK), config, env)
    return TrainState(
        key=jnp.copy(key),
        iteration=jnp.zeros((), jnp.int32),
        env_state=env_state,
        episode_return=jnp.zeros(config.num_envs),
        online_params=weights,
        opt_state=learning.optimizer(hyperparams).init(weights),
    )


@arguments.typed(
    train_state=train_state_of(TrainState), num_iterations=validation.check_size, params=arguments.check_arrays
)
@functools.partial(jax.jit, static_argnames=("config", "env", "num_iterations"))
def train_chunk(
    train_state: TrainState,
    hyperparams: Hyperparams,
    config: PQNConfig,
    env: Environment = HEARTPOLE_V0,
    num_iterations: int = 64,
    params: Any = None,
) -> tuple[TrainState, Metrics]:
    """The train state after `num_iterations` more iterations, and what happened in them.

    Raises:
      ValueError, TypeError: if `num_iterations` is no whole number of at least 1, or `train_state` is of another
        configuration or environment.
    """
    check_form(train_state, jax.eval_shape(lambda: init(train_state.key, hyperparams, config, env, params)))
    params = env_params.with_expected_penalty(env, params, hyperparams.expected_penalty)

    def iterate(_, carry):
        train_state, totals = carry
        train_state, happened = _iterate(train_state, hyperparams, config, env, params)
        return train_state, totals + happened

    # A count that XLA does not know: it would write a loop of one turn out, and round otherwise than in the others.
    count = jax.lax.optimization_barrier(jnp.int32(num_iterations))
    train_state, totals = jax.lax.fori_loop(0, count, iterate, (train_state, jnp.zeros(5)))
    loss, q_value, grad_norm = totals[:3] / (num_iterations * config.updates_per_iteration)
    num_episodes, sum_of_returns = totals[3:]
    env_steps = train_state.iteration * config.env_steps_per_iteration
    nothing = 0.0 if jax.config.jax_debug_nans else jnp.nan  # type: ignore[attr-defined]
    return train_state, Metrics(
        env_steps=env_steps,
        num_updates=jnp.asarray(num_iterations * config.updates_per_iteration, float),
        loss=loss,
        q_value=q_value,
        grad_norm=grad_norm,
        num_episodes=num_episodes,
        episode_return=jnp.where(num_episodes > 0, sum_of_returns / jnp.maximum(num_episodes, 1), nothing),
        epsilon=hyperparams.epsilon_at(env_steps),
        learning_rate=hyperparams.learning_rate_at(env_steps),
    )


@arguments.typed(population=validation.check_size)
def memory_bytes(config: PQNConfig, env: Environment = HEARTPOLE_V0, population: int = 1) -> int:
    """Bytes that training holds, about: an iteration's transitions and the samples of all epochs, and 6 networks."""
    obs_size = math.prod(env.obs_shape)
    features = TRANSFORMS[config.transform].features
    num_features = jax.eval_shape(lambda: features(jnp.zeros(obs_size), jnp)).size
    numbers = (2 * obs_size + 4) + (1 + config.num_epochs) * (num_features + 2)
    total = config.env_steps_per_iteration * numbers + 6 * networks.num_weights(config, env)
    return population * total * jnp.result_type(float).itemsize


def _iterate(train_state: TrainState, hyperparams, config: PQNConfig, env: Environment, params):
    """One iteration: (train_state, sums of loss, q_value, grad_norm, finished episodes and their returns)."""
    before = train_state.iteration * config.env_steps_per_iteration
    noise = acting.sample_noise(train_state.key, train_state.iteration, hyperparams, config, env)
    tree = networks.weights_as_tree(train_state.online_params, config, env)
    env_state, episode_return, transitions, finished = acting.act(
        tree, train_state.env_state, train_state.episode_return, noise, config, env, params
    )
    samples = learning.samples(transitions, train_state.online_params, hyperparams, config, env)
    order = _shuffled(train_state.key, train_state.iteration, config)
    batches = samples.at[order].get(mode="promise_in_bounds")
    learning_rate = hyperparams.learning_rate_at(before)

    def update(carry, batch):
        weights, opt_state, step = learning.gradient_step(
            batch, carry[0], carry[1], learning_rate, hyperparams, config, env
        )
        return (weights, opt_state), step

    carry = train_state.online_params, train_state.opt_state
    (weights, opt_state), learned = jax.lax.scan(update, carry, batches)
    train_state = dataclasses.replace(
        train_state,
        iteration=train_state.iteration + 1,
        env_state=env_state,
        episode_return=episode_return,
        online_params=weights,
        opt_state=opt_state,
    )
    return train_state, jnp.concatenate([learned.sum(axis=0), finished.sum(axis=(0, 1))])


def _shuffled(key: PRNGKey, iteration: Array, config: PQNConfig) -> Array:
    """Which samples each gradient step takes, int32 (updates, batch): every epoch takes each sample once."""
    words, size = threefry.fold_in(key, _SHUFFLE), config.env_steps_per_iteration
    epoch = iteration * config.num_epochs + jnp.arange(config.num_epochs, dtype=jnp.int32)
    index = jnp.arange(size, dtype=jnp.uint32)
    random, _ = threefry.threefry2x32(words, (epoch.astype(jnp.uint32)[:, None], index[None]))
    # Random numbers with the index as their last bits: sorting single words takes a fifth of the time of an argsort.
    mask = jnp.uint32(2 ** (size - 1).bit_length() - 1)
    order = jnp.sort((random & ~mask) | index[None], axis=1) & mask
    return order.astype(jnp.int32).reshape(config.updates_per_iteration, -1)
