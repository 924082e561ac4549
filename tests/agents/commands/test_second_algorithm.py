"""PQN through the same commands as the DQN: what is outside of an algorithm's room knows none of them."""

import os
import shlex

import jax
import numpy as np
import pytest
from test_resume import assert_same_run, stop_in_chunk

import heartpole_jax as hp
from agents import dqn, pqn
from agents.__main__ import main
from agents.commands.sweep import Sweep, study_of
from agents.common import networks
from agents.runs import algorithms, recipes
from agents.sweeps import result_files, study_file
from heartpole_jax.envs import registry
from heartpole_jax.policies import heartpole_v0 as scripted
from heartpole_jax.policies import saved_policy

pytestmark = pytest.mark.once

TABLES = """
[config]
hidden_sizes = [8, 4]
transform = "heartpole-days"
num_envs = 4
steps_per_iteration = 8
num_minibatches = 2
num_epochs = 1
[params]
max_steps = 50
"""
RECIPE = f'algorithm = "pqn"\nenv = "HeartPole-v0"\nnum_steps = 3_072\n{TABLES}'
STUDY = f"""
algorithm = "pqn"
env = "HeartPole-v0"
num_steps = 1_024
seeds = 2
num_evaluations = 2
evaluation_episodes = 2
final_episodes = 4
search = "grid"
{TABLES}
[space]
td_lambda = {{grid = [0.0, 0.65]}}
learning_rate = {{grid = [1e-3, 1e30]}}
"""


