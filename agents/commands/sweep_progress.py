"""How a sweep is going: an estimate at the start, then a line now and then, or a live display on a terminal."""

import datetime
import math
import statistics
import time

from agents.runs.display import Display, clock
from agents.sweeps.schedule import Progress

_LINE_EVERY_S = 10.0
_CHUNKS = 8  # done, before there is an estimate where no slice is done as soon


class Pace:
    """What a chunk takes, and what the end of a slice takes beside it: medians of what was seen.

    The first chunk touches memory for the first time and the first end loads what writes files: neither counts once
    there is another.
    """

    def __init__(self) -> None:
        self.chunks: list[float] = []  # seconds each
        self.ends: list[tuple[float, int]] = []  # seconds, and chunks done in them

    def add(self, seconds: float, chunks: int, slices: int) -> None:
        """So many chunks took so many seconds, with the end of a slice where one ended."""
        if slices:
            self.ends.append((seconds, chunks))
        else:
            self.chunks.append(seconds / chunks)

    def seconds(self, chunks: int, slices: int) -> float:
        """Of so many chunks and ends of slices, one after the other; NaN before anything was seen."""
        ends = self.ends[1:] or self.ends
        plain = self.chunks[1:] or self.chunks or [seconds / max(chunks, 1) for seconds, chunks in ends]
        if not plain:
            return math.nan
        a_chunk = statistics.median(plain)
        an_end = statistics.median([max(seconds - done * a_chunk, 0.0) for seconds, done in ends] or [0.0])
        return chunks * a_chunk + slices * an_end


class SweepProgress:
    """Shows how far a sweep is, from now on.

    Args:
      steps_a_chunk: decisions of all trials of a slice in a chunk.
      measure: what the trials are compared by, of `results.METRICS`; a return's objective is minus it.
      num_workers: slices that are trained at a time.
    """

    def __init__(self, steps_a_chunk: int, measure: str, display: Display, num_workers: int = 1):
        self._steps_a_chunk, self._measure = steps_a_chunk, measure
        self._display, self._num_workers = display, num_workers
        self._pace = Pace()
        self._chunks = 0
        self._trained_s = 0.0  # since compiling
        self._began = self._last = time.monotonic()
        self._shown = -math.inf
        self.compiling_s = 0.0
        self._best = math.inf
        self.estimate_s: float | None = None  # of the whole, as it was printed

    def compiled(self) -> None:
        """A program is ready: what has passed since anything was done was spent on it."""
        now = time.monotonic()
        self.compiling_s += now - self._last
        self._last = now

    def update(self, left: Progress) -> None:
        """Shows what is left after some chunks, or a slice."""
        self._best = min(self._best, left.best)
        now = time.monotonic()
        if left.chunks:
            self._chunks += left.chunks
            self._trained_s += now - self._last
            self._pace.add(left.seconds, left.chunks, left.slices)
        self._last = now
        seen = len(self._pace.ends) >= 2 or len(self._pace.chunks) >= _CHUNKS
        if self.estimate_s is None and (seen or not left.chunks_left):
            self.estimate_s = now - self._began + self._seconds_left(left)
            until = datetime.datetime.now() + datetime.timedelta(seconds=self._seconds_left(left))
            self._display.print(f"estimate: {clock(self.estimate_s)} in all, until about {until:%H:%M:%S}")
        if self._display.is_live:
            self._display.show(self._chunks, self._chunks + left.chunks_left, self.line(left))
        elif (self.estimate_s and now - self._shown >= _LINE_EVERY_S) or not left.chunks_left:
            self._shown = now
            self._display.print(self.line(left))

    def line(self, left: Progress) -> str:
        """Where it is, in one line."""
        done = self._chunks / max(self._chunks + left.chunks_left, 1)
        extreme, value = ("highest", -self._best) if self._measure == "return" else ("lowest", self._best)
        best = f"{value:.{2 if self._measure == 'return' else 4}f}" if math.isfinite(value) else "-"
        return (
            f"{100 * done:5.1f} %  slices left {left.slices_left:>5,}  steps/s {self._steps_per_second():>11,.0f}  "
            f"{extreme} {self._measure} {best:>9}  {clock(self._seconds_left(left))} left"
        )

    def _steps_per_second(self) -> float:
        return self._chunks * self._steps_a_chunk / self._trained_s if self._trained_s else 0.0

    def _seconds_left(self, left: Progress) -> float:
        return self._pace.seconds(left.chunks_left, left.slices_left) / self._num_workers
