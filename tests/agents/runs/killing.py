"""A process that dies at a file event, played in this process: from that event on no file is written or removed.

    events = killing.watch(folder, function)              # all of them, undisturbed
    killing.watch(folder, function, kill_at=events[7])    # ends where the process would be dead

Events are what Python's audit hooks report: files opened for writing, renamed and removed, folders made and removed;
and every line that a run appends to its records, half of which is written. A hook cannot be removed: this one looks at
nothing but what `watch` runs.
"""

import contextlib
import fcntl
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.runs import run_folder

APPEND = "append"  # the name of that event; others have a path in theirs
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")


class Killed(BaseException):
    """The process is dead."""


class _Watch:
    def __init__(self, folder: Path, kill_at: int | None):
        self.folder, self.kill_at = str(folder), kill_at
        self.events: list[str] = []
        self.locks: set[int] = set()

    @property
    def dead(self) -> bool:
        return self.kill_at is not None and len(self.events) >= self.kill_at

    def happens(self, event: str) -> None:
        """Raises Killed at the event of the number `kill_at`, the first is 1, and at all that come after it."""
        self.events.append(event)
        if self.dead:
            raise Killed


_watch: _Watch | None = None
_is_hooked = False


def watch(folder: Path, function: Callable[[], object], kill_at: int | None = None) -> list[str]:
    """Calls the function; the events in `folder` and below, up to the one of the number `kill_at`, the first is 1."""
    global _watch, _is_hooked
    if not _is_hooked:
        sys.addaudithook(_hook)
        _is_hooked = True
    watched = _watch = _Watch(folder, kill_at)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_folder, "_write_all", _append(watched, run_folder._write_all))
            with contextlib.suppress(Killed):
                function()
    finally:
        _watch = None
    _free(watched)
    return watched.events[:kill_at]


def _hook(event: str, arguments: tuple) -> None:
    if _watch is None:
        return
    if event == "fcntl.flock":
        _watch.locks.add(arguments[0])
    elif event == "open":
        path, _, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and _is_below(path):
            _watch.happens(f"open {path}")
    elif event in _CHANGES and _is_below(arguments[0]):
        _watch.happens(f"{event} {arguments[0]}")


def _is_below(path: object) -> bool:
    """Whether it is in the watched folder; a relative path is of a tree that is being removed."""
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    text = os.fsdecode(path)
    return not os.path.isabs(text) or text.startswith(_watch.folder)


def _append(watched: _Watch, write: Callable) -> Callable:
    def half_at_the_end(file, content):
        try:
            watched.happens(APPEND)
        except Killed:
            write(file, content[: len(content) // 2])
            raise
        write(file, content)

    return half_at_the_end


def _free(watched: _Watch) -> None:
    """The kernel frees the locks of a dead process."""
    for handle in watched.locks:
        with contextlib.suppress(OSError):
            status = os.fstat(handle)
            if stat.S_ISREG(status.st_mode) and os.path.samestat(
                status, os.stat(f"{watched.folder}/{run_folder.LOCK}")
            ):
                fcntl.flock(handle, fcntl.LOCK_UN)
