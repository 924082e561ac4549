"""The learning of PQN: lambda-returns as targets, and gradient steps of RAdam on the flat vector of weights.

Source: Gallici et al., "Simplifying deep temporal difference learning" (2024); lambda-returns: Sutton & Barto, section
12.1; RAdam: Liu et al., "On the variance of the adaptive learning rate and beyond" (2020).
"""

import jax
import jax.numpy as jnp
import optax
from chex import Array, ArrayTree, Numeric

from agents.common import networks
from agents.common.decision_times import discounted_reward
from agents.pqn.acting import Transitions
from agents.pqn.config import Hyperparams, PQNConfig
from heartpole_jax import Environment, arguments
from heartpole_jax.policies.transforms import TRANSFORMS


def lambda_returns(
    reward: Array, discount: Array, next_value: Array, terminated: Array, ended: Array, td_lambda: Numeric
) -> Array:
    """Returns (steps_per_iteration, num_envs): G_t = r_t + discount_t ((1 - lambda) V(next_t) + lambda G_t+1).

    Where `ended`, and after the last step, V(next_t) stands for all that follows; where `terminated`, 0 does. All
    arguments are of that shape, but for `td_lambda`.
    """
    discount = jnp.where(terminated, 0.0, discount)
    carried = jnp.where(ended, 0.0, td_lambda).at[-1].set(0.0)  # the share of G_t+1
    base = reward + discount * (1.0 - carried) * next_value

    def step(following, inputs):
        base, factor = inputs
        current = base + factor * following
        return current, current

    return jax.lax.scan(step, jnp.zeros_like(base[0]), (base, discount * carried), reverse=True)[1]


def samples(
    transitions: Transitions, weights: Array, hyperparams: Hyperparams, config: PQNConfig, env: Environment
) -> Array:
    """What gradient steps learn from, (steps_per_iteration * num_envs, num_features + 2): features, action, target.

    Targets are in units of the value scale. The network of `weights` gives the values of the next observations.
    """
    transform = TRANSFORMS[config.transform]
    tree = networks.weights_as_tree(weights, config, env)

    def value(obs):
        output = networks.apply(tree, obs, config, env)
        return jnp.max(output, axis=1) * transform.value_scale(obs, jnp)

    obs, next_obs, reward = transitions.obs, transitions.next_obs, transitions.reward
    duration = jnp.ones_like(reward) if transform.time is None else transform.time(next_obs) - transform.time(obs)
    base = hyperparams.discount
    reward = hyperparams.reward_scale * discounted_reward(reward, duration, base, hyperparams.reward_shift)
    next_value = jax.lax.map(value, next_obs)  # step by step, so that a CPU's cache holds the layers
    terminated, ended = transitions.terminated, transitions.ended
    returns = lambda_returns(reward, base**duration, next_value, terminated, ended, hyperparams.td_lambda)
    target = returns / transform.value_scale(obs, jnp)
    action = transitions.action.astype(target.dtype)
    rows = jnp.concatenate([transform.features(obs, jnp), action[..., None], target[..., None]], axis=2)
    return rows.reshape(-1, rows.shape[2])


@arguments.typed()
def optimizer(hyperparams: Hyperparams) -> optax.GradientTransformation:
    """Clipping and RAdam, without the learning rate, which is a schedule."""
    return optax.chain(
        optax.clip_by_global_norm(hyperparams.max_grad_norm),
        optax.scale_by_radam(hyperparams.adam_b1, hyperparams.adam_b2, hyperparams.adam_epsilon),
    )


def gradient_step(
    batch: Array,
    weights: Array,
    opt_state: ArrayTree,
    learning_rate: Numeric,
    hyperparams: Hyperparams,
    config: PQNConfig,
    env: Environment,
) -> tuple[Array, ArrayTree, Array]:
    """(weights, opt_state, [loss, q_value, grad_norm]) after one step on the Huber loss of `batch`, see `samples`.

    q_value is the mean of the actions' outputs; grad_norm is before clipping.
    """
    features, action, target = batch[:, :-2], batch[:, -2].astype(jnp.int32), batch[:, -1]

    def loss_of(tree):
        output = networks.apply_to_features(tree, features, config, env)
        chosen = jnp.arange(env.num_actions)[None] == action[:, None]  # gathers are slow on accelerators
        value = jnp.sum(jnp.where(chosen, output, 0.0), axis=1)
        td_error = value - target
        clipped = jnp.clip(td_error, -hyperparams.huber_delta, hyperparams.huber_delta)
        return jnp.mean(clipped * (td_error - 0.5 * clipped)), jnp.mean(value)

    tree = networks.weights_as_tree(weights, config, env)
    (loss, q_value), gradient = jax.value_and_grad(loss_of, has_aux=True)(tree)
    gradient = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(gradient)])
    with jax.numpy_dtype_promotion("standard"):  # optax counts in int32 and multiplies by floats
        updates, opt_state = optimizer(hyperparams).update(gradient, opt_state)
    return weights - learning_rate * updates, opt_state, jnp.stack([loss, q_value, jnp.linalg.norm(gradient)])
