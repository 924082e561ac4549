"""Every environment by a name that can be written down: those of `heartpole_jax.make`, with a menu, and gymnax's.

HeartPole-v0    HeartPole-v1    HeartPole-v1:my_menu.toml    gymnax:CartPole-v1
"""

import dataclasses
import functools
import hashlib
import json

from heartpole_jax import arguments, disk
from heartpole_jax.envs import environment
from heartpole_jax.envs.environment import Environment

_GYMNAX = "gymnax:"
_WITH_MENU = "HeartPole-v1:"
_HEARSAY = ("source", "grade", "note")  # columns of a menu that no patient feels


@arguments.checked(name=str)
@functools.cache
def make(name: str) -> Environment:
    """The environment called `name`, the same object for the same name: jit compiles once for it.

    So a menu's file is read once in a process, which keeps what it read then.

    Raises:
      ValueError: if there is none of that name, a menu is refused, or gymnax's has actions that are not Discrete.
      ImportError: for a name of gymnax's, without gymnax.
    """
    if name.startswith(_WITH_MENU):
        return environment.make("HeartPole-v1", menu=name.removeprefix(_WITH_MENU))
    if not name.startswith(_GYMNAX):
        return environment.make(name)
    from heartpole_jax.interop.gymnax import from_gymnax  # here, since gymnax is an extra

    return from_gymnax(name.removeprefix(_GYMNAX))


@arguments.typed()
def located(name: str) -> str:
    """`name` with the whole path of the menu's file, where it names one: it means the same from any folder."""
    if not (name.startswith(_WITH_MENU) and name.endswith(".toml")):
        return name
    return f"{_WITH_MENU}{disk.as_path(name.removeprefix(_WITH_MENU)).absolute()}"


@arguments.typed()
def menu_digest(name: str) -> str | None:
    """SHA-256, in hex, of the menu in the file that `name` names; None where it names none.

    Of the menu as `make` has read it, all that a row has but its source, grade and note; not of the file's bytes.

    Raises:
      ValueError: as `make`.
    """
    if not (name.startswith(_WITH_MENU) and name.endswith(".toml")):
        return None
    rows = [dataclasses.asdict(row) for row in make(name).default_params.menu.actions]
    felt = [{key: value for key, value in row.items() if key not in _HEARSAY and value is not None} for row in rows]
    return hashlib.sha256(json.dumps(felt, sort_keys=True).encode()).hexdigest()


@arguments.typed()
def check_menu(name: str, digest: str | None, since: str) -> None:
    """Raises ValueError where the menu that `name` names is not the one of `digest`; for None, which is none, nothing.

    Args:
      since: what happened under that menu, as in "the menu tea.toml has changed since this policy was trained".
    """
    if digest is not None and menu_digest(name) != digest:
        raise ValueError(
            f"the menu {name.removeprefix(_WITH_MENU)} has changed since {since}; put it back as it was, or train again"
        )
