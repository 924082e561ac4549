"""Where the values of a swept name lie on an axis: a place for each of a few, or along numbers, and its ticks.

Few values, of a grid or choices, have places one beside the other, and each has its tick: an axis in proportion would
write 0.99 over 0.999. Numbers that were drawn from a range lie in proportion, in that of their logarithms where the
range is of those.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.reports import sweep_axes
from agents.sweeps import result_text

MOST_TICKS = 8  # values that have a place and a tick each; more texts or lists have places as well


class ValueAxis(NamedTuple):
    """An axis for values: `places` are data coordinates."""

    places: np.ndarray  # (values,), of each value that it was made for
    limits: tuple[float, float]
    ticks: tuple[float, ...] | None  # None: where the axis puts them itself
    labels: tuple[str, ...]  # as many as there are ticks
    log: bool
    ordered: bool  # whether the values are numbers: what lies between two of them has a meaning

    @property
    def in_proportion(self) -> bool:
        """Whether places are numbers themselves, or their order alone."""
        return self.ordered and (self.ticks is None or self.log)


def of(values: Sequence[Any], log_scaled: bool) -> ValueAxis:
    """The axis for these values, one a configuration and none of them None."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return _of_numbers(np.array([float(value) for value in values]), log_scaled)
    texts = [result_text.value_text(value) for value in values]
    first = dict(zip(texts, values, strict=True))  # a value of each text
    kinds = sorted(first, key=lambda text: _order(first[text]))
    return _in_order(np.array([kinds.index(text) for text in texts], np.float64), kinds, ordered=False)


def _of_numbers(numbers: np.ndarray, log_scaled: bool) -> ValueAxis:
    different, places = np.unique(numbers, return_inverse=True)
    log = bool(log_scaled and len(different) and different[0] > 0)
    if log:
        few = len(different) <= MOST_TICKS and len(numbers) >= 2 * len(different)  # a grid of a range
        ticks = tuple(map(float, different)) if few else None
        labels = tuple(map(result_text.value_text, ticks or ()))
        return ValueAxis(numbers, sweep_axes.limits(numbers, log=True, lowest=0.0), ticks, labels, True, True)
    if len(different) <= MOST_TICKS and (len(numbers) >= 2 * len(different) or _are_short(different)):
        return _in_order(places.astype(np.float64), [result_text.value_text(float(x)) for x in different], ordered=True)
    return ValueAxis(numbers, sweep_axes.limits(numbers, log=False), None, (), False, True)


def _in_order(places: np.ndarray, labels: Sequence[str], ordered: bool) -> ValueAxis:
    ticks = tuple(float(i) for i in range(len(labels)))
    return ValueAxis(places, (-0.6, len(labels) - 0.4), ticks, tuple(labels), False, ordered)


def _are_short(numbers: np.ndarray) -> bool:
    """Whether somebody wrote these numbers: what was drawn from a range has all of its digits."""
    return all(float(f"{number:.6g}") == number for number in numbers)


def _order(value: Any) -> tuple:
    """Sorts bools, numbers and lists by themselves, texts by name."""
    if isinstance(value, list | tuple):
        return (1, tuple(value))
    return (0, value) if isinstance(value, int | float) else (2, str(value))
