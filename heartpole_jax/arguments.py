"""Arguments, checked as they come: of which type, by name, and what came in a few words."""

import functools
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax import annotations

_Function = TypeVar("_Function", bound=Callable)


def checked(**kinds: Any) -> Callable[[_Function], _Function]:
    """A decorator: arguments of these names must be of these types, or pass these checks `(name, value)`.

    None passes where it is the default. Raises TypeError with the argument's name.
    """
    return _decorator(kinds, by_annotation=False)


def typed(**kinds: Any) -> Callable[[_Function], _Function]:
    """As `checked`; arguments of other names must be what their annotations say, see `annotations`."""
    return _decorator(kinds, by_annotation=True)


def _decorator(kinds: dict[str, Any], by_annotation: bool) -> Callable[[_Function], _Function]:
    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args, **kwargs):
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError as error:
                raise TypeError(f"{function.__name__}: {error}") from None
            for name, kind in kinds.items():
                if name not in given or (given[name] is None and signature.parameters[name].default is None):
                    continue
                if isinstance(kind, type | tuple):
                    check_type(name, given[name], kind)
                else:
                    kind(name, given[name])
            for name, annotation in _hints(function).items() if by_annotation else ():
                if name in given and name not in kinds and given[name] is not signature.parameters[name].default:
                    check_annotated(name, given[name], annotation)
            return function(*args, **kwargs)

        for name in dir(function):  # what jit and functools.cache give a function: lower, clear_cache, cache_clear, ...
            if not name.startswith("__") and not hasattr(call, name):
                setattr(call, name, getattr(function, name))
        return typing.cast(_Function, call)

    return decorate


def check_type(name: str, value: Any, kind: type | tuple[type, ...], hint: str = "") -> None:
    """Raises TypeError where `value` is of none of these types; `hint` says what to do."""
    if isinstance(value, kind):
        return
    kinds = kind if isinstance(kind, tuple) else (kind,)
    wanted, got = " or ".join(_with_article(kind.__name__) for kind in kinds), described(value)
    if type(value).__name__ == kinds[0].__name__:  # two versions of one thing
        wanted, got = f"{wanted} of {kinds[0].__module__}", f"{got} of {type(value).__module__}"
    raise TypeError(f"{name} must be {wanted}, got {got}{f'; {hint}' if hint else ''}")


def check_annotated(name: str, value: Any, annotation: Any) -> None:
    """Raises TypeError where `value` is not what the annotation says."""
    if not annotations.fits(value, annotation):
        raise TypeError(f"{name} must be {annotations.wanted(annotation)}, got {described(value)}")


def check_fields(record: object) -> None:
    """Raises TypeError where a field of the dataclass is not what its annotation says: its `__post_init__`."""
    kind: Any = type(record)
    for name, annotation in _hints(kind).items():
        check_annotated(name, getattr(record, name), annotation)


@functools.cache
def _hints(annotated: Any) -> dict[str, Any]:  # of a function's first call: a name may be defined below it
    """The annotations that require something, by name."""
    hints = typing.get_type_hints(annotated)
    return {name: annotation for name, annotation in hints.items() if annotations.requires(annotation)}


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def check_key(name: str, key: Any) -> None:
    """Raises TypeError where `key` is neither a random key nor its words, ValueError where it is several."""
    if _shape_of_keys(name, key) != ():
        raise ValueError(f"{name} must be one key, got {described(key)}; map over a batch with jax.vmap")


def check_keys(name: str, keys: Any) -> None:
    """Raises TypeError where `keys` are neither random keys nor their words, ValueError where they are no list."""
    shape = _shape_of_keys(name, keys)
    if len(shape) != 1 or 0 in shape:
        raise ValueError(
            f"{name} must be a list of keys, got {described(keys)}; make one with jax.random.split(key, 8)"
        )


def _shape_of_keys(name: str, key: Any) -> tuple[int, ...]:
    if not isinstance(key, jax.Array | np.ndarray):
        raise TypeError(f"{name} must be a JAX random key, got {described(key)}; make one with jax.random.key(0)")
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key.shape
    if key.dtype == jnp.uint32:
        return key.shape[:-1] if key.shape[-1:] in ((2,), (4,)) else (*key.shape, 1)
    raise TypeError(
        f"{name} must be a typed key or raw uint32 words, got dtype {key.dtype}; make one with jax.random.key(0)"
    )


