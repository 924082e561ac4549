"""Files: written whole or not at all and never through a link, read within a limit."""

import errno
import os
import stat
from pathlib import Path

from heartpole_jax.terminal import printable

MOST_BYTES = 2**28  # of a file that is read whole, where the caller names no other limit
_NO_FOLLOW, _NO_WAIT, _CLOSED_BY_EXEC = (getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "NONBLOCK", "CLOEXEC"))


def as_path(text: str | Path) -> Path:
    """The path that a user wrote, with ~ as their home: a shell leaves it in --out=~/runs as it is.

    Raises:
      ValueError: for the home of a user who is not there, and for control characters: a terminal would obey them
        wherever the path is printed, and no file has a NUL in its name.
    """
    if printable(str(text).replace("\n", "\r")) != str(text):
        raise ValueError(f"a path must have no control characters, got {str(text)!r}; rename it")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{text}: {error}") from error


def write_atomic(path: Path, *parts: bytes | memoryview) -> None:
    """Writes `parts`, one behind the other, to a file beside `path` and renames it: nobody ever meets half of it.

    A link at `path` is replaced, and what it leads to is left alone.

    Raises:
      OSError: where it cannot be written, or a folder or device is there; what was at `path` before stays.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EEXIST, "a folder or a device is there, and no file", str(path))
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    try:
        with open(open_new(beside), "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Makes sure that the names in the folder are on the disk, where a folder can be opened: not on Windows."""
    if os.name != "nt":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def open_new(path: Path) -> int:
    """A handle for writing a file that this call makes. Raises FileExistsError for what is there, a link included."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _CLOSED_BY_EXEC, 0o666)


def open_own(path: Path, flags: int) -> int:
    """A handle for a file that may be there. Raises OSError for a link, hard or symbolic, and for what is no file."""
    handle = os.open(path, flags | _NO_FOLLOW | _NO_WAIT | _CLOSED_BY_EXEC, 0o666)
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(handle)
        raise OSError(errno.EMLINK, "it is a link or no file", str(path))
    return handle


def read_bytes(path: Path, most: int = MOST_BYTES, first: int | None = None) -> bytes:
    """What is in the file `path`, which may be a link; with `first` its first bytes alone, of however many.

    Raises:
      OSError: where it cannot be read, is no regular file (a pipe would be waited for), or has more than `most` bytes.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with open(os.open(path, os.O_RDONLY | _NO_WAIT | _CLOSED_BY_EXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if first is not None:
            return file.read(min(first, status.st_size))
        if status.st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
        return file.read()
