"""A DQN in PureJaxRL's pattern, for tests: the whole of training in one scan over gymnax's five values and log wrapper.

Not the original, which is no package: its shape and its demands on an environment, in the fewest lines. One environment
step for all envs, then one gradient step; a ring of transitions; an end masked as death, whatever `info` says.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax.training.train_state import TrainState


class QNetwork(nn.Module):
    """Values of all actions, (..., num_actions)."""

    num_actions: int

    @nn.compact
    def __call__(self, obs):
        scale = jnp.broadcast_to(jnp.array([1.0, 1.0, 10.0, 0.1, 0.01, 0.01]), obs.shape)
        return nn.Dense(self.num_actions)(nn.relu(nn.Dense(32)(obs * scale)))


class Config(NamedTuple):
    num_envs: int = 8
    num_updates: int = 256
    buffer_rows: int = 64  # of num_envs transitions each
    batch_size: int = 32
    learning_rate: float = 1e-3
    discount: float = 0.99
    epsilon: float = 0.2
    target_period: int = 16


def make_train(env: Any, env_params: Any, config: Config):
    """train(key): (TrainState, buffer, metrics), the loss (num_updates,), what wrappers log (num_updates, num_envs)."""
    network = QNetwork(env.num_actions)
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))

    def learn(state, target_params, batch):
        next_value = network.apply(target_params, batch["next_obs"]).max(axis=-1)
        target = batch["reward"] + config.discount * (1 - batch["done"]) * next_value

        def loss(params):
            q_values = network.apply(params, batch["obs"])
            chosen = jnp.take_along_axis(q_values, batch["action"][:, None], axis=-1)[:, 0]
            return jnp.mean((chosen - target) ** 2)

        value, grads = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=grads), value

    def train(key):
        network_key, reset_key, loop_key = jax.random.split(key, 3)
        obs, env_state = jax.vmap(env.reset, in_axes=(0, None))(
            jax.random.split(reset_key, config.num_envs), env_params
        )
        params = network.init(network_key, obs)
        state = TrainState.create(apply_fn=network.apply, params=params, tx=optax.adam(config.learning_rate))
        row = {"obs": obs, "next_obs": obs, "reward": jnp.zeros(config.num_envs)}
        row |= {"action": jnp.zeros(config.num_envs, int), "done": jnp.zeros(config.num_envs, bool)}
        buffer = jax.tree.map(lambda x: jnp.zeros((config.buffer_rows, *x.shape), x.dtype), row)

        def update(carry, count_and_key):
            state, target_params, buffer, env_state, obs = carry
            count, key = count_and_key
            explore_key, action_key, step_key, row_key, env_key = jax.random.split(key, 5)
            greedy = network.apply(state.params, obs).argmax(axis=-1)
            anything = jax.random.randint(action_key, greedy.shape, 0, env.num_actions)
            action = jnp.where(jax.random.uniform(explore_key, greedy.shape) < config.epsilon, anything, greedy)
            keys = jax.random.split(step_key, config.num_envs)
            next_obs, env_state, reward, done, info = step(keys, env_state, action, env_params)
            row = {"obs": obs, "action": action, "reward": reward, "next_obs": next_obs, "done": done}
            buffer = jax.tree.map(lambda x, y: x.at[count % config.buffer_rows].set(y), buffer, row)
            num_rows = jnp.minimum(count + 1, config.buffer_rows)
            rows = jax.random.randint(row_key, (config.batch_size,), 0, num_rows)
            envs = jax.random.randint(env_key, (config.batch_size,), 0, config.num_envs)
            state, loss = learn(state, target_params, jax.tree.map(lambda x: x[rows, envs], buffer))
            due = state.step % config.target_period == 0
            target_params = jax.tree.map(lambda new, old: jnp.where(due, new, old), state.params, target_params)
            metrics = {name: info[name] for name in info if name.startswith("returned")} | {"loss": loss}
            return (state, target_params, buffer, env_state, next_obs), metrics

        keys = jax.random.split(loop_key, config.num_updates)
        carry = (state, params, buffer, env_state, obs)
        (state, _, buffer, *_), metrics = jax.lax.scan(update, carry, (jnp.arange(config.num_updates), keys))
        return state, buffer, metrics

    return train
