"""All devices of all processes as one row, each with a slice of its own.

A global array is the slices' arrays one after the other along their first axis, divided so that each device holds its
own: its piece. A slice's scalar is a piece of shape (1,). The program is one and the same for every device, compiled
for one slice: it rounds alike whether there are eight devices or one, in one process or several.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import ArrayTree
from jax.sharding import AxisType, NamedSharding, PartitionSpec

_AXIS = "devices"


class Fleet:
    """The devices; by default all of them, of every process."""

    def __init__(self, devices: Sequence[jax.Device] | None = None):
        devices = jax.devices() if devices is None else devices
        self.mesh = jax.make_mesh((len(devices),), (_AXIS,), axis_types=(AxisType.Auto,), devices=devices)
        self.sharding = NamedSharding(self.mesh, PartitionSpec(_AXIS))
        self.devices = list(self.mesh.devices.flat)
        self.local = [i for i, device in enumerate(self.devices) if device.process_index == jax.process_index()]

    @property
    def size(self) -> int:
        """Devices of all processes."""
        return len(self.devices)

    def compile(self, function: Callable, *forms: ArrayTree, donate: tuple[int, ...] = ()) -> Callable:
        """`function`, of one device's slice, compiled for all: it takes and returns global arrays.

        Args:
          function: takes and returns trees of one slice's arrays.
          forms: the shapes of what it takes.
          donate: which arguments' memory the results may take.
        """

        @functools.partial(jax.jit, donate_argnums=donate)
        def whole(*arguments):
            def one(*pieces):
                return jax.tree.map(jnp.atleast_1d, function(*_shaped(pieces, forms)))

            split = PartitionSpec(_AXIS)
            return jax.shard_map(one, mesh=self.mesh, in_specs=split, out_specs=split, check_vma=False)(*arguments)

        return whole.lower(*map(self.shapes, forms)).compile()

    def shapes(self, form: ArrayTree) -> ArrayTree:
        """The global arrays' shapes of a slice's."""

        def whole(x: Any) -> jax.ShapeDtypeStruct:
            first, *rest = x.shape or (1,)
            return jax.ShapeDtypeStruct((self.size * first, *rest), x.dtype, sharding=self.sharding)

        return jax.tree.map(whole, form)

    def zeros(self, form: ArrayTree) -> ArrayTree:
        """Global arrays of zeros of a slice's shapes."""
        shapes = self.shapes(form)
        zeros = jax.jit(
            lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes), out_shardings=self.sharding
        )
        return zeros()

    def place(self, tree: ArrayTree, i: int) -> ArrayTree:
        """The piece of the i-th device, of one slice's host arrays."""
        return jax.tree.map(lambda x: jax.device_put(np.atleast_1d(x), self.devices[i]), tree)

    def put(self, trees: dict[int, ArrayTree]) -> ArrayTree:
        """Global arrays of one slice's host arrays for each of this process's devices, by the device's place."""
        return self.join({i: self.place(tree, i) for i, tree in trees.items()})

    def join(self, pieces: dict[int, ArrayTree]) -> ArrayTree:
        """Global arrays of pieces that lie on this process's devices already: nothing is copied."""

        def unite(*arrays: Any) -> jax.Array:
            first, *rest = arrays[0].shape
            shape = (self.size * first, *rest)
            return jax.make_array_from_single_device_arrays(shape, self.sharding, list(arrays))

        return jax.tree.map(unite, *(pieces[i] for i in self.local))

    def split(self, tree: ArrayTree) -> dict[int, ArrayTree]:
        """The pieces on this process's devices, by the device's place: nothing is copied."""
        leaves, treedef = jax.tree.flatten(tree)
        by_device = [{shard.device: shard.data for shard in leaf.addressable_shards} for leaf in leaves]
        return {i: jax.tree.unflatten(treedef, [pieces[self.devices[i]] for pieces in by_device]) for i in self.local}


def on_host(piece: ArrayTree, form: ArrayTree, copy: bool = True) -> ArrayTree:
    """A piece as one slice's NumPy arrays; without copies only until the device takes its memory back."""
    return _shaped(jax.tree.map(np.array if copy else np.asarray, piece), form)


def _shaped(pieces: ArrayTree, forms: ArrayTree) -> ArrayTree:
    """Arrays of rank 1 as the scalars that they are."""
    return jax.tree.map(lambda x, form: x.reshape(form.shape), pieces, forms)
