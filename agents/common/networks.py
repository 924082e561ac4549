"""The Q-network: raw observations in, one value an action out. All weights are one flat vector.

One vector makes Adam and its clipping a handful of operations, whatever the number of layers. A configuration has
`hidden_sizes` and `transform`, and may have `dueling` and `layer_norm`.
"""

import dataclasses
import functools
import itertools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, ArrayTree, PRNGKey
from jax.flatten_util import ravel_pytree

from agents.common.algorithm import Config, check_config
from heartpole_jax import Environment, Policy, arguments
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.policies import q_network
from heartpole_jax.policies.transforms import TRANSFORMS


class Dense(nn.Module):
    """A linear layer, initialised as PyTorch's: uniform within one over the root of the inputs, biases too."""

    size: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        bound = 1.0 / math.sqrt(x.shape[-1])
        uniform = lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)
        kernel = self.param("kernel", uniform, (x.shape[-1], self.size))
        bias = self.param("bias", uniform, (self.size,))
        return q_network.matmul(x, kernel) + bias[None]


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
    """A multilayer perceptron with rectifiers; dueling (Wang et al. 2016): a value and advantages that average to 0."""

    hidden_sizes: tuple[int, ...]
    num_actions: int
    dueling: bool = False
    layer_norm: bool = False  # of every hidden layer, before its rectifier

    @nn.compact
    def __call__(self, features: Array) -> Array:
        """(batch, num_features) to (batch, num_actions), before the value scale."""
        x = features
        for size in self.hidden_sizes:
            x = Dense(size)(x)
            x = nn.relu(LayerNorm()(x) if self.layer_norm else x)
        if not self.dueling:
            return Dense(self.num_actions)(x)
        heads = Dense(self.num_actions + 1)(x)
        value, advantages = heads[:, :1], heads[:, 1:]
        return value + advantages - advantages.mean(axis=1, keepdims=True)


_typed = arguments.typed(
    key=arguments.check_key, config=check_config, weights=arguments.check_array, tree=arguments.check_arrays,
    obs=arguments.check_array, features=arguments.check_array,
)  # fmt: skip


@_typed
def init_weights(key: PRNGKey, config: Config, env: Environment = HEARTPOLE_V0) -> Array:
    """Fresh weights, (num_weights,)."""
    return ravel_pytree(_init(key, config, env))[0]


@_typed
def num_weights(config: Config, env: Environment = HEARTPOLE_V0) -> int:
    """The length of a flat vector of weights."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(_shapes(config, env)))


@_typed
def weights_bytes(config: Config, env: Environment = HEARTPOLE_V0) -> int:
    """Bytes of one network."""
    return num_weights(config, env) * jnp.result_type(float).itemsize


@_typed
def weights_as_tree(weights: Array, config: Config, env: Environment = HEARTPOLE_V0) -> ArrayTree:
    """Flat weights as the flax network's parameters."""
    leaves, treedef = jax.tree.flatten(_shapes(config, env))
    sizes = [math.prod(leaf.shape) for leaf in leaves]
    ends = list(itertools.accumulate(sizes))
    if np.shape(weights) != (ends[-1],):
        raise ValueError(
            f"weights must be of shape ({ends[-1]},), all of the network's in one array, got "
            f"{arguments.described(weights)}"
        )
    parts = [weights[end - size : end].reshape(leaf.shape) for leaf, size, end in zip(leaves, sizes, ends, strict=True)]
    return jax.tree.unflatten(treedef, parts)


@_typed
def layers(weights: Array, config: Config, env: Environment = HEARTPOLE_V0) -> dict[str, np.ndarray]:
    """Flat weights by their path in the tree of flax, as "params/Dense_0/kernel"."""
    paths, _ = jax.tree_util.tree_flatten_with_path(weights_as_tree(np.asarray(weights), config, env))
    return {"/".join(key.key for key in path): leaf for path, leaf in paths}


@_typed
def apply(tree: ArrayTree, obs: Array, config: Config, env: Environment = HEARTPOLE_V0) -> Array:
    """The network's output before the value scale: raw observations (batch, size) to (batch, num_actions).

    `tree` is what `weights_as_tree` makes of flat weights.
    """
    _check_rows("obs", obs, math.prod(env.obs_shape))
    return apply_to_features(tree, TRANSFORMS[config.transform].features(obs, jnp), config, env)


@_typed
def apply_to_features(tree: ArrayTree, features: Array, config: Config, env: Environment = HEARTPOLE_V0) -> Array:
    """The same of features, (batch, num_features), which the transform has made of observations."""
    given, own = (jax.tree.map(np.shape, weights) for weights in (tree, _shapes(config, env)))
    if given != own:
        raise ValueError(
            "tree must be what weights_as_tree makes of this network's weights, got other layers or shapes"
        )
    _check_rows("features", features, own["params"]["Dense_0"]["kernel"][0])
    return _module(config, env).apply(tree, features)


def _check_rows(name: str, rows: Array, size: int) -> None:
    if rows.ndim != 2 or rows.shape[1] != size:
        raise ValueError(f"{name} must be of shape (batch, {size}), got {arguments.described(rows)}")


@_typed
def value_scale(obs: Array, config: Config) -> Array:
    """What the output is multiplied by to give values, (batch,)."""
    return TRANSFORMS[config.transform].value_scale(obs, jnp)


@_typed
def q_values(weights: Array, obs: Array, config: Config, env: Environment = HEARTPOLE_V0) -> Array:
    """The values of all actions, in the units of `reward_scale`: raw observations (batch, size) to (batch, actions)."""
    output = apply(weights_as_tree(weights, config, env), obs, config, env)
    return value_scale(obs, config)[:, None] * output


@_typed
def greedy(weights: Array, config: Config, env: Environment = HEARTPOLE_V0) -> Policy:
    """The policy that takes the best action by flat `weights`: of a train state, see `Algorithm.policy_of`."""
    return Policy(act=_Greedy(config, env), params=weights)


@dataclasses.dataclass(frozen=True)
class _Greedy:
    """An `act` of a `Policy`: equal for equal networks, so that jit finds its program again."""

    config: Config
    env: Environment

    def __call__(self, weights: Array, carry: Any, obs: Array, draw: Any) -> tuple[Array, Any]:
        tree = weights_as_tree(weights, self.config, self.env)
        output = apply(tree, obs.reshape(1, -1), self.config, self.env)[0]  # the scale is positive
        return jnp.argmax(output).astype(jnp.int32), carry


def _module(config: Config, env: Environment) -> QNetwork:
    dueling, layer_norm = getattr(config, "dueling", False), getattr(config, "layer_norm", False)
    return QNetwork(config.hidden_sizes, env.num_actions, dueling=dueling, layer_norm=layer_norm)


def _init(key: PRNGKey, config: Config, env: Environment) -> ArrayTree:
    features = TRANSFORMS[config.transform].features(jnp.zeros((1, math.prod(env.obs_shape))), jnp)
    return _module(config, env).init(key, features)


@functools.cache
def _shapes(config: Config, env: Environment) -> ArrayTree:
    return jax.eval_shape(lambda: _init(jax.random.key(0), config, env))
