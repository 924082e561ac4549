"""Whatever a patient does and whatever state they are in: properties of step, hunted for counterexamples."""

import dataclasses

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import example, given, settings

import heartpole_jax as hp

ENVS = 32
STEPS = 60
# time_elapsed is int32: 17 half-hours a step must fit on top of it.
LATEST = 2**31 - 1 - 17 * STEPS


def numbers(low, high, shape=ENVS):
    return hnp.arrays(np.float32, shape, elements=st.floats(low, high, width=32, allow_subnormal=False))


def counts(high):
    return hnp.arrays(np.int32, ENVS, elements=st.integers(0, high))


states = st.builds(
    hp.EnvState,
    alertness=numbers(-(2.0**99), 2.0**99),  # 2^99 is 6e29
    hypertension=numbers(0, 2.0**99),
    intoxication=numbers(0, 2.0**99) | numbers(0.0, 0.25),
    time_since_slept=counts(LATEST) | counts(100),
    time_elapsed=counts(LATEST) | counts(100),
    work_done=numbers(-(2.0**99), 2.0**99),
    num_steps=counts(2000),
)
noises = st.builds(
    hp.Noise,
    **{
        name: hnp.arrays(np.int32, ENVS, elements=st.integers(0, 2**24 - 1)).map(lambda x: (x * 2.0**-24).astype("f4"))
        for name in ("alertness", "hypertension", "intoxication", "heart_attack")
    },
)
actions = hnp.arrays(np.int32, ENVS, elements=st.integers(0, 3))

step_all = jax.jit(jax.vmap(hp.transition_info))
step_one = jax.jit(hp.transition_info)


@jax.jit
def live(actions, seed):
    """A whole episode of each environment: actions (ENVS, STEPS) -> obs (ENVS, STEPS + 1, 6), rewards, info."""

    def one(actions, start_key, data):
        state, obs = hp.reset(start_key)

        def body(state, action_and_data):
            action, data = action_and_data
            noise = hp.sample_noise(jax.random.wrap_key_data(data))
            state, obs, reward, _, info = hp.transition_info(state, action, noise)
            return state, (obs, reward, info)

        _, (later, rewards, info) = jax.lax.scan(body, state, (actions, data))
        return jnp.concatenate([obs[None], later]), rewards, info

    start_key, step_key = jax.random.split(jax.random.key(seed))
    data = jax.random.key_data(jax.random.split(step_key, (ENVS, STEPS)))
    return jax.vmap(one)(actions, jax.random.split(start_key, ENVS), data)


@given(hnp.arrays(np.int32, (ENVS, STEPS), elements=st.integers(0, 3)), st.integers(0, 2**31 - 1))
def test_no_episode_breaks_the_ranges_of_the_spec(actions, seed):
    obs, rewards, info = jax.device_get(live(actions, seed))
    _, hypertension, intoxication, awake, time, work = np.moveaxis(obs, -1, 0)
    assert np.isfinite(obs).all()
    assert np.isfinite(rewards).all()
    assert (hypertension >= 0).all()
    assert (intoxication >= 0).all()
    half_hours = np.where(actions == hp.Action.SLEEP, 17, 1)
    np.testing.assert_array_equal(np.diff(time), half_hours)
    np.testing.assert_array_equal(info.half_hours, half_hours)
    np.testing.assert_array_equal(awake[:, 1:], np.where(actions == hp.Action.SLEEP, 1, awake[:, :-1] + 1))
    assert ((info.heart_attack_risk > 0) & (info.heart_attack_risk <= 0.5)).all()
    np.testing.assert_array_equal(hypertension[:, 1:][info.heart_attack], 0)
    # The rewards without their penalties add up to the final score, W / t.
    gains = (rewards + 100.0 * info.heart_attack).sum(axis=1, dtype=float)
    np.testing.assert_allclose(gains, work[:, -1] / time[:, -1], atol=2e-5 * (1 + info.heart_attack.sum(axis=1).max()))


@given(states, actions, noises)
def test_a_step_from_any_state_is_finite_and_keeps_the_ranges(state, action, noise):
    after, obs, reward, done, info = jax.device_get(step_all(state, action, noise))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((after, obs, reward, info)))
    assert (after.hypertension >= 0).all()
    assert (after.intoxication >= 0).all()
    asleep = action == hp.Action.SLEEP
    np.testing.assert_array_equal(after.time_elapsed - state.time_elapsed, np.where(asleep, 17, 1))
    np.testing.assert_array_equal(after.time_since_slept, np.where(asleep, 1, state.time_since_slept + 1))
    np.testing.assert_array_equal(after.num_steps, state.num_steps + 1)
    np.testing.assert_array_equal(done, state.num_steps + 1 >= 1000)
    assert ((info.heart_attack_risk >= 0) & (info.heart_attack_risk <= 0.5)).all()


@settings(max_examples=10)
@given(states, actions, noises)
def test_vmap_is_a_python_loop(state, action, noise):
    together = jax.device_get(step_all(state, action, noise))
    for index in range(0, ENVS, 5):
        alone = step_one(*jax.tree.map(lambda x, index=index: jnp.asarray(x[index]), (state, action, noise)))
        close(jax.tree.map(lambda x, index=index: x[index], together), alone)


@settings(max_examples=5)
@given(states, actions, noises)
def test_jit_is_no_jit(state, action, noise):
    for index in range(0, ENVS, 11):
        arguments = jax.tree.map(lambda x, index=index: jnp.asarray(x[index]), (state, action, noise))
        close(step_one(*arguments), hp.transition_info(*arguments))


@given(states, actions, noises)
def test_gradients_are_finite_from_any_state(state, action, noise):
    slopes = jax.device_get(gradients(state, action, noise))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@jax.jit
@jax.vmap
def gradients(state, action, noise):
    """Of the reward, penalty and all, in the floats of the state and of the noise."""
    floats = ("alertness", "hypertension", "intoxication", "work_done")

    def reward(values, noise):
        varied = dataclasses.replace(state, **dict(zip(floats, values, strict=True)))
        return hp.transition(varied, action, noise, hp.EnvParams(expected_penalty=1.0))[2]

    return jax.grad(reward, argnums=(0, 1))([getattr(state, name) for name in floats], noise)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
@example(0, 0)
@example(2**32 - 1, 2**32 - 1)
def test_noise_is_in_range_for_every_key(first, second):
    noise = sample(np.array([first, second], np.uint32))
    assert all(0 <= float(u) < 1 for u in jax.tree.leaves(noise))


sample = jax.jit(hp.sample_noise)


def close(a, b):
    """Equal to some units in the last place, for sums of large numbers of those: programs round in their own order."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(np.asarray(x, float), np.asarray(y, float), rtol=3e-6, atol=1e-6)
