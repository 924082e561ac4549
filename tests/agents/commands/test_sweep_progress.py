"""What a sweep says of how far it is."""

import io
import math
import time

import pytest
from rich.console import Console

from agents.commands.sweep_progress import Pace, SweepProgress, clock
from agents.sweeps.sweep import Left


@pytest.fixture
def now(monkeypatch):
    passed = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: passed[0])
    return passed


def test_an_estimate_after_the_second_end_of_slices(now):
    """On 2 devices 20 slices of 2 chunks: 20 rounds. Compiling takes 7 s, a round 1 s, an end of two slices 0.5 s more.

    The first round takes 3 s and the first end 4 s, which is no measure of the others.
    """
    out = io.StringIO()
    with SweepProgress(2, 1000, "regret", Console(file=out, width=200)) as progress:
        now[0] += 7.0
        progress.compiled()
        for i, seconds in enumerate([3.0, 4.0, 1.0, 1.5, 1.0], start=1):
            assert (progress.estimate_s is None) == (i <= 4)
            now[0] += seconds
            progress.update(Left(2, 0 if i % 2 else 2, 40 - 2 * i, 20 - i // 2 * 2, 0.25))
        now[0] += 40.0
        progress.update(Left(2, 2, 0, 0, 0.125))
    assert progress.compiling_s == 7.0
    assert progress.estimate_s == 7.0 + 3.0 + 4.0 + 1.0 + 1.5 + 16 * 1.0 + 16 * 0.25
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("estimate: 0:36 in all, until about ")
    assert [line[:7] for line in lines[1:]] == [" 20.0 %", "100.0 %"]
    assert "slices left    16  steps/s         842  lowest regret    0.2500  0:20 left" in lines[1]
    assert "lowest regret    0.1250  0:00 left" in lines[2]


def test_a_pace_of_rounds_in_which_slices_end_each_time():
    pace = Pace()
    assert math.isnan(pace.seconds(1, 1))
    for seconds in (9.0, 2.0, 3.0, 50.0):
        pace.add(seconds, 1)
    assert pace.seconds(10, 10) == 30.0  # the median of all but the first; nothing beside a round is known


def test_an_estimate_after_eight_rounds_where_slices_are_long(now):
    progress = SweepProgress(1, 1000, "regret", Console(file=io.StringIO()))
    for i in range(1, 9):
        assert progress.estimate_s is None
        now[0] += 2.0
        progress.update(Left(1, 0, 100 - i, 1, float("inf")))
    assert progress.estimate_s == 16.0 + 92 * 2.0


def test_the_lowest_regret_of_an_earlier_batch_is_kept_and_its_pace_goes_on(now):
    """Two batches of two slices of two chunks, one after the other, on one device. A round takes 1 s, an end 0.5 s."""
    out = io.StringIO()
    progress = SweepProgress(1, 1000, "regret", Console(file=out, width=200))
    for seconds, left in [
        (1.0, Left(1, 0, 7, 4, float("inf"))),
        (1.5, Left(1, 1, 6, 3, 0.5)),
        (1.0, Left(1, 0, 5, 3, 0.5)),
        (1.5, Left(1, 1, 4, 2, 0.25)),  # here the first batch ends ...
        (12.0, Left(1, 0, 3, 2, float("inf"))),  # ... and another program's best is not known yet
    ]:
        now[0] += seconds
        progress.update(left)
        best = progress.line(left).split("lowest regret")[1].split()[0]
        assert best == {7: "-", 6: "0.5000", 5: "0.5000", 4: "0.2500", 3: "0.2500"}[left.chunks_left]
    assert progress.estimate_s == 5.0 + 4 * 1.0 + 2 * 0.5
    assert [done for _, done in progress._pace.ends] == [1, 1]


def test_times_in_hours_minutes_and_seconds():
    assert [clock(seconds) for seconds in (0.4, 59.6, 3599.0, 3600.0, float("nan"))] == [
        "0:00", "1:00", "59:59", "1:00:00", "-",
    ]  # fmt: skip


def test_of_returns_the_highest_is_shown(now):
    printed = io.StringIO()
    with SweepProgress(1, 1, "return", Console(file=printed, width=200)) as progress:
        progress.update(Left(chunks=1, tasks=1, chunks_left=0, tasks_left=0, best=-500.0))
    assert "highest return    500.00  0:00 left" in printed.getvalue()
