"""A train state is all there is of a run: its bits follow from its key, whatever the chunks, company or storage."""

import dataclasses
import functools

import dqn_oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract import check_own_buffers

from agents import dqn
from agents.common import networks
from agents.dqn.config import DQNConfig, Hyperparams

pytestmark = pytest.mark.once

WALK = dqn_oracle.walk()
# 32 slots in each of four envs: 96 iterations of two steps go round the ring six times.
CONFIG = DQNConfig(
    hidden_sizes=(8,), batch_size=7, buffer_size=128, num_envs=4, steps_per_iteration=2, double=True, n_step=2
)
HYPERPARAMS = Hyperparams(
    learning_rate=0.01, final_learning_rate=0.5, learning_rate_steps=400, max_grad_norm=1.0, discount=0.8,
    epsilon_end=0.2, epsilon_steps=400, learning_starts=40, target_period=50, target_tau=0.7, ema_rate=0.4,
    reward_shift=0.25, reward_scale=1.5,
)  # fmt: skip
init = jax.jit(dqn.init, static_argnums=(2, 3))


def begin(seed=0, hyperparams=HYPERPARAMS, config=CONFIG, env=WALK):
    return init(jax.random.key(seed), hyperparams, config, env)


def go_on(train_state, *chunks, hyperparams=HYPERPARAMS, config=CONFIG, env=WALK):
    for num_iterations in chunks:
        train_state, _ = dqn.train_chunk(train_state, hyperparams, config, env, num_iterations)
    return train_state


@functools.cache
def after_96(seed=0):
    return go_on(begin(seed), 32, 32, 32)


def as_numpy(tree):
    return [np.asarray(x) for x in jax.tree.leaves(without_key(tree))]


def without_key(train_state):
    """The same with the key's words in the place of a typed key."""
    return dataclasses.replace(train_state, key=jax.random.key_data(train_state.key))


