"""PQN as one compiled program: environments and learning, with all state in one pytree.

An iteration is `num_steps` decisions of each of `num_envs` environments by the current network, then `num_epochs`
passes over them in random minibatches. Nothing is kept of them afterwards.

All noise depends on the train state's key, the environment's index and the time alone: training in chunks, or resumed
from a saved state, gives the same bits.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree, Numeric, PRNGKey

from agents import env_params
from agents.pqn import learning, network
from agents.pqn.config import Hyperparams, PQNConfig
from agents.transforms import TRANSFORMS
from heartpole_jax import Environment, arguments, struct, threefry, validation
from heartpole_jax.environment import HEARTPOLE_V0

# What a key's noise is for. Not 0 to 2: a rollout under the same key, as in evaluation, has other noise.
_NOISE, _POLICY, _START, _SHUFFLE, _NETWORK, _ACTION = range(16, 22)


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


@struct.dataclass
class _Noise:
    """The random numbers of one environment's step."""

    step: ArrayTree  # of the environment
    start: ArrayTree  # of a reset, if one comes
    explore: Array  # bool: the action is random
    random_action: Array  # int32
    reset: Array  # bool: the episode is cut off


@arguments.checked(
    key=validation.check_key, hyperparams=Hyperparams, config=PQNConfig, env=Environment, params=arguments.check_arrays
)
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
    obs_size, needed = math.prod(env.obs_shape), TRANSFORMS[config.transform].obs_size
    if needed not in (None, obs_size):
        raise ValueError(
            f"transform {config.transform!r} takes observations of {needed} numbers, got {env.name} with {obs_size}; "
            "take 'raw'"
        )
    params = env_params.with_expected_penalty(env, params, hyperparams.expected_penalty)
    starts = threefry.derive(key, _START)
    start = lambda index: env.sample_start(threefry.key_at(starts, index, jnp.uint32(0)))
    env_state = jax.vmap(lambda index: env.initial_state(start(index), params))(_indices(config))
    weights_key = threefry.key_at(threefry.derive(key, _NETWORK), jnp.uint32(0), jnp.uint32(0))
    weights = network.init_weights(weights_key, config, env)
    return TrainState(
        key=jnp.copy(key),
        iteration=jnp.zeros((), jnp.int32),
        env_state=env_state,
        episode_return=jnp.zeros(config.num_envs),
        online_params=weights,
        opt_state=learning.optimizer(hyperparams).init(weights),
    )


@arguments.checked(
    train_state=TrainState,
    hyperparams=Hyperparams,
    config=PQNConfig,
    env=Environment,
    num_iterations=validation.check_size,
    params=arguments.check_arrays,
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
    _check_form(train_state, hyperparams, config, env, params)
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
        epsilon=epsilon_at(env_steps, hyperparams),
        learning_rate=learning_rate_at(env_steps, hyperparams),
    )


def memory_bytes(config: PQNConfig, env: Environment = HEARTPOLE_V0, population: int = 1) -> int:
    """Bytes that training holds, about: an iteration's transitions and the samples of all epochs, and 6 networks."""
    obs_size = math.prod(env.obs_shape)
    features = TRANSFORMS[config.transform].features
    num_features = jax.eval_shape(lambda: features(jnp.zeros(obs_size), jnp)).size
    numbers = (2 * obs_size + 4) + (1 + config.num_epochs) * (num_features + 2)
    total = config.env_steps_per_iteration * numbers + 6 * network.num_weights(config, env)
    return population * total * jnp.result_type(float).itemsize


def epsilon_at(env_steps: Numeric, hyperparams: Hyperparams) -> Array:
    """The share of random actions after `env_steps` steps, linear from `epsilon_start` to `epsilon_end`."""
    share = _progress(env_steps, hyperparams.epsilon_steps)
    return hyperparams.epsilon_start + share * (hyperparams.epsilon_end - hyperparams.epsilon_start)


def learning_rate_at(env_steps: Numeric, hyperparams: Hyperparams) -> Array:
    """The learning rate after `env_steps` steps, linear from `learning_rate` to `final_learning_rate` of it."""
    share = _progress(env_steps, hyperparams.learning_rate_steps)
    return hyperparams.learning_rate * (1.0 + share * (hyperparams.final_learning_rate - 1.0))


def _progress(env_steps: Numeric, num_steps: Numeric) -> Array:
    return jnp.clip(jnp.asarray(env_steps, float) / num_steps, 0.0, 1.0)


def _iterate(train_state: TrainState, hyperparams, config: PQNConfig, env: Environment, params):
    """One iteration: (train_state, sums of loss, q_value, grad_norm, finished episodes and their returns)."""
    before = train_state.iteration * config.env_steps_per_iteration
    env_state, episode_return, transitions, finished = _act(train_state, hyperparams, config, env, params)
    samples = learning.samples(transitions, train_state.online_params, hyperparams, config, env)
    order = _shuffled(train_state.key, train_state.iteration, config)
    batches = samples.at[order].get(mode="promise_in_bounds")
    learning_rate = learning_rate_at(before, hyperparams)

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


