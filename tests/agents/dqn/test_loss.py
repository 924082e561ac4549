"""What an iteration of DQN does to its numbers: all of them by hand, then whole iterations against `dqn_oracle`."""

import dataclasses
import math

import dqn_oracle
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from agents import dqn
from agents.dqn import loss, noise, replay
from agents.dqn.config import DQNConfig, Hyperparams

pytestmark = pytest.mark.once

WALK = dqn_oracle.walk()
CONFIG = DQNConfig(hidden_sizes=(8,), batch_size=7, buffer_size=48, num_envs=4, steps_per_iteration=1)

# Numbers that are all different from the defaults and from one another, and that all matter in 40 iterations.
NUMBERS = {
    "learning_rate": 0.03,
    "final_learning_rate": 0.25,
    "learning_rate_steps": 96,
    "adam_b1": 0.8,
    "adam_b2": 0.95,
    "adam_epsilon": 1e-3,
    "max_grad_norm": 1.0,
    "huber_delta": 0.6,
    "discount": 0.8,
    "epsilon_start": 0.9,
    "epsilon_end": 0.2,
    "epsilon_steps": 88,
    "learning_starts": 16,
    "target_period": 14,
    "target_tau": 0.7,
    "ema_rate": 0.4,
    "reset_rate": 0.15,
    "reward_shift": 0.25,
    "reward_scale": 1.5,
    "expected_penalty": 0.125,
}
# Of each setting: numbers (max_grad_norm is among the norms that come up), the configuration, and the first iteration
# that learns: the fifth, the first with more than 16 decisions; or the third, the first with three steps to learn from.
SETTINGS = {
    "plain": ({"max_grad_norm": 1.0}, {}, 4),
    "double": ({"max_grad_norm": 0.3}, {"double": True, "hidden_sizes": (5, 3)}, 4),
    "dueling, linear, the limit as an end": (
        {"max_grad_norm": 4.0}, {"dueling": True, "hidden_sizes": (), "time_limit_is_terminal": True}, 4,
    ),
    "three steps, in one environment": (
        {"max_grad_norm": 2.0, "learning_starts": 0, "epsilon_steps": 22, "learning_rate_steps": 24},
        {"n_step": 3, "num_envs": 1, "buffer_size": 24, "double": True},
        2,
    ),
    "two steps, two decisions, two updates, the scale of values": (
        {"max_grad_norm": 0.5},
        {
            "n_step": 2, "steps_per_iteration": 2, "updates_per_iteration": 2, "transform": "heartpole-days",
            "num_envs": 2, "dueling": True,
        },
        4,
    ),
    "errors in the units of the rewards": (
        {"max_grad_norm": 0.3}, {"transform": "heartpole-days", "scaled_errors": False}, 4,
    ),
}  # fmt: skip


def networks_of(train_state) -> dqn_oracle.Networks:
    adam = adam_of(train_state.opt_state)
    arrays = [train_state.online_params, train_state.target_params, train_state.ema_params, adam.mu, adam.nu]
    return dqn_oracle.Networks(*(np.asarray(x, np.float64) for x in arrays), int(adam.count))


def adam_of(opt_state):
    (state,) = (part for part in opt_state if isinstance(part, optax.ScaleByAdamState))
    return state


def check_iterations(config, numbers, num_iterations, tolerance, seed=4):
    """Iterations one at a time: each is the oracle's, from the same networks on. Returns the metrics, one an iteration.

    The oracle walks through the environment by itself from the seed on, and keeps its own memory.
    """
    hyperparams = Hyperparams(**{name: jnp.asarray(value, float) for name, value in numbers.items()})
    oracle = dqn_oracle.Oracle(seed, config, numbers)
    train_state = jax.jit(dqn.init, static_argnums=(2, 3))(jax.random.key(seed), hyperparams, config, WALK)
    history = []
    for i in range(num_iterations):
        expected, oracle_metrics = oracle.iterate(networks_of(train_state))
        train_state, metrics = dqn.train_chunk(train_state, hyperparams, config, WALK, num_iterations=1)
        for name, value in vars(networks_of(train_state)).items():
            message = f"{name} after iteration {i}"
            np.testing.assert_allclose(value, vars(expected)[name], rtol=tolerance, atol=tolerance, err_msg=message)
        for name, value in oracle_metrics.items():
            message = f"metrics.{name} after iteration {i}"
            np.testing.assert_allclose(getattr(metrics, name), value, rtol=tolerance, atol=tolerance, err_msg=message)
        assert int(train_state.iteration) == i + 1
        history.append(oracle_metrics)
    check_memory(train_state.buffer, oracle, tolerance)
    np.testing.assert_allclose(train_state.episode_return, oracle.returns, rtol=tolerance, atol=tolerance)
    return oracle, history