def check_arrays(name: str, value: Any) -> None:
    """Raises TypeError where something in the tree `value` is no array or number, or a number that JAX cannot hold."""
    try:
        leaves = jax.tree_util.tree_leaves_with_path(value)
    except (TypeError, ValueError):  # a dict whose keys cannot be sorted
        leaves = [((), value)]
    # A scalar of NumPy's may be a date, which JAX finds out late; an array of NumPy's may not.
    others = [
        (path, np.asarray(leaf) if isinstance(leaf, np.generic) else leaf)
        for path, leaf in leaves
        if not isinstance(leaf, jax.Array)
    ]
    if others and not _are_held([leaf for _, leaf in others]):
        path, leaf = next((path, leaf) for path, leaf in others if not _are_held(leaf))
        where = f"{name}{jax.tree_util.keystr(path)}"
        raise TypeError(f"{where} must be arrays and numbers that JAX can hold, got {described(leaf)}")


def _are_held(value: Any) -> bool:
    try:
        jax.eval_shape(lambda tree: None, value)
    except (TypeError, ValueError, OverflowError):
        return False
    return not any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(value))


def form(value: Any) -> str:
    """The type and shape of an array or number as JAX has it, as "float32[6]"; of anything else what it is."""
    try:
        return f"{jnp.result_type(value)}{list(jnp.shape(value))}"
    except TypeError:
        return described(value)


def check_numeric(name: str, value: Any) -> None:
    """Raises TypeError where `value` is no real number or array of them, or one that JAX cannot hold; tracers pass."""
    if isinstance(value, jax.Array):
        kind = getattr(value.dtype, "kind", "O")  # keys have none; NumPy knows no bfloat16, and asking JAX is slow
        known = kind in "biuf" or (kind == "V" and jnp.issubdtype(value.dtype, jnp.number))
    elif isinstance(value, int):
        known = abs(value) <= jnp.iinfo(jnp.result_type(int)).max
    else:
        known = isinstance(value, float | np.generic | np.ndarray) and np.asarray(value).dtype.kind in "biuf"
    if not known:
        raise TypeError(f"{name} must be a number or an array of numbers that JAX can hold, got {described(value)}")


def check_array(name: str, value: Any) -> None:
    """Raises TypeError where `value` is no array of real numbers; tracers pass."""
    check_type(name, value, (np.ndarray, jax.Array))
    check_numeric(name, value)


def as_array(name: str, value: Any) -> np.ndarray:
    """The array that `value` is. Raises TypeError where it is none: keys, lists of uneven lengths."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number or an array of numbers, got {described(value)}") from None


def check_positive(name: str, value: Any) -> None:
    """Raises as `check_numeric`, and ValueError where a number, or one of NumPy's array, is not above 0."""
    check_numeric(name, value)
    if not isinstance(value, jax.Array) and not np.all(np.asarray(value) > 0):
        raise ValueError(f"{name} must be greater than 0, got {shown(value)}")


def numeric(**kinds: Any) -> Callable[[_Function], _Function]:
    """As `checked`; arguments of other names must be numbers or arrays of numbers, see `check_numeric`."""

    def decorate(function: _Function) -> _Function:
        return checked(**dict.fromkeys(inspect.signature(function).parameters, check_numeric) | kinds)(function)

    return decorate


def check_path(name: str, value: Any) -> None:
    """Raises TypeError where `value` names no file."""
    check_type(name, value, (str, Path))


def described(value: Any) -> str:
    """What `value` is, in a few words, for a message: neither the numbers of an array nor those of a policy."""
    if value is None or isinstance(value, bool | int | float | complex):
        return repr(value) if len(repr(value)) < 60 else f"a number of {len(repr(value))} digits"
    if isinstance(value, str):
        return repr(value if len(value) < 60 else f"{value[:57]}...")
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        is_key = jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
        return f"{'random keys' if is_key else f'an array of {value.dtype}'} of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return _with_article(type(value).__name__)


def shown(value: Any) -> str:
    """`value` as it is written, where that is short and on one line; else as `described`."""
    if isinstance(value, int | float | str | list | tuple | dict | np.ndarray | jax.Array | None):
        try:
            text = repr(value)
        except ValueError:  # a whole number of more than 4,300 digits
            return "a number of thousands of digits"
        if len(text) <= 200 and "\n" not in text:
            return text
    return described(value)
