"""Means over episodes and their standard errors, block by block, so that no more than a block is in memory."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree

from heartpole_jax import struct


@struct.dataclass
class Moments:
    """A mean over independent episodes, and its standard error, trees of one structure."""

    mean: ArrayTree
    standard_error: ArrayTree


class Block(NamedTuple):
    """Of some episodes: the mean, and the sum of squared deviations from it."""

    mean: Array
    squares: Array


def as_block(values: Array) -> Block:
    """The `Block` of values (num_episodes, ...)."""
    mean = jnp.mean(values, axis=0)
    return Block(mean, jnp.sum((values - mean[None]) ** 2, axis=0))


def moments_of(blocks: Any, block_episodes: int) -> Moments:
    """The `Moments` of all episodes: `blocks` is a tree of `Block`, its leading axis blocks of `block_episodes`."""
    is_block = lambda x: isinstance(x, Block)
    return Moments(
        mean=jax.tree.map(lambda block: jnp.mean(block.mean, axis=0), blocks, is_leaf=is_block),
        standard_error=jax.tree.map(lambda block: _standard_error(block, block_episodes), blocks, is_leaf=is_block),
    )


def _standard_error(blocks: Block, block_episodes: int) -> Array:
    num_episodes = blocks.mean.shape[0] * block_episodes
    between = block_episodes * jnp.sum((blocks.mean - jnp.mean(blocks.mean, axis=0, keepdims=True)) ** 2, axis=0)
    return jnp.sqrt((jnp.sum(blocks.squares, axis=0) + between) / (num_episodes - 1) / num_episodes)
