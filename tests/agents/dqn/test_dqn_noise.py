"""The random numbers of a training run: the documented ones to the bit, and none of them thrown twice."""

import dataclasses

import dqn_oracle
import jax
import numpy as np
import probe_environments
import pytest
import scipy.stats

from agents import dqn
from agents.dqn.config import DQNConfig, Hyperparams

pytestmark = pytest.mark.once


def noise_env(num_actions):
    """Shows its noise: obs is that of the start, the reward the first of a step's noise; every step is an episode."""
    env = probe_environments.pure_noise()

    def transition(state, action, noise, params):
        state, obs, _, done = env.transition(state, action, noise, params)
        return state, obs, noise[0], done

    return dataclasses.replace(env, num_actions=num_actions, transition=transition)


def shown_noise(seed):
    """(starts, noise, actions), each (150 steps, 64 envs), with nothing but random actions."""
    config = DQNConfig(hidden_sizes=(), batch_size=1, buffer_size=64 * 150, num_envs=64, steps_per_iteration=3)
    hyperparams, env = Hyperparams(learning_starts=1e6), noise_env(7)
    train_state = dqn.init(jax.random.key(seed), hyperparams, config, env)
    train_state, _ = dqn.train_chunk(train_state, hyperparams, config, env, 50)
    buffer = np.asarray(train_state.buffer)
    assert (buffer[..., 3] // 7 == 1).all()
    return buffer[..., 0], buffer[..., 2], buffer[..., 3].astype(int) % 7


@pytest.fixture(scope="module")
def sampled():
    return shown_noise(5)


def test_the_random_numbers_are_the_documented_ones_bit_for_bit(sampled):
    """Around the ends of the iterations drawn together. The first start is that of time 0, the one after t of t + 1."""
    starts, noise, actions = sampled
    key = jax.random.key_data(jax.random.key(5)).tolist()
    for time in (0, 1, 2, 3, 44, 45, 47, 48, 149):
        for index in (0, 1, 63):
            words = []
            for purpose in (dqn_oracle.START, dqn_oracle.NOISE, dqn_oracle.POLICY):
                first, second = dqn_oracle.threefry2x32(key, (2**31 + purpose, 0))
                words.append(dqn_oracle.threefry2x32((first + index, second + time), (0, 0)))
            assert starts[time, index] == (words[0][0] >> 8) * 2.0**-24
            assert noise[time, index] == (words[1][0] >> 8) * 2.0**-24
            assert actions[time, index] == words[2][1] * 7 >> 32


def test_environments_times_seeds_and_uses_have_random_numbers_of_their_own(sampled):
    """9600 starts and as many uniforms of 24 bits: by the birthday a handful are equal, not a whole environment.

    Correlations of independent random numbers of this number exceed 0.04 for one seed in 10,000.
    """
    starts, noise, _ = sampled
    other_starts, other_noise, other_actions = shown_noise(6)
    everything = np.concatenate([x.ravel() for x in (starts, noise, other_starts, other_noise)])
    assert len(np.unique(everything)) > len(everything) - 200
    columns = [x.ravel() for x in (*sampled, other_starts, other_noise, other_actions)]
    assert np.abs(np.corrcoef(columns) - np.eye(6)).max() < 0.04
    for x in sampled:  # one environment with the next, one step with the next
        assert abs(np.corrcoef(x[:, 1:].ravel(), x[:, :-1].ravel())[0, 1]) < 0.04
        assert abs(np.corrcoef(x[1:].ravel(), x[:-1].ravel())[0, 1]) < 0.04


def test_random_actions_are_uniform(sampled):
    """Chi-square over all environments and steps, and in the worst one; right ones would fail once in 10,000."""
    counts = np.stack([np.bincount(actions, minlength=7) for actions in sampled[2].T])
    assert scipy.stats.chisquare(counts.sum(axis=0)).pvalue > 1e-4
    assert min(scipy.stats.chisquare(index).pvalue for index in counts) > 1e-4 / 64


def test_as_many_episodes_are_cut_off_as_the_reset_rate_says_whatever_the_action():
    """Of 19,200 decisions; right numbers fail once in 10,000. The last observation is the true one."""
    config = DQNConfig(hidden_sizes=(), batch_size=1, buffer_size=64 * 300, num_envs=64)
    hyperparams, env = Hyperparams(learning_starts=1e6, reset_rate=0.05), probe_environments.counter(10_000)
    train_state = dqn.init(jax.random.key(2), hyperparams, config, env)
    train_state, metrics = dqn.train_chunk(train_state, hyperparams, config, env, 75)
    rows = np.asarray(train_state.buffer)
    steps, after, code = rows[..., 1], rows[..., 3], rows[..., -1].astype(int)
    action, cut = code % env.num_actions, code // env.num_actions
    assert set(np.unique(cut)) == {0, 1}
    assert scipy.stats.binomtest(int(cut.sum()), cut.size, 0.05).pvalue > 1e-4
    assert scipy.stats.chi2_contingency([np.bincount(action[cut == i], minlength=2) for i in (0, 1)]).pvalue > 1e-4
    np.testing.assert_array_equal(after, steps + 1)
    np.testing.assert_array_equal(steps[1:], np.where(cut[:-1] == 1, 0, after[:-1]))
    assert metrics.num_episodes == 0


def test_the_first_action_after_a_cut_off_is_random_and_the_first_of_all_is_not():
    """Every episode is cut off after its first decision, epsilon is 0, and nothing is learnt. 64 envs, 20 steps."""
    config = DQNConfig(hidden_sizes=(), batch_size=1, buffer_size=64 * 20, num_envs=64)
    hyperparams = Hyperparams(learning_rate=0, learning_starts=0, epsilon_start=0, epsilon_end=0, reset_rate=1)
    env = probe_environments.counter(10_000)
    train_state = dqn.init(jax.random.key(4), hyperparams, config, env)
    train_state, _ = dqn.train_chunk(train_state, hyperparams, config, env, 5)
    rows = np.asarray(train_state.buffer)
    action = rows[..., -1].astype(int) % env.num_actions
    q_values = dqn.q_values(train_state.online_params, rows[..., :2].reshape(-1, 2), config, env)
    greedy = np.argmax(q_values, axis=-1).reshape(action.shape)
    np.testing.assert_array_equal(action[0], greedy[0])
    assert scipy.stats.binomtest(int((action[1:] == greedy[1:]).sum()), action[1:].size, 0.5).pvalue > 1e-4
