"""The frozen dataclass of this package: chex's, typed for checkers and editors, and known to `jax.export`."""

import contextlib
import json
import typing

import chex
import jax.export


@typing.dataclass_transform(frozen_default=True)
def dataclass(cls: type) -> typing.Any:
    """`cls` as a frozen chex dataclass, a pytree whose fields are its leaves; built with keyword arguments."""
    return exportable(chex.dataclass(frozen=True, mappable_dataclass=False)(cls))


def exportable(cls: type) -> type:
    """`cls`, registered with `jax.export`, whose exported functions name the types of their arguments and results.

    For a dataclass that is registered as a pytree and whose static fields, if any, are JSON's strings and numbers.
    """
    if "<locals>" not in cls.__qualname__:  # a class made in a function has no name by which to be found again
        with contextlib.suppress(ValueError):  # the module is imported once more, and the name is known
            jax.export.register_pytree_node_serialization(
                cls,
                serialized_name=f"{cls.__module__}.{cls.__qualname__}",
                serialize_auxdata=lambda names: json.dumps(names).encode(),
                deserialize_auxdata=lambda text: tuple(json.loads(bytes(text))),
            )
    return cls
