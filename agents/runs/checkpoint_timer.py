"""How often to save, so that saving takes a small share of the time."""

import time
from collections.abc import Callable

SHARE = 0.02  # of the time, for checkpoints
_AT_FIRST_S = 2.0  # what a save is thought to take before the first


class CheckpointTimer:
    """Says when a checkpoint is due.

    Args:
      every: chunks between checkpoints; by default as many as it takes for saving to cost `SHARE` of the time.
    """

    def __init__(self, every: int | None = None):
        self._every = every
        self._chunks = 0
        self._worked_s = 0.0  # since the last save
        self._save_s = _AT_FIRST_S  # what the last one took
        self.saved_s = 0.0  # all of them

    def worked(self, seconds: float) -> None:
        """A chunk took so many seconds."""
        self._chunks += 1
        self._worked_s += seconds

    def due(self) -> bool:
        """Whether to save now."""
        return self._chunks >= self._every if self._every else self._save_s < SHARE * self._worked_s

    def save(self, save: Callable[[], None]) -> None:
        """Saves, and takes the time of it."""
        began = time.perf_counter()
        save()
        self._save_s = time.perf_counter() - began
        self.saved_s += self._save_s
        self._chunks, self._worked_s = 0, 0.0