def check_memory(buffer, oracle, tolerance):
    """The step done at time t lies in slot t modulo the number of slots, and no older one is left."""
    buffer = np.asarray(buffer)
    num_slots, num_envs, _ = buffer.shape
    num_steps = len(oracle.memory[0])
    assert num_steps > num_slots, "the ring has not gone round: this test proves less than it says"
    for time in range(num_steps - num_slots, num_steps):
        for index in range(num_envs):
            row, stored = oracle.memory[index][time], buffer[time % num_slots, index]
            code = row.action + 3 * (int(row.done) + int(row.terminated))
            expected = np.concatenate([row.obs, row.next_obs, [row.reward, code]])
            np.testing.assert_allclose(stored, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_iteration_is_the_one_computed_by_hand(setting):
    """40 iterations in float32, to rounding: through the start of learning, both schedules, and once round the ring."""
    changed_numbers, changes, first = SETTINGS[setting]
    config, numbers = dataclasses.replace(CONFIG, **changes), NUMBERS | changed_numbers
    oracle, history = check_iterations(config, numbers, 40, tolerance=2e-5)
    rows = [row for index in oracle.memory for row in index]
    # Each of these could hide a fault if it never came.
    updates = [record["num_updates"] for record in history]
    assert updates == [0] * first + [config.updates_per_iteration] * (40 - first)
    assert {(row.done, row.terminated) for row in rows} == {(False, False), (True, False), (True, True)}
    norms = [record["grad_norm"] for record in history[first:]]
    assert min(norms) < numbers["max_grad_norm"] < max(norms)
    assert history[-1]["epsilon"] == pytest.approx(numbers["epsilon_end"])
    assert history[-1]["learning_rate"] == pytest.approx(numbers["learning_rate"] * numbers["final_learning_rate"])


def test_in_float64_an_iteration_is_the_one_computed_by_hand_to_twelve_digits(x64):
    """With defaults that leave nothing out: double, dueling, three steps."""
    config = dataclasses.replace(CONFIG, double=True, dueling=True, n_step=3)
    check_iterations(config, NUMBERS, 20, tolerance=1e-12)


# One gradient step whose numbers a reader can check. Two features, one hidden layer of two, two actions:
# hidden = relu(obs @ [[1, -1], [1, 2]] + [0, 1]), output = hidden @ [[1, 0], [-1, 2]] + [0.5, 0].
ONLINE = [0.0, 1.0, 1.0, -1.0, 1.0, 2.0, 0.5, 0.0, 1.0, 0.0, -1.0, 2.0]
# The same with the output's kernel [[0, 1], [1, 0]] and bias [0, 0].
TARGET = [0.0, 1.0, 1.0, -1.0, 1.0, 2.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]
TINY = dqn_oracle.walk()
TINY = dataclasses.replace(TINY, num_actions=2, obs_shape=(2,))
TINY_CONFIG = DQNConfig(hidden_sizes=(2,), batch_size=4, buffer_size=8)
#              obs      hidden   output        next_obs  online there        target there
# row 0      (1, 0)    (1, 0)   (1.5, 0)       (0, 1)    (1, 3): (-1.5, 6)      (3, 1)
# row 1      (0, 1)    (1, 3)   (-1.5, 6)      (2, 0)    (2, 0): (2.5, 0)       (0, 2)
# row 2      (1, 1)    (2, 2)   (0.5, 4)       (1, 0)    true end
# row 3     (-1, 0)    (0, 2)   (-1.5, 4)      (0, 0)    (0, 1): (-0.5, 2)      (1, 0), where the clock ran out
BATCH = replay.Batch(
    obs=jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0]]),
    action=jnp.array([0, 1, 1, 0], jnp.int32),
    reward=jnp.array([[0.5], [1.0], [2.0], [-0.5]]),
    next_obs=jnp.array([[0.0, 1.0], [2.0, 0.0], [1.0, 0.0], [0.0, 0.0]]),
    num_steps=jnp.ones(4, jnp.int32),
    done=jnp.array([False, False, True, True]),
    terminated=jnp.array([False, False, True, False]),
)
HALF = Hyperparams(discount=0.5, max_grad_norm=100.0)


