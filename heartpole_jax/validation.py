"""Bad input, refused: what was wrong, what came, and what would have been right.

Parameters are checked when they are built, as far as their values are known then: tracers pass.
"""

import difflib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

_T = TypeVar("_T")


def look_up(known: Mapping[str, _T], name: str, kind: str) -> _T:
    """`known[name]`.

    Raises:
      ValueError: if it is not there, with the nearest name that is.
    """
    if name in known:
        return known[name]
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(f"unknown {kind} {name!r}; {hint}known: {', '.join(map(repr, known))}")


def after_init(init: Callable, validate: Callable[[Any], None]) -> Callable:
    """An `__init__` that validates what it has built.

    Not a `__post_init__`, which chex also runs on every tree operation: a gradient with respect to parameters has their
    type, and may be negative.
    """

    @functools.wraps(init)
    def validated_init(self, *args, **kwargs):
        init(self, *args, **kwargs)
        validate(self)

    return validated_init


def check_numbers(params: Any, skip: Sequence[str] = ()) -> None:
    """Raises TypeError where a field is no real number or array of them, ValueError where it is not finite.

    The fields in `skip` are no numbers, and somebody else's.
    """
    known = {name: value for name, value in _known(params).items() if name not in skip}
    for name, value in known.items():
        dtype = np.asarray(value).dtype
        if dtype.kind not in "iuf" and dtype != jnp.bfloat16:
            raise TypeError(f"{type(params).__name__}.{name} must be a real number or an array of them, got {value!r}")
    check_values(params, tuple(known), "finite", np.isfinite)


def check_values(params: Any, names: Sequence[str], requirement: str, holds: Callable[[np.ndarray], Any]) -> None:
    """Raises ValueError where `holds` is not true of every value of a field in `names`."""
    known = _known(params)
    for name in names:
        if name in known and not np.all(holds(np.asarray(known[name]))):
            raise ValueError(f"{type(params).__name__}.{name} must be {requirement}, got {known[name]!r}")


def check_ranges(params: Any, names: Sequence[str]) -> None:
    """Raises ValueError where `<name>_low` exceeds `<name>_high`."""
    known = _known(params)
    for name in names:
        low, high = known.get(f"{name}_low", -np.inf), known.get(f"{name}_high", np.inf)
        if np.any(np.asarray(low) > np.asarray(high)):
            raise ValueError(
                f"{type(params).__name__}.{name}_low must not exceed {name}_high, got {low!r} and {high!r}"
            )


def check_size(name: str, size: Any) -> None:
    """Raises TypeError where `size` is no whole number, ValueError where it is below 1 or beyond int32."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise TypeError(f"{name} must be a whole number known before tracing, got {size!r}")
    if not 1 <= size < 2**31:
        raise ValueError(f"{name} must be at least 1 and below 2^31, got {size}")


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
