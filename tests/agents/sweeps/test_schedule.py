"""How devices work through tasks, where that takes no device: what of another process is waited for, and refused."""

import types

import numpy as np
import pytest

from agents.runs import checkpoints, files
from agents.sweeps import schedule
from agents.sweeps.tasks import Task

STUDY = "ab" * 32


def _save_parent(folder, step):
    arrays = {"state": {"x": np.zeros(2)}, "history": {"x": np.zeros(2)}}
    checkpoints.save(folder / "slices" / "a", step, arrays, {"study": STUDY, "task": "a"})


def _merge(folder):
    """Of a task that goes on after the fourth chunk of the task "a"."""
    slot = types.SimpleNamespace(task=Task("b", 1, 4, 8, parents=("a",)))
    job = types.SimpleNamespace(
        folder=folder, study=STUDY, skip_damaged=False, programs=lambda: types.SimpleNamespace(state_form={})
    )
    return schedule._merge(slot, job)


@pytest.mark.parametrize("step", [None, 3])
def test_a_rung_does_not_go_on_from_states_of_another_chunk_than_the_last(tmp_path, step):
    if step is not None:
        _save_parent(tmp_path, step)
    with pytest.raises(ValueError, match=r"^the states of a are gone, which its successor b trains on: remove "):
        _merge(tmp_path)


def test_the_states_of_another_process_are_waited_for(tmp_path, monkeypatch):
    """They are seen the third time that they are looked for; then they are read, and are of another form here."""
    looked = []

    def appears(seconds):
        looked.append(seconds)
        if len(looked) == 2:
            _save_parent(tmp_path, 4)

    monkeypatch.setattr(files.time, "sleep", appears)
    monkeypatch.setattr("jax.process_count", lambda: 2)
    with pytest.raises(ValueError, match=r"^the checkpoint should hold 0 arrays, got 1$"):
        _merge(tmp_path)
    assert len(looked) == 2


def test_the_newest_checkpoint_tells_its_step_unopened(tmp_path):
    assert checkpoints.newest_step(tmp_path / "slices" / "a") is None
    for step in (2, 10, 10):
        _save_parent(tmp_path, step)
    assert checkpoints.newest_step(tmp_path / "slices" / "a") == 10
