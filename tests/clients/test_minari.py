"""Datasets as Minari reads them, number by number, and what cannot be written or estimated."""

import dataclasses
import importlib
import os

import jax
import numpy as np
import pytest

from heartpole_jax import EnvParams, make, policies, rollout, threefry
from heartpole_jax.__main__ import main
from heartpole_jax.rollout import everything

minari = pytest.importorskip("minari", reason="see tests/clients/requirements.txt")
datasets = importlib.import_module("heartpole_jax.interop.minari")  # which needs Minari

PARAMS = EnvParams(max_steps=40, heart_attack_threshold=1.0)  # heart attacks are common
TARGETS = [("sleep", 0.0), ("reference", 0.1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "reference-v0"
    before = dict(os.environ)
    values = datasets.write_dataset(
        folder, policies.reference(), jax.random.key(3), PARAMS, num_episodes=300, epsilon=0.2, name="reference",
        targets=TARGETS[:1],
    )  # fmt: skip
    assert [(value.policy, value.epsilon) for value in values] == TARGETS[:1]
    assert dict(os.environ) == before
    return folder


@pytest.fixture(scope="module")
def dataset(folder):
    return minari.MinariDataset(folder / "data")


def test_minari_reads_whole_episodes_that_are_truncated_and_not_terminated(dataset):
    assert (dataset.total_episodes, dataset.total_steps, dataset.id) == (300, 12_000, "reference-v0")
    for episode in dataset.iterate_episodes([0, 299]):
        assert dataset.observation_space.contains(episode.observations[0])
        assert episode.observations.shape == (41, 6)
        assert not episode.terminations.any()
        np.testing.assert_array_equal(np.flatnonzero(episode.truncations), [39])
        np.testing.assert_array_equal(episode.observations[:, 4], np.append(0, np.cumsum(np.where(
            episode.actions == 3, 17, 1))))  # fmt: skip


def test_the_probabilities_are_those_of_the_mixture_and_of_the_actions_taken(dataset):
    likeliest = np.array([1, *[0] * 31, 3, 1, *[0] * 7])
    agreed = []
    for episode in dataset:
        probabilities = episode.infos["action_probabilities"]
        np.testing.assert_allclose(probabilities, np.where(np.eye(4)[likeliest] == 1, 0.85, 0.05), rtol=1e-6)
        taken = probabilities[np.arange(40), episode.actions]
        np.testing.assert_array_equal(episode.infos["behaviour_probability"], np.append(taken, 1.0))
        agreed.append(episode.actions == likeliest[:40])
    assert np.mean(agreed) == pytest.approx(0.85, abs=4 * np.sqrt(0.85 * 0.15 / 12_000))


def test_rewards_of_both_kinds_differ_by_what_heart_attacks_were_not_expected(dataset):
    for episode in dataset.iterate_episodes(range(20)):
        infos, rewards = episode.infos, episode.rewards
        np.testing.assert_array_equal(infos["cost"][1:] == 1, rewards < -50)
        surprise = 100 * (infos["cost"][1:] - infos["heart_attack_risk"][1:])
        np.testing.assert_allclose(infos["expected_reward"][1:] - rewards, surprise, atol=1e-4)
        assert [infos[name][0] for name in ("cost", "expected_reward", "heart_attack_risk")] == [0, 0, 0]
    costs = [episode.infos["cost"].sum() - episode.infos["heart_attack_risk"].sum() for episode in dataset]
    assert abs(np.mean(costs)) < 4 * np.std(costs) / np.sqrt(len(costs))


def test_importance_weights_have_the_mean_one(dataset):
    """Of a target that is softer than the behaviour policy, so that no weight is large."""
    episodes = list(dataset)
    target = datasets.target_probabilities(episodes, policies.reference(), 0.3)
    weights = [
        np.prod(np.take_along_axis(pi, each.actions[:, None], 1)[:, 0] / each.infos["behaviour_probability"][:-1])
        for pi, each in zip(target, episodes, strict=True)
    ]
    assert abs(np.mean(weights) - 1) < 4 * np.std(weights) / np.sqrt(len(weights))


def test_the_metadata_hold_what_makes_it_again_and_exact_values(dataset):
    kept = dataset.storage.metadata[datasets.KEY]
    assert kept["behaviour"] == {"policy": "reference", "epsilon": 0.2}
    assert (kept["env"], kept["params"]["max_steps"], kept["params"]["heart_attack_threshold"]) == (
        "HeartPole-v0",
        40,
        1,
    )
    (sleep,) = kept["targets"]
    assert (sleep["name"], sleep["policy"], sleep["epsilon"]) == ("sleep, epsilon 0", "sleep", 0.0)
    assert sleep["standard_error"] <= 0.02
    risk = 0.5 / (1 + np.exp(1.0))
    assert sleep["expected_return"] == pytest.approx(-100 * 40 * risk + 0.0476, abs=0.05)


def test_gymnasium_makes_the_environment_again(dataset):
    env = dataset.recover_environment()
    assert (env.unwrapped.params.max_steps, env.unwrapped.params.heart_attack_threshold) == (40, 1.0)


def test_load_dataset_finds_it_by_the_name_of_its_folder(folder, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder.parent))
    assert minari.load_dataset("reference-v0").total_episodes == 300


@pytest.mark.parametrize("name", ["nothing", "gpt-4o"])
def test_a_target_beyond_the_support_of_the_dataset_is_refused(name, tmp_path):
    folder = tmp_path / "sleep-v0"
    datasets.write_dataset(
        folder, policies.make("sleep"), jax.random.key(0), EnvParams(max_steps=5), num_episodes=2, epsilon=0.0,
        targets=[],
    )  # fmt: skip
    dataset = minari.MinariDataset(folder / "data")
    assert np.all(datasets.target_probabilities(dataset, policies.make("sleep"))[0] == np.eye(4)[3])
    with pytest.raises(ValueError, match="takes actions that the dataset's policy never does, at 10 of 10 decisions"):
        datasets.target_probabilities(dataset, policies.make(name))


def test_a_target_for_other_observations_is_refused(dataset):
    with pytest.raises(ValueError, match=r"must decide from observations of shape \(6,\) alone"):
        datasets.target_probabilities(dataset, policies.make("coffee and exercise", env=make("HeartPole-v1")))


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("there-v0", "", "there-v0 is there already; name a folder that is not"),
        ("data", "", "the folder of a dataset must be called NAME-v0, as reference-v0, got 'data'"),
        ("/proc/data-v0", "", "cannot write to"),
        ("a-v0", "--epsilon 1.5", "--epsilon: must be in [0, 1], got 1.5"),
        ("a-v0", "--episodes 0", "--episodes: must be at least 1"),
        ("a-v0", "--policy refrence", "did you mean 'reference'"),
        ("a-v0", "--params expected_penalty=1", "expected_penalty is a hyperparameter"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(out, options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there-v0").mkdir()
    assert main(["dataset", "--out", out, *options.split()]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["there-v0"]


def test_a_write_that_breaks_leaves_nothing(tmp_path, monkeypatch):
    def full(storage, episodes):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minari.dataset._storages.hdf5_storage.HDF5Storage.update_episodes", full)
    with pytest.raises(OSError, match="No space left"):
        datasets.write_dataset(
            tmp_path / "a-v0", policies.make("sleep"), jax.random.key(0), EnvParams(max_steps=5), num_episodes=2,
            targets=[],
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_a_dataset_and_prints_the_values(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("heartpole_jax.evaluation.targets.NUM_TARGETS", 1)
    monkeypatch.chdir(tmp_path)  # the folder by a relative path, as in the docs
    arguments = ["dataset", "--policy", "sleep", "--episodes", "3", "--params", "max_steps=5", "--out", "sleep-v0"]
    assert main(arguments) == 0
    assert "sleep" in capsys.readouterr().out
    assert minari.MinariDataset("sleep-v0/data").total_steps == 15
    assert [path.name for path in tmp_path.iterdir()] == ["sleep-v0"]


def test_episodes_are_those_of_a_rollout_with_the_key_of_the_episodes(dataset):
    soft = policies.epsilon_soft(policies.reference(), 0.2)
    key = jax.random.key(3)
    records = rollout(soft, threefry.derived_key(key, 1), PARAMS, num_envs=2, record=everything).records
    np.testing.assert_array_equal(dataset[1].actions, records.action[:, 1])
    np.testing.assert_allclose(dataset[1].rewards, records.reward[:, 1], rtol=1e-6)


def test_episodes_of_different_lengths_end_with_the_clock(tmp_path):
    """HeartPole-v1's time limit counts half-hours; its actions take up to seventeen."""
    env = make("HeartPole-v1")
    params = dataclasses.replace(env.default_params, max_half_hours=60)
    policy = policies.uniformly_random(env.num_actions)
    datasets.write_dataset(
        tmp_path / "v1-v0", policy, jax.random.key(0), params, env=env, num_episodes=8, targets=[]
    )  # fmt: skip
    dataset = minari.MinariDataset(tmp_path / "v1-v0" / "data")
    lengths = [len(episode.actions) for episode in dataset]
    assert len(set(lengths)) > 1
    for episode in dataset:
        assert episode.observations[-2, 4] < 60 <= episode.observations[-1, 4]
        np.testing.assert_array_equal(np.flatnonzero(episode.truncations), [len(episode.actions) - 1])
    target = datasets.target_probabilities(dataset, policies.make("coffee and exercise", params, env), 0.5)
    assert [len(one) for one in target] == lengths
    np.testing.assert_allclose(np.concatenate(target).sum(axis=1), 1.0, rtol=1e-6)
