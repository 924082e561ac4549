"""DQN learns the known values of the probe environments: each shows which part of the learner is broken, if one is.

All probes of a configuration are learnt at once, as a population of one compiled program, see `gallery`. Values are
exact, by a line of arithmetic each; tolerances are for what a network of 64 leaves after 20,000 decisions. Of three
steps' rewards nothing is left to bootstrap at "two ends": v is the mean of 1, 1 + gamma and 1 + gamma + gamma^2.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest
from compiling import OPTIMISED

from agents import dqn
from agents.common import networks
from agents.dqn.config import DQNConfig, Hyperparams

pytestmark = pytest.mark.once

GAMMA = 0.8
NUM_SEEDS = 2
NUM_ITERATIONS = 5000  # of four decisions

PROBES = {
    "one step reward": probe_environments.one_step_reward(),
    "reward seen": probe_environments.reward_seen(),
    "reward by action": probe_environments.reward_by_action(),
    "reward by action and obs": probe_environments.reward_by_action_and_obs(),
    "counter": probe_environments.counter(3),
    "delayed reward": probe_environments.delayed_reward(),
    "time limit only": probe_environments.time_limit_only(10),
    "two ends": probe_environments.two_ends(),
}
ENVIRONMENTS = tuple(PROBES.values())
CONFIG = DQNConfig(hidden_sizes=(64,), batch_size=32, buffer_size=1200, num_envs=4, steps_per_iteration=1)
CONFIGS = {
    "plain": {},
    "double": {"double": True},
    "dueling": {"dueling": True},
    "three steps": {"n_step": 3},
    "the limit as an end": {"time_limit_is_terminal": True},
}
TRIED = [pytest.param(name, marks=[pytest.mark.slow] if name in ("plain", "dueling") else []) for name in CONFIGS]
HYPERPARAMS = Hyperparams(
    learning_rate=1e-2, final_learning_rate=0.01, learning_rate_steps=20_000, discount=GAMMA, learning_starts=200,
    huber_delta=100.0, target_period=200, epsilon_start=1.0, epsilon_end=0.5, epsilon_steps=10_000,
)  # fmt: skip

GALLERY = probe_environments.gallery(ENVIRONMENTS)


@functools.cache
def learn(name: str):
    """(weights, config) of every probe and seed, weights (probes, seeds, num_weights)."""
    config = dataclasses.replace(CONFIG, **CONFIGS[name])

    @functools.partial(jax.jit, compiler_options=OPTIMISED)
    @jax.vmap
    def run(key, which):
        run = dqn.train(
            key, HYPERPARAMS, config, GALLERY, num_chunks=1, iterations_per_chunk=NUM_ITERATIONS, params=which
        )
        return run.train_state.ema_params

    keys = jnp.tile(jax.random.split(jax.random.key(7), NUM_SEEDS), len(PROBES))
    weights = run(keys, jnp.repeat(jnp.arange(len(PROBES)), NUM_SEEDS))
    return weights.reshape(len(PROBES), NUM_SEEDS, -1), config


def values(config_name: str, probe: str, obs) -> np.ndarray:
    """q_values at some observations, (seeds, observations, actions)."""
    weights, config = learn(config_name)
    most = np.resize(np.asarray(obs, np.float32), (6, 2))  # one program for all, which are at most as many
    return np.asarray(q_values(weights[list(PROBES).index(probe)], most, config))[:, : len(obs)]


@functools.partial(jax.jit, static_argnums=2)
@functools.partial(jax.vmap, in_axes=(0, None, None))
def q_values(weights, obs, config):
    return networks.q_values(weights, obs, config, GALLERY)


def close(values, expected, tolerance):
    """Every seed's values are the expected ones, (observations, actions) or one column for both actions."""
    expected = np.broadcast_to(np.asarray(expected, float), values.shape[1:])
    np.testing.assert_allclose(values, np.broadcast_to(expected, values.shape), rtol=0, atol=tolerance)


@pytest.mark.parametrize("config", TRIED)
def test_a_reward_after_one_step_is_its_value(config):
    close(values(config, "one step reward", [[-1, 0], [1, 0]]), [[1], [1]], 0.01)


@pytest.mark.parametrize("config", TRIED)
def test_a_reward_that_is_seen_is_its_value(config):
    close(values(config, "reward seen", [[-1, 0], [1, 0]]), [[-1], [1]], 0.01)


@pytest.mark.parametrize("config", TRIED)
def test_a_reward_by_action_is_that_actions_value(config):
    close(values(config, "reward by action", [[-1, 0], [1, 0]]), [[-1, 1]] * 2, 0.01)


@pytest.mark.parametrize("config", TRIED)
def test_a_reward_by_action_and_observation_is_their_value(config):
    close(values(config, "reward by action and obs", [[-1, 0], [1, 0]]), [[1, -1], [-1, 1]], 0.01)


@pytest.mark.parametrize("config", TRIED)
def test_a_reward_after_two_steps_has_the_value_gamma_then_one(config):
    obs = [[-1, 0], [1, 0], [-1, 1], [1, 1]]
    close(values(config, "delayed reward", obs), [[GAMMA], [GAMMA], [1], [1]], 0.01)


@pytest.mark.parametrize("config", TRIED)
def test_a_counters_values_are_the_geometric_sums(config):
    obs = [[sign, steps] for steps in range(3) for sign in (-1, 1)]
    expected = [[1 + GAMMA + GAMMA**2]] * 2 + [[1 + GAMMA]] * 2 + [[1]] * 2
    close(values(config, "counter", obs), expected, 0.02)


@pytest.mark.parametrize("config", TRIED)
def test_where_only_the_clock_ends_an_episode_the_value_is_that_of_going_on(config):
    """Taken for an end, it ends one step of ten: v = 1 + 9/10 gamma v."""
    expected = 1 / (1 - 0.9 * GAMMA) if CONFIGS[config].get("time_limit_is_terminal") else 1 / (1 - GAMMA)
    close(values(config, "time limit only", [[0, 0]]), [[expected]], 0.15)


@pytest.mark.parametrize("config", TRIED)
def test_a_true_end_and_the_clocks_are_reported_apart_in_one_buffer(config):
    steps = CONFIGS[config].get("n_step", 1)
    true_end = 1 / (1 - 2 / 3 * GAMMA) if steps == 1 else (3 + 2 * GAMMA + GAMMA**2) / 3
    clock = true_end if CONFIGS[config].get("time_limit_is_terminal") else 1 / (1 - GAMMA)
    close(values(config, "two ends", [[1, 0], [-1, 0]]), [[true_end], [clock]], 0.15)


def test_two_seeds_have_learnt_with_two_networks():
    weights, _ = learn("double")
    assert not np.isin(weights[:, 0], weights[:, 1]).any()
