"""The Q-network: its products and their gradients, its layers in NumPy, its first weights, its transforms."""

import dataclasses
import math

import dqn_oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from agents.common import networks
from agents.dqn.config import DQNConfig
from heartpole_jax.policies import q_network, transforms

pytestmark = [pytest.mark.once, pytest.mark.extras, pytest.mark.usefixtures("reused_keys_raise")]

WALK = dqn_oracle.walk()
CONFIG = DQNConfig(hidden_sizes=(5, 3), buffer_size=64)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# Kernels of 12, 128 (the largest that is written out), 129 and 600 entries, and one of a single input.
@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("kernel", [(3, 4), (8, 16), (3, 43), (20, 30), (1, 5)], ids=str)
def test_a_product_and_its_gradients_are_those_of_linear_algebra(x64, batch, kernel):
    x, k, cotangent = numbers(batch, kernel[0]), numbers(*kernel, seed=1), numbers(batch, kernel[1], seed=2)

    @jax.jit
    def both(x, k, cotangent):
        product, pull_back = jax.vjp(q_network.matmul, x, k)
        return product, pull_back(cotangent)

    product, pulled_back = both(x, k, cotangent)
    np.testing.assert_allclose(product, x @ k, rtol=1e-12, atol=1e-12)
    for ours, expected in zip(pulled_back, (cotangent @ k.T, x.T @ cotangent), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [(3, 4), (20, 30)], ids=str)
def test_gradients_of_a_product_are_those_of_autodiff_under_jit_and_vmap(kernel):
    """Four networks of a population, each with its own batch and kernel."""
    x, k = jnp.asarray(numbers(4, 7, kernel[0])), jnp.asarray(numbers(4, *kernel, seed=1))
    weights = jnp.asarray(numbers(7, kernel[1], seed=2))
    loss = lambda product: lambda x, k: jnp.sum(weights * jnp.sin(product(x, k)))
    ours = jax.jit(jax.vmap(jax.grad(loss(q_network.matmul), argnums=(0, 1))))(x, k)
    plain = jax.jit(jax.vmap(jax.grad(loss(lambda x, k: x @ k), argnums=(0, 1))))(x, k)
    for one, other in zip(ours, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("transform", ["raw", "heartpole", "heartpole-days"])
@pytest.mark.parametrize("dueling", [False, True], ids=["plain", "dueling"])
def test_the_network_is_the_one_in_numpy(x64, batch, transform, dueling):
    config = dataclasses.replace(CONFIG, transform=transform, dueling=dueling)
    weights = numbers(networks.num_weights(config, WALK))
    obs = np.stack([dqn_oracle.observation(*numbers(2, seed=i), i) for i in range(batch)])
    output = dqn_oracle.outputs(weights, obs, config)

    @jax.jit
    def ours(weights, obs):
        tree = networks.weights_as_tree(weights, config, WALK)
        q_values = networks.q_values(weights, obs, config, WALK)
        return networks.apply(tree, obs, config, WALK), networks.value_scale(obs, config), q_values

    applied, value_scale, values = ours(weights, obs)
    np.testing.assert_allclose(applied, output, rtol=1e-12, atol=1e-12)
    scales = np.array([dqn_oracle.scale(one, config) for one in obs])
    np.testing.assert_allclose(value_scale, scales, rtol=1e-12)
    assert values.shape == (batch, 3)
    np.testing.assert_allclose(values, scales[:, None] * output, rtol=1e-12, atol=1e-12)
    if dueling:  # the advantages average to 0: what is left is the value, the first column of the last layer
        *_, (bias, kernel) = dqn_oracle.layers_of(weights, config, dqn_oracle.features(obs, config).shape[1])
        _, activations = dqn_oracle.forward(weights, obs, config)
        np.testing.assert_allclose(output.mean(axis=1), (activations[-1] @ kernel + bias)[:, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "num_weights"),
    [
        ({"hidden_sizes": (2,)}, 2 + 6 * 2 + 4 + 2 * 4),
        ({"hidden_sizes": ()}, 4 + 6 * 4),
        ({"hidden_sizes": [7, 3], "dueling": True}, 7 + 6 * 7 + 3 + 7 * 3 + 5 + 3 * 5),
        ({"hidden_sizes": (2,), "transform": "heartpole"}, 2 + 11 * 2 + 4 + 2 * 4),
    ],
    ids=str,
)
def test_weights_are_counted_and_flattened_and_back(changes, num_weights):
    config = dataclasses.replace(CONFIG, **changes)
    assert networks.num_weights(config) == num_weights
    weights = jnp.arange(float(num_weights))
    tree = networks.weights_as_tree(weights, config)
    np.testing.assert_array_equal(jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)]), weights)
    shape = jax.eval_shape(lambda: networks.init_weights(jax.random.key(0), config)).shape
    assert shape == (num_weights,)


