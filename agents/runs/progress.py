"""How a training run is going: the last chunk on a terminal, lines of chunks elsewhere."""

import math
from collections.abc import Mapping

from agents.runs.display import Display, clock
from heartpole_jax.evaluation import gap_name

_NONE = "-"
_LINES = 100  # of a run, about: one for each such share of it, or for each chunk where there are fewer


class Progress:
    """Shows the records of `loop.train` for a run of `num_steps` decisions."""

    def __init__(self, num_steps: int, display: Display):
        self._num_steps, self._display = num_steps, display
        self._episode_return: float | None = None
        self._share = -1  # of _LINES, that the last line was in

    def update(self, record: Mapping[str, float | None]) -> None:
        """Shows what happened in a chunk, and the last known return where no episode ended in it."""
        if record["episode_return"] is None:
            record = {**record, "episode_return": self._episode_return}
        self._episode_return = record["episode_return"]
        if not self._display.is_live:
            share = int(_LINES * (record["env_steps"] or 0) // self._num_steps)
            if share > self._share:
                self._display.print(line(record, self._num_steps))
            self._share = share
            return
        place = f"{_place(record, self._num_steps)}, {_left(record, self._num_steps)} left"
        text = "  ".join(f"{label} {text}" for label, text, _ in _figures(record))
        self._display.show(record["env_steps"] or 0, self._num_steps, place, text)


def line(record: Mapping[str, float | None], num_steps: int) -> str:
    """A record in one line, in columns: what is missing is a hyphen."""
    columns = [f"{label} {text:>{width}}" for label, text, width in _figures(record)]
    return "  ".join([_place(record, num_steps), *columns, f"{_left(record, num_steps)} left"])


def _figures(record: Mapping[str, float | None]) -> list[tuple[str, str, int]]:
    """What is shown of a record: labels, texts, and the width of a column for each."""
    name = gap_name(bool(record["certified"]))
    score = (name, "regret") if record["regret"] is not None else ("greedy return", "greedy_return")
    return [
        ("steps/s", _text(record["steps_per_second"], ",.0f"), 9),
        ("return", _text(record["episode_return"], ".2f"), 8),
        (score[0], _text(record[score[1]], ".4f"), 9),
        ("loss", _text(record["loss"], ".3g"), 8),
        ("epsilon", _text(record["epsilon"], ".3f"), 5),
    ]


def _place(record: Mapping[str, float | None], num_steps: int) -> str:
    total = f"{num_steps:,}"
    return f"{record['env_steps']:{len(total)},.0f} of {total} steps"


def _left(record: Mapping[str, float | None], num_steps: int) -> str:
    """The time until the end, at the pace so far."""
    done, seconds = record["env_steps"], record["seconds"]
    return clock(math.nan if not done or seconds is None else seconds * (num_steps - done) / done)


def _text(value: float | None, form: str) -> str:
    return _NONE if value is None else format(value, form)
