"""How PQN acts: decisions of all environments by the current network, with random ones among them, and resets."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree, PRNGKey

from agents.common import networks
from agents.pqn.config import Hyperparams, PQNConfig
from heartpole_jax import Environment, struct, threefry

# What a key's random numbers are for. Not 0 to 2: a rollout under the same key, as in evaluation, has other noise.
_NOISE, _START, _POLICY, _ACTION = range(16, 20)


@struct.dataclass
class Transitions:
    """What the environments did in an iteration, leaves of shape (steps_per_iteration, num_envs, ...)."""

    obs: Array
    action: Array  # int32
    reward: Array
    next_obs: Array  # the true observation after the action, before any reset
    terminated: Array  # bool, a true end: no reward can follow
    ended: Array  # bool, the next transition is of another episode


@struct.dataclass
class Noise:
    """The random numbers of one environment's step."""

    step: ArrayTree  # of the environment
    start: ArrayTree  # of a reset, if one comes
    explore: Array  # bool: the action is random
    random_action: Array  # int32
    reset: Array  # bool: the episode is cut off


def initial_states(key: PRNGKey, config: PQNConfig, env: Environment, params: Any) -> ArrayTree:
    """The states of fresh episodes, (num_envs, ...)."""
    starts = threefry.fold_in(key, _START)
    start = lambda index: env.sample_start(threefry.key_at(starts, index, jnp.uint32(0)))
    index = jnp.arange(config.num_envs, dtype=jnp.uint32)
    return jax.vmap(lambda index: env.initial_state(start(index), params))(index)


def sample_noise(
    key: PRNGKey, iteration: Array, hyperparams: Hyperparams, config: PQNConfig, env: Environment
) -> Noise:
    """The noise of an iteration, leaves of shape (steps_per_iteration, num_envs, ...)."""
    steps, policy, actions, starts = (threefry.fold_in(key, use) for use in (_NOISE, _POLICY, _ACTION, _START))

    def sample(time, index):
        at = time.astype(jnp.uint32)
        explore, reset = threefry.random_words(threefry.key_at(policy, index, at), 2)
        return Noise(
            step=env.sample_noise(threefry.key_at(steps, index, at)),
            start=env.sample_start(threefry.key_at(starts, index, at + 1)),
            explore=threefry.as_uniform(explore) < hyperparams.epsilon_at(time * config.num_envs),
            random_action=threefry.random_int(threefry.key_at(actions, index, at), env.num_actions),
            reset=threefry.as_uniform(reset) < hyperparams.reset_rate,
        )

    time = iteration * config.steps_per_iteration + jnp.arange(config.steps_per_iteration, dtype=jnp.int32)
    over_envs = jax.vmap(sample, in_axes=(None, 0))
    return jax.vmap(over_envs, in_axes=(0, None))(time, jnp.arange(config.num_envs, dtype=jnp.uint32))


def act(
    tree: ArrayTree,
    env_state: ArrayTree,
    episode_return: Array,
    noise: Noise,
    config: PQNConfig,
    env: Environment,
    params: Any,
) -> tuple[ArrayTree, Array, Transitions, Array]:
    """Decisions of all environments by the network of the weights `tree`, with resets.

    Returns:
      The states and returns so far to go on with, (num_envs, ...); the transitions; for each, 1 and the return where an
      episode finished there, else zeros, (steps_per_iteration, num_envs, 2). An episode that is cut off does not count.
    """

    def step(state, episode_return, obs, output, noise):
        action = jnp.where(noise.explore, noise.random_action, jnp.argmax(output).astype(jnp.int32))
        next_state, next_obs, reward, done = env.transition(state, action, noise.step, params)
        done, terminated = jnp.asarray(done), jnp.asarray(env.terminated(next_state))
        ended = done | noise.reset
        transition = Transitions(
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
        output = networks.apply(tree, obs, config, env)
        state, episode_return, transition, finished = jax.vmap(step)(carry[0], carry[1], obs, output, noise)
        return (state, episode_return), (transition, finished)

    carry = env_state, episode_return
    (env_state, episode_return), (transitions, finished) = jax.lax.scan(all_envs, carry, noise)
    return env_state, episode_return, transitions, finished
