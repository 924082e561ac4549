"""A train state of PQN is the whole of a run: its bits follow from its key, in any chunks, alone or in a population."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract import check_own_buffers
from probe_environments import counter, pure_noise, time_limit_only

from agents import pqn
from agents.common import networks
from agents.pqn import acting, agent
from heartpole_jax import rollout

CONFIG = pqn.PQNConfig(
    hidden_sizes=(8,), transform="heartpole-days", num_envs=3, steps_per_iteration=5, num_minibatches=3
)
HYPERPARAMS = pqn.Hyperparams(
    learning_rate=0.01, final_learning_rate=0.5, learning_rate_steps=200, max_grad_norm=1.0, discount=0.8,
    epsilon_start=0.9, epsilon_end=0.2, epsilon_steps=100, reset_rate=0.1, reward_shift=0.25, reward_scale=1.5,
)  # fmt: skip


def begin(seed=0):
    return pqn.init(jax.random.key(seed), HYPERPARAMS, CONFIG)


@functools.cache
def after(*chunks, seed=0):
    train_state = begin(seed)
    for num_iterations in chunks:
        train_state, metrics = pqn.train_chunk(train_state, HYPERPARAMS, CONFIG, num_iterations=num_iterations)
    return train_state, metrics


def as_numpy(train_state):
    return jax.tree.map(np.asarray, dataclasses.replace(train_state, key=jax.random.key_data(train_state.key)))


@pytest.mark.parametrize("chunks", [(4, 4, 4), (1,) * 12, (7, 5)], ids=str)
def test_chunks_give_the_bits_of_one_run(chunks):
    jax.tree.map(np.testing.assert_array_equal, as_numpy(after(*chunks)[0]), as_numpy(after(12)[0]))


def test_seeds_together_are_the_seeds_alone():
    run = lambda key: pqn.train_chunk(pqn.init(key, HYPERPARAMS, CONFIG), HYPERPARAMS, CONFIG, num_iterations=4)[0]
    together = jax.jit(jax.vmap(run))(jnp.stack([jax.random.key(0), jax.random.key(1)]))
    for seed in range(2):
        alone = as_numpy(after(4, seed=seed)[0])
        for x, y in zip(jax.tree.leaves(as_numpy(together)), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(x[seed], y, rtol=1e-4, atol=1e-4)


def test_two_keys_share_no_weight_and_no_start():
    kernels = lambda seed: begin(seed).online_params[:8]  # biases; layer norm begins with zeros and ones
    assert not np.isin(kernels(0), kernels(1)).any()
    starts = lambda seed: pqn.init(jax.random.key(seed), HYPERPARAMS, pqn.PQNConfig(), pure_noise()).env_state
    assert not np.isin(starts(0), starts(1)).any()


def test_every_array_of_a_fresh_train_state_is_its_own():
    key = jax.random.key(0)
    check_own_buffers((pqn.init(key, HYPERPARAMS, CONFIG), key), "init")


def test_a_raw_key_trains_as_its_typed_key():
    raw = dataclasses.replace(begin(), key=jax.random.key_data(jax.random.key(0)))
    train_state, _ = pqn.train_chunk(raw, HYPERPARAMS, CONFIG, num_iterations=4)
    np.testing.assert_array_equal(train_state.online_params, after(4)[0].online_params)


def test_metrics_count_steps_updates_and_schedules():
    _, metrics = after(4, 4, 4)
    assert (metrics.env_steps, metrics.num_updates, metrics.num_episodes) == (180, 4 * 6, 0)
    assert np.isnan(metrics.episode_return)
    np.testing.assert_allclose((metrics.epsilon, metrics.learning_rate), (0.2, 0.01 * 0.55), rtol=1e-5)
    assert np.isfinite([metrics.loss, metrics.q_value, metrics.grad_norm]).all()


def test_an_episode_counts_with_its_return_unless_it_was_cut_off():
    """Three steps with a reward of 1 each; five iterations of six steps are ten episodes of each env."""
    config = pqn.PQNConfig(hidden_sizes=(4,), num_envs=2, steps_per_iteration=6, num_minibatches=1, num_epochs=1)
    run = lambda rate: pqn.train_chunk(
        pqn.init(jax.random.key(0), pqn.Hyperparams(), config, counter(3)), pqn.Hyperparams(reset_rate=rate), config,
        counter(3), 5,
    )[1]  # fmt: skip
    whole, cut = jax.jit(jax.vmap(run))(jnp.array([0.0, 0.5])).num_episodes
    assert (whole, cut > 0, cut < 12) == (20, True, True)
    assert run(0.0).episode_return == 3.0


@pytest.mark.parametrize("terminal", [False, True])
def test_transitions_hold_the_true_last_observation_and_only_the_config_makes_a_time_limit_death(terminal):
    config = pqn.PQNConfig(hidden_sizes=(4,), num_envs=2, steps_per_iteration=7, num_minibatches=1,
                           time_limit_is_terminal=terminal)  # fmt: skip
    show = dataclasses.replace(counter(1000), default_params=time_limit_only(3).default_params)
    hyperparams = pqn.Hyperparams()
    train_state = pqn.init(jax.random.key(0), hyperparams, config, show)
    tree = networks.weights_as_tree(train_state.online_params, config, show)
    noise = acting.sample_noise(train_state.key, jnp.int32(0), hyperparams, config, show)
    *_, transitions, finished = acting.act(
        tree, train_state.env_state, train_state.episode_return, noise, config, show, show.default_params
    )
    np.testing.assert_array_equal(transitions.obs[:, 0, 1], [0, 1, 2, 0, 1, 2, 0])
    np.testing.assert_array_equal(transitions.next_obs[:, 0, 1], [1, 2, 3, 1, 2, 3, 1])
    np.testing.assert_array_equal(transitions.ended[:, 0], [0, 0, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(transitions.terminated, transitions.ended & terminal)
    np.testing.assert_array_equal(finished[:, 0], 3 * np.array(transitions.ended[:, 0])[:, None] * [[1 / 3, 1]])


def test_no_noise_comes_twice():
    """Of two iterations of five steps of three envs: the noise of steps and of starts."""
    config = dataclasses.replace(CONFIG, transform="raw")
    env, key = pure_noise(), jax.random.key(0)
    drawn = [acting.sample_noise(key, jnp.int32(i), HYPERPARAMS, config, env) for i in range(2)]
    first = pqn.init(key, HYPERPARAMS, config, env).env_state
    numbers = np.concatenate([np.ravel(x) for noise in drawn for x in (noise.step, noise.start)] + [first])
    assert len(set(numbers)) == numbers.size == 2 * 15 * 5 + 3


@pytest.mark.parametrize("num_steps", [5, 16, 11])
def test_every_epoch_takes_each_sample_once_in_an_order_of_its_own(num_steps):
    config = dataclasses.replace(CONFIG, steps_per_iteration=num_steps)
    orders = [agent._shuffled(jax.random.key(0), jnp.int32(i), config).reshape(2, -1) for i in range(2)]
    epochs = np.concatenate(orders)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(3 * num_steps), (4, 1)))
    assert len({tuple(epoch) for epoch in epochs}) == 4


CHANGES = {
    "learning_rate": 0.02, "final_learning_rate": 0.1, "learning_rate_steps": 100.0, "adam_b1": 0.5, "adam_b2": 0.5,
    "adam_epsilon": 0.1, "max_grad_norm": 0.1, "huber_delta": 0.01, "discount": 0.5, "td_lambda": 0.1,
    "epsilon_start": 0.1, "epsilon_end": 0.9, "epsilon_steps": 10.0, "reset_rate": 0.9, "reward_shift": 1.0,
    "reward_scale": 3.0, "expected_penalty": 1.0,
}  # fmt: skip


def test_every_hyperparameter_sweeps_and_changes_the_weights():
    """All fields, each in a row of its own, beside a row without a change."""
    assert set(CHANGES) == {field.name for field in dataclasses.fields(pqn.Hyperparams)}
    rows = [dataclasses.replace(HYPERPARAMS, **change) for change in ({}, *({k: v} for k, v in CHANGES.items()))]

    @jax.jit
    @jax.vmap
    def run(hyperparams):
        train_state = pqn.init(jax.random.key(0), hyperparams, CONFIG)
        return pqn.train_chunk(train_state, hyperparams, CONFIG, num_iterations=6)[0].online_params

    first, *changed = np.asarray(run(jax.tree.map(lambda *x: jnp.asarray(x, float), *rows)))
    assert [name for name, weights in zip(CHANGES, changed, strict=True) if (weights == first).all()] == []


def test_the_greedy_policy_acts_by_the_greatest_value():
    weights, obs = after(4)[0].online_params, jnp.linspace(-1.0, 1.0, 24).reshape(4, 6)
    best = np.asarray(pqn.q_values(weights, obs, CONFIG)).argmax(axis=1)
    policy = pqn.greedy(weights, CONFIG)
    assert [int(policy.act(weights, (), row, ())[0]) for row in obs] == list(best)
    assert rollout(policy, jax.random.key(0), num_envs=1, num_steps=2).totals.shape == (1,)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"num_minibatches": 4}, "num_minibatches must divide num_envs . steps_per_iteration = 15, got 4"),
        ({"num_envs": 0}, "num_envs"),
        ({"transform": "hartpole"}, "transform"),
        ({"layer_norm": 1}, "layer_norm"),
        ({"hidden_sizes": (0,)}, "hidden_sizes"),
    ],
)
def test_an_impossible_configuration_is_refused(change, named):
    with pytest.raises((ValueError, TypeError), match=named):
        dataclasses.replace(CONFIG, **change)


@pytest.mark.parametrize("change", [{"td_lambda": 1.5}, {"reset_rate": -0.1}, {"epsilon_steps": 0}, {"discount": "1"}])
def test_a_number_out_of_range_is_refused(change):
    with pytest.raises((ValueError, TypeError), match=next(iter(change))):
        pqn.Hyperparams(**change)


def test_a_train_state_of_another_configuration_is_refused():
    wider = dataclasses.replace(CONFIG, hidden_sizes=(9,))
    with pytest.raises(ValueError, match="online_params of 'float32"):
        pqn.train_chunk(begin(), HYPERPARAMS, wider)
    with pytest.raises(ValueError, match="takes observations of 6 numbers, got counter with 2; take 'raw'"):
        pqn.init(jax.random.key(0), HYPERPARAMS, CONFIG, counter(3))


def test_memory_grows_with_trials_and_with_what_an_iteration_holds():
    small, large = (pqn.memory_bytes(dataclasses.replace(CONFIG, steps_per_iteration=steps)) for steps in (5, 500))
    assert pqn.memory_bytes(CONFIG, population=10) == 10 * small
    row = 2 * 6 + 4 + 3 * (13 + 2)
    assert large - small == 4 * 3 * 495 * row


def test_in_64_bits_every_float_is_a_float64(x64):
    train_state = jax.eval_shape(begin)
    chunk = lambda state: pqn.train_chunk(state, HYPERPARAMS, CONFIG, num_iterations=2)
    for leaf in jax.tree.leaves((train_state, jax.eval_shape(chunk, train_state))):
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            assert leaf.dtype == jnp.float64


def test_a_train_state_keeps_its_form_so_that_the_program_is_traced_once():
    form = lambda tree: [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(tree)]
    chunk = lambda train_state: pqn.train_chunk(train_state, HYPERPARAMS, CONFIG, num_iterations=2)[0]
    first = jax.eval_shape(begin)
    assert form(jax.eval_shape(chunk, first)) == form(first)


def test_training_leaks_no_tracer(leaks_raise):
    jax.eval_shape(lambda: pqn.train_chunk(begin(), HYPERPARAMS, CONFIG, num_iterations=2))
