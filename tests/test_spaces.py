"""The spaces of an environment: what they contain, and what they sample."""

import jax
import numpy as np
import pytest

import heartpole_jax as hp
from heartpole_jax.envs.spaces import Box, Discrete

pytestmark = pytest.mark.once

INF = np.inf
BOX = Box(np.array([-INF, 0.0, -INF, -1.0]), np.array([INF, INF, 2.0, 3.0]))


def test_the_observation_space_is_bounded_where_a_number_cannot_be_negative():
    space = hp.make("HeartPole-v0").observation_space()
    np.testing.assert_array_equal(space.low, [-INF, 0, 0, 0, 0, -INF])
    assert (space.shape, np.all(space.high == INF)) == ((6,), True)
    raised = hp.make("HeartPole-v1").observation_space()
    np.testing.assert_array_equal(raised.low, [-INF, 0, 0, 0, 0, 0, 0, 0])


def test_samples_of_a_box_lie_in_it_and_fill_it():
    samples = np.asarray(jax.vmap(BOX.sample)(jax.random.split(jax.random.key(0), 4096)))
    assert all(BOX.contains(sample) for sample in samples[:100])
    assert samples[:, 1].min() >= 0.0
    assert samples[:, 2].max() <= 2.0
    assert (samples[:, 3].min() >= -1.0, samples[:, 3].max() <= 3.0) == (True, True)
    # Means 0, 1, 1 and 1, deviations 1, 1, 1 and 4 / sqrt(12); five standard errors.
    deviations = np.array([1.0, 1.0, 1.0, 4 / np.sqrt(12)])
    np.testing.assert_array_less(np.abs(samples.mean(axis=0) - [0.0, 1.0, 1.0, 1.0]), 5 * deviations / 64)
    np.testing.assert_allclose(samples.std(axis=0), deviations, rtol=0.1)


@pytest.mark.parametrize("x", [np.zeros(3), np.array([0, -0.1, 0, 0]), np.array([0, 0, 2.1, 0]), np.array(["a"] * 4)])
def test_what_is_outside_of_a_box_is_not_in_it(x):
    assert not BOX.contains(x)
    assert BOX.contains(np.zeros(4))


def test_a_discrete_space_is_the_actions_numbers():
    space = hp.make("HeartPole-v1").action_space
    assert space == Discrete(8)
    drawn = np.asarray(jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 400)))
    assert set(drawn.tolist()) == set(range(8))
    assert [space.contains(x) for x in (0, 7, np.int8(3), 8, -1, 1.0, np.zeros(2, int))] == [True] * 3 + [False] * 4
