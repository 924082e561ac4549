"""The Q-network: raw observations in, one value an action out. Its fixed transform of the observation lives here too.

Learners want numbers near 1, and HeartPole's alertness runs to -958 and its work_done to thousands. So a network begins
with a fixed function of the raw observation, named in the configuration and saved with the policy: whoever loads the
policy hands it raw observations. Transforms take the array library as an argument, since saved policies run in NumPy.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from chex import Array

from heartpole_jax import validation

HALF_HOURS_A_DAY = 48.0


def raw(obs: Any, xp: Any = jnp) -> Any:
    """The observation as it is, (..., size)."""
    return obs


def heartpole_features(obs: Any, xp: Any = jnp) -> Any:
    """HeartPole's six numbers as ten of size about 1, (..., 10), none of them unbounded.

    Alertness, wide and sharp around where a developer gets tired; hypertension, near 0 and on the scale of the risk;
    blood alcohol, near the limit and at the Ballmer peak; hours awake; mean productivity so far; the time, on a log scale.
    """
    alertness, hypertension, intoxication, time_since_slept, time_elapsed, work_done = (obs[..., i] for i in range(6))
    elapsed = xp.maximum(time_elapsed, 1.0)
    return xp.stack(
        [
            xp.tanh(alertness - 0.5),
            xp.tanh(4.0 * (alertness - 0.5)),
            xp.tanh(alertness / 8.0),
            xp.tanh(hypertension),
            xp.tanh(hypertension / 6.0),
            xp.tanh(20.0 * intoxication),
            xp.exp(-0.5 * ((intoxication - 0.135) / 0.02) ** 2),
            xp.tanh((time_since_slept - 16.0) / 16.0),
            xp.tanh(2.0 * work_done / elapsed),
            xp.log1p(time_elapsed) / 4.0 - 1.0,
        ],
        axis=-1,
    )


def constant(obs: Any, xp: Any = jnp) -> Any:
    """1 for every observation, (...)."""
    return xp.ones_like(obs[..., 0])


def heartpole_days(obs: Any, xp: Any = jnp) -> Any:
    """One over the days lived, the first counted in, (...): HeartPole's reward is the gain of a mean over all time, so
    whatever a decision is worth shrinks like that."""
    return HALF_HOURS_A_DAY / (obs[..., 4] + HALF_HOURS_A_DAY)


class Transform(NamedTuple):
    """What is done to observations before the network, and to its output after it."""

    features: Callable[..., Any]  # obs (..., size), xp -> features (..., num_features)
    value_scale: Callable[..., Any]  # obs (..., size), xp -> (...): q_values are the network's output times this


TRANSFORMS = {
    "raw": Transform(raw, constant),
    "heartpole": Transform(heartpole_features, constant),
    "heartpole-days": Transform(heartpole_features, heartpole_days),
}


def transform(name: str) -> Transform:
    """The transform called `name`. Raises ValueError if there is none."""
    return validation.look_up(TRANSFORMS, name, "transform")


@jax.custom_vjp
def matmul(x: Array, kernel: Array) -> Array:
    """`x @ kernel`, (batch, inputs) by (inputs, outputs), with gradients that XLA runs fast on a CPU.

    Autodiff contracts the batch as a leading axis, which misses the fast kernels for small products: a copied transpose
    in front of a plain product takes half the time for layers of 16. The smallest products are written out as sums,
    which fuse with what is around them. Reverse mode only. See docs/performance.md.
    """
    return _matmul(x, kernel)


def _matmul(x: Array, kernel: Array) -> Array:
    if kernel.size > _WRITTEN_OUT:
        return x @ kernel
    return sum(x[:, i, None] * kernel[i] for i in range(kernel.shape[0]))


_WRITTEN_OUT = 128  # entries of the largest kernel written out, by measurement

matmul.defvjp(
    lambda x, kernel: (_matmul(x, kernel), (x, kernel)),
    lambda saved, cotangent: (_matmul(cotangent, saved[1].T), saved[0].T @ cotangent),
)


class Dense(nn.Module):
    """A linear layer, initialised as PyTorch's: uniform within one over the root of the inputs, biases too."""

    size: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        bound = 1.0 / math.sqrt(x.shape[-1])
        uniform = lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)
        kernel = self.param("kernel", uniform, (x.shape[-1], self.size))
        bias = self.param("bias", uniform, (self.size,))
        return matmul(x, kernel) + bias


class QNetwork(nn.Module):
    """A multilayer perceptron with rectifiers; dueling (Wang et al. 2016): a value and advantages that average to 0."""

    hidden_sizes: tuple[int, ...]
    num_actions: int
    dueling: bool = False

    @nn.compact
    def __call__(self, features: Array) -> Array:
        """(batch, num_features) to (batch, num_actions), before the value scale."""
        x = features
        for size in self.hidden_sizes:
            x = nn.relu(Dense(size)(x))
        if not self.dueling:
            return Dense(self.num_actions)(x)
        heads = Dense(self.num_actions + 1)(x)
        value, advantages = heads[:, :1], heads[:, 1:]
        return value + advantages - advantages.mean(axis=1, keepdims=True)
