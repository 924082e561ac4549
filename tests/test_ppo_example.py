"""examples/ppo.py: advantages against hand results, the time limit that is no death, and a short training."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heartpole_jax as hp
from heartpole_jax import evaluation

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def ppo():
    """examples/ppo.py as a module."""
    spec = importlib.util.spec_from_file_location("ppo", Path(__file__).parent.parent / "examples/ppo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def samples(ppo, scale=(1.0, 1.0, 1.0), last_scale=(1.0, 1.0, 1.0), terminated=False):
    """Three decisions of one environment, whose episode ends with the second."""
    column = lambda values: jnp.array(values)[:, None]
    return ppo.Samples(
        obs=jnp.zeros((3, 1, 6)), action=jnp.zeros((3, 1), int), log_prob=jnp.zeros((3, 1)),
        value=column([1.0, 2.0, 4.0]), last_value=column([2.0, 6.0, 8.0]), scale=column(scale),
        last_scale=column(last_scale), reward=column([1.0, 2.0, 3.0]), done=column([False, True, False]),
        terminated=column([False, terminated, False]),
    )  # fmt: skip


def test_advantages_are_bootstrapped_through_the_time_limit(ppo):
    """TD errors 1 + 2/2 - 1 = 1, 2 + 6/2 - 2 = 3, 3 + 8/2 - 4 = 3; the first takes a quarter of the second along."""
    found = ppo.advantages(samples(ppo), discount=0.5, gae_lambda=0.5)
    np.testing.assert_allclose(found[:, 0], [1.75, 3.0, 3.0])


def test_a_true_end_cuts_the_value_off(ppo):
    found = ppo.advantages(samples(ppo, terminated=True), discount=0.5, gae_lambda=0.5)
    np.testing.assert_allclose(found[:, 0], [1.0, 0.0, 3.0])


def test_advantages_are_in_the_units_of_the_network(ppo):
    """TD errors 1 + 1/2 - 1 = 0.5, 2 + 1.5/2 - 1 = 1.75, 3 + 1/2 - 1 = 2.5, each over its scale."""
    found = ppo.advantages(samples(ppo, (1.0, 0.5, 0.25), (0.5, 0.25, 0.125)), discount=0.5, gae_lambda=0.5)
    np.testing.assert_allclose(found[:, 0], [0.5 + 0.25 * 1.75, 3.5, 10.0])


def test_the_loss_of_unchanged_weights_is_the_critic_s_error_less_the_entropy(ppo):
    """All ratios are 1, and normalised advantages average to 0; the first policy is nearly uniform."""
    config = ppo.Config()
    network = ppo.ActorCritic(8)
    obs = jax.vmap(lambda key: hp.reset(key)[1])(jax.random.split(jax.random.key(0), 16))
    weights = network.init(jax.random.key(1), obs)
    logits, value = network.apply(weights, obs)
    action = jnp.arange(16) % 4
    batch = samples(ppo)._replace(obs=obs, action=action, log_prob=ppo.log_prob_of(logits, action))
    found = ppo.loss(weights, (batch, jnp.arange(16.0), value + 0.1), network, config)
    assert float(found) == pytest.approx(0.5 * 0.5 * 0.1**2 - config.entropy_weight * np.log(4), rel=1e-2)


def test_an_episode_that_ends_hands_over_its_true_last_observation(ppo):
    """Two decisions an episode: the value after the second is of half-hour 2 or later, the next one is of the start."""
    config = ppo.Config(num_envs=1, num_steps=3)
    params = jax.tree.map(lambda x: jnp.asarray(x)[None], hp.EnvParams(max_steps=2))
    env_state, obs = jax.vmap(ppo.ENV.reset)(jax.random.split(jax.random.key(0), 1), params)
    network = ppo.ActorCritic(8)
    weights = network.init(jax.random.key(1), obs)
    _, found = ppo.act(jax.random.key(2), weights, env_state, obs, network, params, config)
    assert found.done[:, 0].tolist() == [False, True, False]
    assert not found.terminated.any()
    assert found.scale[2, 0] == 1.0
    assert found.last_scale[1, 0] <= 48 / 50
    np.testing.assert_allclose(found.last_value[0], found.value[1], rtol=1e-6)
    assert found.last_value[1, 0] != found.value[2, 0]


@pytest.mark.slow
def test_a_short_training_does_much_better_than_sleeping_always_and_drinks_nothing(ppo):
    """Sleeping always has 0.2792, and is what an iteration or two may lead to."""
    regret = []
    for num_decisions in (2_048, 100_000):
        weights = jax.jit(ppo.train, static_argnums=1)(jax.random.key(5), num_decisions)
        policy = hp.Policy(act=ppo.greedy, params=weights)
        found = evaluation.evaluate(policy, jax.random.key(1), num_episodes=64)
        regret.append(found.regret.mean + 3 * found.regret.standard_error)
    assert regret[0] > 0.2
    assert regret[1] < 0.02
    assert found.drinks_a_day.mean == 0.0
