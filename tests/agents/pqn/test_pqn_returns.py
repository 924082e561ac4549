"""PQN's lambda-returns are those of a hand's calculation and of a plain loop, across ends and over uneven times."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import counter

from agents import pqn
from agents.common import networks
from agents.common.decision_times import discounted_reward
from agents.pqn import acting, learning
from heartpole_jax.policies import transforms

FALSE = np.zeros(3, bool)


def returns(reward, discount, value, terminated, ended, td_lambda):
    column = lambda x: jnp.asarray(x)[:, None]
    return learning.lambda_returns(*map(column, (reward, discount, value, terminated, ended)), td_lambda)[:, 0]


def test_three_steps_have_the_value_computed_by_hand():
    """G_3 = 4 + 0.5 * 8 = 8, G_2 = 2 + 0.5 (0.5 * 6 + 0.5 * 8) = 5.5, G_1 = 1 + 0.5 (0.5 * 2 + 0.5 * 5.5) = 2.875."""
    found = returns([1.0, 2.0, 4.0], np.full(3, 0.5), [2.0, 6.0, 8.0], FALSE, FALSE, 0.5)
    np.testing.assert_array_equal(found, [2.875, 5.5, 8.0])


@pytest.mark.parametrize(("terminated", "first"), [(True, 2.0), (False, 2.0 + 0.5 * 6.0)], ids=["death", "time limit"])
def test_an_end_in_the_middle_cuts_the_next_episode_off_and_only_death_the_value(terminated, first):
    middle = np.array([False, True, False])
    found = returns([1.0, 2.0, 4.0], np.full(3, 0.5), [2.0, 6.0, 8.0], middle & terminated, middle, 1.0)
    np.testing.assert_array_equal(found, [1.0 + 0.5 * first, first, 8.0])


@pytest.mark.parametrize("td_lambda", [0.0, 0.7, 1.0])
def test_random_steps_have_the_value_that_a_loop_finds(td_lambda):
    random = np.random.default_rng(1)
    shape = (20, 5)
    reward, value = random.normal(size=shape), random.normal(size=shape)
    discount = random.uniform(0.5, 1.0, shape)
    ended = random.uniform(size=shape) < 0.3
    terminated = ended & (random.uniform(size=shape) < 0.5)
    expected = np.zeros(shape)
    for env in range(5):
        for t in reversed(range(20)):
            following = value[t, env]
            if t + 1 < 20 and not ended[t, env]:
                following = (1 - td_lambda) * following + td_lambda * expected[t + 1, env]
            expected[t, env] = reward[t, env] + (0.0 if terminated[t, env] else discount[t, env] * following)
    found = learning.lambda_returns(*map(jnp.asarray, (reward, discount, value, terminated, ended)), td_lambda)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_a_long_decision_is_many_short_ones(discount):
    """Three units of which the last pays 2, each shifted by 0.5."""
    reward = discounted_reward(jnp.asarray(2.0), jnp.asarray(3.0), discount, 0.5)
    np.testing.assert_allclose(reward, 0.5 + discount * 0.5 + discount**2 * 2.5, rtol=1e-5)


def test_the_targets_of_a_timed_and_scaled_transform(monkeypatch):
    """One env, two decisions of 1 and 3 units; observations (time, scale); the network's values are its own."""
    timed = transforms.Transform(
        features=lambda obs, xp: obs, value_scale=lambda obs, xp: obs[..., 1], time=lambda obs: obs[..., 0]
    )
    monkeypatch.setitem(transforms.TRANSFORMS, "timed", timed)
    env = counter(5)
    config = pqn.PQNConfig(hidden_sizes=(4,), transform="timed", num_envs=1, steps_per_iteration=2, num_minibatches=1)
    hyperparams = pqn.Hyperparams(discount=0.9, td_lambda=0.25, reward_shift=0.5, reward_scale=2.0)
    weights = networks.init_weights(jax.random.key(0), config, env)
    obs, next_obs = jnp.array([[[0.0, 2.0]], [[1.0, 4.0]]]), jnp.array([[[1.0, 4.0]], [[4.0, 8.0]]])
    transitions = acting.Transitions(
        obs=obs, action=jnp.array([[1], [0]]), reward=jnp.array([[3.0], [5.0]]), next_obs=next_obs,
        terminated=jnp.zeros((2, 1), bool), ended=jnp.zeros((2, 1), bool),
    )  # fmt: skip
    found = learning.samples(transitions, weights, hyperparams, config, env)
    values = np.asarray(pqn.q_values(weights, next_obs[:, 0], config, env)).max(axis=1)
    second = 2 * (0.5 + 0.9 * 0.5 + 0.81 * 5.5) + 0.9**3 * values[1]
    first = 2 * 3.5 + 0.9 * (0.75 * values[0] + 0.25 * second)
    np.testing.assert_allclose(found, [[0, 2, 1, first / 2], [1, 4, 0, second / 4]], rtol=1e-5)
    by_steps = timed._replace(time=None)
    monkeypatch.setitem(transforms.TRANSFORMS, "timed", by_steps)
    found = learning.samples(transitions, weights, hyperparams, config, env)
    np.testing.assert_allclose(found[1, -1], (2 * 5.5 + 0.9 * values[1]) / 4, rtol=1e-5)
