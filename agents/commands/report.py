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


@dataclasses.dataclass(frozen=True)
class Report:
    """Writes one self-contained HTML page about a run: what was found, how good it is, and how it was run."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """a folder that `sweep` or `train` has written, or is writing"""
    out: Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: RUN/report.html)")] = None
    """where the page goes"""
    watch: bool = False
    """write it again whenever there are new results, until the run is finished or Ctrl-C; the page loads itself again"""


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
    seen, shown = _results(folder), None
    write(folder, out, refresh=None if _is_finished(folder) else every)
    print(f"written: {path}", flush=True)
    try:
        while not _is_finished(folder) or _results(folder) != seen:
            sleep(every)
            if (now := _results(folder)) == seen:
                continue
            try:
                write(folder, out, refresh=None if _is_finished(folder) else every)
            except ValueError as error:  # a file in the middle of being replaced; or a damaged one, said once
                if str(error) != shown:
                    print(f"not written: {error}", file=sys.stderr, flush=True)
                shown = str(error)
                if _is_finished(folder):
                    raise
                continue
            seen = now
            print(f"written again: {path}", flush=True)
    except KeyboardInterrupt:
        write(folder, out)
        print(f"\nno longer watched; the page stays as it is: {path}", file=sys.stderr)
        return path
    print("the run is finished")
    return path


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
