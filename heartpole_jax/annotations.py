"""What an annotation requires of a value, as far as it names classes: `Sequence[Row]`, `Path | str`, `int | None`.

A whole number may be NumPy's, and a number a whole one; no bool is either. An annotation that names arrays requires
nothing, since a list, a tracer or a key may stand there: they have checks of their own.
"""

import collections.abc
import types
import typing
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

_NUMBERS: dict[type, tuple[str, tuple[type, ...]]] = {
    bool: ("a bool", (bool, np.bool_)),
    int: ("a whole number", (int, np.integer)),
    float: ("a number", (int, float, np.integer, np.floating)),
}
_ARRAYS = (jax.Array, np.ndarray)


def fits(value: Any, annotation: Any) -> bool:
    """Whether the value is what the annotation names; of lists, tables and tuples of any length each item as well."""
    if not requires(annotation):
        return True
    if annotation is None or annotation is type(None):
        return value is None
    if _is_union(annotation):
        return any(fits(value, one) for one in typing.get_args(annotation))
    if annotation in _NUMBERS:
        return isinstance(value, _NUMBERS[annotation][1]) and (annotation is bool or not isinstance(value, bool))
    kind, items = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if not isinstance(value, kind) or (kind is collections.abc.Sequence and isinstance(value, str | bytes)):
        return False
    if isinstance(value, Mapping) and len(items) == 2:
        return all(fits(key, items[0]) and fits(item, items[1]) for key, item in value.items())
    if isinstance(value, collections.abc.Sequence) and (len(items) == 1 or items[1:] == (...,)):
        return all(fits(item, items[0]) for item in value)
    return True


def wanted(annotation: Any) -> str:
    """What `fits` requires, in words."""
    if annotation is None or annotation is type(None):
        return "None"
    if _is_union(annotation):
        return " or ".join(map(wanted, typing.get_args(annotation)))
    if annotation in _NUMBERS:
        return _NUMBERS[annotation][0]
    kind, items = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    name = f"{'an' if kind.__name__[0] in 'AEIOUaeiou' else 'a'} {kind.__name__}"
    item = items[0] if items and kind in (list, tuple, collections.abc.Sequence) else Any
    if item in _NUMBERS:
        return f"{name} of {_NUMBERS[item][0].split()[-1]}s"
    return f"{name} of {item.__name__}" if isinstance(item, type) and requires(item) else name


def requires(annotation: Any) -> bool:
    """Whether the annotation names classes alone, and no arrays."""
    if annotation is None:
        return True
    if _is_union(annotation):
        return all(map(requires, typing.get_args(annotation)))
    kind = typing.get_origin(annotation) or annotation
    return (
        isinstance(kind, type)
        and kind not in (Any, type, object, *_ARRAYS)
        and not getattr(kind, "_is_protocol", False)
    )


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)