@pytest.mark.parametrize(
    ("changes", "numbers", "targets"),
    [
        ({}, {}, [0.5 + 1.5, 1.0 + 1.0, 2.0, -0.5 + 0.5]),
        ({"double": True}, {}, [0.5 + 0.5, 1.0 + 0.0, 2.0, -0.5 + 0.0]),
        ({"time_limit_is_terminal": True}, {}, [2.0, 2.0, 2.0, -0.5]),
        ({}, {"reward_shift": 1.0, "reward_scale": 3.0}, [4.5 + 1.5, 6.0 + 1.0, 9.0, 1.5 + 0.5]),
        ({}, {"discount": 0.0}, [0.5, 1.0, 2.0, -0.5]),
        ({}, {"discount": 1.0}, [3.5, 3.0, 2.0, 0.5]),
    ],
    ids=["plain", "double", "the limit as an end", "shifted, then scaled", "myopic", "undiscounted"],
)
def test_targets_are_those_of_a_page_of_arithmetic(changes, numbers, targets):
    config = dataclasses.replace(TINY_CONFIG, **changes)
    hyperparams = dataclasses.replace(HALF, **numbers)
    result = loss.td_targets(BATCH, jnp.array(ONLINE), jnp.array(TARGET), hyperparams, config, TINY)
    np.testing.assert_array_equal(result, targets)


def test_targets_of_three_steps_discount_by_the_steps_taken_and_stop_at_an_end():
    """Rewards 1, 2, 4: whole, ended by the clock after two, and truly after one. Values (3, 1), (0, 2), any."""
    batch = dataclasses.replace(
        BATCH,
        reward=jnp.array([[1.0, 2.0, 4.0], [1.0, 2.0, 0.0], [1.0, 0.0, 0.0], [1.0, 2.0, 4.0]]),
        num_steps=jnp.array([3, 2, 1, 3], jnp.int32),
        done=jnp.array([False, True, True, True]),
        terminated=jnp.array([False, False, True, True]),
    )
    config = dataclasses.replace(TINY_CONFIG, n_step=3)
    targets = loss.td_targets(batch, jnp.array(ONLINE), jnp.array(TARGET), HALF, config, TINY)
    np.testing.assert_array_equal(targets, [1 + 1 + 1 + 3 / 8, 1 + 1 + 2 / 4, 1.0, 1 + 1 + 1])
    shifted = loss.td_targets(
        batch, jnp.array(ONLINE), jnp.array(TARGET), dataclasses.replace(HALF, reward_shift=1.0), config, TINY
    )
    np.testing.assert_array_equal(shifted - targets, [1.75, 1.5, 1.0, 1.75])


def test_the_loss_is_hubers_and_its_gradient_is_clipped():
    """TD errors -0.5, 4, 2, -1.5 with a width of 1: losses 0.125, 3.5, 1.5, 1; slopes -0.5, 1, 1, -1."""
    output = jnp.array([[1.5, 0.0], [-1.5, 6.0], [0.5, 4.0], [-1.5, 4.0]])
    value, gradient = loss.td_loss(output, jnp.array([2.0, 2.0, 2.0, 0.0]), BATCH.action, 1.0)
    assert float(value) == (0.125 + 3.5 + 1.5 + 1.0) / 4
    np.testing.assert_array_equal(gradient, [[-0.125, 0.0], [0.0, 0.25], [0.0, 0.25], [-0.25, 0.0]])
    value, gradient = loss.td_loss(output, jnp.array([2.0, 2.0, 2.0, 0.0]), BATCH.action, 3.0)
    assert float(value) == (0.125 + 7.5 + 2.0 + 1.125) / 4
    np.testing.assert_array_equal(gradient, [[-0.125, 0.0], [0.0, 0.75], [0.0, 0.5], [-0.375, 0.0]])


