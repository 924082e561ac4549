"""No step of HeartPole-v1 breaks, from wherever it starts; nor do its gradients."""

import dataclasses

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from oracle import as_noise, as_state

from heartpole_jax.envs import heartpole_v1
from heartpole_jax.envs.heartpole_v1 import EnvParams

pytestmark = pytest.mark.once


def test_a_calm_patients_hypertension_has_its_whole_gradient(x64):
    """0.97 and not half of it: a maximum with 0 would take the mean of its two sides there."""
    state = as_state((1.0, 0, 0, 0, 0, 0, 0, 0), heartpole_v1)

    def hypertension(h):
        return heartpole_v1.transition(
            dataclasses.replace(state, hypertension=h), 0, as_noise((0.5, 0.25, 0.75, 0.9999))
        )[0].hypertension

    assert float(jax.grad(hypertension)(0.0)) == pytest.approx(0.97, rel=1e-12)


def numbers(low, high):
    return hnp.arrays(np.float32, 32, elements=st.floats(low, high, width=32, allow_subnormal=False))


def counts(high):
    return hnp.arrays(np.int32, 32, elements=st.integers(0, high))


states = st.builds(
    heartpole_v1.EnvState,
    alertness=numbers(-(2.0**99), 2.0**99) | numbers(-1, 4),
    hypertension=numbers(0, 2.0**99) | numbers(0, 10),
    intoxication=numbers(0, 2.0**99) | numbers(0.0, 0.25),
    time_since_slept=counts(2**30) | counts(100),
    time_elapsed=counts(2**30) | counts(2000),
    work_done=numbers(0, 2.0**99),
    stimulation=numbers(0, 2.0**99) | numbers(0, 4),
    impairment=numbers(0, 2.0**99) | numbers(0, 4),
    num_steps=counts(2000),
)
noises = hnp.arrays(np.int32, (32, 4), elements=st.integers(0, 2**24 - 1)).map(lambda x: (x * 2.0**-24).astype("f4"))
step_all = jax.jit(jax.vmap(lambda state, action, u: heartpole_v1.transition_info(state, action, as_noise(u))))


@jax.jit
@jax.vmap
def gradients(state, action, noise):
    """Of the reward, penalty and all, in the floats of the state and in the noise."""
    floats = [name for name, value in vars(state).items() if value.dtype == jnp.float32]

    def reward(values, noise):
        varied = dataclasses.replace(state, **dict(zip(floats, values, strict=True)))
        return heartpole_v1.transition(varied, action, as_noise(noise), EnvParams(expected_penalty=1.0))[2]

    return jax.grad(reward, argnums=(0, 1))([getattr(state, name) for name in floats], noise)


@settings(max_examples=25)
@given(states, hnp.arrays(np.int32, 32, elements=st.integers(0, 7)), noises)
def test_a_step_from_any_state_is_finite_with_finite_gradients_and_keeps_the_ranges(state, action, noise):
    after, obs, reward, done, info = jax.device_get(step_all(state, action, noise))
    slopes = jax.device_get(gradients(state, action, noise))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((after, obs, reward, info, slopes)))
    assert min(after.hypertension.min(), after.intoxication.min(), info.productivity.min()) >= 0
    assert ((info.heart_attack_risk >= 0) & (info.heart_attack_risk <= 1)).all()
    half_hours = np.array([1, 1, 1, 17, 2, 2, 1, 2])[action]
    np.testing.assert_array_equal(after.time_elapsed - state.time_elapsed, half_hours)
    np.testing.assert_array_equal(after.time_since_slept, np.where(action == 3, 1, state.time_since_slept + half_hours))
    np.testing.assert_array_equal(done, after.time_elapsed >= 1344)
