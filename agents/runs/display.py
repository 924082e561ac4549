"""How far something is: a bar with lines below it on a terminal, lines elsewhere."""

import math
import sys
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text


class Display:
    """A context manager, which leaves the last figures on the terminal.

    Args:
      console: stdout's by default: a terminal where it is one, and not where FORCE_COLOR is set for a pipe.
    """

    def __init__(self, console: Console | None = None):
        self._console = console or Console(file=sys.stdout, highlight=False, force_terminal=sys.stdout.isatty())
        # Not where it would show nothing, or only the movements of a cursor.
        self.is_live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, auto_refresh=False)

    def show(self, done: float, total: float, *lines: str) -> None:
        """Replaces what a live display shows."""
        self._live.update(Group(ProgressBar(total=total, completed=done), *map(Text, lines)), refresh=True)

    def print(self, line: str) -> None:
        """Writes a line that stays."""
        self._console.print(line, soft_wrap=True, markup=False)

    def __enter__(self) -> "Display":
        if self.is_live:
            self._live.start()
            self._live.update(Text("compiling ..."), refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_live:
            self._live.stop()


def clock(seconds: float) -> str:
    """Hours, minutes and seconds; a hyphen for what is not finite."""
    if not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
