"""The environments that an agent trains in, by name: those of `heartpole_jax.make`, and gymnax's as "gymnax:<name>"."""

import functools

import heartpole_jax
from heartpole_jax import Environment

_GYMNAX = "gymnax:"


@functools.cache
def make(name: str) -> Environment:
    """The environment called `name`, the same object for the same name: jit compiles once for it.

    Raises:
      ValueError: if there is none of that name, or gymnax's has actions that are not Discrete.
      ImportError: for a name of gymnax's, without gymnax.
    """
    if not name.startswith(_GYMNAX):
        return heartpole_jax.make(name)
    from heartpole_jax.interop.gymnax import from_gymnax  # here alone: whoever needs no gymnax need not have it

    return from_gymnax(name.removeprefix(_GYMNAX))
