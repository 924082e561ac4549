"""Where a study's configurations come from: a grid, chance, or an adaptive search.

    with search.opened(study, folder) as searcher:
        configurations = searcher.ask(batch)
        searcher.tell(batch, configurations, objectives)

The configurations of a batch depend on the study and on the results of the batches before it, and on nothing else.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agents.sweeps import listed_search
from agents.sweeps.study import Study


class Searcher(Protocol):
    """Proposes configurations."""

    def ask(self, batch: int) -> list[dict[str, Any]]:
        """The configurations of a batch, values by swept name, as JSON has them.

        The results of all batches before it must have been reported.
        """
        ...

    def tell(self, batch: int, configurations: Sequence[Mapping[str, Any]], objectives: Sequence[float | None]) -> None:
        """Takes what came of a batch: the lower the better, None or not finite where a configuration diverged.

        Every batch is reported, in order, also when a study goes on: nothing else needs to be kept.
        """
        ...


@contextlib.contextmanager
def opened(study: Study, folder: Path) -> Iterator[Searcher]:
    """The study's search, which may keep a file in `folder`.

    Raises:
      ImportError: for search = "optuna", without Optuna.
    """
    if study.search == "optuna":
        from agents.sweeps import optuna_search  # here, since Optuna is an extra

        with optuna_search.opened(study, folder) as searcher:
            yield searcher
    else:
        yield listed_search.Searcher(study)
