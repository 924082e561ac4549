"""Searches that are one batch, known from the beginning: a grid, and chance."""

import itertools
import math
import zlib
from typing import Any

import numpy as np

from agents.sweeps import space
from agents.sweeps.space import LogUniform, Range, Uniform
from agents.sweeps.study import Study
from heartpole_jax import arguments


class Searcher:
    """See `search.Searcher`."""

    def __init__(self, study: Study):
        self._study = study

    def ask(self, batch: int) -> list[dict[str, Any]]:
        if batch:
            raise ValueError(f"search = {self._study.search!r} is one batch, number 0, got {batch}")
        return configurations(self._study)

    def tell(self, batch, configurations, objectives) -> None:
        """Changes nothing."""


@arguments.typed()
def configurations(study: Study) -> list[dict[str, Any]]:
    """All configurations of a grid (the last name is the fastest) or a random search.

    Random values depend on the search seed, the name and the configuration's index alone: more configurations, or
    another name swept, leave them as they are.

    Raises:
      ValueError: for an adaptive search, or a range without points in a grid.
    """
    if study.search == "grid":
        values = {name: space.grid(name, swept) for name, swept in study.space.items()}
        return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]
    if study.search == "random":
        return [
            {name: _draw(swept, _uniform(study.search_seed, name, i)) for name, swept in study.space.items()}
            for i in range(study.num_configurations or 0)
        ]
    raise ValueError(f"search = {study.search!r} has no configurations before the results of others")


def _uniform(seed: int, name: str, index: int) -> float:
    """A number in [0, 1) of 53 bits, from these three alone."""
    word = np.random.SeedSequence((seed, zlib.crc32(name.encode()), index)).generate_state(1, np.uint64)[0]
    return int(word >> np.uint64(11)) * 2.0**-53


def _draw(swept: Range, u: float) -> Any:
    """The range's value at `u`, as JSON has it."""
    if isinstance(swept, Uniform):
        return _within(swept, swept.low + (swept.high - swept.low) * u)
    if isinstance(swept, LogUniform):
        return _within(swept, swept.low * math.exp((math.log(swept.high) - math.log(swept.low)) * u))
    return space.listed(swept.values)[int(u * len(swept.values))]


def _within(swept: Uniform | LogUniform, value: float) -> float:
    """Rounding may take a value out of [low, high)."""
    return min(max(value, swept.low), math.nextafter(swept.high, swept.low))