# Of the loss above with respect to the weights. Slopes of the outputs: (-1/8, 0), (0, 1/4), (0, 1/4), (-1/4, 0);
# of the hidden layer, through the output's kernel and the rectifiers that are on:
# (-1/8, off), (0, 1/2), (0, 1/2), (off, 1/4).
GRADIENT = [
    *[-1 / 8, 5 / 4],  # hidden bias
    *[-1 / 8, 1 / 2 - 1 / 4, 0.0, 1.0],  # hidden kernel: the rows of obs 0, of obs 1
    *[-3 / 8, 1 / 2],  # output bias
    *[-1 / 8, 3 / 4, -1 / 2, 5 / 4],  # output kernel: the rows of hidden 0, of hidden 1
]
NORM = math.sqrt(sum(x**2 for x in GRADIENT))


@pytest.mark.parametrize(("max_norm", "shrunk"), [(100.0, 1.0), (NORM / 8, 1 / 8)], ids=["whole", "clipped"])
def test_a_gradient_step_is_that_of_a_page_of_arithmetic(max_norm, shrunk):
    """The first step of Adam, whose moments are 0: the gradient over its size plus epsilon. epsilon is 1 here."""
    hyperparams = dataclasses.replace(HALF, adam_epsilon=1.0, adam_b1=0.5, adam_b2=0.75, max_grad_norm=max_norm)
    before = loss.optimizer(hyperparams).init(jnp.array(ONLINE))
    online, after, step = loss.gradient_step(
        BATCH, jnp.array(ONLINE), jnp.array(TARGET), before, 0.25, hyperparams, TINY_CONFIG, TINY
    )
    assert float(step.loss) == (0.125 + 3.5 + 1.5 + 1.0) / 4
    assert float(step.q_value) == (1.5 + 6.0 + 4.0 - 1.5) / 4
    assert float(step.grad_norm) == pytest.approx(NORM, rel=1e-6)
    gradient = shrunk * np.array(GRADIENT)
    np.testing.assert_allclose(adam_of(after).mu, 0.5 * gradient, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(adam_of(after).nu, 0.25 * gradient**2, rtol=1e-6, atol=1e-9)
    assert int(adam_of(after).count) == 1
    expected = np.array(ONLINE) - 0.25 * gradient / (np.abs(gradient) + 1)
    np.testing.assert_allclose(online, expected, rtol=1e-6, atol=1e-7)


def test_the_oracle_knows_the_page_of_arithmetic_too():
    """The gradient above, by the oracle's chain rule: its three outputs are those two and one that was not chosen."""
    three = [*ONLINE[:8], 0.0, 1.0, 0.0, 0.0, -1.0, 2.0, 0.0]
    config = dataclasses.replace(TINY_CONFIG)
    _, activations = dqn_oracle.forward(np.array(three), np.asarray(BATCH.obs, float), config)
    slopes = np.array([[-0.125, 0.0, 0.0], [0.0, 0.25, 0.0], [0.0, 0.25, 0.0], [-0.25, 0.0, 0.0]])
    gradient = dqn_oracle.backward(np.array(three), activations, slopes, config)
    expected = [*GRADIENT[:8], 0.0, *GRADIENT[8:10], 0.0, *GRADIENT[10:], 0.0]
    np.testing.assert_array_equal(gradient, expected)


def test_epsilon_is_one_until_learning_starts_then_linear_then_constant():
    hyperparams = Hyperparams(epsilon_start=0.9, epsilon_end=0.1, epsilon_steps=1000, learning_starts=250)
    at = lambda steps: float(noise.epsilon_at(steps, hyperparams))
    assert [at(0), at(249)] == [1.0, 1.0]
    assert [at(250), at(500), at(1000), at(10**9)] == pytest.approx([0.7, 0.5, 0.1, 0.1])


def test_the_learning_rate_is_linear_then_constant():
    hyperparams = Hyperparams(learning_rate=0.5, final_learning_rate=0.1, learning_rate_steps=100)
    rates = [float(loss.learning_rate_at(steps, hyperparams)) for steps in (0, 50, 100, 10**9)]
    assert rates == pytest.approx([0.5, 0.275, 0.05, 0.05])
    assert float(loss.learning_rate_at(7, Hyperparams(learning_rate=0.5))) == 0.5
