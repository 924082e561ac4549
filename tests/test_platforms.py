"""What is chosen by platform: the accelerator's choices, run here, give what the CPU's give."""

import jax
import numpy as np
import probe_environments
import pytest

import heartpole_jax as hp
from agents import dqn
from agents.dqn.config import DQNConfig, Hyperparams
from heartpole_jax import gradients, platforms

pytestmark = pytest.mark.once


@pytest.fixture
def on_accelerator(monkeypatch):
    """Programs traced in this test are those of an accelerator."""
    jax.clear_caches()
    yield lambda: monkeypatch.setattr(platforms, "default_platform", lambda: "gpu")
    jax.clear_caches()


def close(a, b, **tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **(tolerance or {"rtol": 1e-5, "atol": 1e-5}))


@pytest.mark.parametrize("num_steps", [1, 3, 11])
def test_a_rollout_of_an_accelerator_has_the_same_noise_and_results(num_steps, on_accelerator):
    """Noise bit for bit: RANDOM_NOISE shows it as rewards and records. 1 and 3 steps are fewer than are unrolled, 11 no
    multiple of it."""

    def roll(policy, env, **options):
        return jax.device_get(
            hp.rollout(policy, jax.random.key(5), env=env, num_steps=num_steps, **{"num_envs": 3} | options)
        )

    def both():
        sampled = roll(
            probe_environments.random_policy(2**16), probe_environments.pure_noise(), autoreset=True, total=None,
            record=lambda t: (t.info, t.action, t.obs),
        )  # fmt: skip
        policy, env = probe_environments.random_policy(4), hp.make("HeartPole-v0")
        # Four patients without records are filled up to five.
        return sampled, (roll(policy, env, record=hp.everything), roll(policy, env, num_envs=4, block_envs=4))

    sampled, patients = both()
    on_accelerator()
    sampled_again, patients_again = both()
    close(sampled, sampled_again, rtol=0)
    close(patients, patients_again)


def test_a_rollout_of_totals_on_an_accelerator_has_an_odd_number_of_patients(on_accelerator):
    """docs/development/accelerators.md has the reason. Not with records, whose copy costs more."""

    def widths(num_envs, **options):
        roll = lambda key: hp.rollout(hp.policies.always(1), key, num_envs=num_envs, num_steps=4, **options)
        return {n for n in (6, 7) if f"f32[{n}]" in str(jax.make_jaxpr(roll)(jax.random.key(0)).jaxpr.eqns[-1])}

    on_accelerator()
    assert 7 in widths(6)
    assert widths(6, record=lambda transition: transition.reward) == {6}


def test_training_on_an_accelerator_takes_the_same_random_numbers(on_accelerator):
    """Actions, resets and batches are the same: after a few updates everything agrees but for rounding."""
    config = DQNConfig(hidden_sizes=(12, 12), transform="heartpole", num_envs=2, buffer_size=264, steps_per_iteration=6)
    hyperparams = Hyperparams(learning_starts=20)

    def train():
        train_state = dqn.init(jax.random.key(1), hyperparams, config)
        return jax.device_get(dqn.train_chunk(train_state, hyperparams, config, num_iterations=16)[0].buffer)

    here = train()
    on_accelerator()
    close(here, train(), rtol=1e-4, atol=1e-4)


def test_gradients_on_an_accelerator_take_more_sequences_at_a_time(on_accelerator):
    def value():
        found = gradients.estimate(
            "heart_attacks", jax.random.key(0), policy=hp.policies.always(1), wrt="hypertension_decay",
            estimator="marginal", num_episodes=256, num_steps=3,
        )  # fmt: skip
        return found.gradient.mean["hypertension_decay"]

    here = value()
    on_accelerator()
    assert float(value()) == pytest.approx(float(here), rel=1e-4)


def test_the_platform_is_that_of_the_default_device():
    choice = platforms.ByPlatform(cpu="small", accelerator="large")
    assert choice.here() == choice.on("cpu") == "small"
    assert choice.on("gpu") == choice.on("tpu") == "large"
    with jax.default_device(jax.devices("cpu")[0]):
        assert platforms.default_platform() == "cpu"
    with jax.default_device("cpu"):
        assert platforms.default_platform() == "cpu"
