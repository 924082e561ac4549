"""Files written whole or not at all."""

import os
import re
from pathlib import Path


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


def is_leftover(path: Path) -> bool:
    """Whether it is what `write_whole` leaves where the process is killed meanwhile."""
    return re.fullmatch(r"\..+\.\d+", path.name) is not None


def remove_leftovers(folder: Path) -> None:
    """Removes what killed processes left in `folder`, which this process holds."""
    for path in folder.iterdir():
        if is_leftover(path):
            path.unlink()
