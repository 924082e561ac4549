"""`python -m agents report`: a run as a page to look at and to pass on."""

import dataclasses
from typing import Annotated

import tyro

from heartpole_jax import disk


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
    from agents import report as page  # here, since matplotlib and pyarrow are slow to import

    print(f"written: {page.write(disk.as_path(options.run), disk.as_path(options.out) if options.out else None)}")
    return 0
