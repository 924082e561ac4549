"""Cutting a study into slices and rungs, and who goes on."""

import inspect

import numpy as np
import pytest

from agents.sweeps.tasks import Halving, Trial, plan, rung_ends, score, survivors


def trials(num_configurations, num_seeds):
    return [Trial(i, seed) for i in range(num_configurations) for seed in range(num_seeds)]


def test_without_halving_trials_are_cut_into_slices_that_do_all_chunks():
    tasks = plan("a", trials(5, 2), 4, 6, None, 2)
    assert [task.name for task in tasks] == ["a-rung-0-slice-0000", "a-rung-0-slice-0001", "a-rung-0-slice-0002"]
    assert [len(task.trials) for task in tasks] == [4, 4, 2]
    assert [trial for task in tasks for trial in task.trials] == trials(5, 2)
    assert {(task.first_chunk, task.last_chunk, task.num_chunks) for task in tasks} == {(0, 6, 6)}


def test_with_halving_slices_of_the_next_rung_have_as_many_parents_as_one_is_kept_in():
    tasks = plan("a", trials(40, 2), 4, 18, Halving(3, 3), 2)  # 20 slices, 7, 3
    by_rung = {rung: [task for task in tasks if task.rung == rung] for rung in range(3)}
    assert {rung: len(of) for rung, of in by_rung.items()} == {0: 20, 1: 7, 2: 3}
    assert {(task.first_chunk, task.last_chunk) for task in by_rung[0]} == {(0, 2)}
    assert {(task.first_chunk, task.last_chunk) for task in by_rung[1]} == {(2, 6)}
    assert {(task.first_chunk, task.last_chunk) for task in by_rung[2]} == {(6, 18)}
    assert by_rung[1][6].parents == ("a-rung-0-slice-0018", "a-rung-0-slice-0019")
    parents = [parent for task in by_rung[1] for parent in task.parents]
    assert parents == [task.name for task in by_rung[0]]
    seen = set()
    for task in tasks:  # parents come first
        assert set(task.parents) <= seen
        seen.add(task.name)


def test_rungs_end_where_one_in_so_many_is_left():
    assert rung_ends(64, Halving(4, 3)) == [4, 16, 64]
    assert rung_ends(5, None) == [5]
    with pytest.raises(ValueError, match="3 rungs that keep one in 4, num_evaluations must be a multiple of 16"):
        rung_ends(24, Halving(4, 3))


@pytest.mark.parametrize("value", ["x", None, -1, 1, 2.5, True, np.array([2, 2]), 10**30])
@pytest.mark.parametrize("name", ["keep_one_in", "rungs"])
def test_halving_by_what_is_no_whole_number_in_its_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"^halving: {name} must be a whole number from 2 to 1,000, got "):
        Halving(**{"keep_one_in": 2, "rungs": 2} | {name: value})


@pytest.mark.parametrize(
    ("function", "name", "value"),
    [(plan, "slice_size", "x"), (plan, "trials", 3), (plan, "halving", (2, 2)), (rung_ends, "halving", {}),
     (rung_ends, "num_chunks", 0), (survivors, "parents", []), (survivors, "keep_one_in", 0.5),
     (score, "objectives", "x")],
)  # fmt: skip
def test_arguments_of_the_wrong_kind_are_reported_by_name(function, name, value):
    known = {"prefix": "a", "trials": [], "slice_size": 1, "num_chunks": 4, "halving": None, "num_seeds": 1}
    known |= {"parents": {}, "objectives": {}, "keep_one_in": 2}
    taken = inspect.signature(function).parameters
    with pytest.raises((TypeError, ValueError), match=f"^{name} must be "):
        function(**{key: known[key] for key in taken} | {name: value})


def test_a_slice_of_parts_of_configurations_is_refused_with_halving():
    with pytest.raises(ValueError, match="its trials must be a multiple of the 3 seeds, got 4"):
        plan("a", trials(4, 3), 4, 4, Halving(2, 2), 3)


def test_the_best_configurations_of_all_parents_go_on_with_all_their_seeds():
    parents = {"a": trials(2, 2), "b": [Trial(2, 0), Trial(2, 1), Trial(3, 0), Trial(3, 1)]}
    objectives = {"a": np.array([5.0, 7.0, 1.0, 3.0]), "b": np.array([0.5, 0.7, np.inf, 0.0])}
    chosen = survivors(parents, objectives, 2)
    assert [(survivor.parent, survivor.place, survivor.trial) for survivor in chosen] == [
        ("b", 0, Trial(2, 0)),
        ("b", 1, Trial(2, 1)),
        ("a", 2, Trial(1, 0)),
        ("a", 3, Trial(1, 1)),
    ]
    assert len(survivors(parents, objectives, 4)) == 2
    assert len(survivors(parents, objectives, 3)) == 4  # 4 / 3 rounded up


def test_configurations_that_are_level_go_on_in_their_order():
    parents = {"a": trials(4, 1)}
    chosen = survivors(parents, {"a": np.array([np.inf, 2.0, 2.0, np.inf])}, 2)
    assert [survivor.trial.configuration for survivor in chosen] == [1, 2]


def test_the_score_is_the_mean_of_the_middle_half():
    assert score([0.0, 1.0, 2.0, 30.0]) == 1.5
    assert score([1.0, 2.0]) == 1.5
    assert score([1.0, 2.0, 3.0, np.inf]) == 2.5
    assert score([1.0, np.inf]) == np.inf
