"""Whole runs: what they return, how they are evaluated, and what they would hold in memory."""

import dataclasses
import functools

import dqn_oracle
import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest

import heartpole_jax as hp
from agents import dqn
from agents.common import memory as machine
from agents.common import networks
from agents.dqn import memory
from agents.dqn.config import DQNConfig, Hyperparams
from heartpole_jax import evaluation
from heartpole_jax.policies import transforms

pytestmark = pytest.mark.once

WALK = dqn_oracle.walk()
CONFIG = DQNConfig(hidden_sizes=(8,), batch_size=8, buffer_size=128, num_envs=4, steps_per_iteration=1)
HYPERPARAMS = Hyperparams(
    learning_rate=0.01, learning_starts=20, epsilon_steps=100, target_period=20, ema_rate=0.1, reward_shift=0.5
)
run = functools.partial(
    dqn.train, config=CONFIG, env=WALK, num_chunks=2, iterations_per_chunk=16, evaluation_episodes=8
)


@functools.cache
def trained(seed=0):
    return run(jax.random.key(seed), HYPERPARAMS)


def test_a_run_describes_every_chunk():
    """Two chunks of 16 iterations of four envs; learning starts after 20 steps, with the sixth iteration."""
    result = trained()
    metrics = vars(result.metrics)
    assert set(metrics) == {
        "env_steps", "num_updates", "loss", "q_value", "grad_norm", "num_episodes", "episode_return", "epsilon",
        "learning_rate",
    }  # fmt: skip
    assert all(value.shape == (2,) for value in metrics.values())
    assert metrics["env_steps"].tolist() == [64, 128]
    assert metrics["num_updates"].tolist() == [11, 16]
    assert result.mean_return.shape == (2,)
    assert int(result.train_state.iteration) == 32
    assert all(np.isfinite(value).all() for value in (*metrics.values(), result.mean_return))


def test_without_evaluation_and_without_an_update_there_is_nothing_to_report():
    """NaN, and no number that could be taken for a result; no episode of the counter has ended after 16 steps."""
    result = dqn.train(
        jax.random.key(0), Hyperparams(), CONFIG, probe_environments.counter(17), num_chunks=1, iterations_per_chunk=16
    )
    metrics = vars(result.metrics)
    for name in ("loss", "q_value", "grad_norm", "episode_return"):
        assert np.isnan(metrics[name]).all(), name
    assert metrics["num_updates"].tolist() == metrics["num_episodes"].tolist() == [0.0]
    assert np.isnan(result.mean_return).all()
    np.testing.assert_array_equal(result.best_weights, result.train_state.ema_params)


def in_chunks(seed):
    """(train state, metrics) after each of the two chunks."""
    train_state = jax.jit(dqn.init, static_argnums=(2, 3))(jax.random.key(seed), HYPERPARAMS, CONFIG, WALK)
    for _ in range(2):
        train_state, metrics = dqn.train_chunk(train_state, HYPERPARAMS, CONFIG, WALK, 16)
        yield train_state, metrics


def close(a, b):
    """Equal but for rounding: one program and several."""
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_run_is_its_init_and_chunks_one_after_the_other():
    (_, first), (train_state, second) = in_chunks(0)
    close(jnp.stack([first.loss, second.loss]), trained().metrics.loss)
    for name in ("online_params", "target_params", "ema_params", "buffer", "episode_return"):
        close(getattr(train_state, name), getattr(trained().train_state, name))


def test_the_best_weights_are_those_of_the_chunk_that_was_evaluated_best():
    """Of some seeds that is the first, of some the second."""
    best = [int(np.argmax(trained(seed).mean_return)) for seed in range(8)]
    assert set(best) == {0, 1}
    for seed in (best.index(0), best.index(1)):
        policies = [train_state.ema_params for train_state, _ in in_chunks(seed)]
        close(trained(seed).best_weights, policies[best[seed]])
        assert np.abs(policies[0] - policies[1]).max() > 1e-2


def test_what_is_evaluated_is_the_averaged_network_on_the_same_noise_each_time():
    """With ema_rate 0 it stays the first network, and its value the same to the last bit; else it learns."""
    still = run(jax.random.key(0), dataclasses.replace(HYPERPARAMS, ema_rate=0.0))
    assert still.mean_return[0] == still.mean_return[1]
    first = jax.jit(dqn.init, static_argnums=(2, 3))(jax.random.key(0), HYPERPARAMS, CONFIG, WALK).online_params
    np.testing.assert_array_equal(still.train_state.ema_params, first)
    assert any(trained(seed).mean_return[0] != trained(seed).mean_return[1] for seed in range(8))
    assert run(jax.random.key(1), dataclasses.replace(HYPERPARAMS, ema_rate=0.0)).mean_return[0] != still.mean_return[0]


def test_evaluation_is_the_mean_return_of_the_greedy_policy():
    """Against a rollout on other noise; 4096 episodes each, within five standard errors. An expected_penalty is 1."""
    weights = trained().train_state.ema_params
    evaluate = jax.jit(functools.partial(dqn.evaluate, config=CONFIG, env=WALK, num_episodes=4096))
    value = float(evaluate(weights, jax.random.key(1)))
    policy = networks.greedy(weights, CONFIG, WALK)
    params = dqn_oracle.WalkParams(expected_penalty=1.0)
    returns = np.asarray(hp.rollout(policy, jax.random.key(2), params, env=WALK, num_envs=4096).totals, float)
    assert value == pytest.approx(returns.mean(), abs=5 * returns.std() * (2 / 4096) ** 0.5)


