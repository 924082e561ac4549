"""DQN whose whole training is one compiled program: environment, replay, learning, all state in one pytree.

    train_state = init(key, hyperparams, config, env)
    train_state, metrics = train_chunk(train_state, hyperparams, config, env, num_iterations=2_500)

An iteration is `steps_per_iteration` decisions of each environment, then `updates_per_iteration` gradient steps.
`train` does both calls and evaluation in one program; `jax.vmap(train)` over keys and hyperparameters is a sweep.

Every random number depends on the train state's key, its environment and its time alone: training in chunks, or resumed
from a saved state, gives the same bits.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree, Numeric, PRNGKey

from agents.common import networks, observations, packing
from agents.common.algorithm import check_form, train_state_of
from agents.dqn import loss, noise, replay
from agents.dqn.config import DQNConfig, Hyperparams
from agents.dqn.noise import NoisePlan
from heartpole_jax import Environment, arguments, struct, threefry, validation
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.platforms import ByPlatform

_BLOCK_ITERATIONS = 16  # iterations whose random numbers are drawn together, at most
# Decisions in a turn of an iteration's inner loop: a CPU compiles the loop to one kernel, a GPU to eight a turn.
_UNROLL_STEPS = ByPlatform(cpu=1, accelerator=4)


@struct.dataclass
class TrainState:
    """All there is of a training run. Networks are flat vectors, (num_weights,): see `weights_as_tree`."""

    key: PRNGKey  # never changes; with `iteration` it names the random numbers
    iteration: Array  # int32, iterations done
    env_state: ArrayTree  # (num_envs, ...)
    episode_return: Array  # (num_envs,) so far
    buffer: Array  # (slots, num_envs, width), see `replay`
    online_params: Array
    target_params: Array
    ema_params: Array  # running average of online_params: the policy
    opt_state: ArrayTree


@struct.dataclass
class Metrics:
    """What happened in a chunk, scalars. NaN is 0 here where `jax_debug_nans` is on, which takes each for a fault."""

    env_steps: Array  # int32, since the beginning
    num_updates: Array  # in the chunk
    loss: Array  # mean over the chunk's updates; NaN where there was none
    q_value: Array  # mean of the chosen actions' values, before the value scale; NaN likewise
    grad_norm: Array  # mean, before clipping; NaN likewise
    num_episodes: Array  # finished in the chunk
    episode_return: Array  # their mean; NaN where there was none
    epsilon: Array  # at the end
    learning_rate: Array  # at the end


# For `jax.vmap(train_chunk, in_axes=(POPULATION_AXES, 0, None, None, None), out_axes=(POPULATION_AXES, 0))`: trials
# that are equally far share one counter, so that their buffers are written in one piece. Mapping over all axes works as
# well, several times slower.
POPULATION_AXES = TrainState(
    key=0, iteration=None, env_state=0, episode_return=0, buffer=0, online_params=0, target_params=0, ema_params=0,
    opt_state=0,
)  # fmt: skip


@arguments.typed(key=validation.check_key, params=arguments.check_arrays)
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

    Raises:
      ValueError: if the transform takes observations of another size.
    """
    obs_size = observations.check_size(config, env)
    params = env_params.with_expected_penalty(env, params, hyperparams.expected_penalty)
    start_words = threefry.fold_in(key, noise.START)

    def start(index):
        return env.initial_state(env.sample_start(threefry.key_at(start_words, index, jnp.uint32(0))), params)

    env_state = jax.vmap(start)(jnp.arange(config.num_envs, dtype=jnp.uint32))
    weights = networks.init_weights(threefry.derived_key(key, noise.NETWORK), config, env)
    return TrainState(
        key=jnp.copy(key),  # as the weights below: an array that is somebody else's too cannot be donated
        iteration=jnp.zeros((), jnp.int32),
        env_state=env_state,
        episode_return=jnp.zeros(config.num_envs),
        buffer=replay.empty(config.buffer_size // config.num_envs, config.num_envs, obs_size, jnp.result_type(float)),
        online_params=weights,
        target_params=jnp.copy(weights),
        ema_params=jnp.copy(weights),
        opt_state=loss.optimizer(hyperparams).init(weights),
    )


@arguments.typed(
    train_state=train_state_of(TrainState), num_iterations=validation.check_size, params=arguments.check_arrays
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

    Fastest for multiples of 16, since noise is drawn for so many iterations at once; chunks of such sizes give the same
    bits. Other sizes meet the same noise, and may round a last digit differently.

    Raises:
      ValueError, TypeError: if `num_iterations` is no whole number of at least 1, or a step of the environment changes
        the type or shape of its state, or `train_state` is of another configuration or environment.
    """
    check_form(train_state, jax.eval_shape(lambda: init(train_state.key, hyperparams, config, env, params)))
    params = env_params.with_expected_penalty(env, params, hyperparams.expected_penalty)
    block = max(size for size in range(1, _BLOCK_ITERATIONS + 1) if num_iterations % size == 0)

    env_state_form = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), train_state.env_state)
    _check_keeps_form(env, env_state_form, params)
    unpack_state = packing.unpacker(env_state_form)

    def run_block(carry, _):
        train_state, totals = carry
        plans = noise.plan(train_state.key, train_state.iteration, block, hyperparams, config, env)
        step = lambda carry, plan: (
            _iterate(carry[0], carry[1], plan, unpack_state, hyperparams, config, env, params), None
        )  # fmt: skip
        return jax.lax.scan(step, (train_state, totals), plans)

    packed = dataclasses.replace(train_state, env_state=jax.vmap(packing.pack)(train_state.env_state))
    (packed, totals), _ = jax.lax.scan(run_block, (packed, jnp.zeros(len(_TOTALS))), length=num_iterations // block)
    train_state = dataclasses.replace(packed, env_state=jax.vmap(unpack_state)(packed.env_state))
    return train_state, _metrics(train_state, totals, hyperparams, config)


_TOTALS = ("num_updates", "loss", "q_value", "grad_norm", "num_episodes", "episode_return")


def _iterate(train_state: TrainState, totals: Array, plan: NoisePlan, unpack_state, hyperparams, config, env, params):
    """One iteration: (train_state, totals)."""
    train_state, finished = _act(train_state, plan, unpack_state, config, env, params)
    learned = jnp.zeros(4)
    for update in range(config.updates_per_iteration):
        batch = replay.read(train_state.buffer, plan.sample[update], config.n_step, env.num_actions)
        online_params, opt_state, step = loss.gradient_step(
            batch, train_state.online_params, train_state.target_params, train_state.opt_state, plan.learning_rate,
            hyperparams, config, env,
        )  # fmt: skip
        # Selected, not branched on: the same program for a population whose trials begin to learn at different times.
        train_state = dataclasses.replace(
            train_state,
            online_params=jnp.where(plan.learn, online_params, train_state.online_params),
            opt_state=jax.tree.map(functools.partial(jnp.where, plan.learn), opt_state, train_state.opt_state),
        )
        metrics = jnp.stack([jnp.ones(()), step.loss, step.q_value, step.grad_norm])
        learned = learned + jnp.where(plan.learn, metrics, 0.0)
    online, target, average = train_state.online_params, train_state.target_params, train_state.ema_params
    return (
        dataclasses.replace(
            train_state,
            iteration=train_state.iteration + 1,
            target_params=_mix(target, online, plan.target_share),
            ema_params=_mix(average, online, hyperparams.ema_rate),
        ),
        totals + jnp.concatenate([learned, finished]),
    )


def _check_keeps_form(env: Environment, form: ArrayTree, params: Any) -> None:
    """Raises TypeError where a step changes the form of a state: packed, its bits would be misread."""

    def after(state):
        return env.transition(state, jnp.int32(0), env.sample_noise(jax.random.key(0)), params)[0]

    described = lambda tree: [f"{x.dtype}{list(x.shape)}" for x in jax.tree.leaves(tree)]
    before, now = described(form), described(jax.eval_shape(after, form))
    if before != now:
        raise TypeError(f"a step of {env.name} must keep its state's types and shapes, {before}, got {now}")


def _mix(old: Array, new: Array, share: Numeric) -> Array:
    """`old` with a share of `new`: exactly old at 0, exactly new at 1, and no drift where they are equal."""
    return jnp.where(share == 1.0, new, old + share * (new - old))


def _act(train_state: TrainState, plan: NoisePlan, unpack_state, config, env, params):
    """Some decisions of each environment, put into the buffer: (train_state, (episodes finished, sum of returns))."""
    tree = networks.weights_as_tree(train_state.online_params, config, env)
    unpack_noise = packing.unpacker(noise.form_of_step(env))

    def step(words, episode_return, output, noise_words):
        state, drawn = unpack_state(words), unpack_noise(noise_words)
        action = jnp.where(drawn.explore, drawn.random_action, jnp.argmax(output).astype(jnp.int32))
        next_state, next_obs, reward, done = env.transition(state, action, drawn.noise, params)
        ended = done | drawn.reset
        row = replay.pack(
            _flat(env.observe(state)), action, reward, _flat(next_obs), jnp.asarray(ended),
            jnp.asarray(env.terminated(next_state)), env.num_actions,
        )  # fmt: skip
        episode_return = episode_return + reward
        finished = jnp.where(done, jnp.stack([jnp.ones_like(episode_return), episode_return]), 0.0)
        fresh = packing.pack(env.initial_state(drawn.start, params))
        words = jnp.where(ended, fresh, packing.pack(next_state))
        return words, jnp.where(ended, 0.0, episode_return), row, finished

    def step_all(carry, noise_words):
        words, episode_return, finished = carry
        obs = jax.vmap(lambda words: _flat(env.observe(unpack_state(words))))(words)
        output = networks.apply(tree, obs, config, env)
        words, episode_return, rows, ended = jax.vmap(step)(words, episode_return, output, noise_words)
        return (words, episode_return, finished + ended.sum(axis=0)), rows

    carry = (train_state.env_state, train_state.episode_return, jnp.zeros(2))
    (words, episode_return, finished), rows = jax.lax.scan(step_all, carry, plan.steps, unroll=_UNROLL_STEPS.here())
    buffer = replay.write(train_state.buffer, rows, plan.slot)
    return dataclasses.replace(train_state, env_state=words, episode_return=episode_return, buffer=buffer), finished


def _metrics(train_state: TrainState, totals: Array, hyperparams: Hyperparams, config: DQNConfig) -> Metrics:
    sums = dict(zip(_TOTALS, totals, strict=True))
    nothing = 0.0 if jax.config.jax_debug_nans else jnp.nan  # type: ignore[attr-defined]
    mean = lambda name, count: jnp.where(sums[count] > 0, sums[name] / jnp.maximum(sums[count], 1), nothing)
    env_steps = train_state.iteration * config.env_steps_per_iteration
    return Metrics(
        env_steps=env_steps,
        num_updates=sums["num_updates"],
        loss=mean("loss", "num_updates"),
        q_value=mean("q_value", "num_updates"),
        grad_norm=mean("grad_norm", "num_updates"),
        num_episodes=sums["num_episodes"],
        episode_return=mean("episode_return", "num_episodes"),
        epsilon=noise.epsilon_at(env_steps, hyperparams),
        learning_rate=loss.learning_rate_at(env_steps, hyperparams),
    )


def _flat(obs: Array) -> Array:
    return jnp.ravel(obs)
