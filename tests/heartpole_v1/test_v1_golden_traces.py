"""HeartPole-v1 against 16 episodes of the NumPy oracle, on the same noise."""

import jax
import jax.numpy as jnp
import numpy as np
import oracle_v1
import pytest
from oracle import as_noise, as_state

from heartpole_jax.envs import heartpole_v1, menu


@pytest.fixture(scope="module")
def golden():
    with np.load(oracle_v1.TRACES) as data:
        return {name: array.astype(float) if array.dtype == np.float32 else array for name, array in data.items()}


def replay(golden):
    """Ours through the same actions and noise: states (16, 201, 8), rewards (16, 200), StepInfo of (16, 200)."""

    def episode(wake_up, actions, noise):
        def step(state, action_and_noise):
            action, values = action_and_noise
            state, obs, reward, _, info = heartpole_v1.transition_info(state, action, as_noise(values))
            return state, (obs, reward, info)

        start = heartpole_v1.initial_state(wake_up)
        _, (obs, rewards, info) = jax.lax.scan(step, start, (actions, noise))
        return jnp.concatenate([heartpole_v1.observe(start)[None], obs]), rewards, info

    inputs = (jnp.asarray(golden[name]) for name in ("wake_up", "actions", "noise"))
    return jax.device_get(jax.jit(jax.vmap(episode))(*inputs))


def one_step_each(golden):
    """Ours from every recorded state: obs (3200, 8), rewards and StepInfo of (3200,)."""

    @jax.jit
    @jax.vmap
    def step(values, action, noise):
        _, obs, reward, _, info = heartpole_v1.transition_info(as_state(values, heartpole_v1), action, as_noise(noise))
        return obs, reward, info

    states, actions = golden["states"][:, :-1].reshape(-1, 8), golden["actions"].reshape(-1)
    return jax.device_get(step(states, actions, golden["noise"].reshape(-1, 4)))


def test_the_traces_are_those_that_the_oracle_makes(golden):
    assert golden["states"].shape == (16, 201, 8)
    assert golden["heart_attacks"].sum() == 36
    assert tuple(golden["observation_names"]) == heartpole_v1.OBS_NAMES == oracle_v1.NAMES
    assert [row.name for row in menu.default().actions] == list(oracle_v1.MENU)
    for episode in (0, 6, 15):
        again = oracle_v1.simulate(*(golden[name][episode] for name in ("wake_up", "actions", "noise")))
        for name, value in zip(("states", "rewards", "risks", "heart_attacks"), again, strict=True):
            np.testing.assert_allclose(golden[name][episode], value, rtol=1e-13, atol=1e-15)


def test_in_float64_every_number_of_every_episode_is_met(golden, x64):
    """Within 1e-12, and in the large sums of alertness and work within a few units in the last place."""
    states, rewards, info = replay(golden)
    assert states.dtype == rewards.dtype == np.float64
    assert (np.abs(states - golden["states"]) <= np.maximum(1e-12, 8 * np.spacing(np.abs(golden["states"])))).all()
    np.testing.assert_allclose(rewards, golden["rewards"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(info.heart_attack_risk, golden["risks"], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(info.heart_attack, golden["heart_attacks"])


def test_in_float64_one_step_from_any_recorded_state_is_met_to_1e_12(golden, x64):
    obs, rewards, info = one_step_each(golden)
    np.testing.assert_allclose(obs, golden["states"][:, 1:].reshape(-1, 8), rtol=1e-15, atol=1e-12)
    np.testing.assert_allclose(rewards, golden["rewards"].reshape(-1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(info.heart_attack_risk, golden["risks"].reshape(-1), rtol=0, atol=1e-13)


def test_in_float32_every_episode_stays_within_1e_5(golden):
    """Of the largest value of each variable; and every heart attack is the same."""
    states, rewards, info = replay(golden)
    assert states.dtype == rewards.dtype == np.float32
    largest = np.abs(golden["states"]).max(axis=(0, 1))
    assert (np.abs(states - golden["states"]) <= 1e-5 * largest).all()
    np.testing.assert_array_equal(info.heart_attack, golden["heart_attacks"])
    np.testing.assert_allclose(info.heart_attack_risk, golden["risks"], rtol=1e-5)


def test_in_float32_the_reward_and_the_risk_of_a_step_are_met_to_1e_5(golden):
    _, rewards, info = one_step_each(golden)
    np.testing.assert_allclose(rewards, golden["rewards"].reshape(-1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(info.heart_attack_risk, golden["risks"].reshape(-1), rtol=3e-6)
