"""How slices are taken up, where that takes no device: states that are gone, failures, and who is ready."""

import types

import numpy as np
import pytest

from agents.runs import checkpoints
from agents.sweeps import schedule, slices
from agents.sweeps.tasks import RungSlice

STUDY = "ab" * 32


def _save_parent(folder, step):
    arrays = {"state/x": np.zeros(2), "history/x": np.zeros(2)}
    checkpoints.save(folder / "slices" / "a", step, arrays, {"study": STUDY, "task": "a"})


def _merge(folder):
    """Of a task that goes on after the fourth chunk of the task "a"."""
    job = types.SimpleNamespace(folder=folder, study=STUDY, skip_damaged=False, setup=None)
    return schedule._merged(RungSlice("b", 1, 4, 8, parents=("a",)), [], job)


@pytest.fixture(autouse=True)
def no_state(monkeypatch):
    monkeypatch.setattr(slices, "forms", lambda setup: slices.Forms({}, {}, {}))


@pytest.mark.parametrize("step", [None, 3])
def test_a_rung_does_not_go_on_from_states_of_another_chunk_than_the_last(tmp_path, step):
    if step is not None:
        _save_parent(tmp_path, step)
    with pytest.raises(ValueError, match=r"^the states of a are gone, which its successor b trains on: remove "):
        _merge(tmp_path)


def test_the_state_of_the_last_chunk_is_read_and_must_have_its_form(tmp_path):
    _save_parent(tmp_path, 4)
    with pytest.raises(ValueError, match=r"^the checkpoint should hold 0 arrays, got 1$"):
        _merge(tmp_path)


def test_late_rungs_are_ready_first_and_none_before_its_parents():
    tasks = [
        RungSlice("a", 0, 0, 2),
        RungSlice("b", 0, 0, 2),
        RungSlice("c", 0, 0, 2),
        RungSlice("d", 1, 2, 4, parents=("a", "b")),
    ]
    names = lambda done, under_way: [task.name for task in schedule._ready(tasks, done, under_way)]
    assert names(set(), {"a"}) == ["b", "c"]
    assert names({"a"}, {"b"}) == ["c"]
    assert names({"a", "b"}, set()) == ["d", "c"]


def test_what_fails_in_one_worker_stops_the_others_and_is_raised(tmp_path):
    """Two slices under way: the first fails. The executor is asked to stop before the error goes on."""
    happened = []

    class Executor:
        def has_room(self, under_way):
            return under_way < 2

        def submit(self, spec, start, on_chunk):
            happened.append(spec.task)

        def wait(self):
            raise OSError("no space left")

        def stop(self):
            happened.append("stop")

    job = schedule.Job(
        folder=tmp_path, study=STUDY, setup=types.SimpleNamespace(slice_size=1), executor=Executor(), keep_one_in=1,
        inputs=lambda trials: None, objective=lambda trial, value: 0.0, stop_requested=lambda: None,
    )  # fmt: skip
    tasks = [RungSlice(name, 0, 0, 2, trials=((0, 0),)) for name in "abc"]
    with pytest.raises(OSError, match="no space left"):
        schedule.run(tasks, job)
    assert happened == ["a", "b", "stop"]


def test_the_newest_checkpoint_shows_its_step_unopened(tmp_path):
    assert checkpoints.newest_step(tmp_path / "slices" / "a") is None
    for step in (2, 10, 10):
        _save_parent(tmp_path, step)
    assert checkpoints.newest_step(tmp_path / "slices" / "a") == 10
