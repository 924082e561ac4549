"""Any pytree as NumPy arrays by name, and back: what a checkpoint holds."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from chex import ArrayTree


def as_arrays(tree: ArrayTree) -> dict[str, np.ndarray]:
    """The tree's arrays, named by fields, keys and indices, as "state/0/obs"; typed keys as their data.

    Nothing is copied: save it before the tree's memory is given away.
    """
    return {name: np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf) for name, leaf in _named(tree)}


def from_arrays(arrays: Mapping[str, np.ndarray], form: ArrayTree) -> Any:
    """The tree of which `as_arrays` made `arrays`, of NumPy arrays and typed keys.

    Args:
      arrays: of a checkpoint.
      form: a tree of the same form, of arrays or their shapes.

    Raises:
      ValueError: where an array is missing or too many, or of another shape or type.
    """
    leaves = []
    for name, leaf in _named(form):
        found: Any = arrays.get(name)
        expected = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        got = None if found is None else (str(found.dtype), found.shape)
        if got != (str(expected.dtype), tuple(expected.shape)):
            raise ValueError(
                f"the checkpoint's {name} should be {expected.dtype}{list(expected.shape)}, "
                f"got {f'{got[0]}{list(got[1])}' if got else 'nothing'}"
            )
        leaves.append(jax.random.wrap_key_data(found, impl=_key_impl(leaf)) if _is_key(leaf) else found)
    if len(arrays) != len(leaves):
        raise ValueError(f"the checkpoint should hold {len(leaves)} arrays, got {len(arrays)}")
    return jax.tree.unflatten(jax.tree.structure(form), leaves)


def below(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The arrays of the subtree called `name`, by their names in it."""
    prefix = f"{name}/"
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def _named(tree: ArrayTree) -> list[tuple[str, Any]]:
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _key_impl(key: Any) -> Any:
    found: list[Any] = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), key)
    return found[0]
