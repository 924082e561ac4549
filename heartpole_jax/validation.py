"""Bad input, refused: what was wrong, what came, and what would have been right.

Parameters are checked when they are built, as far as their values are known then: tracers pass.
"""

import difflib
import functools
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


def check_numbers(params: Any) -> None:
    """Raises TypeError where a field is no real number or array of them, ValueError where it is not finite."""
    for name, value in _known(params).items():
        dtype = np.asarray(value).dtype
        if dtype.kind not in "iuf" and dtype != jnp.bfloat16:
            raise TypeError(f"{type(params).__name__}.{name} must be a real number or an array of them, got {value!r}")
    check_values(params, tuple(_known(params)), "finite", np.isfinite)


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


def _known(params: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(params).items() if not isinstance(value, jax.core.Tracer)}
