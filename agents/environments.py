"""The environments that an agent trains in, by name.

HeartPole-v0    HeartPole-v1    HeartPole-v1:my_menu.toml    gymnax:CartPole-v1
"""

import functools

import heartpole_jax
from heartpole_jax import Environment

_GYMNAX = "gymnax:"
_WITH_MENU = "HeartPole-v1:"


@functools.cache
def make(name: str) -> Environment:
    """The environment called `name`, the same object for the same name: jit compiles once for it.

    Raises:
      ValueError: if there is none of that name, a menu is refused, or gymnax's has actions that are not Discrete.
      ImportError: for a name of gymnax's, without gymnax.
    """
    if name.startswith(_WITH_MENU):
        return heartpole_jax.make("HeartPole-v1", menu=name.removeprefix(_WITH_MENU))
    if not name.startswith(_GYMNAX):
        return heartpole_jax.make(name)
    from heartpole_jax.interop.gymnax import from_gymnax  # here alone: whoever needs no gymnax need not have it

    return from_gymnax(name.removeprefix(_GYMNAX))
