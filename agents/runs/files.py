"""The files of a run's folder: what killed processes left of them, and links among them."""

import fnmatch
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path


def remove_leftovers(folder: Path, names: Iterable[str]) -> None:
    """Removes what killed processes left of files called `names`, patterns of the shell, in `folder` and below it.

    That is what `disk.write_atomic` writes before it renames it. The folder is held by this process.
    """
    patterns = list(names)
    for path in _below(folder):
        if is_leftover(path, patterns):
            path.unlink()


def is_leftover(path: Path, names: Iterable[str]) -> bool:
    """Whether it is the half of a file called one of `names`, patterns of the shell, whose process is dead."""
    found = re.fullmatch(r"\.(.+)\.([1-9]\d*)", path.name)
    if found is None or not any(fnmatch.fnmatchcase(found[1], name) for name in names):
        return False
    return not path.is_dir() and not _is_alive(int(found[2]))


def check_no_links(folder: Path) -> None:
    """Raises ValueError for a link in `folder` or below it: what is written there would go elsewhere."""
    for path in _below(folder):
        if path.is_symlink():
            raise ValueError(
                f"{path} is a link, to {os.readlink(path)}: a run writes into its own folder alone; put what it leads "
                "to in its place, or remove it"
            )


def remove_tree(path: Path) -> None:
    """Removes the folder with all in it; of a link the link alone. Raises OSError where that cannot be."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _is_alive(process: int) -> bool:
    if process == os.getpid():
        return False  # it writes nothing while it looks for leftovers
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is another user's
        return True
    return True
