"""How often checkpoints are made."""

import time

import pytest

from agents.runs.checkpoint_timer import SHARE, Pacing


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_saving_costs_a_share_of_the_time(clock):
    """A save takes 3 s: after the first, it must be as long as it takes for 3 s to be the share."""
    pacing = Pacing()
    pacing.worked(99.0)
    assert not pacing.due()  # a first save is thought to take 2 s
    pacing.worked(2.0)
    assert pacing.due()

    def save():
        clock[0] += 3.0

    pacing.save(save)
    assert pacing.saved_s == 3.0
    worked = 0.0
    while not pacing.due():
        pacing.worked(1.0)
        worked += 1.0
    assert worked == 151.0  # the first above 3 / 0.02
    assert SHARE == 0.02


def test_so_many_chunks_where_it_is_told(clock):
    pacing = Pacing(every=3)
    due = []
    for _ in range(7):
        pacing.worked(1e9)
        due.append(pacing.due())
        if pacing.due():
            pacing.save(lambda: None)
    assert due == [False, False, True, False, False, True, False]
