"""Every environment by a name that can be written down, and `register`, which adds one.

HeartPole-v0    HeartPole-v1    HeartPole-v1:my_menu.toml    gymnax:CartPole-v1    package.module:attribute

What follows a registered name and a colon is handed to the function that makes the environment.
"""

import inspect
from collections.abc import Callable
from typing import Any

from heartpole_jax import arguments, disk, validation
from heartpole_jax.envs import heartpole_v0, heartpole_v1
from heartpole_jax.envs.environment import Environment, imported, is_made, made_by

_FACTORIES: dict[str, Callable[..., Environment] | str] = {
    "HeartPole-v0": heartpole_v0.environment,
    "HeartPole-v1": heartpole_v1.environment,
    "gymnax": "heartpole_jax.interop.gymnax:from_gymnax",  # gymnax:NAME
}
_OURS = tuple(_FACTORIES)
_MADE: dict[str, Environment] = {}


@arguments.checked(name=str)
def register(name: str, make_environment: Callable[..., Environment] | str) -> None:
    """Makes an environment known by `name` to `make` and to every command of this process.

    Other processes, as the workers of a sweep, find it by "package.module:attribute" without being registered.

    Args:
      name: without a colon.
      make_environment: called without arguments where the name is asked for alone, with what follows the colon in
        "name:text", and with the keywords of `make`. Or its own name, "package.module:attribute".

    Raises:
      ValueError: for a name that is empty, has a colon or is one of this package's. One's own is replaced.
      TypeError: for what cannot be called.
    """
    if not name.strip() or ":" in name:
        raise ValueError(f"the name of an environment must be a text without a colon, got {name!r}")
    if name in _OURS:
        raise ValueError(f"{name!r} is an environment of this package; take another name")
    if not callable(make_environment) and not isinstance(make_environment, str):
        raise TypeError(f"make_environment must be a function or its name, got {arguments.described(make_environment)}")
    _FACTORIES[name] = make_environment
    for made in [made for made in _MADE if made.partition(":")[0] == name]:  # with the function registered before
        del _MADE[made]


@arguments.checked(name=str)
def make(name: str, **options: Any) -> Environment:
    """The environment called `name`; its parameters are `make(name).default_params`.

    The same object for the same name: jit compiles once for it, and a menu's file is read once in a process, which
    keeps what it read then.

    Args:
      options: of the environment; HeartPole-v1 has `menu`, a TOML file, the name of a shipped menu, or a `Menu`.

    Raises:
      ValueError: if there is none of that name, or it refuses an option, as HeartPole-v1 a menu.
      ImportError: for a name of gymnax's, without gymnax.
    """
    if options:
        return _make(name, **options)
    if name not in _MADE:
        env = _make(name)
        # What a name of its own finds again in another process is pickled by it; what a function made, by its fields.
        found_again = name.partition(":")[0] in _OURS or name.partition(":")[0] not in _FACTORIES
        _MADE[name] = made_by(env, make, name) if found_again and not is_made(env) else env
    return _MADE[name]


def _make(name: str, **options: Any) -> Environment:
    own, _, text = name.partition(":")
    if own not in _FACTORIES and text and own.replace(".", "").isidentifier():
        found, own, text = imported(name), name, ""
    else:
        found = imported(validation.look_up(_FACTORIES, own if own in _FACTORIES else name, "environment"))
    factory = (lambda: found) if isinstance(found, Environment) else found
    if not callable(factory):
        raise ValueError(f"{name!r} must be an Environment or make one, got {arguments.described(found)}")
    given = (text,) if text else ()
    try:
        inspect.signature(factory).bind(*given, **options)
    except TypeError as error:
        if text:
            raise ValueError(f"{own} takes nothing after its name, got {text!r}") from None
        unknown = [option for option in options if option not in inspect.signature(factory).parameters]
        if unknown:
            raise ValueError(f"{own} has no {unknown[0]}, got {arguments.shown(options[unknown[0]])}") from None
        raise ValueError(f"{own} cannot be made from its name alone: {error}") from None
    env = factory(*given, **options)
    if not isinstance(env, Environment):
        raise ValueError(f"{name!r} must make an Environment, got {arguments.described(env)}")
    return env


@arguments.typed()
def family(name: str) -> str:
    """`name` without the file that it names, if any: what a recipe or a table is for."""
    return name.partition(":")[0] if _file_of(name) else name


@arguments.typed()
def located(name: str) -> str:
    """`name` with the whole path of the file that it names, if any: it means the same from any folder."""
    file = _file_of(name)
    return f"{family(name)}:{disk.as_path(file).absolute()}" if file else name


@arguments.typed()
def digest(name: str) -> str | None:
    """The digest of what the file that `name` names holds, as `make` has read it; None where it names none.

    Raises:
      ValueError: as `make`.
    """
    return make(name).digest if _file_of(name) else None


@arguments.typed()
def check_digest(name: str, digest_then: str | None, since: str) -> None:
    """Raises ValueError where the file that `name` names has another digest now; for None, which is none, nothing.

    Args:
      since: what happened then, as in "the menu tea.toml has changed since this policy was trained".
    """
    if digest_then is not None and digest(name) != digest_then:
        raise ValueError(
            f"the menu {_file_of(name) or name} has changed since {since}; put it back as it was, or train again"
        )


def _file_of(name: str) -> str:
    """The file that the name of an environment names, "" where it names none."""
    own, _, text = name.partition(":")
    return text if own in _FACTORIES and text.endswith(".toml") else ""
