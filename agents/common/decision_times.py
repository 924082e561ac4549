"""Rewards and discounts of decisions that take different times.

Source: Sutton, Precup & Singh, "Between MDPs and semi-MDPs" (1999).
"""

import jax.numpy as jnp
from chex import Array, Numeric


def discounted_reward(reward: Array, duration: Array, discount: Numeric, reward_shift: Numeric) -> Array:
    """The discounted rewards of decisions that take `duration` units of time each, both of any shape.

    The reward comes in the last unit. `reward_shift` is added in each unit, so that it favours no action.
    """
    units = jnp.where(discount < 1.0, (1.0 - discount**duration) / jnp.maximum(1.0 - discount, 1e-6), duration)
    return reward * discount ** (duration - 1.0) + reward_shift * units
