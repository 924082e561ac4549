"""Where a study's configurations come from: a grid, chance, or an adaptive search.

    with search.opened(study, folder) as searcher:
        configurations = searcher.ask(batch)
        searcher.tell(batch, configurations, objectives)

What is asked for a batch depends on the study and on what was told of the batches before it, and on nothing else.
"""

import contextlib
import itertools
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from agents.sweeps import space
from agents.sweeps.space import LogUniform, Range, Uniform
from agents.sweeps.study import Study


class Searcher(Protocol):
    """Who is asked for configurations."""

    def ask(self, batch: int) -> list[dict[str, Any]]:
        """The configurations of a batch, values by swept name, as JSON has them. All batches before it must be told."""
        ...

    def tell(self, batch: int, configurations: Sequence[Mapping[str, Any]], objectives: Sequence[float | None]) -> None:
        """Takes what came of a batch: the lower the better, None or not finite where a configuration diverged.

        Every batch is told, in order, also when a study goes on: nothing else needs to be kept.
        """
        ...


@contextlib.contextmanager
def opened(study: Study, folder: Path) -> Iterator[Searcher]:
    """The study's search, which may keep a file in `folder`.

    Raises:
      ImportError: for search = "optuna", without Optuna.
    """
    if study.search == "optuna":
        from agents.sweeps import optuna_search  # here alone: whoever needs no Optuna need not have it

        with optuna_search.opened(study, folder) as searcher:
            yield searcher
    else:
        yield _Listed(study)


class _Listed:
    """A search that is one batch, known from the beginning."""

    def __init__(self, study: Study):
        self._study = study

    def ask(self, batch: int) -> list[dict[str, Any]]:
        if batch:
            raise ValueError(f"search = {self._study.search!r} is one batch, number 0, got {batch}")
        return configurations(self._study)

    def tell(self, batch, configurations, objectives) -> None:
        """Changes nothing."""


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
    raise ValueError(f"search = {study.search!r} has no configurations before it is told what came of others")


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
