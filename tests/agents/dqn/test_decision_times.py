"""Decisions that take different times, HeartPole-v1's: targets by hand, its transform, its menus by name."""

import jax.numpy as jnp
import numpy as np
import pytest

import heartpole_jax as hp
from agents.common import networks
from agents.dqn import loss, replay
from agents.dqn.config import DQNConfig, Hyperparams
from agents.runs import recipes
from heartpole_jax.envs import menu, registry
from heartpole_jax.policies.transforms import TRANSFORMS

ENV = hp.make("HeartPole-v1")
CONFIG = DQNConfig(hidden_sizes=(), transform="heartpole-v1", batch_size=3, buffer_size=16)
# Without hidden layers and with weights of 0, a network's values are its biases: the best of these is 4.
BIASES = np.arange(-3.0, 5.0)
ROWS = """
[[action]]
name = "nothing"
half_hours = 0
source = "-"
grade = "assumed"
[[action]]
name = "sleep"
half_hours = 16
wakes_up = true
source = "-"
grade = "assumed"
"""


def weights():
    tree = networks.weights_as_tree(jnp.arange(networks.num_weights(CONFIG, ENV), dtype=float), CONFIG, ENV)
    (dense,) = tree["params"].values()
    assert dense["bias"].shape == BIASES.shape
    flat = {"bias": BIASES, "kernel": np.zeros(dense["kernel"].shape)}
    return jnp.concatenate([jnp.asarray(flat[name]).ravel() for name in sorted(flat)])


def batch(durations, done):
    obs = np.zeros((len(durations), 8))
    obs[:, 4] = [10, 20, 30]
    next_obs = obs.copy()
    next_obs[:, 4] += durations
    return replay.Batch(
        obs=jnp.asarray(obs), next_obs=jnp.asarray(next_obs), action=jnp.zeros(3, jnp.int32),
        reward=jnp.array([[2.0], [2.0], [-1.0]]), num_steps=jnp.ones(3, jnp.int32), done=jnp.array(done),
        terminated=jnp.zeros(3, bool),
    )  # fmt: skip


def targets(durations, done=(False, False, False), terminal=False, **numbers):
    config = DQNConfig(
        hidden_sizes=(), transform="heartpole-v1", batch_size=3, buffer_size=16, time_limit_is_terminal=terminal
    )
    return loss.td_targets(
        batch(durations, done), weights(), weights(), Hyperparams(**numbers), config, ENV
    )  # fmt: skip


def test_a_reward_comes_in_the_last_half_hour_of_its_decision_and_the_value_after_it():
    """2 or -1 after 1, 3 and 2 half-hours at a half, then 4."""
    expected = [2 + 4 / 2, 2 / 4 + 4 / 8, -1 / 2 + 4 / 4]
    np.testing.assert_allclose(targets([1, 3, 2], discount=0.5), expected, rtol=1e-6)
    np.testing.assert_allclose(targets([1, 3, 2], discount=1.0), [6, 6, 3], rtol=1e-6)


def test_the_shift_is_of_every_half_hour_and_so_favours_no_action():
    """A stream of 1 a half-hour has the value 1 + 1/2 + 1/4 in three; for ever 2, whatever the decisions are."""
    shifted = targets([1, 3, 2], discount=0.5, reward_shift=1.0) - targets([1, 3, 2], discount=0.5)
    np.testing.assert_allclose(shifted, [1, 1.75, 1.5], rtol=1e-6)
    np.testing.assert_allclose(shifted + 0.5 ** np.array([1, 3, 2]) * 2.0, 2.0, rtol=1e-6)
    shifted = targets([1, 3, 2], discount=1.0, reward_shift=1.0) - targets([1, 3, 2], discount=1.0)
    np.testing.assert_allclose(shifted, [1, 3, 2], rtol=1e-6)


def test_the_time_limit_cuts_a_target_only_on_demand():
    done = (False, True, False)
    np.testing.assert_allclose(targets([1, 3, 2], done, discount=0.5), [4, 1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(targets([1, 3, 2], done, terminal=True, discount=0.5), [4, 0.5, 0.5], rtol=1e-6)


def test_rewards_are_scaled_and_values_are_not():
    np.testing.assert_allclose(targets([1, 3, 2], discount=0.5, reward_scale=10.0), [22, 5.5, -4], rtol=1e-6)


def test_several_steps_of_different_times_are_refused():
    with pytest.raises(ValueError, match=r"n_step must be 1 with the transform 'heartpole-v1', .* got 3"):
        DQNConfig(transform="heartpole-v1", n_step=3)


def test_the_features_distinguish_the_last_day_and_stay_small():
    features = TRANSFORMS["heartpole-v1"].features
    wild = np.array([[-900.0, 50.0, 0.3, 1300.0, 1344.0, 2000.0, 40.0, 8.0], [1.0, 0, 0, 0, 0, 0, 0, 0]])
    assert np.abs(features(wild)).max() < 4
    awake = np.tile(np.array([1.0, 0.0, 0.0, 10.0, 0.0, 0.0, 0.5, 0.25]), (3, 1))
    awake[:, 4] = [0.0, 1296.0, 1344.0]
    last_day = features(awake)[:, -1]
    np.testing.assert_allclose(last_day, [np.exp(-28), np.exp(-1), 1.0], rtol=1e-12)
    np.testing.assert_allclose(features(awake)[0, 2:5], np.tanh([1.25, 0.25, -0.75]), rtol=1e-12)
    np.testing.assert_allclose(features(jnp.asarray(awake), jnp), features(awake), atol=1e-6)


def test_an_environment_is_named_with_its_menu(tmp_path):
    file = tmp_path / "short.toml"
    file.write_text(ROWS)
    env = registry.make(f"HeartPole-v1:{file}")
    assert env.num_actions == 2
    assert env.default_params.menu == menu.load(file)
    assert registry.make("HeartPole-v1:heartpole_v0").num_actions == 4
    with pytest.raises(ValueError, match=r"none\.toml"):
        registry.make("HeartPole-v1:none.toml")


def test_a_menu_of_ones_own_is_trained_by_the_recipe_of_heartpole_v1(tmp_path):
    recipe = recipes.for_env("HeartPole-v1:heartpole_v0")
    assert recipe.env == "HeartPole-v1:heartpole_v0"
    assert recipe.name == "heartpole-v1"
    assert recipe.config == recipes.for_env("HeartPole-v1").config
    assert recipe.config.transform == "heartpole-v1"
