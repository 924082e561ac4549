"""HeartPole-v0 against the published package, live: 100,000 transitions from random states with fresh noise.

HEARTPOLE_TRANSITIONS=1000000 in the environment makes it a million.
"""

import os

import numpy as np
import pytest
from oracle import published_transitions, reward_tolerance, transitions

from heartpole_jax import Action

NUM = int(os.environ.get("HEARTPOLE_TRANSITIONS", "100000"))


@pytest.fixture(scope="module")
def cases():
    """States, actions and noise, all exact in float32, and what the package makes of them."""
    rng = np.random.default_rng(20260801)
    time_elapsed = rng.integers(0, 2000, NUM) * (rng.random(NUM) < 0.95)
    score = rng.normal(0, 2, NUM)
    states = np.stack(
        [
            rng.normal(1, 3, NUM),
            rng.uniform(0, 12, NUM),
            rng.uniform(0, 0.25, NUM),
            np.minimum(rng.integers(0, 120, NUM), time_elapsed),
            time_elapsed,
            score * time_elapsed,
        ],
        axis=-1,
    ).astype(np.float32)
    actions = rng.integers(0, len(Action), NUM).astype(np.int32)
    noise = (rng.integers(0, 2**24, (NUM, 4)) * 2.0**-24).astype(np.float32)
    return states, actions, noise, *published_transitions(states, actions, noise)


def test_the_random_cases_reach_every_branch(cases):
    _, actions, _, _, _, attacks = cases
    assert (np.bincount(actions) > NUM // 5).all()
    assert 0.1 * NUM < attacks.sum() < 0.9 * NUM


def test_in_float64_every_transition_is_the_packages(cases, x64):
    states, actions, noise, obs, rewards, attacks = cases
    ours, our_rewards, info = transitions(states, actions, noise)
    np.testing.assert_array_equal(info.heart_attack, attacks)
    assert (np.abs(ours - obs) <= np.maximum(1e-12, np.spacing(np.abs(obs)))).all()
    np.testing.assert_allclose(our_rewards, rewards, rtol=0, atol=1e-12)


def test_in_float32_every_transition_is_the_packages(cases):
    states, actions, noise, obs, rewards, attacks = cases
    ours, our_rewards, info = transitions(states, actions, noise)
    on_the_edge = np.abs(noise[:, 3] - np.asarray(info.heart_attack_risk)) <= 1e-6
    assert on_the_edge.sum() <= 10
    same = np.asarray(info.heart_attack) == attacks
    assert (same | on_the_edge).all()
    assert (np.abs(ours - obs)[same] <= 1e-5 * np.abs(obs).max(axis=0)).all()
    # An attack's penalty of 100 has a grain of 4e-6 by itself; taken off, what is left is off by as much.
    error = np.abs(np.asarray(our_rewards, float) - rewards)
    assert (error <= reward_tolerance(states, actions, obs) + 8e-6 * attacks)[same].all()


def test_a_step_lasts_as_long_as_the_packages(cases):
    states, actions, noise, obs, _, _ = cases
    ours, _, info = transitions(states, actions, noise)
    np.testing.assert_array_equal(info.half_hours, obs[:, 4] - states[:, 4])
    np.testing.assert_array_equal(ours[:, 3:5], obs[:, 3:5])
    assert set(np.asarray(info.half_hours)[actions == Action.SLEEP]) == {17}