LINEAR = DQNConfig(hidden_sizes=(), transform="heartpole", buffer_size=32)


def sleeper():
    """Sleeps when awake for more than 16 half-hours: by one layer that sees nothing but that one feature."""
    patients = np.zeros((3, 6))
    patients[:, 3] = [0, 16, 32]
    features = transforms.heartpole_features(patients)
    (index,) = np.flatnonzero((features[0] < 0) & (features[1] == 0) & (features[2] > 0))
    kernel, bias = np.zeros((features.shape[1], 4)), np.array([0.0, -2.0, -2.0, 0.0])
    kernel[index, hp.Action.SLEEP] = 1.0
    return jnp.asarray(np.concatenate([bias, kernel.ravel()]), float)


def test_evaluation_agrees_with_the_librarys_to_its_error():
    """16 episodes give a sober policy's return to 0.003, 1024 of the library's to its standard error."""
    weights = sleeper()
    exact = evaluation.evaluate(networks.greedy(weights, LINEAR), jax.random.key(0), num_episodes=1024)
    mean, error = exact.expected_return
    assert error < 0.002
    value = jax.jit(functools.partial(dqn.evaluate, config=LINEAR))(weights, jax.random.key(1))
    assert float(value) == pytest.approx(mean, abs=0.004 + 3 * error)


@pytest.mark.parametrize("max_steps", [5, 10, 20])
def test_evaluation_is_of_whole_episodes_whatever_their_length(max_steps):
    """A reward of 1 a step: the return is the length, 10 by default."""
    env = probe_environments.time_limit_only(10)
    config = dataclasses.replace(CONFIG, hidden_sizes=())
    weights = jnp.zeros(networks.num_weights(config, env))
    params = probe_environments.Params(max_steps=max_steps)
    value = dqn.evaluate(weights, jax.random.key(0), config, env, num_episodes=2, params=params)
    assert float(value) == max_steps


@pytest.mark.slow
def test_a_population_is_its_trials_runs():
    """Four trials in slices of two: seeds and learning rates of their own, all else shared."""
    keys = jax.random.split(jax.random.key(3), 4)
    rates = jnp.array([0.003, 0.01, 0.03, 0.1])
    options = {"num_chunks": 2, "iterations_per_chunk": 16, "evaluation_episodes": 8}
    swept = dataclasses.replace(HYPERPARAMS, learning_rate=rates)
    population = dqn.train_population(keys, swept, CONFIG, WALK, slice_size=2, **options)
    assert population.weights.shape == population.best_weights.shape == (4, networks.num_weights(CONFIG, WALK))
    assert population.mean_return.shape == population.metrics.loss.shape == (4, 2)
    for i in (0, 3):
        alone = run(keys[i], dataclasses.replace(HYPERPARAMS, learning_rate=rates[i]))
        np.testing.assert_allclose(population.weights[i], alone.train_state.ema_params, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(population.best_weights[i], alone.best_weights, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(population.metrics.loss[i], alone.metrics.loss, rtol=1e-3)
    assert len(np.unique(population.weights, axis=0)) == 4


def test_a_run_of_heartpole_holds_56_bytes_a_transition_and_eight_networks():
    """Six inputs, two hidden, four actions: 26 weights of four bytes."""
    config = DQNConfig(hidden_sizes=(2,), buffer_size=1000)
    assert memory.memory_bytes(config) == 56_000 + 8 * 26 * 4
    assert memory.memory_bytes(config, population=10) == 10 * (56_000 + 8 * 26 * 4)
    assert memory.check_fits(config, population=10) == memory.memory_bytes(config, population=10)
    train_state = jax.eval_shape(lambda: dqn.init(jax.random.key(0), Hyperparams(), config))
    held = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(dataclasses.replace(train_state, key=())))
    # Five networks of the eight are kept, and besides them one environment's state and counters.
    assert 56_000 + 5 * 26 * 4 <= held <= 56_000 + 5 * 26 * 4 + 100


def test_in_64_bits_a_run_holds_twice_as_much(x64):
    assert memory.memory_bytes(DQNConfig(hidden_sizes=(2,), buffer_size=1000)) == 2 * (56_000 + 8 * 26 * 4)


def test_a_run_that_does_not_fit_is_refused_before_anything_is_made(monkeypatch):
    config = DQNConfig(hidden_sizes=(2,), buffer_size=2**30)
    with pytest.raises(ValueError, match=r"this run would hold 56000\.0 GiB, and there are .* GiB: take a smaller "):
        memory.check_fits(config, population=1000)
    with pytest.raises(ValueError, match=r"buffer_size \(now 1,073,741,824 for each of 1,000 trials\)$"):
        memory.check_fits(config, population=1000)
    monkeypatch.setattr(machine, "available_bytes", lambda: 57 * 2**30)
    assert memory.check_fits(config) > 56 * 2**30
    monkeypatch.setattr(machine, "available_bytes", lambda: 56 * 2**30)
    with pytest.raises(ValueError, match=r"\(now 1,073,741,824\)$"):
        memory.check_fits(config)
    monkeypatch.setattr(machine, "available_bytes", lambda: None)  # a device that does not report it
    memory.check_fits(config, population=1000)
