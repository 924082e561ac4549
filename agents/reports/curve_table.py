"""Learning curves as CSV, for a link that holds them: a page needs no file beside it."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agents.sweeps.results import CURVES, TrialResult

_FIRST = "env_steps"


def of_run(records: Sequence[Mapping[str, float | None]]) -> str:
    """A line for each record of a run, all that it holds; nothing where there is no number."""
    names = [_FIRST, *sorted({name for record in records for name in record} - {_FIRST})]
    return _text(names, ([record.get(name) for name in names] for record in records))


def of_trials(trials: Iterable[TrialResult]) -> str:
    """A line for each trial and evaluation."""
    names = ["configuration", "seed", _FIRST, *CURVES]
    rows = (
        [trial.configuration, trial.seed, int(steps), *(_number(trial.curve[name][i]) for name in CURVES)]
        for trial in trials
        for i, steps in enumerate(trial.curve[_FIRST])
    )
    return _text(names, rows)


def _number(value: Any) -> float | None:
    return None if (number := float(value)) != number else number


def _text(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return sink.getvalue()
