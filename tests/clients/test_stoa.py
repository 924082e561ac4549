"""Our environments as stoa's, under stoa's own wrappers: what stands at the end of an episode, written by hand.

Stoix, which is built on stoa, is on no package index and is not run here.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest
from contract import check_own_buffers

import heartpole_jax as hp

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # stoa imports brax and others, whose imports are deprecated
    stoa = pytest.importorskip("stoa", reason="see tests/clients/requirements.txt")

from stoa.core_wrappers.auto_reset import CachedAutoResetWrapper
from stoa.core_wrappers.vmap import VmapWrapper

from heartpole_jax.interop.stoa import to_stoa

pytestmark = pytest.mark.usefixtures("reused_keys_raise")

# stoa's automatic resets split the key of an episode that has ended, and select between it and the next one's; the
# cached one begins every episode with the key of the first.
keys_are_used_again = pytest.mark.usefixtures("key_reuse")

FIRST, MID, TERMINATED, TRUNCATED = 0, 1, 2, 3


@pytest.fixture
def key_reuse(reused_keys_raise):
    with jax.debug_key_reuse(False):
        yield


def test_every_array_of_a_reset_is_its_own():
    for env in ("HeartPole-v0", "HeartPole-v1"):
        check_own_buffers(to_stoa(env).reset(jax.random.key(0)), "reset")


def end_of(timestep):
    """(step type, discount)"""
    return int(timestep.step_type), float(timestep.discount)


def same_layout(timestep, other):
    """The same tree of the same shapes and types, as a scan needs."""
    assert jax.tree.structure(timestep) == jax.tree.structure(other)
    for x, y in zip(jax.tree.leaves(timestep), jax.tree.leaves(other), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)


def test_steps_are_ours_with_the_first_halves_of_the_keys():
    env = to_stoa("HeartPole-v0", hp.EnvParams(max_steps=3, heart_attack_proclivity=1.0))
    state, timestep = env.reset(jax.random.key(7))
    first = timestep
    assert isinstance(env, stoa.Environment)
    assert end_of(timestep) == (FIRST, 1.0)
    assert (timestep.reward.dtype, float(timestep.reward)) == (jnp.float32, 0.0)
    reset_key, key = jax.random.split(jax.random.key(7))
    ours, our_obs = hp.reset(reset_key)
    np.testing.assert_array_equal(timestep.observation, our_obs)

    ends = []
    for action in (1, 3, 2, 0):  # the last beyond the limit: nothing resets
        step_key, key = jax.random.split(key)
        noise = hp.sample_noise(step_key)
        params = hp.EnvParams(max_steps=3, heart_attack_proclivity=1.0)
        ours, our_obs, our_reward, _, our_info = hp.transition_info(ours, action, noise, params)
        state, timestep = env.step(state, jnp.int32(action))
        np.testing.assert_array_equal(timestep.observation, our_obs)
        np.testing.assert_array_equal(timestep.reward, our_reward)
        assert timestep.extras == vars(our_info)
        same_layout(first, timestep)
        ends.append(end_of(timestep))
    assert ends == [(MID, 1.0), (MID, 1.0), (TRUNCATED, 1.0), (TRUNCATED, 1.0)]
    assert timestep.truncated()
    assert timestep.last()
    assert not timestep.terminated()


def test_version_1_is_truncated_by_the_clock_and_has_its_menus_spaces():
    env = to_stoa("HeartPole-v1", hp.heartpole_v1.EnvParams(max_half_hours=20))
    space = env.environment_space()
    assert space.actions.num_values == 8
    np.testing.assert_array_equal(space.observations.minimum, np.array([-np.inf] + [0] * 7, np.float32))
    state, timestep = env.reset(jax.random.key(7))
    step, ends = jax.jit(env.step), []
    for action in (3, 0, 7):  # a night, nothing, cannabis
        state, timestep = step(state, jnp.int32(action))
        assert space.contains(timestep)
        ends.append((*end_of(timestep), float(timestep.observation[4])))
    assert ends == [(MID, 1.0, 17.0), (MID, 1.0, 18.0), (TRUNCATED, 1.0, 20.0)]


@pytest.mark.parametrize("max_steps", [1000, 2])
def test_a_true_end_is_terminated_with_discount_0_at_the_limit_as_well(max_steps):
    env = to_stoa(probe_environments.counter(2), probe_environments.Params(max_steps=max_steps))
    state, _ = env.reset(jax.random.key(0))
    state, timestep = env.step(state, jnp.int32(0))
    assert end_of(timestep) == (MID, 1.0)
    state, timestep = env.step(state, jnp.int32(0))
    assert end_of(timestep) == (TERMINATED, 0.0)


@keys_are_used_again
def test_autoreset_and_metrics_lose_nothing_at_the_limit():
    env = stoa.AutoResetWrapper(to_stoa(params=hp.EnvParams(max_steps=3)), next_obs_in_extras=True)
    env = stoa.RecordEpisodeMetrics(env)
    state, timestep = env.reset(jax.random.key(0))
    step, rewards = jax.jit(env.step), []
    for time in range(1, 8):
        old_state = state
        state, timestep = step(state, jnp.int32(hp.Action.SLEEP))
        rewards.append(float(timestep.reward))
        metrics = timestep.extras["episode_metrics"]
        ended = time in (3, 6)
        assert end_of(timestep) == (TRUNCATED if ended else MID, 1.0)
        assert bool(metrics["is_terminal_step"]) == ended
        # Half-hours: a night of 16 and one of work at each decision, in the true last observation as well.
        assert float(timestep.extras["next_obs"][4]) == 17 * ((time - 1) % 3 + 1)
        assert float(timestep.observation[4]) == (0 if ended else 17 * (time % 3))
        if ended:
            assert int(metrics["episode_length"]) == 3
            np.testing.assert_allclose(metrics["episode_return"], sum(rewards[-3:]), rtol=1e-5)
            # stoa begins the next episode with the first half of the key that is left.
            left = jax.random.split(old_state.rng_key)[1]
            reset_key = jax.random.split(jax.random.split(left)[0])[0]
            np.testing.assert_allclose(timestep.observation, hp.reset(reset_key)[1], rtol=1e-6)
    assert len({round(reward, 6) for reward in rewards}) == 7  # the random numbers go on


@keys_are_used_again
def test_autoreset_distinguishes_a_true_end_from_the_limit():
    ends = []
    for probe in (probe_environments.counter(2), probe_environments.time_limit_only(2)):
        env = stoa.AutoResetWrapper(to_stoa(probe), next_obs_in_extras=True)
        state, _ = env.reset(jax.random.key(0))
        for _ in range(4):
            state, timestep = env.step(state, jnp.int32(0))
            ends.append(end_of(timestep))
    assert ends == [(MID, 1.0), (TERMINATED, 0.0)] * 2 + [(MID, 1.0), (TRUNCATED, 1.0)] * 2


@keys_are_used_again
def test_environments_in_a_scan_end_together_and_each_has_its_noise():
    env = stoa.AutoResetWrapper(to_stoa(params=hp.EnvParams(max_steps=4)), next_obs_in_extras=True)
    env = VmapWrapper(stoa.RecordEpisodeMetrics(env), num_envs=3)
    state, _ = env.reset(jax.random.key(0))
    actions = jnp.full(3, hp.Action.COFFEE, jnp.int32)
    _, timesteps = jax.jit(
        lambda state: jax.lax.scan(lambda state, _: env.step(state, actions), state, None, length=9)
    )(state)
    expected = [TRUNCATED if t in (3, 7) else MID for t in range(9)]
    np.testing.assert_array_equal(timesteps.step_type, np.tile(np.array(expected)[:, None], (1, 3)))
    np.testing.assert_array_equal(timesteps.extras["next_obs"][3, :, 4], [4.0] * 3)
    np.testing.assert_array_equal(timesteps.observation[3, :, 1:], np.zeros((3, 5)))
    assert len(set(np.asarray(timesteps.reward[0]).tolist())) == 3
    lengths = timesteps.extras["episode_metrics"]["episode_length"]
    np.testing.assert_array_equal(lengths[:, 0], [0, 0, 0, 4, 4, 4, 4, 4, 4])


def test_environments_can_have_parameters_of_their_own():
    env = VmapWrapper(to_stoa(), vectorize_over_env_params=True)
    params = jax.tree.map(lambda x: jnp.broadcast_to(x, (2,)), hp.EnvParams()).replace(max_steps=jnp.array([1, 2]))
    state, _ = env.reset(jax.random.split(jax.random.key(0), 2), params)
    _, timestep = env.step(state, jnp.array([0, 0]), params)
    assert timestep.step_type.tolist() == [TRUNCATED, MID]


@keys_are_used_again
def test_other_wrappers_of_stoa_take_it():
    """The cached reset repeats the first start; flattening changes nothing; a step limit comes before ours."""
    env = CachedAutoResetWrapper(to_stoa(params=hp.EnvParams(max_steps=2)), next_obs_in_extras=True)
    state, first = env.reset(jax.random.key(0))
    for _ in range(2):
        state, timestep = env.step(state, jnp.int32(0))
    assert end_of(timestep) == (TRUNCATED, 1.0)
    np.testing.assert_array_equal(timestep.observation, first.observation)
    assert timestep.extras["next_obs"][4] == 2.0

    env = stoa.FlattenObservationWrapper(stoa.EpisodeStepLimitWrapper(to_stoa(), 2))
    state, first = env.reset(jax.random.key(0))
    assert first.observation.shape == (6,)
    for _ in range(2):
        state, timestep = env.step(state, jnp.int32(0))
    assert end_of(timestep) == (TRUNCATED, 1.0)


def test_the_spaces_are_the_tutorials_and_hold_what_a_step_returns():
    env = to_stoa()
    space = env.environment_space()
    assert (space.actions.num_values, space.actions.dtype) == (4, jnp.int32)
    np.testing.assert_array_equal(space.observations.minimum, np.array([-np.inf, 0, 0, 0, 0, -np.inf], np.float32))
    np.testing.assert_array_equal(space.observations.maximum, np.full(6, np.inf, np.float32))
    state, timestep = env.reset(jax.random.key(0))
    assert space.contains(timestep)
    state, timestep = env.step(state, jnp.int32(1))
    assert space.contains(timestep, jnp.int32(3))
    assert not space.contains(timestep, jnp.int32(4))
    assert not space.contains(timestep.replace(observation=timestep.observation.at[1].set(-1.0)))
    assert space.state.contains(vars(state.base_env_state))
    assert set(space.state.spaces) == set(vars(hp.initial_state(0.5)))
    assert not space.state.contains(vars(state.base_env_state) | {"num_steps": jnp.int32(-1)})
    probe = to_stoa(probe_environments.counter(2))
    np.testing.assert_array_equal(probe.observation_space().minimum, [-np.inf, -np.inf])
    assert len(probe.state_space().spaces) == 2


def test_environments_are_equal_to_themselves_alone():
    env = to_stoa()
    assert env == env
    assert env != to_stoa(params=hp.EnvParams(max_steps=5))
    assert len({env, to_stoa()}) == 2
    assert repr(env) == "to_stoa('HeartPole-v0')"


def test_what_is_no_environment_and_no_parameters_is_an_error():
    with pytest.raises(ValueError, match="unknown environment 'HartPole-v0'; did you mean 'HeartPole-v0'"):
        to_stoa("HartPole-v0")
    with pytest.raises(TypeError, match=r"env must be the name of an environment or an Environment, .* got 7"):
        to_stoa(7)
    with pytest.raises(TypeError, match=r"params must be an EnvParams, got 0\.5"):
        to_stoa("HeartPole-v0", 0.5)
    state, _ = to_stoa().reset(jax.random.key(0))
    with pytest.raises(TypeError, match="params must be an EnvParams, got 3"):
        to_stoa().step(state, jnp.int32(0), 3)
