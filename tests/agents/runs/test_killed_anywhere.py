"""Killed at any file event and resumed, a run and a sweep are what they are undisturbed, and nothing else is left.

Training and evaluation are made up, as quick as can be: what is written, and in which order, is not.
"""

import contextlib
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import killing
import numpy as np
import pyarrow.parquet
import pytest
from chex import Array

from agents import dqn
from agents.__main__ import _parse
from agents.commands import evaluate as evaluate_command
from agents.commands.resume import Resume, resume
from agents.reports import learning_curve
from agents.runs import loop, scoring
from agents.sweeps import objectives, slices
from heartpole_jax import struct
from heartpole_jax.drawing.charts import style

pytestmark = [
    pytest.mark.once,
    # Who is killed closes no files; here they are closed, with a warning, whenever garbage is collected.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

CONFIG = """
[config]
hidden_sizes = []
transform = "raw"
buffer_size = 1_024
num_envs = 4
batch_size = 16
[hyperparams]
learning_starts = 64.0
"""
RECIPE = 'env = "HeartPole-v0"\nnum_steps = 1_536\nkeep = "best"\n' + CONFIG
STUDY = """
env = "HeartPole-v0"
recipe = "heartpole-v0"
num_steps = 4_096
seeds = 2
num_evaluations = 4
""" + CONFIG  # fmt: skip
HALVING = 'search = "grid"\nhalving = {keep_one_in = 2, rungs = 2}\n' + STUDY + """
[space]
learning_rate = {grid = [1e-4, 2e-4, 3e-3]}
"""  # fmt: skip
OPTUNA = 'search = "optuna"\nnum_configurations = 4\n' + STUDY + """
[space]
learning_rate = {log_uniform = [1e-4, 1e-2]}
"""  # fmt: skip
NUM_WEIGHTS = 6 * 4 + 4
CURVES = (
    "num_updates", "loss", "grad_norm", "episode_return", "greedy_return", "regret", "certified", "epsilon", "seconds",
    "steps_per_second",
)  # fmt: skip


@pytest.fixture(autouse=True)
def made_up(monkeypatch):
    """Training that computes almost nothing, and a picture that shows nothing. The power is not cut meanwhile."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(loop, "train", _train)
    monkeypatch.setattr(evaluate_command, "evaluate_saved", lambda *_: {"policies": []})
    monkeypatch.setattr(learning_curve, "draw", lambda *_: style.new_figure((0.1, 0.1)))
    monkeypatch.setattr(slices, "build", _programs)
    monkeypatch.setattr(slices, "forms", _forms)
    monkeypatch.setattr(scoring, "regret", lambda env, value, params=None: -value)
    monkeypatch.setattr(objectives, "loss", lambda value, *_: -value)


def _train(key, hyperparams, config, env, plan, evaluation_episodes, params, *, start, seconds_before):
    for i in range(0 if start is None else int(start["done"]), plan.num_chunks):
        steps = {"env_steps": (i + 1) * plan.env_steps}
        record = dict.fromkeys(CURVES, 1.0) | steps | {"loss": 0.1 * i, "greedy_return": float(-i % 3)}
        yield loop.Chunk(record, np.full(NUM_WEIGHTS, i, np.float32), lambda i=i: {"done": np.int32(i + 1)})


@struct.dataclass
class TrainState:
    iteration: Array
    buffer: Array
    weights: Array


def _forms(setup):
    """Of the states and records that `_programs` makes, as arrays."""
    trials = setup.slice_size
    number = lambda *shape: np.zeros(shape, np.float32)
    metrics = dqn.Metrics(**dict.fromkeys(dqn.Metrics.__dataclass_fields__, number(trials)))
    state = slices.SliceState(
        train_state=TrainState(np.int32(0), buffer=number(trials, 2), weights=number(trials, NUM_WEIGHTS)),
        alive=np.ones(trials, bool), best_value=number(trials), best_weights=number(trials, NUM_WEIGHTS),
    )  # fmt: skip
    return slices.Forms({}, state, slices.Record(metrics=metrics, mean_return=number(trials), alive=state.alive))


def _programs(setup, device):
    forms = _forms(setup)

    def chunk(state, inputs):
        state, inputs = jax.tree.map(np.asarray, (state, inputs))
        done = state.train_state.iteration + setup.iterations
        speed = inputs.hyperparams.learning_rate + inputs.key[:, 1].astype(np.float32)
        weights = state.train_state.weights + speed[:, None]
        steps = np.full(setup.slice_size, done * setup.config.env_steps_per_iteration, np.float32)
        train_state = TrainState(iteration=np.int32(done), buffer=state.train_state.buffer + 1, weights=weights)
        metrics = forms.record.metrics.replace(env_steps=steps)
        record = forms.record.replace(metrics=metrics, mean_return=weights[:, 0])
        return state.replace(train_state=train_state, best_value=weights[:, 0], best_weights=weights), record

    def evaluate(state, inputs):
        weights = np.asarray(state.train_state.weights)
        return slices.Evaluation(weights[:, 0], np.ones(setup.slice_size, np.float32), weights)

    return slices.Programs(lambda inputs: forms.state, chunk, evaluate, forms, device)


class Scenario(NamedTuple):
    """A command, and the folder that it writes."""

    begin: Callable[[], int]
    folder: Path
    before: Path | None = None  # what the folder is at first, where it is not new


def _scenario(name, tmp_path):
    folder = tmp_path / "run"
    flags = ["--out", str(folder), "--checkpoint-every", "1"]
    if name in ("train", "resume"):
        (tmp_path / "tiny.toml").write_text(RECIPE)
        words = ["train", "--recipe", str(tmp_path / "tiny.toml"), "--num-evaluations", "3", "--episodes", "4", *flags]
    else:
        (tmp_path / "tiny.toml").write_text({"halving": HALVING, "optuna": OPTUNA}[name])
        words = ["sweep", str(tmp_path / "tiny.toml"), "--slice-size", "2", *flags]
    options, function = _parse(words)  # once: it takes longer than all the rest
    begin = lambda: function(options)
    if name != "resume":
        return Scenario(begin, folder)
    events = killing.watch(folder, begin)
    shutil.rmtree(folder)
    appended = [i for i, event in enumerate(events, 1) if event == killing.APPEND]
    killing.watch(folder, begin, appended[-2])  # in the last line of the records, before that of events
    return Scenario(begin, folder, shutil.move(folder, tmp_path / "killed"))


def _go_on(scenario):
    """The status of what one would do who sees the folder as it is now."""
    begun = any((scenario.folder / name).exists() for name in ("config.json", "study.json"))
    return resume(Resume(str(scenario.folder))) if begun else scenario.begin()


def _begin_anew(scenario):
    shutil.rmtree(scenario.folder, ignore_errors=True)
    if scenario.before:
        shutil.copytree(scenario.before, scenario.folder)


def _content(folder):
    """What is in each file but dates and times, by path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name, content = str(path.relative_to(folder)), path.read_bytes() if path.is_file() else None
        if "tfevents" in name:  # its name and the times in it are of no certain value
            name, content = "events", len(content)
        elif path.name in ("study.json", "config.json", "manifest.json", "policy.json"):
            content = {key: value for key, value in json.loads(content).items() if not key.endswith("sha256")}
            content |= dict.fromkeys(("begun", "command", "sha256_of", "size_of"))
        elif path.name == "results.parquet":
            content = pyarrow.parquet.read_table(path).to_pylist()
        elif path.name == "optuna.db":
            with contextlib.closing(sqlite3.connect(path)) as database:
                values = "SELECT * FROM trial_values", "SELECT trial_id, param_name, param_value FROM trial_params"
                content = [database.execute(query).fetchall() for query in values]
        assert name not in found
        found[name] = content
    return found


def _undisturbed(scenario):
    """The number of events, and what is there at the end, which resuming again does not change."""
    _begin_anew(scenario)
    events = killing.watch(scenario.folder, lambda: _go_on(scenario))
    expected = _content(scenario.folder)
    assert _go_on(scenario) == 0
    assert _content(scenario.folder) == expected
    return len(events), expected


def _assert_survives(scenario, kill_at, expected):
    _begin_anew(scenario)
    (event,) = killing.watch(scenario.folder, lambda: _go_on(scenario), kill_at)[-1:]
    assert _go_on(scenario) == 0
    assert _content(scenario.folder) == expected, f"killed at event {kill_at}, {event}"


@pytest.mark.parametrize(("name", "least"), [("train", 30), ("resume", 30)])
def test_a_run_killed_at_any_file_event_is_the_same_once_resumed(name, least, tmp_path):
    scenario = _scenario(name, tmp_path)
    number, expected = _undisturbed(scenario)
    assert number > least
    for kill_at in range(1, number + 1):
        _assert_survives(scenario, kill_at, expected)


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        ("halving", 10),
        pytest.param("halving", 1000, marks=pytest.mark.slow),
        pytest.param("optuna", 1000, marks=pytest.mark.slow),
    ],
)
def test_a_sweep_killed_at_a_sample_of_file_events_is_the_same_once_resumed(name, sample, tmp_path):
    scenario = _scenario(name, tmp_path)
    number, expected = _undisturbed(scenario)
    assert number > 60
    for kill_at in random.Random(0).sample(range(1, number + 1), min(sample, number)):
        _assert_survives(scenario, kill_at, expected)