def _act(train_state: TrainState, hyperparams, config: PQNConfig, env: Environment, params):
    """Decisions of all environments: (env_state, episode_return, transitions, finished episodes and their returns)."""
    tree = network.weights_as_tree(train_state.online_params, config, env)
    features = TRANSFORMS[config.transform].features

    def step(state, episode_return, obs, output, noise):
        action = jnp.where(noise.explore, noise.random_action, jnp.argmax(output).astype(jnp.int32))
        next_state, next_obs, reward, done = env.transition(state, action, noise.step, params)
        done, terminated = jnp.asarray(done), jnp.asarray(env.terminated(next_state))
        ended = done | noise.reset
        transition = learning.Transitions(
            obs=obs,
            action=action,
            reward=jnp.asarray(reward, float),
            next_obs=next_obs.ravel(),
            terminated=terminated | (done & config.time_limit_is_terminal),
            ended=ended,
        )
        fresh = env.initial_state(noise.start, params)
        state = jax.tree.map(functools.partial(jnp.where, ended), fresh, next_state)
        episode_return = episode_return + reward
        finished = jnp.where(done, jnp.stack([jnp.ones_like(episode_return), episode_return]), 0.0)
        return state, jnp.where(ended, 0.0, episode_return), transition, finished

    def all_envs(carry, noise):
        obs = jax.vmap(lambda state: env.observe(state).ravel())(carry[0])
        output = network.apply(tree, features(obs, jnp), config, env)
        state, episode_return, transition, finished = jax.vmap(step)(carry[0], carry[1], obs, output, noise)
        return (state, episode_return), (transition, finished)

    noise = _sample_noise(train_state.key, train_state.iteration, hyperparams, config, env)
    carry = train_state.env_state, train_state.episode_return
    (env_state, episode_return), (transitions, finished) = jax.lax.scan(all_envs, carry, noise)
    return env_state, episode_return, transitions, finished


def _sample_noise(key: PRNGKey, iteration: Array, hyperparams, config: PQNConfig, env: Environment) -> _Noise:
    """The noise of an iteration, leaves of shape (num_steps, num_envs, ...)."""
    steps, policy, actions, starts = (threefry.derive(key, use) for use in (_NOISE, _POLICY, _ACTION, _START))

    def sample(time, index):
        at = time.astype(jnp.uint32)
        explore, reset = threefry.random_words(threefry.key_at(policy, index, at), 2)
        return _Noise(
            step=env.sample_noise(threefry.key_at(steps, index, at)),
            start=env.sample_start(threefry.key_at(starts, index, at + 1)),
            explore=threefry.as_uniform(explore) < epsilon_at(time * config.num_envs, hyperparams),
            random_action=threefry.random_int(threefry.key_at(actions, index, at), env.num_actions),
            reset=threefry.as_uniform(reset) < hyperparams.reset_rate,
        )

    time = iteration * config.num_steps + jnp.arange(config.num_steps, dtype=jnp.int32)
    over_envs = jax.vmap(sample, in_axes=(None, 0))
    return jax.vmap(over_envs, in_axes=(0, None))(time, _indices(config))


def _shuffled(key: PRNGKey, iteration: Array, config: PQNConfig) -> Array:
    """Which samples each gradient step takes, int32 (updates, batch): every epoch takes each sample once."""
    words, size = threefry.derive(key, _SHUFFLE), config.env_steps_per_iteration
    epoch = iteration * config.num_epochs + jnp.arange(config.num_epochs, dtype=jnp.int32)
    index = jnp.arange(size, dtype=jnp.uint32)
    random, _ = threefry.threefry2x32(words, (epoch.astype(jnp.uint32)[:, None], index[None]))
    # Random numbers with the index as their last bits: sorting single words takes a fifth of the time of an argsort.
    mask = jnp.uint32(2 ** (size - 1).bit_length() - 1)
    order = jnp.sort((random & ~mask) | index[None], axis=1) & mask
    return order.astype(jnp.int32).reshape(config.updates_per_iteration, -1)


def _check_form(train_state: TrainState, hyperparams: Hyperparams, config: PQNConfig, env: Environment, params) -> None:
    """Raises ValueError for a train state that `init` does not make for this configuration and environment."""
    own = jax.tree.map(jnp.shape, jax.eval_shape(lambda: init(train_state.key, hyperparams, config, env, params)))
    for name, shape in vars(own).items():
        if (given := getattr(jax.tree.map(jnp.shape, train_state), name)) != shape:
            raise ValueError(
                f"train_state must be of this configuration and environment, got {name} of shape {given} and not "
                f"{shape}; begin anew with init"
            )


def _indices(config: PQNConfig) -> Array:
    return jnp.arange(config.num_envs, dtype=jnp.uint32)