@pytest.fixture(scope="module", autouse=True)
def no_scripted_policies():
    """A leaderboard of the run alone: each policy takes a second to compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripted, "SCRIPTED", {})
        patch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # the command line sets this variable
        yield


def command(folder, flags=""):
    (folder.parent / "tiny.toml").write_text(RECIPE)
    recipe = f"{folder.parent}/tiny.toml"
    return shlex.split(f"train --recipe {recipe} --num-evaluations 6 --episodes 4 --out {folder} {flags}")


@pytest.fixture(scope="module")
def trained(no_scripted_policies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(command(folder)) == 0
    return folder


def test_a_run_that_was_stopped_and_resumed_is_the_same_to_the_bit(trained, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        stop_in_chunk(patch, 3)
        assert main(command(tmp_path / "run", "--checkpoint-every 1")) == 143
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert_same_run(tmp_path / "run", trained)


def test_its_policy_is_the_networks_in_jax_and_in_numpy(trained):
    saved = saved_policy.load(trained)
    assert (saved.hidden_sizes, saved.layer_norm, saved.provenance["algorithm"]) == ((8, 4), True, "pqn")
    env, config = hp.make("HeartPole-v0"), recipes.load(trained.parent / "tiny.toml").config
    flat = np.concatenate([saved.weights[name].ravel() for name in sorted(saved.weights)])
    play = lambda policy: (
        hp.rollout(policy, jax.random.key(0), num_envs=4, num_steps=50, record=lambda t: (t.obs, t.action)).records
    )
    obs, actions = play(networks.greedy(flat, config, env))
    np.testing.assert_array_equal(play(hp.load_policy(trained))[1], actions)
    values = np.asarray(pqn.q_values(flat, obs.reshape(-1, 6), config, env))
    np.testing.assert_allclose(saved.q_values(np.asarray(obs).reshape(-1, 6)), values, rtol=1e-4, atol=1e-4)


def test_it_is_in_the_leaderboard(trained, capsys):
    assert main(["leaderboard", str(trained), "--episodes", "4"]) == 0
    assert "run " in capsys.readouterr().out


def test_a_sweep_of_its_own_numbers_knows_what_diverged(tmp_path, no_scripted_policies):
    (tmp_path / "tiny.toml").write_text(STUDY)
    assert main(["sweep", f"{tmp_path}/tiny.toml", "--out", f"{tmp_path}/sweep"]) == 0
    trials, summary = result_files.read(tmp_path / "sweep")
    assert summary.swept == ("td_lambda", "learning_rate")
    status = {(trial.values["td_lambda"], trial.values["learning_rate"], trial.seed): trial.status for trial in trials}
    assert status == {
        (td_lambda, rate, seed): "diverged" if rate == 1e30 else "finished"
        for td_lambda in (0.0, 0.65) for rate in (1e-3, 1e30) for seed in (0, 1)
    }  # fmt: skip
    best = recipes.load(tmp_path / "sweep" / "best.toml")
    assert isinstance(best.config, pqn.PQNConfig)
    assert saved_policy.load(tmp_path / "sweep" / "best" / "seed-0").layer_norm
    again = study_file.load(tmp_path / "tiny.toml")
    assert study_file.from_dict(study_file.as_dict(again)) == again


def test_an_algorithm_is_chosen_by_name_and_has_flags_of_its_own(capsys):
    assert recipes.for_env("HeartPole-v0", "pqn").name == "heartpole-v0-pqn"
    assert recipes.for_env("HeartPole-v0").name == "heartpole-v0"
    assert isinstance(recipes.for_env("HeartPole-v1", "pqn").config, pqn.PQNConfig)  # the defaults
    with pytest.raises(SystemExit):
        main(["train", "--algorithm", "pqn", "--help"])
    printed = capsys.readouterr().out
    assert "--hyperparams.td-lambda" in printed
    assert "--config.buffer-size" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --algorithm ppo", "error: unknown algorithm 'ppo'; known: 'dqn', 'pqn'"),
        ("train --algorithm pqn --config.buffer-size 9", "error: train has no option --config.buffer-size"),
        (
            "train --recipe heartpole-v0 --algorithm pqn",
            "error: the recipe heartpole-v0 is for --algorithm dqn, got pqn",
        ),
        ("train --algorithm pqn --config.num-minibatches 7", "error: num_minibatches must divide"),
        (
            "train --algorithm pqn --hyperparams.learning-rate 0",
            "error: learning_rate must be greater than 0, or nothing",
        ),
        (
            "train --algorithm pqn --num-steps 100",
            "error: num_steps must be at least one chunk, 1 iteration of",
        ),
    ],
)
def test_what_cannot_be_is_refused(arguments, message, capsys):
    assert main(shlex.split(arguments)) == 2
    assert capsys.readouterr().err.startswith(message)


def test_a_sweep_takes_its_algorithm_from_a_flag():
    options = Sweep(algorithm="pqn", env="HeartPole-v0", space=("td_lambda=0.0,0.65",))
    study = study_of(options)
    assert isinstance(study.config, pqn.PQNConfig)
    assert study.recipe == "heartpole-v0-pqn"


def test_every_algorithm_is_found_by_its_configuration():
    for name, algorithm in algorithms.ALGORITHMS.items():
        assert algorithms.of(algorithm.config()) is algorithms.named(name) is algorithm
    with pytest.raises(TypeError, match="config must be a DQNConfig or a PQNConfig, got 3"):
        algorithms.of(3)


@pytest.mark.parametrize(
    ("config", "hyperparams"),
    [
        (dqn.DQNConfig(hidden_sizes=(4,), buffer_size=64), dqn.Hyperparams(learning_starts=8, target_period=8)),
        (pqn.PQNConfig(hidden_sizes=(4,), num_envs=2, steps_per_iteration=4, num_minibatches=2), pqn.Hyperparams()),
    ],
    ids=["dqn", "pqn"],
)
def test_what_is_frozen_of_a_diverged_trial_is_all_that_updates_change(config, hyperparams):
    algorithm = algorithms.of(config)
    before = jax.jit(lambda: algorithm.init(jax.random.key(0), hyperparams, config))()
    after, _ = algorithm.train_chunk(before, hyperparams, config, num_iterations=16)
    same = lambda name: jax.tree.all(jax.tree.map(np.array_equal, getattr(before, name), getattr(after, name)))
    changed = {name for name in vars(before) if name != "key" and not same(name)}
    assert changed - {"iteration", "env_state", "episode_return", algorithm.buffer} == set(algorithm.learned)


def test_a_study_of_another_algorithm_than_its_recipe_is_refused():
    content = {"algorithm": "pqn", "recipe": "heartpole-v0", "space": {"discount": {"grid": [0.9]}}}
    with pytest.raises(ValueError, match="algorithm is 'pqn', and the recipe heartpole-v0 is for 'dqn'"):
        study_file.read(content, "x")
    with pytest.raises(ValueError, match=r"\[space\] unknown name to sweep 'buffer_size'"):
        study_file.read({"algorithm": "pqn", "env": "HeartPole-v0", "space": {"buffer_size": {"grid": [9]}}}, "x")


def test_metrics_of_a_run_are_pqns_own(trained):
    env = registry.make("HeartPole-v0")
    config = recipes.load(trained.parent / "tiny.toml").config
    start = pqn.init(jax.random.key(0), pqn.Hyperparams(), config, env)
    _, metrics = jax.eval_shape(lambda: pqn.train_chunk(start, pqn.Hyperparams(), config, env, 16))
    line = (trained / "metrics.jsonl").read_text().splitlines()[0]
    assert all(f'"{name}"' in line for name in vars(metrics))
