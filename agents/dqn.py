"""DQN whose whole life is one compiled program: environment, replay, learning, all state in one pytree.

    train_state = init(key, hyperparams, config, env)
    train_state, metrics = train_chunk(train_state, hyperparams, config, env, num_iterations=2_500)

An iteration is `steps_per_iteration` decisions of every lane, then `updates_per_iteration` gradient steps. `train` does
both calls and evaluation in one program; `jax.vmap(train)` over keys and hyperparameters is a sweep.

Every random number depends on the train state's key, its lane and its time alone: training in chunks, of whatever size,
or resumed from a saved state, gives the same bits.

Source: Mnih et al., "Human-level control through deep reinforcement learning" (2015); double: van Hasselt et al. (2016).
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from chex import Array, ArrayTree, Numeric, PRNGKey
from jax.flatten_util import ravel_pytree

from agents import networks, replay
from agents.config import DQNConfig, Hyperparams
from heartpole_jax import Environment, Policy, struct, threefry, validation
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
    weights, _ = ravel_pytree(_init_network(key_of(threefry.derive(key, _NETWORK)), config, env))
    return TrainState(
        key=key,
        iteration=jnp.zeros((), jnp.int32),
        env_state=env_state,
        episode_return=jnp.zeros(config.num_envs),
        buffer=replay.empty(
            config.buffer_size // config.num_envs, config.num_envs, _obs_size(env), jnp.result_type(float)
        ),
        online_params=weights,
        target_params=weights,
        average_params=weights,
        opt_state=_optimizer(hyperparams).init(weights),
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
        train_state, totals = carry
        dice = _draw(train_state.key, train_state.iteration, block, config, env)
        step = lambda carry, dice: (_iterate(*carry, dice, hyperparams, config, env, params), None)
        return jax.lax.scan(step, (train_state, totals), dice)

    (train_state, totals), _ = jax.lax.scan(
        run_block, (train_state, jnp.zeros(len(_TOTALS))), length=num_iterations // block
    )
    return train_state, _metrics(train_state, totals, hyperparams, config)


def greedy(weights: Array, config: DQNConfig, env: Environment = HEARTPOLE_V0) -> Policy:
    """The policy that takes the best action by the network `weights`, flat: `train_state.average_params`."""
    return Policy(act=_Greedy(config, env), params=weights)


def q_values(weights: Array, obs: Array, config: DQNConfig, env: Environment = HEARTPOLE_V0) -> Array:
    """The values of all actions, in the units of `reward_scale`: raw observations (batch, size) to (batch, actions)."""
    scale = networks.transform(config.transform).value_scale(obs)
    return scale[:, None] * _network_output(weights, obs, config, env)


def weights_as_tree(weights: Array, config: DQNConfig, env: Environment = HEARTPOLE_V0) -> ArrayTree:
    """Flat weights as the flax network's parameters."""
    return _unravel(config, env)(weights)


def num_weights(config: DQNConfig, env: Environment = HEARTPOLE_V0) -> int:
    """The length of a flat vector of weights."""
    shapes = jax.eval_shape(lambda: _init_network(jax.random.key(0), config, env))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def epsilon_at(env_steps: Numeric, hyperparams: Hyperparams) -> Array:
    """The share of random actions after `env_steps` steps: 1 until `learning_starts`, linear from start to end."""
    progress = jnp.clip(env_steps / hyperparams.epsilon_steps, 0.0, 1.0)
    scheduled = hyperparams.epsilon_start + progress * (hyperparams.epsilon_end - hyperparams.epsilon_start)
    return jnp.where(env_steps < hyperparams.learning_starts, 1.0, scheduled)


def learning_rate_at(env_steps: Numeric, hyperparams: Hyperparams) -> Array:
    """The learning rate after `env_steps` steps, linear from `learning_rate` to `final_learning_rate` of it."""
    progress = jnp.clip(env_steps / hyperparams.learning_rate_steps, 0.0, 1.0)
    return hyperparams.learning_rate * (1.0 + progress * (hyperparams.final_learning_rate - 1.0))


