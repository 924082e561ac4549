"""All devices of all processes as one row, each with a slice of its own.

A global array has an axis of devices in front and is divided along it: its piece on a device, (1, ...), is what that
device's slice holds. The program is one and the same for every device, compiled for one slice: it rounds alike whether
there are eight devices or one, in one process or several.
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

    def compile(self, function: Callable, *arguments: ArrayTree, donate: tuple[int, ...] = ()) -> Callable:
        """`function`, of one device's slice, compiled for all: it takes and returns global arrays.

        Args:
          function: takes and returns trees of arrays without the axis of devices.
          arguments: global arrays or their shapes, see `shapes`.
          donate: which arguments' memory the results may take.
        """

        @functools.partial(jax.jit, donate_argnums=donate)
        def whole(*arguments):
            def one(*pieces):
                result = function(*jax.tree.map(lambda x: x[0], pieces))
                return jax.tree.map(lambda x: jnp.asarray(x)[None], result)

            split = PartitionSpec(_AXIS)
            return jax.shard_map(one, mesh=self.mesh, in_specs=split, out_specs=split, check_vma=False)(*arguments)

        return whole.lower(*arguments).compile()

    def shapes(self, tree: ArrayTree) -> ArrayTree:
        """The global arrays' shapes of a tree of one slice's arrays or shapes."""
        form = lambda x: jax.ShapeDtypeStruct((self.size, *x.shape), x.dtype, sharding=self.sharding)
        return jax.tree.map(form, tree)

    def zeros(self, tree: ArrayTree) -> ArrayTree:
        """Global arrays of zeros of a slice's shapes."""
        return jax.jit(
            lambda: jax.tree.map(lambda x: jnp.zeros((self.size, *x.shape), x.dtype), tree),
            out_shardings=self.sharding,
        )()

    def put(self, pieces: dict[int, ArrayTree]) -> ArrayTree:
        """Global arrays of one tree of host arrays for each of this process's devices, by the device's place."""
        placed = {
            i: jax.tree.map(lambda x, i=i: jax.device_put(np.asarray(x)[None], self.devices[i]), piece)
            for i, piece in pieces.items()
        }
        return self.join(placed)

    def join(self, pieces: dict[int, ArrayTree]) -> ArrayTree:
        """Global arrays of pieces that lie on this process's devices already, (1, ...) each: nothing is copied."""

        def unite(*arrays: Any) -> jax.Array:
            shape = (self.size, *arrays[0].shape[1:])
            return jax.make_array_from_single_device_arrays(shape, self.sharding, list(arrays))

        return jax.tree.map(unite, *(pieces[i] for i in self.local))

    def split(self, tree: ArrayTree) -> dict[int, ArrayTree]:
        """The pieces on this process's devices, by the device's place: nothing is copied."""
        leaves, treedef = jax.tree.flatten(tree)
        by_device = [{shard.device: shard.data for shard in leaf.addressable_shards} for leaf in leaves]
        return {i: jax.tree.unflatten(treedef, [pieces[self.devices[i]] for pieces in by_device]) for i in self.local}

    def to_host(self, piece: ArrayTree) -> ArrayTree:
        """A piece's arrays as NumPy's without the axis of devices, copied: the device may take its memory back."""
        return jax.tree.map(lambda x: np.array(x)[0], piece)
