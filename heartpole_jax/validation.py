"""Bad input, refused: what was wrong, what came, and what would have been right.

Parameters are checked when they are built, as far as their values are known then: tracers pass.
"""

import abc
import difflib
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax.arguments import check_key as check_key
from heartpole_jax.arguments import check_type as check_type
from heartpole_jax.arguments import described as described
from heartpole_jax.arguments import shown
from heartpole_jax.terminal import printable

_T = TypeVar("_T")


def look_up(known: Mapping[str, _T], name: str, kind: str) -> _T:
    """`known[name]`.

    Raises:
      ValueError: if it is not there, with the nearest name that is.
    """
    if isinstance(name, str) and name in known:
        return known[name]
    hint = nearest(known, name).removeprefix("; ")
    raise ValueError(f"unknown {kind} {shown(name)}; {hint and f'{hint} '}known: {', '.join(map(repr, known))}")


def nearest(known: Iterable[str], name: Any) -> str:
    """ "; did you mean ...?" with the nearest of the known names, "" where none is near."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5) if isinstance(name, str) and len(name) < 100 else []
    return f"; did you mean {close[0]!r}?" if close else ""


class Checked(abc.ABCMeta):
    """The type of classes whose objects check themselves, by `__check__`, once they are built; subclasses as well.

    Not a `__post_init__`, which chex also runs on every tree operation: a gradient with respect to parameters has their
    type, and may be negative. Nor a wrapped `__init__`, which a dataclass that inherits from one replaces by its own.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        known = getattr(cls, "__dataclass_fields__")  # noqa: B009 (which a type checker does not know of)
        for name in kwargs:
            if name not in known:
                hint = nearest(known, name)
                raise TypeError(f"{cls.__name__} has no constant {name!r}{hint or '; its fields name them'}")
        built = super().__call__(*args, **kwargs)
        built.__check__()
        return built


def flags_in(arguments: Sequence[str]) -> list[str]:
    """The flags of a command line in order, without hyphens at the front, values after "=" or underscores."""
    flags = [argument for argument in arguments if argument.startswith("--") and argument != "--"]
    return [flag[2:].partition("=")[0].replace("_", "-") for flag in flags]


def check_arguments(arguments: Sequence[str], same: Mapping[str, str] = MappingProxyType({})) -> None:
    """Raises ValueError for what a parser would take quietly: an empty argument, and of two equal flags the last.

    `same` are other names of flags.
    """
    given: set[str] = set()
    for argument in arguments:
        if printable(argument) != argument:
            raise ValueError(
                f"an argument must have no control characters, got {argument!r:.200}; rename what it names"
            )
        value = argument.partition("=")[2] if argument.startswith("--") and "=" in argument else argument
        if not value.strip() or (value == "--" and value is not argument):
            raise ValueError(f"an argument is empty, got {argument!r}; give it a value, or leave it out")
    for flag in flags_in(arguments):
        if same.get(flag, flag) in given:
            raise ValueError(f"--{same.get(flag, flag)} is given twice; give it once, with all of its values after it")
        given.add(same.get(flag, flag))


def check_folder(folder: Path) -> None:
    """Raises ValueError where `folder` is none and cannot be made, or nothing can be written there. Leaves nothing."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"cannot write to {str(folder)!r}: {there} is a file")
    try:  # rather than ask for permissions, which root has where nothing can be written
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(f"cannot write to {str(folder)!r}: {there} is not writable ({error.strerror})") from None


class _Limits(NamedTuple):
    """What JAX's numbers can hold."""

    real: type[np.floating]
    smallest: float  # of its default float; XLA flushes what is nearer to 0
    largest: float
    whole: int  # the largest of its default int


def _limits_of(real: type[np.floating], whole: type[np.signedinteger]) -> _Limits:
    return _Limits(real, float(np.finfo(real).tiny), float(np.finfo(real).max), int(np.iinfo(whole).max))


_LIMITS = {False: _limits_of(np.float32, np.int32), True: _limits_of(np.float64, np.int64)}


def _limits() -> _Limits:
    return _LIMITS[jax.config.jax_enable_x64]  # type: ignore[attr-defined]


def as_computed(value: Any) -> Any:
    """`value` as JAX computes with it: a float is infinite where JAX's default float ends, and 0 where it is too small.

    A whole number stays one, and is infinite beyond JAX's default int.
    """
    limits = _limits()
    if isinstance(value, int | float):
        size, whole = abs(value), isinstance(value, int)
        if not size <= (limits.whole if whole else limits.largest):
            return math.nan if size != size else math.inf if value > 0 else -math.inf
        return value if whole else limits.real(value if size >= limits.smallest else 0.0)
    array = np.asarray(value)
    if array.dtype.kind in "iu":
        return np.where((array > limits.whole) | (array < -limits.whole), np.inf, array)
    size = np.abs(array)
    return np.where(size > limits.largest, np.inf, np.where(size < limits.smallest, 0.0, array)).astype(limits.real)


