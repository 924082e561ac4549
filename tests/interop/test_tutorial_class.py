"""The tutorial's own class: what the tutorial's cells do, in their order, and what they rely on."""

import re

import gymnasium
import numpy as np
import pytest
from gymnasium import error

import heartpole_jax.interop.tutorial as gym
from heartpole_jax.interop import tutorial
from heartpole_jax.interop.tutorial import HeartPole


def test_random_play(capsys):
    heartpole = HeartPole()
    observation = heartpole.reset()
    assert observation.shape == (6,)
    heartpole.render()
    assert capsys.readouterr().out == "\n"
    for _ in range(5):
        observation, reward, done, info = heartpole.step(heartpole.action_space.sample())
        heartpole.render()
        lines = capsys.readouterr().out.splitlines()
        assert re.fullmatch("Chosen action: (do_nothing|drink_coffee|drink_beer|sleep)", lines[0])
        assert lines[-2] == str(heartpole.state | {n: int(heartpole.state[n]) for n in tutorial._COUNTERS})
        assert isinstance(reward, float)
        assert done is False
        assert info == {}
    assert heartpole.log == ""


def test_coffee_until_the_heart_attack():
    heartpole = HeartPole()
    heartpole.seed(0)
    heartpole.reset()
    cups = 0
    while "HEART ATTACK" not in heartpole.log:
        _, reward, _, _ = heartpole.step(1)
        cups += 1
    assert 5 <= cups <= 120
    assert reward < -99
    assert heartpole.state["hypertension"] == 0
    assert heartpole.log.count("Chosen action: drink_coffee\n") == cups


def test_registration(capsys):
    """`import heartpole_jax.interop.tutorial as gym`"""
    gym.register("HeartPole-v0", entry_point="heartpole_jax.interop.tutorial:HeartPole")
    heartpole = gym.make("HeartPole-v0")
    assert isinstance(heartpole, gym.Env)
    observation = heartpole.reset()
    for _ in range(5):
        observation, _, done, _ = heartpole.step(heartpole.action_space.sample())
        heartpole.render()
    assert observation.shape == (6,)
    assert not done
    assert capsys.readouterr().out.count("Chosen action: ") == 5
    assert gym.make("HeartPole-v0", max_steps=7).max_steps == 7
    with pytest.raises(ValueError, match="unknown environment 'HeartPole-v1'; did you mean 'HeartPole-v0'"):
        gym.make("HeartPole-v1")


def test_the_attributes():
    heartpole = HeartPole(heart_attack_proclivity=0.1, max_steps=3)
    assert (heartpole.heart_attack_proclivity, heartpole.max_steps, heartpole.log) == (0.1, 3, "")
    assert [action.__name__ for action in heartpole.actions] == ["do_nothing", "drink_coffee", "drink_beer", "sleep"]
    assert heartpole.observations == [
        "alertness", "hypertension", "intoxication", "time_since_slept", "time_elapsed", "work_done"
    ]  # fmt: skip
    heartpole.reset(seed=0)
    assert [heartpole.step(0)[2] for _ in range(3)] == [False, False, True]
    np.testing.assert_array_equal(heartpole.observation(), list(heartpole.state.values()))


def test_proclivity_and_limit_hold_from_the_next_reset_on():
    heartpole = HeartPole()
    heartpole.reset(seed=0)
    heartpole.heart_attack_proclivity, heartpole.max_steps = 0.0, 2
    assert not any(heartpole.step(1)[2] for _ in range(4))
    heartpole.reset()
    assert [heartpole.step(1)[2] for _ in range(2)] == [False, True]
    rewards = [heartpole.step(1)[1] for _ in range(300)]
    assert min(rewards) > -50


def test_the_log_of_a_long_training_stays_small_and_says_what_it_forgot():
    heartpole = HeartPole()
    heartpole.reset(seed=0)
    for _ in range(tutorial.LOGGED_DECISIONS + 7):
        heartpole.step(0)
    assert heartpole.log.startswith("(7 earlier decisions are forgotten)\nChosen action: do_nothing\n")
    assert heartpole.log.count("Chosen action") == tutorial.LOGGED_DECISIONS
    heartpole.log = ""
    assert heartpole.log == ""
    with pytest.raises(ValueError, match="only be cleared"):
        heartpole.log = "x"


def test_a_seed_repeats_and_a_reset_without_goes_on():
    heartpole = HeartPole()
    first, second = heartpole.reset(seed=3), heartpole.reset()
    assert first[0] != second[0]
    heartpole.seed(3)
    np.testing.assert_array_equal(heartpole.reset(), first)


def test_a_seed_holds_through_a_change_of_proclivity():
    starts = []
    for _ in range(2):
        heartpole = HeartPole()
        heartpole.reset(seed=3)
        heartpole.heart_attack_proclivity = 0.1
        starts.append([heartpole.reset()[0], heartpole.reset()[0]])
    assert starts[0] == starts[1]
    assert starts[0][0] != starts[0][1]


def test_its_episode_is_that_of_the_gymnasium_environment():
    heartpole, env = HeartPole(), gymnasium.make("heartpole_jax:HeartPole-v0")
    np.testing.assert_array_equal(heartpole.reset(seed=3), env.reset(seed=3)[0])
    for action in (1, 2, 3, 0):
        obs, reward, done, _ = heartpole.step(action)
        expected = env.step(action)
        np.testing.assert_array_equal(obs, expected[0])
        assert (reward, done) == (expected[1], expected[3])


def test_bad_input_is_refused():
    heartpole = HeartPole()
    for use in (lambda: heartpole.step(0), heartpole.observation, lambda: heartpole.state):
        with pytest.raises(error.ResetNeeded, match="before reset"):
            use()
    heartpole.reset()
    with pytest.raises(error.InvalidAction, match=r"in 0 \.\. 3, got 4"):
        heartpole.step(4)
    with pytest.raises(ValueError, match="heart_attack_proclivity must be in"):
        HeartPole(heart_attack_proclivity=2)
    with pytest.raises(ValueError, match="max_steps must be a whole number"):
        HeartPole(max_steps=0)
