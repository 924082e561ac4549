"""PQN learns the known values of the probe environments: each shows which part of the learner is broken, if one is.

All probes are learnt at once, as one compiled program, see `gallery`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest
from compiling import OPTIMISED

from agents import pqn

pytestmark = pytest.mark.once

GAMMA, LAMBDA = 0.8, 0.6
NUM_SEEDS = 2
NUM_ITERATIONS = 400  # of 64 decisions

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
GALLERY = probe_environments.gallery(tuple(PROBES.values()))
CONFIG = pqn.PQNConfig(hidden_sizes=(64,), num_envs=8, steps_per_iteration=8, num_minibatches=2, num_epochs=2)
HYPERPARAMS = pqn.Hyperparams(
    learning_rate=1e-2, final_learning_rate=0.01, learning_rate_steps=25_600, discount=GAMMA, td_lambda=LAMBDA,
    huber_delta=100.0, epsilon_start=1.0, epsilon_end=0.5, epsilon_steps=10_000,
)  # fmt: skip


@functools.cache
def learn(terminal: bool):
    """(weights, config) of every probe and seed, weights (probes, seeds, num_weights)."""
    config = dataclasses.replace(CONFIG, time_limit_is_terminal=terminal)

    @functools.partial(jax.jit, compiler_options=OPTIMISED)
    @jax.vmap
    def run(key, which):
        train_state = pqn.init(key, HYPERPARAMS, config, GALLERY, which)
        return pqn.train_chunk(train_state, HYPERPARAMS, config, GALLERY, NUM_ITERATIONS, which)[0].online_params

    keys = jnp.tile(jax.random.split(jax.random.key(7), NUM_SEEDS), len(PROBES))
    weights = run(keys, jnp.repeat(jnp.arange(len(PROBES)), NUM_SEEDS))
    return weights.reshape(len(PROBES), NUM_SEEDS, -1), config


def check(probe, obs, expected, tolerance, terminal=False):
    """Every seed's q_values at `obs` are `expected`, (observations, actions) or one column for both actions."""
    weights, config = learn(terminal)
    q_values = functools.partial(pqn.q_values, config=config, env=GALLERY)
    found = jax.vmap(q_values, in_axes=(0, None))(weights[list(PROBES).index(probe)], jnp.asarray(obs, float))
    expected = np.broadcast_to(np.asarray(expected, float), found.shape)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def aliased(num_steps):
    """The value of all `num_steps` steps of an episode that look alike, with a reward of 1 each and a true end.

    It is v = mean of the lambda-returns, G_last = 1 and G = 1 + gamma ((1 - lambda) v + lambda G_next), each of which
    is a + b v.
    """
    returns = [np.array([1.0, 0.0])]
    for _ in range(num_steps - 1):
        returns.append(np.array([1.0, GAMMA * (1 - LAMBDA)]) + GAMMA * LAMBDA * returns[-1])
    a, b = np.mean(returns, axis=0)
    return a / (1 - b)


@pytest.mark.parametrize(
    ("probe", "obs", "expected"),
    [
        ("one step reward", [[-1, 0], [1, 0]], [[1], [1]]),
        ("reward seen", [[-1, 0], [1, 0]], [[-1], [1]]),
        ("reward by action", [[-1, 0], [1, 0]], [[-1, 1]]),
        ("reward by action and obs", [[-1, 0], [1, 0]], [[1, -1], [-1, 1]]),
        ("delayed reward", [[-1, 0], [1, 0], [-1, 1], [1, 1]], [[GAMMA], [GAMMA], [1], [1]]),
        ("counter", [[1, 0], [-1, 1], [1, 2]], [[1 + GAMMA + GAMMA**2], [1 + GAMMA], [1]]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_value_of_a_probe_is_learnt(probe, obs, expected):
    check(probe, obs, expected, 0.02)


@pytest.mark.parametrize("terminal", [False, True], ids=["bootstrapped", "taken for death"])
def test_the_value_before_a_time_limit_is_that_of_going_on_unless_it_is_taken_for_death(terminal):
    going_on = 1 / (1 - GAMMA)
    check("time limit only", [[0, 0]], [[aliased(10) if terminal else going_on]], 0.15, terminal)
    check("two ends", [[1, 0], [-1, 0]], [[aliased(3)], [aliased(3) if terminal else going_on]], 0.15, terminal)
