"""The layers of a Q-network: small products of matrices, and a saved network's output in NumPy or JAX."""

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from chex import Array

from heartpole_jax.platforms import ByPlatform
from heartpole_jax.policies.transforms import TRANSFORMS


@jax.custom_vjp
def matmul(x: Array, kernel: Array) -> Array:
    """`x @ kernel`, (batch, inputs) by (inputs, outputs), with gradients that XLA runs fast on a CPU.

    Autodiff contracts the batch as a leading axis, which misses the fast kernels for small products: a copied transpose
    in front of a plain product takes half the time for layers of 16. The smallest products are written out as sums,
    which fuse with what is around them. Reverse mode only. See docs/performance.md.
    """
    return _matmul(x, kernel)


@functools.partial(jax.jit, inline=True)  # traced once for each shape
def _matmul(x: Array, kernel: Array) -> Array:
    if kernel.size > _WRITTEN_OUT.here():
        return x @ kernel
    take = jax.lax.slice_in_dim  # plain indexing takes several times as long to trace
    return sum(take(x, i, i + 1, axis=1) * take(kernel, i, i + 1) for i in range(kernel.shape[0]))


# Entries of the largest matrix written out: measured on a CPU; on a GPU by the count of kernels (docs/performance.md).
_WRITTEN_OUT = ByPlatform(cpu=128, accelerator=256)

matmul.defvjp(
    lambda x, kernel: (_matmul(x, kernel), (x, kernel)),
    lambda saved, cotangent: (_matmul(cotangent, saved[1].T), saved[0].T @ cotangent),
)


def output(
    weights: Mapping[str, Any],
    features: Any,
    num_hidden: int,
    dueling: bool,
    layer_norm: bool,
    xp: Any,
    multiply: Callable[..., Any],
) -> Any:
    """The output before the value scale, (batch, num_features) to (batch, num_actions).

    Args:
      weights: by their path in the tree of flax, as "params/Dense_0/kernel".
      num_hidden: hidden layers, with rectifiers.
      layer_norm: each row of a hidden layer is normalised before its rectifier.
      dueling: a value and advantages, whose mean is taken away (Wang et al. 2016).
      xp: the array library.
      multiply: its product of matrices, or `matmul`.
    """
    x = features
    for i in range(num_hidden + 1):
        x = multiply(x, weights[f"params/Dense_{i}/kernel"]) + weights[f"params/Dense_{i}/bias"][None]
        if i < num_hidden and layer_norm:
            scale, bias = (weights[f"params/LayerNorm_{i}/{name}"][None] for name in ("scale", "bias"))
            x = _normalise(x, xp) * scale + bias
        if i < num_hidden:
            x = xp.maximum(x, 0)
    if not dueling:
        return x
    value, advantages = x[:, :1], x[:, 1:]
    return value + advantages - advantages.mean(axis=1, keepdims=True)


def _normalise(x: Any, xp: Any) -> Any:
    """Each row with mean 0 and variance 1."""
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / xp.sqrt((centred * centred).mean(axis=1, keepdims=True) + 1e-6)


def shapes(
    obs_shape: Sequence[int],
    num_actions: int,
    hidden_sizes: Sequence[int],
    transform: str,
    dueling: bool,
    layer_norm: bool,
) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights, by their names as `output` takes them.

    Raises:
      ValueError: where the transform takes observations of another size.
    """
    features, own = math.prod(obs_shape), TRANSFORMS[transform]
    if own.obs_size is not None:
        if features != own.obs_size:
            raise ValueError(
                f"transform {transform!r} takes observations of {own.obs_size} numbers, got obs_shape {obs_shape}; "
                "train again"
            )
        features = own.features(np.zeros((1, features), np.float32), np).shape[1]
    sizes = [features, *hidden_sizes, num_actions + bool(dueling)]
    found: dict[str, tuple[int, ...]] = {}
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        found |= {f"params/Dense_{i}/kernel": (inputs, outputs), f"params/Dense_{i}/bias": (outputs,)}
    for i, size in enumerate(hidden_sizes if layer_norm else ()):
        found |= {f"params/LayerNorm_{i}/{name}": (size,) for name in ("scale", "bias")}
    return found


def check_shapes(got: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Raises ValueError for the first shape that is another one than expected; `where` begins the message."""
    for name in sorted({*got, *expected}):
        if got.get(name) != expected.get(name):
            raise ValueError(
                f"{where}: {name} should have the shape {expected.get(name, 'of nothing')}, "
                f"got {got.get(name, 'nothing')}"
            )
