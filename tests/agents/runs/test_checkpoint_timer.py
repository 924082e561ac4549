"""How often checkpoints are made."""

import time

import pytest

from agents.runs.checkpoint_timer import SHARE, CheckpointTimer


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_saving_costs_a_share_of_the_time(clock):
    """A save takes 3 s: after the first, it must be as long as it takes for 3 s to be the share."""
    timer = CheckpointTimer()
    timer.worked(99.0)
    assert not timer.due()  # a first save is thought to take 2 s
    timer.worked(2.0)
    assert timer.due()

    def save():
        clock[0] += 3.0

    timer.save(save)
    assert timer.saved_s == 3.0
    worked = 0.0
    while not timer.due():
        timer.worked(1.0)
        worked += 1.0
    assert worked == 151.0  # the first above 3 / 0.02
    assert SHARE == 0.02


def test_so_many_chunks_where_it_is_reported(clock):
    timer = CheckpointTimer(every=3)
    due = []
    for _ in range(7):
        timer.worked(1e9)
        due.append(timer.due())
        if timer.due():
            timer.save(lambda: None)
    assert due == [False, False, True, False, False, True, False]
