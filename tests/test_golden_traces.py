"""HeartPole-v0 against 33 episodes of the published package, replayed draw by draw."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import NO_ATTACK, as_noise, golden_traces, published_transitions, reward_tolerance, transitions

import heartpole_jax as hp


@pytest.fixture(scope="module")
def golden():
    return golden_traces()


def replay(golden):
    """Ours through the same actions and noise: states (33, 401, 6), rewards (33, 400), StepInfo of (33, 400)."""

    def episode(wake_up, actions, noise):
        def step(state, action_and_noise):
            action, noise = action_and_noise
            state, obs, reward, _, info = hp.transition_info(state, action, as_noise(noise))
            return state, (obs, reward, info)

        start = hp.initial_state(wake_up)
        _, (obs, rewards, info) = jax.lax.scan(step, start, (actions, noise))
        return jnp.concatenate([hp.observe(start)[None], obs]), rewards, info

    inputs = jnp.asarray(golden["wake_up"]), jnp.asarray(golden["actions"]), jnp.asarray(golden["noise"])
    return jax.device_get(jax.jit(jax.vmap(episode))(*inputs))


def test_the_traces_are_the_ones_described(golden):
    assert golden["states"].shape == (33, 401, 6)
    assert golden["heart_attacks"].sum() == 61
    assert tuple(golden["observation_names"]) == hp.heartpole_v0.OBS_NAMES
    assert (golden["noise"] == golden["noise"].astype(np.float32)).all()


def test_in_float64_every_number_of_every_trace_is_met(golden, x64):
    """Within 1e-12, and in work_done beyond 4096 within two units in the last place: its additions round."""
    states, rewards, info = replay(golden)
    assert states.dtype == rewards.dtype == np.float64
    assert (np.abs(states - golden["states"]) <= np.maximum(1e-12, 2 * np.spacing(np.abs(golden["states"])))).all()
    np.testing.assert_allclose(rewards, golden["rewards"], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(info.heart_attack, golden["heart_attacks"])


def test_in_float64_one_step_from_any_recorded_state_is_met_within_a_unit_in_the_last_place(golden, x64):
    states, actions = golden["states"][:, :-1].reshape(-1, 6), golden["actions"].reshape(-1)
    obs, rewards, _ = transitions(states, actions, golden["noise"].reshape(-1, 4))
    expected = golden["states"][:, 1:].reshape(-1, 6)
    assert (np.abs(obs - expected) <= np.maximum(1e-12, np.spacing(np.abs(expected)))).all()
    np.testing.assert_allclose(rewards, golden["rewards"].reshape(-1), rtol=0, atol=1e-12)


def test_in_float32_states_stay_within_1e_5_of_the_traces(golden):
    states, _, info = replay(golden)
    assert states.dtype == np.float32
    largest = np.abs(golden["states"]).max(axis=(0, 1))
    assert (np.abs(states - golden["states"]) <= 1e-5 * largest).all()
    on_the_edge = np.abs(golden["noise"][..., 3] - info.heart_attack_risk) <= 1e-6
    assert on_the_edge.sum() <= 1
    np.testing.assert_array_equal((info.heart_attack != golden["heart_attacks"]) & ~on_the_edge, False)


@pytest.mark.parametrize("time_elapsed", [None, 1_000_000], ids=["as recorded", "a million half-hours"])
def test_in_float32_the_reward_does_not_cancel(golden, time_elapsed):
    """From each recorded state, cast to float32; and from the same score after a million half-hours."""
    states = golden["states"][:, :-1].reshape(-1, 6).astype(np.float32)
    if time_elapsed is not None:
        states[:, 5] *= time_elapsed / np.maximum(states[:, 4], 1)
        states[:, 4] = time_elapsed
    actions, noise = golden["actions"].reshape(-1), golden["noise"].reshape(-1, 4).copy()
    noise[:, 3] = NO_ATTACK
    obs, rewards, attacks = published_transitions(states, actions, noise)
    _, ours, info = transitions(states, actions, noise)
    assert not attacks.any()
    assert not info.heart_attack.any()
    error = np.abs(np.asarray(ours, float) - rewards)
    assert (error <= reward_tolerance(states, actions, obs)).all()
