"""Where a study's configurations come from: a grid, chance, or an adaptive search.

    with search.opened(study, folder) as searcher:
        configurations = searcher.ask(batch)
        searcher.tell(batch, configurations, objectives)

What is asked for a batch depends on the study and on what was told of the batches before it, and on nothing else.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agents.sweeps import listed_search
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
        yield listed_search.Searcher(study)