def same_bits(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(as_numpy(a), as_numpy(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def close(a, b):
    """Equal but for rounding: other shapes make other programs, which add in another order."""
    for x, y in zip(as_numpy(a), as_numpy(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def test_one_key_gives_the_same_bits_again():
    same_bits(after_96(), go_on(begin(), 32, 32, 32))


def test_every_array_of_a_fresh_train_state_is_its_own():
    key = jax.random.key(0)
    check_own_buffers((dqn.init(key, HYPERPARAMS, CONFIG, WALK), key), "init")


def test_training_raises_nothing_where_every_nan_is_a_fault():
    with jax.debug_nans(True):
        _, metrics = dqn.train_chunk(begin(), HYPERPARAMS, CONFIG, WALK, 3)
    assert (metrics.num_updates, metrics.loss, metrics.q_value, metrics.grad_norm) == (0, 0, 0, 0)


def test_two_keys_give_two_networks_and_two_episodes():
    """No weight, no start, no position of the one is any of the other's, at the beginning or later."""
    for one, other in ((begin(0), begin(1)), (after_96(0), after_96(1))):
        assert not np.isin(one.online_params, other.online_params).any()
        assert not np.isin(one.env_state.start, other.env_state.start).any()
    rows, others = (np.asarray(after_96(seed).buffer).reshape(128, 14) for seed in (0, 1))
    for column in (0, 5, 6, 12):  # position before, start, position after, reward
        assert not np.isin(rows[:, column], others[:, column]).any()


@pytest.mark.parametrize("chunks", [(96,), (64, 32)], ids=str)
def test_chunks_of_whole_blocks_give_the_same_bits(chunks):
    same_bits(after_96(), go_on(begin(), *chunks))


def test_chunks_of_other_sizes_meet_the_same_noise():
    """Here for one iteration at a time, which is another program."""
    close(after_96(), go_on(begin(), *[1] * 96))


def test_the_buffer_holds_true_last_observations_and_environments_never_mix():
    """The walk shows its start and its steps: what follows a row is the row's next_obs, or else a fresh episode."""
    buffer = np.roll(np.asarray(after_96().buffer), -192 % 32, axis=0)  # the oldest first
    obs, next_obs, code = buffer[..., :6], buffer[..., 6:12], buffer[..., 13].astype(int)
    ending = code // 3
    np.testing.assert_array_equal(next_obs[..., 3], obs[..., 3] + 1)
    np.testing.assert_array_equal(next_obs[..., 5], obs[..., 5])
    goes_on = ending[:-1] == 0
    np.testing.assert_allclose(obs[1:][goes_on], next_obs[:-1][goes_on], rtol=1e-5)  # computed once for each
    assert (obs[1:][~goes_on][:, 3] == 0).all()
    assert (obs[1:][~goes_on][:, 5] != obs[:-1][~goes_on][:, 5]).all()
    # How it ended: truly beyond 0.9, by the clock after five steps, and neither otherwise.
    np.testing.assert_array_equal(ending == 2, next_obs[..., 0] > 0.9)
    np.testing.assert_array_equal(ending == 1, (next_obs[..., 0] <= 0.9) & (next_obs[..., 3] == 5))
    assert {0, 1, 2} == set(ending.ravel().tolist())
    for index in range(4):
        others = [other for other in range(4) if other != index]
        assert not np.isin(obs[:, index, 5], obs[:, others, 5]).any()


def test_a_raw_key_trains_as_its_typed_key():
    typed = go_on(begin(), 32)
    raw = go_on(init(jax.random.PRNGKey(0), HYPERPARAMS, CONFIG, WALK), 32)
    assert raw.key.dtype == jnp.uint32
    same_bits(typed, raw)


def test_the_program_is_traced_once_whatever_the_numbers():
    train_state = begin()
    after = go_on(train_state, 32)
    before = dqn.train_chunk._cache_size()
    go_on(after, 32, hyperparams=dataclasses.replace(HYPERPARAMS, learning_rate=0.5, discount=0.5, target_period=7))
    assert dqn.train_chunk._cache_size() == before
    for x, y in zip(*(jax.tree.leaves(without_key(state)) for state in (train_state, after)), strict=True):
        assert (x.shape, x.dtype, x.weak_type) == (y.shape, y.dtype, False)


def test_a_train_state_that_was_written_down_goes_on_with_the_same_bits():
    """Leaves to NumPy and back, the key as its words."""
    leaves, treedef = jax.tree.flatten(without_key(go_on(begin(), 32)))
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
    written = [np.array(leaf).tobytes() for leaf in leaves]
    read = [np.frombuffer(x, leaf.dtype).reshape(leaf.shape) for x, leaf in zip(written, leaves, strict=True)]
    restored = jax.tree.unflatten(treedef, read)
    restored = dataclasses.replace(restored, key=jax.random.wrap_key_data(jnp.asarray(restored.key)))
    same_bits(go_on(restored, 32, 32), after_96())


@pytest.fixture(scope="module")
def trained_together():
    """Three seeds, each with its own learning rate, for 32 iterations: (single runs, all axes mapped, one counter)."""
    each = [dataclasses.replace(HYPERPARAMS, learning_rate=rate) for rate in (0.003, 0.01, 0.03)]
    singles = [go_on(begin(seed, hyperparams), 32, hyperparams=hyperparams) for seed, hyperparams in enumerate(each)]
    states = [begin(seed, hyperparams) for seed, hyperparams in enumerate(each)]
    stack = lambda *x: jnp.stack(x)
    population, swept = jax.tree.map(stack, *states), jax.tree.map(lambda *x: jnp.asarray(x), *each)
    mapped, _ = jax.vmap(dqn.train_chunk, in_axes=(0, 0, None, None, None))(population, swept, CONFIG, WALK, 32)
    shared = dataclasses.replace(population, iteration=states[0].iteration)
    axes = dqn.POPULATION_AXES
    run = jax.vmap(dqn.train_chunk, in_axes=(axes, 0, None, None, None), out_axes=(axes, 0))
    together, metrics = run(shared, swept, CONFIG, WALK, 32)
    assert metrics.loss.shape == (3,)
    return jax.tree.map(stack, *singles), mapped, together


def test_trials_of_a_population_are_runs_of_their_own(trained_together):
    """To rounding. They differ from one another in everything."""
    singles, mapped, _ = trained_together
    close(singles, mapped)
    assert len(np.unique(mapped.online_params, axis=0)) == 3
    assert not np.isin(mapped.online_params[0], mapped.online_params[1:]).any()


def test_a_population_with_one_counter_is_one_with_a_counter_each(trained_together):
    _, mapped, together = trained_together
    assert together.iteration.shape == ()
    close(mapped, dataclasses.replace(together, iteration=jnp.full(3, together.iteration)))


# Under nothing but random actions, learning changes no episode. Each field: another value, and what that changes.
NETWORKS = {"online", "target", "average", "moments"}
EPISODE = {"actions", "rewards"}
RANDOM = dataclasses.replace(HYPERPARAMS, epsilon_start=1.0, epsilon_end=1.0)
FIELDS = {
    "learning_rate": (0.02, NETWORKS),
    "final_learning_rate": (0.1, NETWORKS),
    "learning_rate_steps": (100, NETWORKS),
    "adam_b1": (0.5, NETWORKS),
    "adam_b2": (0.9, NETWORKS),
    "adam_epsilon": (0.1, NETWORKS),
    "max_grad_norm": (0.1, NETWORKS),
    "huber_delta": (0.1, NETWORKS),
    "discount": (0.5, NETWORKS),
    "epsilon_start": (0.5, EPISODE | NETWORKS | {"epsilon"}),
    "epsilon_end": (0.2, EPISODE | NETWORKS | {"epsilon"}),
    "epsilon_steps": (100, set()),
    "learning_starts": (80, NETWORKS),
    "target_period": (20, NETWORKS),
    "target_tau": (0.2, NETWORKS),
    "ema_rate": (0.9, {"average"}),
    "reset_rate": (0.2, EPISODE | NETWORKS),
    "reward_shift": (-1.0, NETWORKS),
    "reward_scale": (0.3, NETWORKS),
    "expected_penalty": (0.5, NETWORKS | {"rewards"}),
}


def outcomes(hyperparams):
    train_state = dqn.init(jax.random.key(3), hyperparams, CONFIG, WALK)
    first = train_state.online_params
    train_state, metrics = dqn.train_chunk(train_state, hyperparams, CONFIG, WALK, 32)
    return {
        "online": train_state.online_params, "target": train_state.target_params,
        "average": train_state.ema_params, "moments": jnp.concatenate(jax.tree.leaves(train_state.opt_state)[1:]),
        "actions": train_state.buffer[..., -1], "rewards": train_state.buffer[..., -2],
        "epsilon": metrics.epsilon, "first": first, "num_updates": metrics.num_updates,
    }  # fmt: skip


@pytest.fixture(scope="module")
def swept():
    """`outcomes` for every field changed, then for special cases, under one vmap; the last is with none changed."""
    changes = [{name: value} for name, (value, _) in FIELDS.items()]
    changes += [{"learning_rate": 0.0}, {"learning_starts": 1e6}, {"epsilon_end": 0.2, "epsilon_steps": 100}, {}]
    rows = [dataclasses.replace(RANDOM, **change) for change in changes]
    return jax.device_get(jax.jit(jax.vmap(outcomes))(jax.tree.map(lambda *x: jnp.asarray(x, float), *rows)))


def test_every_field_is_tested_here():
    assert {field.name for field in dataclasses.fields(Hyperparams)} == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_every_hyperparameter_sweeps_and_changes_what_it_should(swept, name):
    row = list(FIELDS).index(name)
    changed = {key for key, value in swept.items() if (value[row] != value[-1]).any()}
    assert changed - {"num_updates"} == FIELDS[name][1]


def test_special_values_do_what_they_say(swept):
    no_rate, no_learning, decaying = (jax.tree.map(lambda x, i=i: x[i], swept) for i in (-4, -3, -2))
    np.testing.assert_array_equal(no_rate["online"], no_rate["first"])
    assert no_rate["num_updates"] > 0
    for network in ("online", "target", "average"):
        np.testing.assert_array_equal(no_learning[network], no_learning["first"])
    assert no_learning["num_updates"] == 0
    assert not no_learning["moments"].any()
    end = list(FIELDS).index("epsilon_end")  # the same but for epsilon_steps
    assert (decaying["actions"] != swept["actions"][end]).any()
    starts = list(FIELDS).index("learning_starts")
    assert swept["num_updates"][-1] - swept["num_updates"][starts] == (80 - 40) / CONFIG.env_steps_per_iteration


def test_a_sweep_is_a_python_loop_over_its_values(swept):
    """With numbers of Python, in a program of its own."""
    for name in ("discount", "max_grad_norm", "expected_penalty"):
        hyperparams = dataclasses.replace(RANDOM, **{name: FIELDS[name][0]})
        alone = go_on(begin(3, hyperparams), 32, hyperparams=hyperparams)
        row = list(FIELDS).index(name)
        np.testing.assert_allclose(alone.online_params, swept["online"][row], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(alone.buffer[..., -2], swept["rewards"][row], rtol=1e-4, atol=1e-5)


def test_whole_copies_leave_the_target_and_the_policy_on_the_online_network():
    """target_tau and ema_rate of 1, at an iteration where the target is due (steps 8 by 8, period 64)."""
    hyperparams = dataclasses.replace(HYPERPARAMS, target_tau=1.0, ema_rate=1.0, target_period=64)
    train_state = go_on(begin(0, hyperparams), 32, hyperparams=hyperparams)
    assert (train_state.online_params != begin(0).online_params).any()
    np.testing.assert_array_equal(train_state.target_params, train_state.online_params)
    np.testing.assert_array_equal(train_state.ema_params, train_state.online_params)


def shapes(num_iterations=4):
    """What goes into `train_chunk` and what comes out, with numbers of Python."""
    hyperparams = dataclasses.replace(HYPERPARAMS)
    train_state = jax.eval_shape(lambda: dqn.init(jax.random.key(0), hyperparams, CONFIG, WALK))
    return train_state, *jax.eval_shape(
        lambda s: dqn.train_chunk(s, hyperparams, CONFIG, WALK, num_iterations), train_state
    )


def test_in_64_bits_every_float_is_a_float64(x64):
    for tree in shapes():
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            if jnp.issubdtype(leaf.dtype, jnp.floating):
                assert leaf.dtype == jnp.float64, path
            else:
                assert leaf.dtype == jnp.int32 or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key), path


def test_in_32_bits_every_float_is_a_float32():
    for tree in shapes():
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            assert leaf.dtype in (jnp.float32, jnp.int32) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key), path


def test_training_leaks_no_tracer_and_uses_no_key_twice(leaks_raise, reused_keys_raise):
    shapes()


def test_evaluation_leaks_no_tracer(leaks_raise):
    shape = jax.ShapeDtypeStruct((networks.num_weights(CONFIG, WALK),), jnp.float32)
    evaluate = jax.jit(lambda weights: dqn.evaluate(weights, jax.random.key(0), CONFIG, WALK, num_episodes=2))
    assert jax.eval_shape(evaluate, shape).shape == ()
