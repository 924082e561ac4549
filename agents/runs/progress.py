"""How a training run is going: a live display on a terminal, a line for every chunk elsewhere."""

import sys
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

_NONE = "-"


class Progress:
    """Shows the records of `loop.train`; a context manager, which leaves the last figures on the terminal.

    Args:
      num_steps: of the whole run.
      console: stdout's by default.
    """

    def __init__(self, num_steps: int, console: Console | None = None):
        self._num_steps = num_steps
        self._episode_return: float | None = None
        self._console = console or stdout_console()
        self._live = live(self._console)

    def update(self, record: Mapping[str, float | None]) -> None:
        """Shows what happened in a chunk, and the last known return where no episode ended in it."""
        if record["episode_return"] is None:
            record = {**record, "episode_return": self._episode_return}
        self._episode_return = record["episode_return"]
        if self._live is None:
            self._console.print(line(record, self._num_steps), soft_wrap=True, markup=False)
            return
        bar = ProgressBar(total=self._num_steps, completed=record["env_steps"] or 0)
        place = Text(f"{_place(record, self._num_steps)}, {_left(record, self._num_steps)} left")
        told = Text("  ".join(f"{label} {text}" for label, text, _ in _figures(record)))
        self._live.update(Group(bar, place, told), refresh=True)

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
            self._live.update(Text("compiling ..."), refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()


def stdout_console() -> Console:
    """stdout, a terminal where it is one: not where FORCE_COLOR says so of a pipe."""
    return Console(file=sys.stdout, highlight=False, force_terminal=sys.stdout.isatty())


def live(console: Console) -> Live | None:
    """A live display, or None where that would show nothing, or only the movements of a cursor."""
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    return Live(console=console, auto_refresh=False)


def line(record: Mapping[str, float | None], num_steps: int) -> str:
    """A record in one line, in columns: what is missing is a hyphen."""
    columns = [f"{label} {text:>{width}}" for label, text, width in _figures(record)]
    return "  ".join([_place(record, num_steps), *columns, f"{_left(record, num_steps)} left"])


def _figures(record: Mapping[str, float | None]) -> list[tuple[str, str, int]]:
    """What is told of a record: labels, texts, and the width of a column for each."""
    judged = ("regret", "regret") if record["regret"] is not None else ("greedy return", "greedy_return")
    return [
        ("steps/s", _text(record["steps_per_second"], ",.0f"), 9),
        ("return", _text(record["episode_return"], ".2f"), 8),
        (judged[0], _text(record[judged[1]], ".4f"), 9),
        ("loss", _text(record["loss"], ".3g"), 8),
        ("epsilon", _text(record["epsilon"], ".3f"), 5),
    ]


def _place(record: Mapping[str, float | None], num_steps: int) -> str:
    total = f"{num_steps:,}"
    return f"{record['env_steps']:{len(total)},.0f} of {total} steps"


def _left(record: Mapping[str, float | None], num_steps: int) -> str:
    """The time until the end, at the pace so far."""
    done, seconds = record["env_steps"], record["seconds"]
    if not done or seconds is None:
        return _NONE
    minutes, rest = divmod(round(seconds * (num_steps - done) / done), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _text(value: float | None, form: str) -> str:
    return _NONE if value is None else format(value, form)
