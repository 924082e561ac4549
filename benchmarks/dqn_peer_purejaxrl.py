"""A DQN in PureJaxRL's pattern (Chris Lu, purejaxrl/dqn.py), written afresh: the whole of training in one scan.

What makes it that pattern: one environment step for each iteration of the scan; a flashbax flat buffer, which keeps
steps in a row and samples neighbours; flax's TrainState with the target's parameters and counters beside it; learning
and the target's copy each under a `lax.cond`; an end masked as death, time limit or not; metrics for each step.
What differs: the key for the network is the caller's, so that seeds differ; Huber loss and a clipped norm, as all here.
"""

# mypy: disable-error-code="call-arg"

import functools
from collections.abc import Callable
from typing import Any

import chex
import flashbax
import jax
import jax.numpy as jnp
import optax
from dqn_peers import Settings
from flax import linen as nn
from flax.training.train_state import TrainState

import heartpole_jax as hp

ENV = hp.make("HeartPole-v0")


class QNetwork(nn.Module):
    """Values of all actions, (..., num_actions)."""

    hidden: tuple[int, ...]
    num_actions: int

    @nn.compact
    def __call__(self, obs):
        for units in self.hidden:
            obs = nn.relu(nn.Dense(units)(obs))
        return nn.Dense(self.num_actions)(obs)


@chex.dataclass(frozen=True)
class TimeStep:
    """What the buffer keeps of one step; the next observation is that of the next step."""

    obs: chex.Array  # (6,)
    action: chex.Array
    reward: chex.Array
    done: chex.Array


class LearnerState(TrainState):
    """TrainState, the target network, and what has been done so far."""

    target_params: Any
    num_steps: chex.Array
    num_updates: chex.Array


def build(settings: Settings, num_steps: int) -> Callable:
    """train(keys), see `dqn_peers.Contender`."""
    return jax.vmap(functools.partial(train, settings=settings, num_steps=num_steps))


def train(key, settings: Settings, num_steps: int):
    """One seed: (params, num_updates, metrics), a row of metrics for each step."""
    network_key, reset_key, scan_key = jax.random.split(key, 3)
    env_params = hp.EnvParams(max_steps=settings.max_steps)
    env_state, obs = ENV.reset(reset_key, env_params)
    buffer = flashbax.make_flat_buffer(
        max_length=settings.buffer_size,
        min_length=settings.batch_size,
        sample_batch_size=settings.batch_size,
        add_sequences=False,
        add_batch_size=None,
    )
    blank = TimeStep(obs=jnp.zeros(ENV.obs_shape), action=jnp.int32(0), reward=jnp.float32(0), done=jnp.bool_(False))
    learner = new_learner(network_key, settings)
    carry = learner, buffer.init(blank), env_state, obs, jnp.float32(0), scan_key
    body = functools.partial(iteration, settings=settings, env_params=env_params, buffer=buffer)
    (learner, *_), metrics = jax.lax.scan(body, carry, None, num_steps)
    return learner.params, learner.num_updates, metrics


def new_learner(key, settings: Settings) -> LearnerState:
    """A network, its target, and an optimizer."""
    network = QNetwork(settings.hidden, ENV.num_actions)
    params = network.init(key, jnp.zeros(ENV.obs_shape))
    adam = optax.adam(settings.learning_rate, eps=settings.adam_eps)
    return LearnerState.create(
        apply_fn=network.apply,
        params=params,
        target_params=params,
        tx=optax.chain(optax.clip_by_global_norm(settings.max_grad_norm), adam),
        num_steps=jnp.int32(0),
        num_updates=jnp.int32(0),
    )


def iteration(carry, _, settings: Settings, env_params, buffer):
    """One environment step, its place in the buffer, and what is due of learning and copying."""
    learner, buffer_state, env_state, obs, episode_return, key = carry
    key, action_key, step_key, sample_key = jax.random.split(key, 4)
    action = epsilon_greedy(action_key, learner, obs, settings)
    env_state, next_obs, reward, done, *_ = hp.step_autoreset(ENV, env_state, action, step_key, env_params)
    buffer_state = buffer.add(buffer_state, TimeStep(obs=obs, action=action, reward=reward, done=done))
    learner = learner.replace(num_steps=learner.num_steps + 1)

    due = (
        buffer.can_sample(buffer_state)
        & (learner.num_steps > settings.learning_starts)
        & (learner.num_steps % settings.train_every == 0)
    )
    learner, loss = jax.lax.cond(
        due,
        lambda learner: learn(learner, buffer.sample(buffer_state, sample_key).experience, settings),
        lambda learner: (learner, jnp.float32(0)),
        learner,
    )
    learner = jax.lax.cond(
        learner.num_steps % settings.target_period == 0,
        lambda learner: learner.replace(target_params=learner.params),
        lambda learner: learner,
        learner,
    )
    episode_return = episode_return + reward
    metrics = {"loss": loss, "return": jnp.where(done, episode_return, jnp.nan), "num_updates": learner.num_updates}
    carry = learner, buffer_state, env_state, next_obs, jnp.where(done, 0.0, episode_return), key
    return carry, metrics


def epsilon_greedy(key, learner: LearnerState, obs, settings: Settings):
    """The best action by the network, or with probability epsilon any."""
    explore_key, random_key = jax.random.split(key)
    q_values = learner.apply_fn(learner.params, obs)
    slope = (settings.epsilon_end - settings.epsilon_start) / settings.epsilon_steps
    epsilon = jnp.maximum(settings.epsilon_start + slope * learner.num_steps, settings.epsilon_end)
    anything = jax.random.randint(random_key, (), 0, ENV.num_actions)
    return jnp.where(jax.random.uniform(explore_key) < epsilon, anything, jnp.argmax(q_values, axis=-1))


def learn(learner: LearnerState, batch, settings: Settings) -> tuple[LearnerState, chex.Array]:
    """One gradient step on a batch of neighbouring steps: (learner, loss)."""
    first, second = batch.first, batch.second
    next_value = jnp.max(learner.apply_fn(learner.target_params, second.obs), axis=-1)
    target = first.reward + (1.0 - first.done) * settings.discount * next_value

    def loss(params):
        q_values = learner.apply_fn(params, first.obs)
        chosen = jnp.take_along_axis(q_values, first.action[:, None], axis=-1)[:, 0]
        return jnp.mean(optax.losses.huber_loss(chosen, target))

    value, grads = jax.value_and_grad(loss)(learner.params)
    learner = learner.apply_gradients(grads=grads)
    return learner.replace(num_updates=learner.num_updates + 1), value