def as_float(value: float) -> float:
    """The number as a float, infinite where it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_held(value: Any) -> bool:
    """Whether every number of `value` is finite for JAX: within its default float, or of whole numbers its int."""
    return bool(np.all(np.isfinite(as_computed(value))))


def held(value: Any) -> str:
    """What `is_held` requires of this `value`, which it refuses, for a message."""
    if isinstance(value, int):
        return "within " + ("int32, or a float" if _limits().whole < 2**32 else "int64, or a float")
    return f"finite in {_limits().real.__name__}" if np.all(np.isfinite(np.asarray(value, float))) else "finite"


def is_real(value: Any) -> bool:
    """Whether `value` is a real number or an array of them."""
    if type(value) in (int, float):
        return True
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return False
    try:
        dtype = np.asarray(value).dtype
    except (ValueError, TypeError):  # nested lists of uneven lengths, objects that refuse
        return False
    return dtype.kind in "iuf" or dtype == jnp.bfloat16


def is_number(value: Any) -> bool:
    """Whether `value` is a real number or an array of some: no list, which JAX takes for a tree."""
    return (
        isinstance(value, int | float | np.generic | np.ndarray | jax.Array) and is_real(value) and np.size(value) > 0
    )


def check_reals(name: str, value: Any) -> None:
    """Raises TypeError where `value` is no real number or array of them."""
    if not is_real(value):
        raise TypeError(f"{name} must be real numbers, got {shown(value)}")


def check_share(name: str, value: Any) -> None:
    """Raises TypeError or ValueError where `value` is known and no number in [0, 1]."""
    if isinstance(value, jax.core.Tracer):
        return
    if not is_real(value) or np.ndim(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a number in [0, 1], got {shown(value)}")


def check_number(name: str, value: Any) -> None:
    """Raises TypeError where `value` is known and not one number, ValueError for NaN or where JAX makes it infinite."""
    if isinstance(value, jax.core.Tracer):
        return
    if not is_number(value) or np.ndim(value) != 0:
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    size = abs(as_float(value))
    if math.isnan(size):
        raise ValueError(f"{name} must be a number, got {shown(value)}")
    if not is_held(value) and (isinstance(value, int) or size < math.inf):
        raise ValueError(f"{name} must be {held(value)}, got {shown(value)}")


def check_numbers(params: Any, names: Sequence[str]) -> None:
    """Raises TypeError where a field in `names` is no real number or array of them, ValueError where it is not finite.

    Finite for JAX, see `is_held`.
    """
    known = _known(params)
    for name in names:
        if name not in known:
            continue
        if not is_number(known[name]):
            raise TypeError(
                f"{type(params).__name__}.{name} must be a real number or an array of them, got {shown(known[name])}"
            )
        if not is_held(known[name]):
            raise ValueError(f"{type(params).__name__}.{name} must be {held(known[name])}, got {shown(known[name])}")


def check_values(params: Any, names: Sequence[str], requirement: str, holds: Callable[[Any], Any]) -> None:
    """Raises ValueError unless `holds` of every value of the fields in `names`, as given and as JAX rounds it."""
    known = _known(params)
    for name in names:
        if name not in known:
            continue
        given = known[name] if isinstance(known[name], int | float) else np.asarray(known[name])
        if not all(np.all(holds(x)) for x in (given, as_computed(given))):
            raise ValueError(f"{type(params).__name__}.{name} must be {requirement}, got {shown(known[name])}")


def check_ranges(params: Any, names: Sequence[str]) -> None:
    """Raises ValueError where `<name>_low` exceeds `<name>_high`, or JAX cannot hold how far they are apart."""
    known = _known(params)
    for name in names:
        if f"{name}_low" not in known or f"{name}_high" not in known:
            continue
        low, high = known[f"{name}_low"], known[f"{name}_high"]
        what = f"{type(params).__name__}.{name}_low"
        if np.any(np.asarray(low) > np.asarray(high)):
            raise ValueError(f"{what} must not exceed {name}_high, got {low!r} and {high!r}")
        if not is_held(width(low, high)):
            raise ValueError(f"{what} must be nearer to {name}_high, got {low!r} and {high!r}: the range is infinite")


def width(low: Any, high: Any) -> np.ndarray:
    """`high` - `low`, in float64."""
    return np.asarray(high, float) - np.asarray(low, float)


def check_size(name: str, size: Any) -> None:
    """Raises TypeError where `size` is no whole number, ValueError where it is below 1 or beyond int32."""
    _check_whole(name, size, 1)


def check_count(name: str, count: Any) -> None:
    """Raises TypeError where `count` is no whole number, ValueError where it is below 0 or beyond int32."""
    _check_whole(name, count, 0)


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number known before tracing, got {shown(value)}")
    if not least <= value < 2**31:
        raise ValueError(f"{name} must be at least {least} and below 2^31, got {shown(value)}")


def check_fits(result: Any, devices: Sequence[jax.Device]) -> None:
    """Raises ValueError where the arrays of `result` could not be held.

    Called while tracing, on what a rollout will return: before a compiler or an allocator gets to see it.
    """
    needed = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(result))
    memory = [(device.memory_stats() or {}).get("bytes_limit", 0) for device in devices]
    if all(memory):
        available = sum(memory)
    elif hasattr(os, "sysconf"):  # CPU devices do not tell, and share the machine's
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    else:
        return
    if needed > available:
        raise ValueError(
            f"this rollout would return {needed / 2**30:.1f} GiB, and there are {available / 2**30:.1f} GiB: "
            "record less, take fewer num_envs or num_steps, or go through them in pieces with `stream`"
        )


def _known(params: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(params).items() if not isinstance(value, jax.core.Tracer)}
