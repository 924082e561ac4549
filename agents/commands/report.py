"""`python -m agents report`: a run as a page to look at and to pass on, also while it goes on."""

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import tyro

from agents.runs import run_folder
from heartpole_jax import arguments, disk, validation

_FILE = "report.html"
_EVERY_S = 5  # between two looks at the folder, and two loads of the page
_PAUSES = 4  # times what a page takes to be made: the run has the processors most of the time


@dataclasses.dataclass(frozen=True)
class Report:
    """Writes one self-contained HTML page about a run: what was found, how good it is, and how it was run."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """a folder that `sweep` or `train` has written, or is writing"""
    out: Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: RUN/report.html)")] = None
    """where the page goes"""
    watch: bool = False
    """write it again at new results, until the run is finished or Ctrl-C; a browser loads the page again by itself"""


def report(options: Report) -> int:
    """Runs the command; returns the exit status.

    Raises:
      ValueError: for a folder that is no run, or has no results.
      OSError: where the page cannot be written.
    """
    folder, out = disk.as_path(options.run), disk.as_path(options.out) if options.out else None
    if options.watch:
        watch(folder, out)
    else:
        print(f"written: {write(folder, out)}")
    return 0


@arguments.typed(every=validation.check_size)
def watch(
    folder: Path,
    out: Path | None = None,
    every: int = _EVERY_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """The path of the page, written again whenever the run has new results, until it is finished or Ctrl-C.

    While it is watched a browser loads the page again every so many seconds; afterwards no more.

    Raises:
      ValueError, OSError, ImportError: as `write`, for the first page; a later one that cannot be made is announced.
    """
    path = folder / _FILE if out is None else out
    seen, problem = _results(folder), None
    took = _write_watched(folder, out, every)
    print(f"written: {path}", flush=True)
    try:
        while not _is_finished(folder) or _results(folder) != seen:
            sleep(max(every, _PAUSES * took))
            now, finished = _results(folder), _is_finished(folder)
            if now == seen:
                continue
            try:
                took = _write_watched(folder, out, every)
            except ValueError as error:  # damage, or a file that is being replaced just now
                if finished:
                    raise
                if str(error) != problem:
                    print(f"not written: {error}", file=sys.stderr, flush=True)
                problem = str(error)
                continue
            seen = now
            print(f"written again: {path}", flush=True)
    except KeyboardInterrupt:
        write(folder, out)  # without what makes a browser load it again
        print(f"\nno longer watched; the page stays as it is: {path}", file=sys.stderr)
        return path
    print("the run is finished")
    return path


def _write_watched(folder: Path, out: Path | None, every: int) -> float:
    """Writes the page, which loads itself again while the run is unfinished; returns the seconds it took."""
    began = time.monotonic()
    write(folder, out, refresh=None if _is_finished(folder) else every)
    return time.monotonic() - began


@arguments.typed()
def write(folder: Path, out: Path | None = None, refresh: int | None = None) -> Path:
    """The path of the page written about the run in `folder`: report.html there, or `out`.

    Args:
      refresh: seconds after which a browser loads the page again; None: never.

    Raises:
      ValueError: if the folder is no run's, or has no results yet, or damaged ones.
      OSError: where the page cannot be written.
      ImportError: without matplotlib, pyarrow or Jinja2.
    """
    from agents.reports import run_report, sweep_report  # here, since matplotlib and pyarrow are slow to import

    out = folder / _FILE if out is None else out
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name the folder of a run, as in runs/")
    if sweep_report.is_sweep(folder):
        content = sweep_report.build(folder, out.parent, refresh)
    elif (folder / run_folder.CONFIG).is_file():
        content = run_report.build(folder, out.parent, refresh)
    else:
        raise ValueError(f"{folder} is no run: it has neither {run_folder.CONFIG} nor study.json; name a run's folder")
    disk.write_atomic(out, content.encode())
    return out


def _is_finished(folder: Path) -> bool:
    """Whether nothing more will come."""
    from agents.reports import sweep_report

    return sweep_report.is_finished(folder) if sweep_report.is_sweep(folder) else not run_folder.is_unfinished(folder)


def _results(folder: Path) -> dict[str, tuple[int, int]]:
    """The size and date of each file that a page is made of, by its path; checkpoints by their names."""
    found = {}
    for base, _, names in os.walk(folder):
        for name in names:
            if name.endswith((".safetensors", ".parquet", ".json", ".jsonl")) and not name.startswith("."):
                path = os.path.join(base, name)
                try:
                    status = os.stat(path)
                except FileNotFoundError:  # a checkpoint that has just been removed
                    continue
                found[path] = (status.st_size, status.st_mtime_ns)
    return found
