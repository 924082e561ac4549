"""`python -m agents report`: a run as a page to look at and to pass on."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from agents.runs import run_folder
from heartpole_jax import arguments, disk

_FILE = "report.html"


@dataclasses.dataclass(frozen=True)
class Report:
    """Writes one self-contained HTML page about a run: what was found, how good it is, and how it was run."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """a folder that `sweep` or `train` has written"""
    out: Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: RUN/report.html)")] = None
    """where the page goes"""


def report(options: Report) -> int:
    """Runs the command; returns the exit status.

    Raises:
      ValueError: for a folder that is no run, or has no results.
      OSError: where the page cannot be written.
    """
    print(f"written: {write(disk.as_path(options.run), disk.as_path(options.out) if options.out else None)}")
    return 0


@arguments.typed()
def write(folder: Path, out: Path | None = None) -> Path:
    """The path of the page written about the run in `folder`: report.html there, or `out`.

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
        content = sweep_report.build(folder, out.parent)
    elif (folder / run_folder.CONFIG).is_file():
        content = run_report.build(folder, out.parent)
    else:
        raise ValueError(f"{folder} is no run: it has neither {run_folder.CONFIG} nor study.json; name a run's folder")
    disk.write_atomic(out, content.encode())
    return out
