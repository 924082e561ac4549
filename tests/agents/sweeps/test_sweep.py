"""Studies trained in this process: what comes of trials, halving, stopping anywhere, divergence."""

import dataclasses
import itertools
import tomllib

import jax
import numpy as np
import pytest
import tiny_study

from agents import dqn
from agents.runs import loop
from agents.sweeps import listed_search, schedule, slice_files, slices, study_file, sweep
from agents.sweeps import study as studies
from agents.sweeps.executors import LocalExecutor
from agents.sweeps.slice_files import Result
from agents.sweeps.sweep import Runtime
from agents.sweeps.tasks import RungSlice, Trial
from heartpole_jax.envs import registry
from heartpole_jax.envs.heartpole_v0 import EnvParams
from heartpole_jax.optimum import sober_optimum

pytestmark = pytest.mark.once


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """Programs of one set-up are compiled once for all tests of this file."""
    build = slices.build
    kept = {}

    def programs(setup, device):
        if (repr(setup), device) not in kept:
            kept[repr(setup), device] = build(setup, device)
        return kept[repr(setup), device]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "build", programs)
        yield


def study_of(changes="", **content):
    described = tomllib.loads(tiny_study.TOML if not changes else changes + tiny_study.TOML)
    return study_file.read(study_file.merge(described, content), "tiny")


def train(study, folder, slice_size=4, num_workers=1, stop_requested=lambda: None, **runtime):
    folder.mkdir(exist_ok=True)
    executor = LocalExecutor(
        jax.devices()[:1] * num_workers, folder, stop_requested=lambda: stop_requested() is not None
    )  # fmt: skip
    return sweep.train(
        study,
        Runtime(folder=folder, slice_size=slice_size, executor=executor, stop_requested=stop_requested, **runtime),
    )


def assert_same(found, expected):
    assert len(found.trials) == len(expected.trials)
    for one, other in zip(found.trials, expected.trials, strict=True):
        for field in dataclasses.fields(one):
            if field.name == "curve":
                for name in one.curve:
                    np.testing.assert_array_equal(one.curve[name], other.curve[name], err_msg=name)
            else:
                assert getattr(one, field.name) == getattr(other, field.name), field.name
    assert found.weights.keys() == expected.weights.keys()
    for trial in found.weights:
        np.testing.assert_array_equal(found.weights[trial], expected.weights[trial])


