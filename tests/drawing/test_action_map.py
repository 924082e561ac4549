"""Action maps: of rules written by hand, point by point, and of a saved policy as it acts."""

import dataclasses

import jax
import numpy as np
import pytest

import heartpole_jax as hp
from agents.common import networks
from agents.dqn.config import DQNConfig
from agents.runs.save_policy import save_policy
from heartpole_jax.drawing.charts.action_map import action_map, draw_action_map
from heartpole_jax.drawing.charts.strip_chart import action_colours
from heartpole_jax.envs import registry
from heartpole_jax.policies import saved_policy

OBS = (1.0, 0.25, 0.0, 4.0, 100.0, 30.0)


def coffee_when_tired(obs):
    """A coffee below an alertness of 0.5, sleep above a hypertension of 0.8, else nothing."""
    tired = np.where(obs[:, 0] < 0.5, hp.Action.COFFEE, hp.Action.NOTHING)
    return np.where(obs[:, 1] > 0.8, hp.Action.SLEEP, tired)


def test_the_map_is_the_rule_at_every_point_with_the_other_numbers_held():
    seen = []
    found = action_map(lambda obs: (seen.append(obs), coffee_when_tired(obs))[1], OBS, num_points=11)
    assert found.alertness.tolist() == pytest.approx(np.linspace(-0.5, 1.5, 11).tolist())
    assert found.hypertension.tolist() == pytest.approx(np.linspace(0, 1.5, 11).tolist())
    for row, hypertension in enumerate(found.hypertension):
        for column, alertness in enumerate(found.alertness):
            expected = hp.Action.SLEEP if hypertension > 0.8 else hp.Action.COFFEE if alertness < 0.5 else 0
            assert found.action[row, column] == expected
    assert np.all(seen[0][:, 2:] == OBS[2:])
    assert found.others == {"intoxication": 0.0, "time_since_slept": 4.0, "time_elapsed": 100.0, "work_done": 30.0}


def test_the_ranges_hold_what_was_visited():
    found = action_map(coffee_when_tired, OBS, visited=[(-3.0, 12.0, *OBS[2:]), OBS], num_points=5)
    assert (found.alertness[0], found.alertness[-1]) == (-5.0, 3.0)
    assert (found.hypertension[0], found.hypertension[-1]) == (0.0, 18.0)


def test_the_picture_has_the_colour_of_each_action_and_a_dot_for_each_visit():
    found = action_map(coffee_when_tired, OBS, num_points=11)
    axes = draw_action_map(found, "a map", visited=[OBS, (2.0, 0.0, *OBS[2:])]).axes[0]
    (image,) = axes.images
    colours = [
        tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in action_colours(registry.make("HeartPole-v0"))
    ]
    drawn = np.round(np.asarray(image.get_array()) * 255).astype(int)
    for action in (hp.Action.NOTHING, hp.Action.COFFEE, hp.Action.SLEEP):
        assert np.all(drawn[found.action == action] == colours[action])
    (dots,) = axes.lines
    assert dots.get_data()[0].tolist() == [1.0, 2.0]
    assert image.get_extent() == pytest.approx((-0.6, 1.6, -0.075, 1.575))  # half a step around the points


def test_a_saved_policys_map_is_how_it_acts_in_jax(tmp_path):
    config = DQNConfig(hidden_sizes=(8,), transform="heartpole")
    save_policy(tmp_path, networks.init_weights(jax.random.key(0), config), config, "HeartPole-v0", {})
    found = action_map(saved_policy.load(tmp_path).act, OBS, num_points=9)
    policy = hp.load_policy(tmp_path)
    for row, column in np.random.default_rng(0).integers(9, size=(20, 2)):
        obs = np.array([found.alertness[column], found.hypertension[row], *OBS[2:]], np.float32)
        action, _ = policy.act(policy.params, None, obs, None)
        assert found.action[row, column] == int(action)
    assert len(np.unique(found.action)) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"obs": OBS[:5]}, r"obs must be finite numbers of shape \(..., 6\), got"),
        ({"obs": (*OBS[:5], np.nan)}, r"obs must be finite numbers of shape \(..., 6\), got"),
        ({"visited": np.zeros((3, 5))}, r"visited must be finite numbers of shape \(..., 6\), got"),
        ({"act": lambda obs: np.full(len(obs), 4)}, "act must return an action of HeartPole-v0 for each observation"),
        ({"act": lambda obs: np.zeros(3, int)}, "act must return an action of HeartPole-v0 for each observation"),
    ],
)
def test_what_no_map_can_be_made_of_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        action_map(**({"act": coffee_when_tired, "obs": OBS, "num_points": 3} | arguments))


def test_an_environment_without_alertness_has_no_map():
    v0 = registry.make("HeartPole-v0")
    nameless = dataclasses.replace(v0, name="Nameless", obs_names=())
    with pytest.raises(ValueError, match="over alertness and hypertension, and Nameless has no alertness and no hyper"):
        action_map(coffee_when_tired, OBS, env=nameless)