def test_first_weights_are_uniform_within_one_over_the_root_of_the_inputs():
    """Kernels and biases of all layers, Kolmogorov-Smirnov; a right network would fail for one key in 1000 here."""
    config = dataclasses.replace(CONFIG, hidden_sizes=(256, 64))
    weights = np.asarray(jax.jit(lambda key: networks.init_weights(key, config))(jax.random.key(5)))
    begin = 0
    for inputs, size in ((6, 256), (256, 64), (64, 4)):
        for length in (size, inputs * size):
            part, bound = weights[begin : begin + length], 1 / math.sqrt(inputs)
            assert np.abs(part).max() <= bound
            uniform = scipy.stats.uniform(-bound, 2 * bound)
            assert scipy.stats.kstest(part, uniform.cdf).pvalue > 1e-3 / 6
            begin += length
    assert begin == len(weights)
    # No layer is a copy of another: float32 uniforms of 23 bits collide now and then, by the birthday.
    assert len(np.unique(weights * np.repeat([1, 3, 7], [7 * 256, 257 * 64, 65 * 4]))) > 0.99 * len(weights)


def test_two_keys_give_different_first_weights_and_one_key_the_same():
    init = jax.jit(lambda key: networks.init_weights(key, CONFIG))
    one, same, raw, other = (
        np.asarray(init(key))
        for key in (jax.random.key(1), jax.random.key(1), jax.random.PRNGKey(1), jax.random.key(2))
    )
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(one, raw)
    assert not np.isin(one, other).any()


def test_the_greedy_policy_takes_the_action_of_the_best_value():
    """Of all observations at once by `q_values`, one by one by the policy."""
    weights = jnp.asarray(numbers(networks.num_weights(CONFIG)))
    obs = jnp.asarray(10 * numbers(50, 6, seed=1))
    best = np.argmax(networks.q_values(weights, obs, CONFIG), axis=1)
    policy = networks.greedy(weights, CONFIG)
    actions, carry = jax.jit(jax.vmap(lambda obs: policy.act(policy.params, (), obs, None)))(obs)
    assert actions.dtype == jnp.int32
    assert carry == ()
    np.testing.assert_array_equal(actions, best)
    assert len(set(best.tolist())) > 1


def test_greedy_policies_of_one_network_share_a_compiled_program():
    traced = []

    @jax.jit
    def act(policy, obs):
        traced.append(policy)
        return policy.act(policy.params, policy.carry, obs, None)

    for seed in (0, 1):
        weights = jnp.asarray(numbers(networks.num_weights(CONFIG), seed=seed))
        act(networks.greedy(weights, dataclasses.replace(CONFIG)), jnp.zeros(6))
    assert len(traced) == 1


# Hand results. A fresh patient; and one with alertness 8.5, hypertension 6, blood alcohol at the peak, 32 half-hours
# awake, 8 half-hours of work in e^4 - 1 half-hours of an episode.
ELAPSED = math.expm1(4.0)
FEATURES = {
    "fresh": ([1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [
        math.tanh(0.5), math.tanh(2), math.log(2) / 3, math.log(2), 0, 0, 0, math.exp(-0.5 * 6.75**2), math.tanh(-1), 0,
        -1,
    ]),
    "old": ([8.5, 6.0, 0.135, 32.0, ELAPSED, 8.0], [
        math.tanh(8), math.tanh(32), math.log(9.5) / 3, math.log(1 + 8.5 * 48 / (48 + ELAPSED)), math.tanh(6),
        math.tanh(1), math.tanh(2.7), 1, math.tanh(1), math.tanh(16 / ELAPSED), 0,
    ]),
    "tired": ([-8.5, 0.0, 0.0, 0.0, 0.0, 0.0], [
        math.tanh(-9), math.tanh(-36), -math.log(9.5) / 3, -math.log(9.5), 0, 0, 0, math.exp(-0.5 * 6.75**2),
        math.tanh(-1), 0, -1,
    ]),
}  # fmt: skip


@pytest.mark.parametrize("who", FEATURES)
def test_heartpole_features_are_those_worked_out_by_hand(who):
    obs, expected = FEATURES[who]
    days = (obs[4] + 48) / 48
    more = [math.log(1 + days * obs[1]) / 2, min(days * obs[1] / 20, 4)]
    for name, values in (("heartpole", expected), ("heartpole-days", expected + more)):
        features = transforms.TRANSFORMS[name].features
        np.testing.assert_allclose(features(np.array(obs)), values, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(features(jnp.array(obs), jnp), values, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(transforms.TRANSFORMS["raw"].features(np.array(obs)), obs)


def test_features_stay_small_whatever_a_patient_does():
    """1000 decisions to stay awake, to sleep, to drink coffee or beer, or or to work most: all features within 4.1."""
    obs = np.array(
        [
            [-958, 0.0, 0.0, 1000, 1000, -600], [1.3, 0.0, 0.0, 0, 17_000, 1000], [500, 9.7, 0.0, 1000, 1000, 10],
            [-700, 9.7, 0.97, 1000, 1000, -500], [2.0, 0.0, 0.135, 1000, 1000, 3000],
        ]
    )  # fmt: skip
    features = np.abs(transforms.heartpole_days_features(obs))
    assert features.max() < 4.1
    assert features[:, -1].max() == 4


def test_the_value_scale_of_heartpole_days_is_one_over_the_days_so_far():
    obs = np.zeros((4, 6))
    obs[:, 4] = [0, 48, 96, 48 * 99]
    np.testing.assert_allclose(transforms.TRANSFORMS["heartpole-days"].value_scale(obs), [1, 1 / 2, 1 / 3, 1 / 100])
    for name in ("raw", "heartpole"):
        np.testing.assert_array_equal(transforms.TRANSFORMS[name].value_scale(obs), np.ones(4))
