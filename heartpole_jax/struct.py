"""The frozen dataclass of this package: chex's, with the types that checkers and editors need."""

import typing

import chex


@typing.dataclass_transform(frozen_default=True)
def dataclass(cls: type) -> typing.Any:
    """`cls` as a frozen chex dataclass, a pytree whose fields are its leaves; built with keyword arguments."""
    return chex.dataclass(frozen=True, mappable_dataclass=False)(cls)
