"""The Q-network of PQN: a multilayer perceptron with layer normalisation. All weights are one flat vector."""

import dataclasses
import functools
import itertools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from chex import Array, ArrayTree, PRNGKey
from jax.flatten_util import ravel_pytree

from agents.networks import Dense
from agents.pqn.config import PQNConfig
from agents.transforms import TRANSFORMS
from heartpole_jax import Environment, Policy
from heartpole_jax.environment import HEARTPOLE_V0


class LayerNorm(nn.Module):
    """Each row with mean 0 and variance 1, then a learnt scale and bias (Ba, Kiros & Hinton 2016)."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """(batch, size) to the same."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[1],))
        centred = x - x.mean(axis=1, keepdims=True)
        deviation = jax.lax.rsqrt(jnp.square(centred).mean(axis=1, keepdims=True) + 1e-6)
        return centred * deviation * scale[None] + bias[None]


class QNetwork(nn.Module):
    """Features (batch, num_features) to outputs (batch, num_actions), before the value scale."""

    hidden_sizes: tuple[int, ...]
    num_actions: int
    layer_norm: bool

    @nn.compact
    def __call__(self, features: Array) -> Array:
        x = features
        for size in self.hidden_sizes:
            x = Dense(size)(x)
            x = nn.relu(LayerNorm()(x) if self.layer_norm else x)
        return Dense(self.num_actions)(x)


def init_weights(key: PRNGKey, config: PQNConfig, env: Environment) -> Array:
    """Fresh weights, (num_weights,)."""
    return ravel_pytree(_init(key, config, env))[0]


def num_weights(config: PQNConfig, env: Environment) -> int:
    """The length of a flat vector of weights."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(_shapes(config, env)))


def weights_as_tree(weights: Array, config: PQNConfig, env: Environment) -> ArrayTree:
    """Flat weights as the network's parameters."""
    leaves, treedef = jax.tree.flatten(_shapes(config, env))
    sizes = [math.prod(leaf.shape) for leaf in leaves]
    if jnp.shape(weights) != (sum(sizes),):
        raise ValueError(f"weights must be of shape ({sum(sizes)},), got shape {jnp.shape(weights)}")
    parts = jnp.split(weights, list(itertools.accumulate(sizes))[:-1])
    return jax.tree.unflatten(treedef, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])


def apply(tree: ArrayTree, features: Array, config: PQNConfig, env: Environment) -> Array:
    """The network's outputs before the value scale: features (batch, num_features) to (batch, num_actions)."""
    return QNetwork(config.hidden_sizes, env.num_actions, config.layer_norm).apply(tree, features)


def q_values(weights: Array, obs: Array, config: PQNConfig, env: Environment = HEARTPOLE_V0) -> Array:
    """The values of all actions, in the units of `reward_scale`: raw observations (batch, size) to (batch, actions)."""
    transform = TRANSFORMS[config.transform]
    output = apply(weights_as_tree(weights, config, env), transform.features(obs, jnp), config, env)
    return transform.value_scale(obs, jnp)[:, None] * output


def greedy(weights: Array, config: PQNConfig, env: Environment = HEARTPOLE_V0) -> Policy:
    """The policy that takes the best action by flat `weights`: a train state's `online_params`."""
    return Policy(act=_Greedy(config, env), params=weights)


@dataclasses.dataclass(frozen=True)
class _Greedy:
    """The `act` of a `Policy`: equal for equal networks, so that jit finds its program again."""

    config: PQNConfig
    env: Environment

    def __call__(self, weights: Array, carry: Any, obs: Array, draw: Any) -> tuple[Array, Any]:
        q = q_values(weights, obs.reshape(1, -1), self.config, self.env)[0]
        return jnp.argmax(q).astype(jnp.int32), carry


def _init(key: PRNGKey, config: PQNConfig, env: Environment) -> ArrayTree:
    features = TRANSFORMS[config.transform].features(jnp.zeros((1, math.prod(env.obs_shape))), jnp)
    return QNetwork(config.hidden_sizes, env.num_actions, config.layer_norm).init(key, features)


@functools.cache
def _shapes(config: PQNConfig, env: Environment) -> ArrayTree:
    return jax.eval_shape(lambda: _init(jax.random.key(0), config, env))
