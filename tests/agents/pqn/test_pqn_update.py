"""A gradient step of PQN is that of NumPy and float64: layer norm, Huber loss, clipping and RAdam by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import counter

from agents import pqn
from agents.common import networks
from agents.pqn import learning

ENV = counter(3)
HYPERPARAMS = pqn.Hyperparams(max_grad_norm=0.3, huber_delta=0.7, adam_b1=0.8, adam_b2=0.9, adam_epsilon=1e-3)
RATE = 0.05


def forward(tree, x, layer_norm):
    """(outputs, all that the backward pass needs); LayerNorm_i follows Dense_i."""
    saved = []
    depth = len([name for name in tree if name.startswith("Dense")])
    for i in range(depth):
        dense = tree[f"Dense_{i}"]
        z = x @ dense["kernel"] + dense["bias"]
        y, norm = z, None
        if i < depth - 1:
            if layer_norm:
                deviation = np.sqrt(z.var(axis=1, keepdims=True) + 1e-6)
                norm = (z - z.mean(axis=1, keepdims=True)) / deviation, deviation
                y = norm[0] * tree[f"LayerNorm_{i}"]["scale"] + tree[f"LayerNorm_{i}"]["bias"]
            y = np.maximum(y, 0.0)
        saved.append((x, y, norm))
        x = y
    return x, saved


def backward(tree, saved, cotangent):
    """The gradient, in the form of `tree`."""
    gradient = {}
    for i in reversed(range(len(saved))):
        x, y, norm = saved[i]
        if i < len(saved) - 1:
            cotangent = cotangent * (y > 0)
            if norm is not None:
                normal, deviation = norm
                layer = f"LayerNorm_{i}"
                gradient[layer] = {"scale": (cotangent * normal).sum(axis=0), "bias": cotangent.sum(axis=0)}
                cotangent = cotangent * tree[layer]["scale"]
                mean = lambda x: x.mean(axis=1, keepdims=True)
                cotangent = (cotangent - mean(cotangent) - normal * mean(cotangent * normal)) / deviation
        gradient[f"Dense_{i}"] = {"kernel": x.T @ cotangent, "bias": cotangent.sum(axis=0)}
        cotangent = cotangent @ tree[f"Dense_{i}"]["kernel"].T
    return gradient


class RAdam:
    """Liu et al. (2020), algorithm 2, where the variance is tractable from rho = 5 on."""

    def __init__(self, size):
        self.mean, self.square, self.count = np.zeros(size), np.zeros(size), 0

    def update(self, gradient, b1, b2, epsilon):
        self.count += 1
        self.mean = b1 * self.mean + (1 - b1) * gradient
        self.square = b2 * self.square + (1 - b2) * gradient**2
        mean = self.mean / (1 - b1**self.count)
        last = 2 / (1 - b2) - 1
        rho = last - 2 * self.count * b2**self.count / (1 - b2**self.count)
        if rho < 5:
            return mean
        factor = np.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))
        return factor * mean / (np.sqrt(self.square / (1 - b2**self.count)) + epsilon)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves({"params": tree})])


@pytest.mark.parametrize("layer_norm", [True, False])
def test_ten_steps_are_those_of_numpy(layer_norm):
    """Ten, so that RAdam's variance becomes tractable on the way; the errors lie on both sides of the Huber width."""
    config = pqn.PQNConfig(hidden_sizes=(8, 6), layer_norm=layer_norm)
    random = np.random.default_rng(0)
    weights = networks.init_weights(jax.random.key(1), config, ENV)
    expected = np.asarray(weights, float)
    batch = np.column_stack([random.normal(size=(9, 2)), random.integers(0, 2, 9), 2 * random.normal(size=9)])
    features, action, target = batch[:, :2], batch[:, 2].astype(int), batch[:, 3]
    state, radam = learning.optimizer(HYPERPARAMS).init(weights), RAdam(weights.size)
    rows = jnp.asarray(batch, float)
    step = jax.jit(lambda *carry: learning.gradient_step(rows, *carry, RATE, HYPERPARAMS, config, ENV))
    for _ in range(10):
        tree = jax.tree.map(np.asarray, networks.weights_as_tree(expected, config, ENV))["params"]
        output, saved = forward(tree, features, layer_norm)
        error = output[np.arange(9), action] - target
        clipped = np.clip(error, -0.7, 0.7)
        cotangent = np.zeros_like(output)
        cotangent[np.arange(9), action] = clipped / 9
        gradient = flat(backward(tree, saved, cotangent))
        norm = np.linalg.norm(gradient)
        loss = np.where(abs(error) <= 0.7, error**2 / 2, 0.7 * (abs(error) - 0.35)).mean()
        expected = expected - RATE * radam.update(gradient * min(1.0, 0.3 / norm), 0.8, 0.9, 1e-3)
        weights, state, metrics = step(weights, state)
        np.testing.assert_allclose(metrics, [loss, output[np.arange(9), action].mean(), norm], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-5)