def td_loss(output: Array, targets: Array, action: Array, huber_width: Numeric) -> tuple[Array, Array]:
    """The Huber loss of the chosen actions' values, a mean over the batch, and its gradient with respect to `output`.

    Args:
      output: (batch, actions) of the network.
      targets: (batch,), constants.
      action: int32 (batch,).
      huber_width: |td_error| beyond which the loss is linear.
    """
    chosen = jnp.arange(output.shape[1]) == action[:, None]
    td_error = jnp.sum(jnp.where(chosen, output, 0.0), axis=1) - targets
    clipped = jnp.clip(td_error, -huber_width, huber_width)
    loss = jnp.mean(clipped * (td_error - 0.5 * clipped))
    return loss, jnp.where(chosen, clipped[:, None] / output.shape[0], 0.0)


def td_targets(
    batch: replay.Batch, online_params: Array, target_params: Array, hyperparams: Hyperparams, config, env
) -> Array:
    """What the network's output should be for each of the batch's actions, (batch,): in units of the value scale."""
    value_scale = networks.transform(config.transform).value_scale
    next_output = _network_output(target_params, batch.next_obs, config, env)
    if config.double:
        best = jnp.argmax(_network_output(online_params, batch.next_obs, config, env), axis=1)
        next_value = jnp.take_along_axis(next_output, best[:, None], axis=1)[:, 0]
    else:
        next_value = jnp.max(next_output, axis=1)
    next_value = next_value * value_scale(batch.next_obs)
    ended = batch.done if config.time_limit_is_terminal else batch.terminated
    rewards = hyperparams.reward_scale * (batch.reward + hyperparams.reward_shift)
    if config.n_step == 1:
        target = rewards[:, 0] + jnp.where(ended, 0.0, hyperparams.discount * next_value)
    else:
        time = jnp.arange(config.n_step)
        rewards = jnp.where(time < batch.num_steps[:, None], rewards * hyperparams.discount**time, 0.0)
        bootstrap = hyperparams.discount**batch.num_steps * next_value
        target = rewards.sum(axis=1) + jnp.where(ended, 0.0, bootstrap)
    return target / value_scale(batch.obs)


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
    train_state = train_state.replace(iteration=train_state.iteration + 1)

    steps_after = train_state.iteration * config.env_steps_per_iteration
    num_written = train_state.iteration * config.steps_per_iteration
    learning = (steps_after > hyperparams.learning_starts) & (num_written >= config.n_step)
    learned = jnp.zeros(4)
    for update in range(config.updates_per_iteration):
        train_state, one = _learn(train_state, dice.sample[update], learning, steps_before, hyperparams, config, env)
        learned = learned + one
    online, target, average = train_state.online_params, train_state.target_params, train_state.average_params
    period = jnp.asarray(hyperparams.target_period, jnp.int32)
    due = steps_after // period > steps_before // period
    return (
        train_state.replace(
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
    for i in range(config.steps_per_iteration):
        obs = jax.vmap(lambda state: _flat(env.observe(state)))(state)
        output = _network_output(train_state.online_params, obs, config, env)
        now = (dice.noise, dice.start, dice.explore, dice.random_action)
        state, episode_return, row, ended = jax.vmap(step)(
            state, episode_return, output, *jax.tree.map(lambda x, i=i: x[i], now)
        )
        rows.append(row[None])
        finished = finished + ended.sum(axis=0)
    buffer = replay.write(train_state.buffer, jnp.concatenate(rows), train_state.iteration * config.steps_per_iteration)
    return train_state.replace(env_state=state, episode_return=episode_return, buffer=buffer), finished


def _learn(train_state: TrainState, words: Array, learning: Array, env_steps: Array, hyperparams, config, env):
    """One gradient step, where `learning`: (train_state, (updates, loss, mean value, gradient norm))."""
    num_written = train_state.iteration * config.steps_per_iteration
    batch = replay.sample(train_state.buffer, words, num_written, config.n_step, env.num_actions)
    targets = td_targets(batch, train_state.online_params, train_state.target_params, hyperparams, config, env)

    # The gradient with respect to the layers, then one flat vector: through the flat vector, autodiff would pad each
    # layer to the whole and add them up.
    features = networks.transform(config.transform).features(batch.obs)
    layers = weights_as_tree(train_state.online_params, config, env)
    output, pull_back = jax.vjp(lambda layers: _module(config, env).apply(layers, features), layers)
    loss, cotangent = td_loss(output, targets, batch.action, hyperparams.huber_width)
    gradient = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(pull_back(cotangent)[0])])

    updates, opt_state = _optimizer(hyperparams).update(gradient, train_state.opt_state)
    step_size = learning_rate_at(env_steps, hyperparams)
    online = train_state.online_params - step_size * updates
    keep = functools.partial(jnp.where, learning)
    value = jnp.mean(jnp.sum(jnp.where(jnp.arange(env.num_actions) == batch.action[:, None], output, 0.0), axis=1))
    told = jnp.stack([jnp.ones(()), loss, value, optax.global_norm(gradient)])
    return train_state.replace(
        online_params=keep(online, train_state.online_params),
        opt_state=jax.tree.map(keep, opt_state, train_state.opt_state),
    ), keep(told, jnp.zeros_like(told))


