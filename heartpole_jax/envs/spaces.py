"""The spaces of an environment's actions and observations, in the manner of Gymnasium and without it."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, PRNGKey


@dataclasses.dataclass(frozen=True)
class Discrete:
    """The whole numbers 0 .. n - 1."""

    n: int

    @property
    def shape(self) -> tuple[int, ...]:
        """()."""
        return ()

    @property
    def dtype(self) -> Any:
        """int32."""
        return np.dtype(np.int32)

    def sample(self, key: PRNGKey) -> Array:
        """One of them, each with the same probability, int32 of shape ()."""
        return jax.random.randint(key, (), 0, self.n)

    def contains(self, x: Any) -> bool:
        """Whether `x` is one of them."""
        array = np.asarray(x)
        return array.shape == () and array.dtype.kind in "iu" and 0 <= int(array) < self.n


@dataclasses.dataclass(frozen=True, eq=False)
class Box:
    """Arrays between `low` and `high`, which are arrays of one shape; infinite where there is no bound."""

    low: np.ndarray
    high: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Of each array."""
        return self.low.shape

    @property
    def dtype(self) -> Any:
        """JAX's default float."""
        return np.dtype(jnp.result_type(float))

    def sample(self, key: PRNGKey) -> Array:
        """One of them: uniform between two bounds, exponential away from one, normal where there is none."""
        low, high = jnp.asarray(self.low, self.dtype), jnp.asarray(self.high, self.dtype)
        keys = jax.random.split(key, 3)
        uniform = jax.random.uniform(keys[0], self.shape)
        exponential = jax.random.exponential(keys[1], self.shape)
        below, above = jnp.isfinite(low), jnp.isfinite(high)
        x = jnp.where(
            below, low + exponential, jnp.where(above, high - exponential, jax.random.normal(keys[2], self.shape))
        )
        return jnp.where(below & above, low + uniform * jnp.where(below & above, high - low, 0.0), x)

    def contains(self, x: Any) -> bool:
        """Whether `x` is one of them."""
        array = np.asarray(x)
        fits = array.shape == self.shape and array.dtype.kind in "iuf"
        return fits and bool(np.all((array >= self.low) & (array <= self.high)))