@pytest.fixture(scope="module")
def trained(compiled_once, tmp_path_factory):
    return train(study_of(), tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def halved(compiled_once, tmp_path_factory):
    return train(study_of(tiny_study.HALVING), tmp_path_factory.mktemp("halved"))


def test_every_configuration_is_trained_with_every_seed(trained):
    trials = [(trial.configuration, trial.seed) for trial in trained.trials]
    assert trials == list(itertools.product(range(4), range(2)))
    values = [tuple(trial.values.values()) for trial in trained.trials[::2]]
    assert values == [(1e-4, 0.9), (1e-4, 0.99), (3e-3, 0.9), (3e-3, 0.99)]
    assert {trial.status for trial in trained.trials} == {"finished"}
    assert {trial.env_steps for trial in trained.trials} == {8192}
    assert all(list(trial.curve["env_steps"]) == [2048, 4096, 6144, 8192] for trial in trained.trials)
    assert set(trained.weights) == {Trial(*trial) for trial in trials}


@pytest.mark.slow
def test_a_trial_is_what_training_it_alone_gives(trained):
    study = study_of()
    setting = studies.resolve(study, {"learning_rate": 3e-3, "discount": 0.9})
    (trial,) = (m for m in trained.trials if (m.configuration, m.seed) == (2, 1))
    params = dataclasses.replace(jax.tree.map(lambda x: x, registry.make(study.env).default_params),
                                 **setting.params)  # fmt: skip
    alone = dqn.train(
        jax.random.key(1), setting.hyperparams, setting.config, num_chunks=4,
        iterations_per_chunk=loop.iterations_a_chunk(8192, 4, setting.config), evaluation_episodes=2, params=params,
    )  # fmt: skip
    np.testing.assert_allclose(trial.curve["loss"], alone.metrics.loss, rtol=2e-3)
    np.testing.assert_allclose(trial.curve["mean_return"], alone.mean_return, atol=0.05)
    np.testing.assert_allclose(trained.weights[Trial(2, 1)], alone.train_state.ema_params, atol=2e-3)


def test_stopped_anywhere_and_resumed_it_is_the_same_to_the_bit(halved, tmp_path):
    """Two slices of two chunks, then one of two more: six chunks, stopped after every one; and in and after a slice."""
    study = study_of(tiny_study.HALVING)
    for stop_after in (3, 4):
        rounds = []
        watch = lambda left, rounds=rounds: rounds.append(left.chunks)
        stop = lambda rounds=rounds, most=stop_after: 15 if len(rounds) >= most else None
        folder = tmp_path / str(stop_after)
        with pytest.raises(schedule.Stopped, match="stopped by SIGTERM"):
            train(study, folder, stop_requested=stop, on_progress=watch)
        assert len(rounds) == stop_after
        assert_same(train(study, folder), halved)
    folder = tmp_path / "every"
    for _ in range(6):
        with pytest.raises(schedule.Stopped):
            train(study, folder, stop_requested=lambda: 15)
    rounds = []
    assert_same(train(study, folder, on_progress=rounds.append), halved)
    assert not rounds  # each of the six had saved its chunk


def test_two_workers_change_no_bit_and_report_every_chunk_once(halved, tmp_path):
    """Three slices of two chunks; which worker has which, and when, is left to chance."""
    rounds = []
    outcome = train(study_of(tiny_study.HALVING), tmp_path / "run", num_workers=2, on_progress=rounds.append)
    assert_same(outcome, halved)
    assert sum(progress.chunks for progress in rounds) == 6
    assert sum(progress.slices for progress in rounds) == 3
    assert [progress.chunks_left for progress in rounds] == [5, 4, 3, 2, 1, 0]
    assert rounds[-1].best == min(trial.regret for trial in outcome.trials)


def test_what_is_done_is_not_done_again(trained, tmp_path):
    train(study_of(), tmp_path / "run")
    path = next((tmp_path / "run" / "slices").glob("*.safetensors"))
    before = path.stat().st_mtime_ns
    rounds = []
    assert_same(train(study_of(), tmp_path / "run", on_progress=rounds.append), trained)
    assert not rounds
    assert path.stat().st_mtime_ns == before


def test_halving_trains_the_best_half_to_the_end(halved, trained):
    statuses = {trial.configuration: trial.status for trial in halved.trials}
    assert sorted(statuses.values()) == ["finished", "finished", "stopped", "stopped"]
    assert {m.env_steps for m in halved.trials if m.status == "stopped"} == {4096}
    halfway = {i: np.mean([m.regret for m in halved.trials if m.configuration == i]) for i in range(4)}
    stopped = [i for i in statuses if statuses[i] == "stopped"]
    whole = {(m.configuration, m.seed): m for m in trained.trials}
    for trial in halved.trials:  # a trial that goes on is what it would be if none had stopped
        curve = whole[trial.configuration, trial.seed].curve["loss"]
        np.testing.assert_allclose(trial.curve["loss"], curve[: len(trial.curve["loss"])], rtol=1e-3)
        if trial.status == "finished":
            assert len(trial.curve["loss"]) == 4
    assert all(np.isfinite(halfway[i]) for i in stopped)


def test_the_states_of_a_rung_are_removed_when_the_next_is_done(tmp_path):
    train(study_of(tiny_study.HALVING), tmp_path / "run")
    assert {path.suffix for path in (tmp_path / "run" / "slices").iterdir()} == {".safetensors"}


def test_a_trial_that_diverges_is_frozen_reported_and_not_contagious(trained, tmp_path):
    """With a learning rate of 1e30 in the place of 3e-3: the others do not notice."""
    study = study_of(space={"learning_rate": {"grid": [1e-4, 1e30]}})
    outcome = train(study, tmp_path / "run")
    for trial, other in zip(outcome.trials, trained.trials, strict=True):
        if trial.values["learning_rate"] == 1e30:
            assert trial.status == "diverged"
            assert trial.diverged_at == 2048
            assert np.isnan(trial.curve["mean_return"]).all()
            assert np.isfinite(outcome.weights[Trial(trial.configuration, trial.seed)]).all()
        else:
            assert trial.mean_return == other.mean_return
            np.testing.assert_array_equal(trial.curve["loss"], other.curve["loss"])


def test_a_trial_diverged_where_it_was_frozen_first():
    """Of two seeds one is frozen after 2,048 steps, and goes through the second rung as it was."""
    study = study_of(tiny_study.HALVING)
    trials = (Trial(0, 0), Trial(0, 1))

    def result(first, diverged_at):
        curves = {name: np.full((2, 2), -100.0) for name in slice_files.CURVES}
        curves["env_steps"] = np.tile([[first, first + 2048.0]], (2, 1))
        numbers = {name: np.zeros(2) for name in ("objective", "mean_return", "standard_error", "weights")}
        return Result(trials=trials, diverged_at=np.array(diverged_at), curves=curves, **numbers)

    trained = [
        (RungSlice("a", 0, 0, 2, trials), result(2048, [-1, 2048])),
        (RungSlice("b", 1, 2, 4, parents=("a",)), result(6144, [-1, 6144])),
    ]
    values = {"learning_rate": 1e-4, "discount": 0.9}
    trials = sweep.trial_results(trained, {0: values}, {0: studies.resolve(study, values)}, study)
    assert [(trial.status, trial.diverged_at) for trial in trials] == [("finished", None), ("diverged", 2048)]
    assert list(trials[1].curve["env_steps"]) == [2048, 4096, 6144, 8192]


@pytest.mark.slow
def test_slices_that_are_not_full_change_nothing(trained, tmp_path):
    """Eight trials in slices of three: the last slice has two and one of them twice."""
    outcome = train(study_of(), tmp_path / "run", slice_size=3)
    for trial, other in zip(outcome.trials, trained.trials, strict=True):
        np.testing.assert_allclose(trial.curve["loss"], other.curve["loss"], rtol=2e-3)
    results = [slice_files.read(tmp_path / "run", path.stem, study_file.digest(study_of()))
               for path in sorted((tmp_path / "run" / "slices").glob("*.safetensors"))]  # fmt: skip
    assert [len(result.trials) for result in results] == [3, 3, 2]


@pytest.mark.slow
def test_parameters_of_the_environment_are_swept(tmp_path):
    study = study_of(space={"learning_rate": None, "discount": None, "heart_attack_penalty": {"grid": [50, 100]}})
    outcome = train(study, tmp_path / "run")
    for i, penalty in enumerate((50.0, 100.0)):
        optimum = sober_optimum(EnvParams(max_steps=100, heart_attack_penalty=penalty)).expected_return
        for trial in outcome.trials[2 * i : 2 * i + 2]:
            assert trial.regret == optimum - trial.mean_return  # each against the optimum of its own parameters
    losses = [outcome.trials[i].curve["loss"] for i in (0, 2)]
    assert not np.any(losses[0] == losses[1])


@pytest.mark.slow
def test_where_one_environment_has_no_regret_all_are_compared_by_return(tmp_path):
    """Of a wake_up_alertness_high of 3.0 the best return is unknown."""
    space = {"learning_rate": None, "discount": None, "wake_up_alertness_high": {"grid": [1.3, 3.0, 2.0, 1.5]}}
    study = study_of(tiny_study.HALVING, space=space)
    outcome = train(study, tmp_path / "run", slice_size=4)
    assert [trial.regret is None for trial in outcome.trials[::2]] == [False, True, False, False]
    for path in (tmp_path / "run" / "slices").glob("*.safetensors"):
        result = slice_files.read(tmp_path / "run", path.stem, study_file.digest(study))
        np.testing.assert_array_equal(result.objective, -result.mean_return)


@pytest.mark.slow
def test_static_choices_are_programs_of_their_own(tmp_path):
    study = study_of(space={"learning_rate": None, "discount": None, "hidden_sizes": {"grid": [[8], [4]]}})
    outcome = train(study, tmp_path / "run")
    sizes = {trial.configuration: weights.size for trial, weights in outcome.weights.items()}
    assert sizes == {0: 13 * 8 + 8 + 8 * 4 + 4, 1: 13 * 4 + 4 + 4 * 4 + 4}


@pytest.mark.slow
def test_an_adaptive_search_is_reported_what_came_of_its_batches(tmp_path):
    pytest.importorskip("optuna")
    study = study_of(search="optuna", num_configurations=5, batch_configurations=2,
                     space={"learning_rate": {"log_uniform": [1e-5, 1e-2]}, "discount": None})  # fmt: skip
    rounds = []
    outcome = train(study, tmp_path / "whole", on_progress=rounds.append)
    assert [(left.slices, left.chunks_left, left.slices_left) for left in rounds] == [
        (i % 4 == 3, 11 - i, 3 - (i + 1) // 4)
        for i in range(12)  # three batches of a slice of four chunks each
    ]
    assert [trial.configuration for trial in outcome.trials] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert len({trial.values["learning_rate"] for trial in outcome.trials}) == 5
    import optuna

    stored = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path / 'whole' / 'optuna.db'}")
    values = [trial.value for trial in stored.trials if trial.value is not None]
    scores = [np.mean([m.regret for m in outcome.trials if m.configuration == i]) for i in range(5)]
    np.testing.assert_allclose(sorted(values), sorted(scores), rtol=1e-6)
    rounds = []
    with pytest.raises(schedule.Stopped):
        train(
            study,
            tmp_path / "stopped",
            on_progress=rounds.append,
            stop_requested=lambda: 2 if len(rounds) == 5 else None,
        )
    assert_same(train(study, tmp_path / "stopped"), outcome)


def test_a_batch_of_configurations_that_was_altered_is_refused(tmp_path):
    train(study_of(), tmp_path / "run")
    path = tmp_path / "run" / "batches" / "0000.json"
    path.write_text(path.read_text().replace("0.003", "0.004", 1))
    with pytest.raises(ValueError, match=r"0000.json is damaged: it is not what was saved, .*; restore it"):
        train(study_of(), tmp_path / "run")
    path.write_text("{")
    with pytest.raises(ValueError, match=r"0000\.json is damaged, it is no JSON"):
        train(study_of(), tmp_path / "run")


@pytest.mark.slow
def test_random_configurations_are_those_of_the_search(tmp_path):
    space = {"learning_rate": {"log_uniform": [1e-5, 1e-2]}, "discount": {"uniform": [0.9, 0.99]}}
    study = study_of(search="random", num_configurations=3, space=space)
    outcome = train(study, tmp_path / "run")
    assert [dict(m.values) for m in outcome.trials[::2]] == listed_search.configurations(study)
