"""DQN whose whole life is one compiled program: environment, replay, learning, all state in one pytree.

    train_state = init(key, hyperparams, config, env)
    train_state, metrics = train_chunk(train_state, hyperparams, config, env, num_iterations=2_500)

An iteration is `steps_per_iteration` decisions of every lane, then `updates_per_iteration` gradient steps. `train` does
both calls and evaluation in one program; `jax.vmap(train)` over keys and hyperparameters is a sweep.

Every random number depends on the train state's key, its lane and its time alone: training in chunks, of whatever size,
or resumed from a saved state, gives the same bits.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree, Numeric, PRNGKey

from agents import learning, networks, replay
from agents.config import DQNConfig, Hyperparams
from heartpole_jax import Environment, struct, threefry
from heartpole_jax.environment import HEARTPOLE_V0

_BLOCK_ITERATIONS = 16  # iterations whose dice are drawn together, at most
_NOISE, _POLICY, _START, _SAMPLE, _NETWORK = range(5)  # what a key's dice are for


@struct.dataclass
class TrainState:
    """All there is of a training run. Networks are flat vectors, (num_weights,): see `weights_as_tree`."""

    key: PRNGKey  # never changes; with `iteration` it names the dice
    iteration: Array  # int32, iterations done
    env_state: ArrayTree  # (num_envs, ...)
    episode_return: Array  # (num_envs,) so far
    buffer: Array  # (slots, num_envs, width), see `replay`
    online_params: Array
    target_params: Array
    average_params: Array  # running average of online_params: the policy
    opt_state: ArrayTree


@struct.dataclass
class Metrics:
    """What happened in a chunk, scalars."""

    env_steps: Array  # float, since the beginning
    num_updates: Array  # in the chunk
    loss: Array  # mean over the chunk's updates; NaN where there was none
    q_value: Array  # mean of the chosen actions' values, before the value scale; NaN likewise
    grad_norm: Array  # mean, before clipping; NaN likewise
    num_episodes: Array  # finished in the chunk
    episode_return: Array  # their mean; NaN where there was none
    epsilon: Array  # at the end
    learning_rate: Array  # at the end


# For `jax.vmap(train_chunk, in_axes=(POPULATION_AXES, 0, None, None, None), out_axes=(POPULATION_AXES, 0))`: members
# that are equally far share one counter, so that their buffers are written in one piece. Mapping over all axes works as
# well, several times slower.
POPULATION_AXES = TrainState(
    key=0, iteration=None, env_state=0, episode_return=0, buffer=0, online_params=0, target_params=0, average_params=0,
    opt_state=0,
)  # fmt: skip


def init(
    key: PRNGKey, hyperparams: Hyperparams, config: DQNConfig, env: Environment = HEARTPOLE_V0, params: Any = None
) -> TrainState:
    """A fresh train state.

    Args:
      key: typed or raw; everything random comes from it.
      hyperparams: numbers, or arrays of shape ().
      config: static.
      env: any `Environment`.
      params: of the environment, its defaults where None.
    """
    params = env_params(env, params, hyperparams.expected_penalty)
    start_words = threefry.derive(key, _START)

    def start(lane):
        return env.initial_state(env.sample_start(threefry.key_at(start_words, lane, jnp.uint32(0))), params)

    env_state = jax.vmap(start)(jnp.arange(config.num_envs, dtype=jnp.uint32))
    weights = networks.init_weights(key_of(threefry.derive(key, _NETWORK)), config, env)
    return TrainState(
        key=key,
        iteration=jnp.zeros((), jnp.int32),
        env_state=env_state,
        episode_return=jnp.zeros(config.num_envs),
        buffer=replay.empty(
            config.buffer_size // config.num_envs, config.num_envs, math.prod(env.obs_shape), jnp.result_type(float)
        ),
        online_params=weights,
        target_params=weights,
        average_params=weights,
        opt_state=learning.optimizer(hyperparams).init(weights),
    )


@functools.partial(jax.jit, static_argnames=("config", "env", "num_iterations"))
def train_chunk(
    train_state: TrainState,
    hyperparams: Hyperparams,
    config: DQNConfig,
    env: Environment = HEARTPOLE_V0,
    num_iterations: int = 1024,
    params: Any = None,
) -> tuple[TrainState, Metrics]:
    """The train state after `num_iterations` more iterations, and what happened in them.

    Fastest where `num_iterations` has a divisor near 16 (dice are drawn for so many iterations at once); the results
    are the same for any.
    """
    params = env_params(env, params, hyperparams.expected_penalty)
    block = max(size for size in range(1, _BLOCK_ITERATIONS + 1) if num_iterations % size == 0)

    def run_block(carry, _):
        dice = _draw(carry[0].key, carry[0].iteration, block, config, env)
        step = lambda carry, dice: (_iterate(carry[0], carry[1], dice, hyperparams, config, env, params), None)
        return jax.lax.scan(step, carry, dice)

    (train_state, totals), _ = jax.lax.scan(
        run_block, (train_state, jnp.zeros(len(_TOTALS))), length=num_iterations // block
    )
    return train_state, _metrics(train_state, totals, hyperparams, config)


def epsilon_at(env_steps: Numeric, hyperparams: Hyperparams) -> Array:
    """The share of random actions after `env_steps` steps: 1 until `learning_starts`, linear from start to end."""
    progress = jnp.clip(env_steps / hyperparams.epsilon_steps, 0.0, 1.0)
    scheduled = hyperparams.epsilon_start + progress * (hyperparams.epsilon_end - hyperparams.epsilon_start)
    return jnp.where(env_steps < hyperparams.learning_starts, 1.0, scheduled)


_TOTALS = ("num_updates", "loss", "q_value", "grad_norm", "num_episodes", "episode_return")


@struct.dataclass
class _Dice:
    """The dice of one iteration."""

    noise: ArrayTree  # (steps, num_envs, ...) of the environment
    start: ArrayTree  # (steps, num_envs, ...) of a reset, if one comes
    explore: Array  # (steps, num_envs) uniforms: below epsilon the action is random
    random_action: Array  # int32 (steps, num_envs)
    sample: Array  # uint32 (updates, batch_size)


def _draw(key: PRNGKey, first_iteration: Array, num_iterations: int, config: DQNConfig, env: Environment) -> _Dice:
    """The dice of some iterations, leaves of shape (num_iterations, ...).

    Together, since XLA on a CPU would otherwise hash again for each array that depends on a die.
    """
    noise, policy, start, sample = (threefry.derive(key, use) for use in (_NOISE, _POLICY, _START, _SAMPLE))
    steps, lanes = config.steps_per_iteration, config.num_envs
    first = first_iteration.astype(jnp.uint32)

    def of_step(time, lane):
        explore, chance = threefry.random_words(threefry.key_at(policy, lane, time), 2)
        return (
            env.sample_noise(threefry.key_at(noise, lane, time)),
            env.sample_start(threefry.key_at(start, lane, time + 1)),
            threefry.as_uniform(explore),
            replay.random_below(chance, env.num_actions),
        )

    times = first * jnp.uint32(steps) + jnp.arange(num_iterations * steps, dtype=jnp.uint32)
    over_lanes = jax.vmap(of_step, in_axes=(None, 0))
    per_step = jax.vmap(over_lanes, in_axes=(0, None))(times, jnp.arange(lanes, dtype=jnp.uint32))
    per_step = jax.tree.map(lambda x: x.reshape(num_iterations, steps, *x.shape[1:]), per_step)

    updates = config.updates_per_iteration
    num_pairs = -(-config.batch_size // 2)
    update = first * jnp.uint32(updates) + jnp.arange(num_iterations * updates, dtype=jnp.uint32)
    pair = jnp.arange(num_pairs, dtype=jnp.uint32)
    words = jnp.concatenate(threefry.threefry2x32(sample, (update[:, None], pair[None, :])), axis=1)
    words = words[:, : config.batch_size].reshape(num_iterations, updates, config.batch_size)
    return _Dice(noise=per_step[0], start=per_step[1], explore=per_step[2], random_action=per_step[3], sample=words)


def _iterate(train_state: TrainState, totals: Array, dice: _Dice, hyperparams, config, env, params):
    """One iteration: (train_state, totals)."""
    steps_before = train_state.iteration * config.env_steps_per_iteration
    train_state, finished = _act(train_state, dice, epsilon_at(steps_before, hyperparams), config, env, params)
    train_state = dataclasses.replace(train_state, iteration=train_state.iteration + 1)

    steps_after = train_state.iteration * config.env_steps_per_iteration
    num_written = train_state.iteration * config.steps_per_iteration
    learn = (steps_after > hyperparams.learning_starts) & (num_written >= config.n_step)
    learned = jnp.zeros(4)
    for update in range(config.updates_per_iteration):
        words = dice.sample[update]
        batch = replay.sample(train_state.buffer, words, num_written, config.n_step, env.num_actions)
        online_params, opt_state, step = learning.gradient_step(
            batch, train_state.online_params, train_state.target_params, train_state.opt_state,
            learning.learning_rate_at(steps_before, hyperparams), hyperparams, config, env,
        )  # fmt: skip
        # Selected, not branched on: the same program for a population whose members begin to learn at different times.
        train_state = dataclasses.replace(
            train_state,
            online_params=jnp.where(learn, online_params, train_state.online_params),
            opt_state=jax.tree.map(functools.partial(jnp.where, learn), opt_state, train_state.opt_state),
        )
        told = jnp.stack([jnp.ones(()), step.loss, step.q_value, step.grad_norm])
        learned = learned + jnp.where(learn, told, 0.0)
    online, target, average = train_state.online_params, train_state.target_params, train_state.average_params
    period = jnp.asarray(hyperparams.target_period, jnp.int32)
    due = steps_after // period > steps_before // period
    return (
        dataclasses.replace(
            train_state,
            target_params=target + jnp.where(due, hyperparams.target_tau, 0.0) * (online - target),
            average_params=average + hyperparams.average_tau * (online - average),
        ),
        totals + jnp.concatenate([learned, finished]),
    )


def _act(train_state: TrainState, dice: _Dice, epsilon, config, env, params):
    """Some decisions of every lane, written into the buffer: (train_state, (episodes finished, sum of returns))."""

    def step(state, episode_return, output, noise, start, explore, random_action):
        obs = env.observe(state)
        action = jnp.where(explore < epsilon, random_action, jnp.argmax(output).astype(jnp.int32))
        next_state, next_obs, reward, done = env.transition(state, action, noise, params)
        terminated = env.terminated(next_state)
        row = replay.pack(
            _flat(obs), action, reward, _flat(next_obs), jnp.asarray(done), jnp.asarray(terminated), env.num_actions
        )
        episode_return = episode_return + reward
        finished = jnp.where(done, jnp.stack([jnp.ones_like(episode_return), episode_return]), 0.0)
        fresh = env.initial_state(start, params)
        next_state = jax.tree.map(lambda new, old: jnp.where(done, new, old), fresh, next_state)
        return next_state, jnp.where(done, 0.0, episode_return), row, finished

    state, episode_return = train_state.env_state, train_state.episode_return
    rows, finished = [], jnp.zeros(2)
    tree = networks.weights_as_tree(train_state.online_params, config, env)
    for i in range(config.steps_per_iteration):
        obs = jax.vmap(lambda state: _flat(env.observe(state)))(state)
        output = networks.apply(tree, obs, config, env)
        now = (dice.noise, dice.start, dice.explore, dice.random_action)
        state, episode_return, row, ended = jax.vmap(step)(
            state, episode_return, output, *jax.tree.map(lambda x, i=i: x[i], now)
        )
        rows.append(row[None])
        finished = finished + ended.sum(axis=0)
    buffer = replay.write(train_state.buffer, jnp.concatenate(rows), train_state.iteration * config.steps_per_iteration)
    return dataclasses.replace(train_state, env_state=state, episode_return=episode_return, buffer=buffer), finished


def _metrics(train_state: TrainState, totals: Array, hyperparams: Hyperparams, config: DQNConfig) -> Metrics:
    sums = dict(zip(_TOTALS, totals, strict=True))
    mean = lambda name, count: jnp.where(sums[count] > 0, sums[name] / jnp.maximum(sums[count], 1), jnp.nan)
    env_steps = train_state.iteration * config.env_steps_per_iteration
    return Metrics(
        env_steps=env_steps,
        num_updates=sums["num_updates"],
        loss=mean("loss", "num_updates"),
        q_value=mean("q_value", "num_updates"),
        grad_norm=mean("grad_norm", "num_updates"),
        num_episodes=sums["num_episodes"],
        episode_return=mean("episode_return", "num_episodes"),
        epsilon=epsilon_at(env_steps, hyperparams),
        learning_rate=learning.learning_rate_at(env_steps, hyperparams),
    )


def env_params(env: Environment, params: Any, expected_penalty: Numeric) -> Any:
    """The environment's parameters, its defaults where None, with this expected penalty where they have such a one."""
    params = env.default_params if params is None else params
    if hasattr(params, "expected_penalty"):
        return dataclasses.replace(params, expected_penalty=expected_penalty)
    return params


def key_of(words: tuple[Array, Array]) -> PRNGKey:
    return threefry.key_at(words, jnp.uint32(0), jnp.uint32(0))


def _flat(obs: Array) -> Array:
    return jnp.ravel(obs)
