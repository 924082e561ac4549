"""How a saved policy behaves: its own episode, and its own actions."""

import shutil

import jax
import numpy as np
import pytest

import heartpole_jax as hp
from agents.common import networks
from agents.dqn.config import DQNConfig
from agents.reports import behaviour
from agents.runs.save_policy import save_policy
from heartpole_jax.envs import registry

pytestmark = pytest.mark.once
CONFIG = DQNConfig(hidden_sizes=(8,), transform="heartpole")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    weights = networks.init_weights(jax.random.key(0), CONFIG)
    save_policy(folder, weights, CONFIG, "HeartPole-v0", {"params": {"max_steps": 40}})
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return behaviour.of(folder)


def test_the_episode_is_the_policys_own_with_the_parameters_that_it_was_trained_with(folder, found):
    params = hp.EnvParams(max_steps=40)
    result = hp.rollout(
        hp.load_policy(folder), jax.random.key(behaviour.SEED), params, num_envs=1, record=hp.everything
    )
    actions = np.bincount(np.asarray(result.records.action).ravel(), minlength=4)
    assert f"40 decisions with a return of {float(result.totals[0]):.3f} and " in found.summary
    assert found.summary.endswith("; of its actions, " + ", ".join(
        f"{name} {count}" for name, count in zip(("nothing", "coffee", "beer", "sleep"), actions, strict=True)
    ) + ".")  # fmt: skip
    for figure in (found.wide, found.narrow):
        (alertness,) = [axes for axes in figure.axes if axes.get_title(loc="left").startswith("alertness")]
        curve = next(line.get_ydata() for line in alertness.lines if len(line.get_ydata()) == 41)
        np.testing.assert_allclose(curve[1:], np.asarray(result.records.next_state.alertness[:, 0]), rtol=1e-6)


def test_the_maps_hold_what_they_state(folder, found):
    records = hp.rollout(
        hp.load_policy(folder), jax.random.key(behaviour.SEED), hp.EnvParams(max_steps=40), num_envs=1,
        record=hp.everything,
    ).records  # fmt: skip
    obs = np.asarray(records.obs[:, 0], np.float64)
    first, middle = found.maps
    assert (first.when, middle.when) == ("at the first decision", "at the medians of its episode")
    assert first.held == "intoxication 0, time since slept 0, time elapsed 0, work done 0"
    medians = np.median(obs, axis=0)
    assert middle.held.startswith(f"intoxication {medians[2]:.4g}, time since slept {medians[3]:.4g}, time elapsed ")
    for drawn in found.maps:
        assert sum(drawn.share.values()) == pytest.approx(1.0)
        assert all(share > 0 for share in drawn.share.values())


@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
def test_a_folder_without_its_policy_is_an_error_that_names_the_file_and_the_way_out(name, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    with pytest.raises(ValueError, match=name):
        behaviour.of(tmp_path / "run")


def test_a_policy_of_an_environment_without_gauges_is_an_error(tmp_path):
    pytest.importorskip("gymnax")
    env, config = registry.make("gymnax:CartPole-v1"), DQNConfig(hidden_sizes=(), transform="raw")
    save_policy(tmp_path, networks.init_weights(jax.random.key(0), config, env), config, env.name, {})
    with pytest.raises(ValueError, match="need gauges and actions, and gymnax:CartPole-v1 has none"):
        behaviour.of(tmp_path)
