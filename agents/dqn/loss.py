"""One gradient step of DQN: targets, loss, and Adam on the flat vector of weights.

Source: Mnih et al., "Human-level control through deep reinforcement learning" (2015); double: van Hasselt et al., "Deep
reinforcement learning with double Q-learning" (2016); n-step: Sutton & Barto, section 7.1.
"""

import jax
import jax.numpy as jnp
import optax
from chex import Array, ArrayTree, Numeric

from agents.common import networks
from agents.common.decision_times import discounted_reward
from agents.dqn import replay
from agents.dqn.config import DQNConfig, Hyperparams
from heartpole_jax import Environment, arguments, struct
from heartpole_jax.policies.transforms import TRANSFORMS


@struct.dataclass
class Step:
    """What a gradient step did, scalars."""

    loss: Array
    q_value: Array  # mean over the batch of the network's output for the actions taken
    grad_norm: Array  # before clipping


@arguments.typed()
def optimizer(hyperparams: Hyperparams) -> optax.GradientTransformation:
    """Clipping and Adam, without the learning rate, which is a schedule. The form of its state depends on no number."""
    return optax.chain(
        optax.clip_by_global_norm(hyperparams.max_grad_norm),
        optax.scale_by_adam(hyperparams.adam_b1, hyperparams.adam_b2, hyperparams.adam_epsilon),
    )


@arguments.typed(env_steps=arguments.check_numeric)
def learning_rate_at(env_steps: Numeric, hyperparams: Hyperparams) -> Array:
    """The learning rate after `env_steps` steps, linear from `learning_rate` to `final_learning_rate` of it."""
    env_steps = jnp.asarray(env_steps, jnp.result_type(float))
    progress = jnp.clip(env_steps / hyperparams.learning_rate_steps, 0.0, 1.0)
    return hyperparams.learning_rate * (1.0 + progress * (hyperparams.final_learning_rate - 1.0))


def gradient_step(
    batch: replay.Batch,
    online_params: Array,
    target_params: Array,
    opt_state: ArrayTree,
    learning_rate: Numeric,
    hyperparams: Hyperparams,
    config: DQNConfig,
    env: Environment,
) -> tuple[Array, ArrayTree, Step]:
    """(online_params, opt_state, what happened) after one step on `batch`. Networks are flat, (num_weights,)."""
    targets = td_targets(batch, online_params, target_params, hyperparams, config, env)
    # The gradient with respect to the layers, then one flat vector: through slices of the flat vector, autodiff would
    # pad each layer to the whole and add them all up.
    layers = networks.weights_as_tree(online_params, config, env)
    output, pull_back = jax.vjp(lambda layers: networks.apply(layers, batch.obs, config, env), layers)
    unit = 1.0 if config.scaled_errors else networks.value_scale(batch.obs, config)
    loss, cotangent = td_loss(output, targets, batch.action, hyperparams.huber_delta, unit)
    (gradient,) = pull_back(cotangent)
    gradient = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(gradient)])
    with jax.numpy_dtype_promotion("standard"):  # optax counts in int32 and multiplies by floats
        updates, opt_state = optimizer(hyperparams).update(gradient, opt_state)
    step = Step(loss=loss, q_value=jnp.mean(_of_action(output, batch.action)), grad_norm=jnp.linalg.norm(gradient))
    return online_params - learning_rate * updates, opt_state, step


def td_targets(
    batch: replay.Batch,
    online_params: Array,
    target_params: Array,
    hyperparams: Hyperparams,
    config: DQNConfig,
    env: Environment,
) -> Array:
    """What the network's output should be for the batch's actions, (batch,), constants in units of the value scale.

    Rewards until the episode's end or n of them, then the best value by the target network, unless the end was a true
    one (or, with `time_limit_is_terminal`, any). Where the transform knows the time, rewards and values are discounted
    by it, and not by decisions.
    """
    output = networks.apply(networks.weights_as_tree(target_params, config, env), batch.next_obs, config, env)
    if config.double:
        tree = networks.weights_as_tree(online_params, config, env)
        best = jnp.argmax(networks.apply(tree, batch.next_obs, config, env), axis=1)
        next_value = _of_action(output, best)
    else:
        next_value = jnp.max(output, axis=1)
    next_value = next_value * networks.value_scale(batch.next_obs, config)
    ended = batch.done if config.time_limit_is_terminal else batch.terminated
    time = TRANSFORMS[config.transform].time
    if time is None:
        rewards = hyperparams.reward_scale * (batch.reward + hyperparams.reward_shift)
        taken = jnp.arange(config.n_step)[None] < batch.num_steps[:, None]
        base = jnp.asarray(hyperparams.discount, jnp.result_type(float))
        discounts = jax.lax.pow(base, jnp.arange(config.n_step))[None]
        returns = jnp.sum(jnp.where(taken, rewards * discounts, 0.0), axis=1)
        discount = jax.lax.pow(base, batch.num_steps)
    else:
        duration = time(batch.next_obs) - time(batch.obs)
        base, reward = hyperparams.discount, batch.reward[:, 0]
        discount = base**duration
        returns = hyperparams.reward_scale * discounted_reward(reward, duration, base, hyperparams.reward_shift)
    bootstrap = jnp.where(ended, 0.0, discount * next_value)
    return (returns + bootstrap) / networks.value_scale(batch.obs, config)


def td_loss(
    output: Array, targets: Array, action: Array, huber_delta: Numeric, unit: Numeric = 1.0
) -> tuple[Array, Array]:
    """The Huber loss of the chosen actions' values, a mean over the batch, and its gradient with respect to `output`.

    Args:
      output: (batch, num_actions) of the network.
      targets: (batch,), constants.
      action: int32 (batch,).
      huber_delta: |td_error| beyond which the loss is linear.
      unit: (batch,) or (), that errors are multiplied by before.
    """
    td_error = unit * (_of_action(output, action) - targets)
    clipped = jnp.clip(td_error, -huber_delta, huber_delta)
    loss = jnp.mean(clipped * (td_error - 0.5 * clipped))
    chosen = jnp.arange(output.shape[1])[None] == action[:, None]
    return loss, jnp.where(chosen, (unit * clipped)[:, None] / output.shape[0], 0.0)


def _of_action(output: Array, action: Array) -> Array:
    """The entry of each action, (batch, num_actions) to (batch,). By comparison: gathers are slow on accelerators."""
    return jnp.sum(jnp.where(jnp.arange(output.shape[1])[None] == action[:, None], output, 0.0), axis=1)
