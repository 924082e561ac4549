"""Any pytree as nested dicts of NumPy arrays, by field, key and index, and back: what a checkpoint holds."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from chex import ArrayTree


def as_dicts(tree: ArrayTree) -> dict[str, Any]:
    """The tree's arrays as nested dicts, by field, key and index; typed keys as their data.

    Nothing is copied: save it before the tree's memory is given away.
    """
    nested: dict[str, Any] = {}
    for names, leaf in _named_leaves(tree):
        node = nested
        for name in names[:-1]:
            node = node.setdefault(name, {})
        node[names[-1]] = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
    return nested


def from_dicts(arrays: Mapping[str, Any], form: ArrayTree) -> ArrayTree:
    """The tree of which `as_dicts` made `arrays`, of NumPy arrays and typed keys.

    Args:
      arrays: of a checkpoint.
      form: a tree of the same form, of arrays or their shapes.

    Raises:
      ValueError: where an array is missing or too many, or of another shape or type.
    """
    leaves, count = [], 0
    for names, leaf in _named_leaves(form):
        found: Any = arrays
        for name in names:
            found = found.get(name) if isinstance(found, Mapping) else None
        expected = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        got = None if found is None or isinstance(found, Mapping) else (str(found.dtype), found.shape)
        if got != (str(expected.dtype), tuple(expected.shape)):
            raise ValueError(
                f"the checkpoint's {'/'.join(names)} should be {expected.dtype}{list(expected.shape)}, "
                f"got {f'{got[0]}{list(got[1])}' if got else 'nothing'}"
            )
        leaves.append(jax.random.wrap_key_data(found, impl=_key_impl(leaf)) if _is_key(leaf) else found)
        count += 1
    if len(jax.tree.leaves(dict(arrays))) != count:
        raise ValueError(f"the checkpoint should hold {count} arrays, got {len(jax.tree.leaves(dict(arrays)))}")
    return jax.tree.unflatten(jax.tree.structure(form), leaves)


def _named_leaves(tree: ArrayTree) -> Iterator[tuple[list[str], Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield jax.tree_util.keystr(path, simple=True, separator="/").split("/"), leaf


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _key_impl(key: Any) -> Any:
    found: list[Any] = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), key)
    return found[0]
