"""Means over tapes and their standard errors, block by block, so that no more than a block is in memory."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree

from heartpole_jax import struct


@struct.dataclass
class Moments:
    """A mean over independent tapes, and its standard error, trees of one structure."""

    mean: ArrayTree
    standard_error: ArrayTree


class Block(NamedTuple):
    """Of some tapes: the mean, and the sum of squared deviations from it."""

    mean: Array
    squares: Array


def as_block(values: Array) -> Block:
    """The `Block` of values (num_tapes, ...)."""
    mean = jnp.mean(values, axis=0)
    return Block(mean, jnp.sum((values - mean[None]) ** 2, axis=0))


def moments_of(blocks: Any, block_tapes: int) -> Moments:
    """The `Moments` of all tapes: `blocks` is a tree of `Block`, whose leading axis counts blocks of `block_tapes`."""
    is_block = lambda x: isinstance(x, Block)
    return Moments(
        mean=jax.tree.map(lambda block: jnp.mean(block.mean, axis=0), blocks, is_leaf=is_block),
        standard_error=jax.tree.map(lambda block: _standard_error(block, block_tapes), blocks, is_leaf=is_block),
    )


def _standard_error(blocks: Block, block_tapes: int) -> Array:
    num_tapes = blocks.mean.shape[0] * block_tapes
    between = block_tapes * jnp.sum((blocks.mean - jnp.mean(blocks.mean, axis=0, keepdims=True)) ** 2, axis=0)
    return jnp.sqrt((jnp.sum(blocks.squares, axis=0) + between) / (num_tapes - 1) / num_tapes)
