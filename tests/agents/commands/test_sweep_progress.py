"""What a sweep says of how far it is."""

import io
import math
import time

import pytest
from rich.console import Console

from agents.commands.sweep_progress import Pace, SweepProgress
from agents.runs.display import Display, clock
from agents.sweeps.schedule import Progress


@pytest.fixture
def now(monkeypatch):
    passed = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: passed[0])
    return passed


def test_an_estimate_after_the_second_end_of_a_slice(now):
    """Two workers, 20 slices of 2 chunks. Compiling takes 7 s, a chunk 1 s, the last with an end 0.5 s more.

    Each worker's first chunk takes 3 s and the first end 4 s, which is no measure of the others.
    """
    out = io.StringIO()
    with Display(Console(file=out, width=200)) as display:
        progress = SweepProgress(1000, "regret", display, num_workers=2)
        now[0] += 7.0
        progress.compiled()
        seen = [(3.0, 0), (4.0, 1), (1.0, 0), (1.5, 1), (1.0, 0)]
        for i, (seconds, ended) in enumerate(seen, start=1):
            assert (progress.estimate_s is None) == (i <= 4)
            now[0] += seconds / 2  # two at a time
            progress.update(Progress(1, ended, seconds, 40 - i, 20 - i // 2, 0.25))
        now[0] += 40.0
        progress.update(Progress(1, 1, 1.5, 0, 0, 0.125))
    assert progress.compiling_s == 7.0
    assert progress.estimate_s == 7.0 + 9.5 / 2 + (36 * 1.0 + 18 * 0.5) / 2
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("estimate: 0:34 in all, until about ")
    assert [line[:7] for line in lines[1:]] == [" 10.0 %", "100.0 %"]
    assert "slices left    18  steps/s         842  lowest regret    0.2500  0:22 left" in lines[1]
    assert "lowest regret    0.1250  0:00 left" in lines[2]


def test_a_pace_of_whole_slices_at_a_time():
    pace = Pace()
    assert math.isnan(pace.seconds(1, 1))
    for seconds in (9.0, 2.0, 3.0, 50.0):
        pace.add(4 * seconds, 4, 1)
    assert pace.seconds(10, 10) == 30.0  # the median of all but the first; nothing beside chunks is known


def test_an_estimate_after_eight_chunks_where_slices_are_long(now):
    progress = SweepProgress(1000, "regret", Display(Console(file=io.StringIO())))
    for i in range(1, 9):
        assert progress.estimate_s is None
        now[0] += 2.0
        progress.update(Progress(1, 0, 2.0, 100 - i, 1, float("inf")))
    assert progress.estimate_s == 16.0 + 92 * 2.0


def test_the_lowest_regret_of_an_earlier_batch_is_kept_and_its_pace_goes_on(now):
    """Two batches of two slices of two chunks, one after the other. A chunk takes 1 s, an end 0.5 s."""
    out = io.StringIO()
    progress = SweepProgress(1000, "regret", Display(Console(file=out, width=200)))
    for left in [
        Progress(1, 0, 1.0, 7, 4, float("inf")),
        Progress(1, 1, 1.5, 6, 3, 0.5),
        Progress(1, 0, 1.0, 5, 3, 0.5),
        Progress(1, 1, 1.5, 4, 2, 0.25),  # here the first batch ends ...
        Progress(1, 0, 12.0, 3, 2, float("inf")),  # ... and another program's best is not known yet
    ]:
        now[0] += left.seconds
        progress.update(left)
        best = progress.line(left).split("lowest regret")[1].split()[0]
        assert best == {7: "-", 6: "0.5000", 5: "0.5000", 4: "0.2500", 3: "0.2500"}[left.chunks_left]
    assert progress.estimate_s == 5.0 + 4 * 1.0 + 2 * 0.5
    assert progress._pace.ends == [(1.5, 1), (1.5, 1)]


def test_times_in_hours_minutes_and_seconds():
    assert [clock(seconds) for seconds in (0.4, 59.6, 3599.0, 3600.0, float("nan"))] == [
        "0:00", "1:00", "59:59", "1:00:00", "-",
    ]  # fmt: skip


def test_of_returns_the_highest_is_shown(now):
    printed = io.StringIO()
    with Display(Console(file=printed, width=200)) as display:
        progress = SweepProgress(1, "return", display)
        progress.update(Progress(chunks=1, slices=1, seconds=1.0, chunks_left=0, slices_left=0, best=-500.0))
    assert "highest return    500.00  0:00 left" in printed.getvalue()
