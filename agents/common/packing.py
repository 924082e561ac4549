"""A pytree of one environment as one vector of 32-bit words, and back: what a compiled loop carries in one piece.

XLA on a CPU runs a kernel for each array that a loop carries, about 80 ns each whatever their size: for one or two
small environments that is most of the time.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree


def pack(tree: ArrayTree) -> Array:
    """All leaves, bit for bit, as one int32 vector. Booleans and small integers take a word, 64-bit numbers two."""
    return jnp.concatenate([_to_words(leaf) for leaf in jax.tree.leaves(tree)])


def unpacker(example: ArrayTree) -> Callable[[Array], ArrayTree]:
    """The function that makes of `pack(tree)` the tree again, for trees of the same form as `example`.

    `example` may be of arrays or of what `jax.eval_shape` gives.
    """
    leaves, treedef = jax.tree.flatten(example)
    sizes = [jax.eval_shape(_to_words, leaf).shape[0] for leaf in leaves]

    def unpack(words: Array) -> ArrayTree:
        parts, start = [], 0
        for leaf, size in zip(leaves, sizes, strict=True):
            parts.append(_from_words(words[start : start + size], leaf))
            start += size
        return jax.tree.unflatten(treedef, parts)

    return unpack


def _to_words(leaf: Array) -> Array:
    leaf = jnp.asarray(leaf)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if leaf.dtype.itemsize < 4:
        leaf = leaf.astype(jnp.float32 if jnp.issubdtype(leaf.dtype, jnp.floating) else jnp.int32)
    return jax.lax.bitcast_convert_type(leaf, jnp.int32).reshape(-1)


def _from_words(words: Array, leaf: Array) -> Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = jax.eval_shape(jax.random.key_data, leaf)
        return jax.random.wrap_key_data(_from_words(words, data), impl=_key_impl(leaf))
    if leaf.dtype.itemsize < 4:
        floating = jnp.issubdtype(leaf.dtype, jnp.floating)
        whole = jax.lax.bitcast_convert_type(words, jnp.float32) if floating else words
        return whole.astype(leaf.dtype).reshape(leaf.shape)
    words = words.reshape(*leaf.shape, 2) if leaf.dtype.itemsize == 8 else words.reshape(leaf.shape)
    return jax.lax.bitcast_convert_type(words, leaf.dtype)


def _key_impl(key: Array) -> Any:
    """The generator of a typed key, also of the mere form of one."""
    found: list[Any] = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), key)
    return found[0]
