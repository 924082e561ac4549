"""Files written whole or not at all, and waited for where another process writes them."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

_SEEN_WITHIN_S = 60.0  # how long a shared file system may take to show one process what another has written


def write_whole(path: Path, content: bytes) -> None:
    """Writes `content` to `path` by way of a file beside it: a reader, or a crash, never meets half of it.

    Raises:
      OSError: where it cannot be written; what was at `path` before stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def wait_for(path: Path) -> None:
    """Returns when `path` is there, or after a minute; at once where this process is the only one.

    For what another process has written before a barrier: a network file system may show it later.
    """
    wait_until(path.exists)


def wait_until(seen: Callable[[], bool]) -> None:
    """Likewise for whatever `seen` looks for."""
    import jax  # here: whoever only reads a policy's files, in NumPy, need not have it

    until = time.monotonic() + (_SEEN_WITHIN_S if jax.process_count() > 1 else 0.0)
    while not seen() and time.monotonic() < until:
        time.sleep(0.1)


def is_leftover(path: Path) -> bool:
    """Whether it is what `write_whole` leaves where the process is killed meanwhile."""
    return re.fullmatch(r"\..+\.\d+", path.name) is not None


def remove_leftovers(folder: Path) -> None:
    """Removes what killed processes left in `folder`, which this process holds."""
    for path in folder.iterdir():
        if is_leftover(path):
            path.unlink()
