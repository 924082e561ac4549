"""A page about a run: of a sweep, see `sweep_report`, or of a single training run, see `run_report`."""

from pathlib import Path

from agents import run_report, runs, sweep_report
from heartpole_jax import disk

FILE = "report.html"


def write(folder: Path, out: Path | None = None) -> Path:
    """The path of the page written about the run in `folder`: report.html there, or `out`.

    Raises:
      ValueError: if the folder is no run's, or has no results yet, or damaged ones.
      OSError: where the page cannot be written.
      ImportError: without matplotlib or pyarrow.
    """
    out = folder / FILE if out is None else out
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name the folder of a run, as in runs/")
    if sweep_report.is_sweep(folder):
        content = sweep_report.build(folder, out.parent)
    elif (folder / runs.CONFIG).is_file():
        content = run_report.build(folder, out.parent)
    else:
        raise ValueError(f"{folder} is no run: it has neither {runs.CONFIG} nor study.json; name a run's folder")
    disk.write_atomic(out, content.encode())
    return out