def _optimizer(hyperparams: Hyperparams) -> optax.GradientTransformation:
    """Clipping and Adam; without the learning rate, which is a schedule of ours. Its state depends on no number here."""
    return optax.chain(
        optax.clip_by_global_norm(hyperparams.max_grad_norm),
        optax.scale_by_adam(hyperparams.adam_b1, hyperparams.adam_b2, hyperparams.adam_epsilon),
    )


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
        learning_rate=learning_rate_at(env_steps, hyperparams),
    )


@dataclasses.dataclass(frozen=True)
class _Greedy:
    """An `act` of a `Policy`: equal for equal networks, so that jit finds its program again."""

    config: DQNConfig
    env: Environment

    def __call__(self, weights, carry, obs, draw):
        output = _network_output(weights, _flat(obs)[None], self.config, self.env)[0]
        return jnp.argmax(output).astype(jnp.int32), carry


def _network_output(weights: Array, obs: Array, config: DQNConfig, env: Environment) -> Array:
    features = networks.transform(config.transform).features(obs)
    return _module(config, env).apply(_unravel(config, env)(weights), features)


@functools.cache
def _module(config: DQNConfig, env: Environment) -> networks.QNetwork:
    return networks.QNetwork(config.hidden_sizes, env.num_actions, config.dueling)


def _init_network(key: PRNGKey, config: DQNConfig, env: Environment) -> ArrayTree:
    features = networks.transform(config.transform).features(jnp.zeros((1, _obs_size(env))))
    return _module(config, env).init(key, features)


@functools.cache
def _unravel(config: DQNConfig, env: Environment):
    shapes = jax.eval_shape(lambda: _init_network(jax.random.key(0), config, env))
    with jax.ensure_compile_time_eval():
        return ravel_pytree(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes))[1]


def env_params(env: Environment, params: Any, expected_penalty: Numeric) -> Any:
    """The environment's parameters, its defaults where None, with this expected penalty where they have such a one."""
    params = env.default_params if params is None else params
    if hasattr(params, "expected_penalty"):
        return dataclasses.replace(params, expected_penalty=expected_penalty)
    return params


def key_of(words: tuple[Array, Array]) -> PRNGKey:
    return threefry.key_at(words, jnp.uint32(0), jnp.uint32(0))


def _obs_size(env: Environment) -> int:
    return math.prod(env.obs_shape)


def _flat(obs: Array) -> Array:
    return jnp.ravel(obs)
