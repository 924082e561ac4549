"""Environments stepped from Python: the numbers of `hp.rollout`, through episodes, in every mode of resetting."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heartpole_jax as hp
from heartpole_jax import threefry
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.interop import stepping
from heartpole_jax.interop.layout import Autoreset

pytestmark = pytest.mark.once

NUM_STEPS, MAX_STEPS = 30, 7
# Programs of other shapes may round the last digit of an alertness or so differently, and steps add that up.
close = functools.partial(pytest.approx, rel=2e-5, abs=2e-6)
PARAMS = hp.EnvParams(max_steps=MAX_STEPS, heart_attack_proclivity=1.0, heart_attack_threshold=1.0)


def lone_environment(autoreset=Autoreset.NEVER, seed=5, params=PARAMS):
    envs = stepping.Envs(HEARTPOLE_V0, params, 1, autoreset)
    return envs, reset(envs, seed)


def reset(envs, seed=None):
    one = np.ones(1, bool)
    words = np.zeros((1, 2), np.uint32) if seed is None else stepping.seed_words(seed)[None]
    return envs.reset(words, one if seed is not None else ~one, one)


def actions(seed=0, num=NUM_STEPS):
    return np.random.default_rng(seed).integers(0, 4, num)


@pytest.mark.parametrize("action", list(hp.Action))
def test_a_lone_environment_that_is_reset_when_it_ends_is_the_one_environment_of_a_rollout(action):
    policy = hp.Policy(act=lambda params, carry, obs, draw: (params, carry), params=jnp.int32(action))
    records = hp.rollout(
        policy, jax.random.key(5), PARAMS, num_envs=1, num_steps=NUM_STEPS, record=hp.everything, autoreset=True
    ).records
    envs, obs = lone_environment()
    for t in range(NUM_STEPS):
        np.testing.assert_allclose(obs, records.obs[t], rtol=2e-5, atol=1e-6)
        outcome = envs.step_lone(int(action))
        np.testing.assert_allclose(outcome.obs, records.next_obs[t, 0], rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(outcome.reward, records.reward[t, 0], rtol=2e-5, atol=1e-6)
        assert outcome.truncated == bool(records.done[t, 0]) == ((t + 1) % MAX_STEPS == 0)
        assert outcome.info["heart_attack"] == bool(records.info.heart_attack[t, 0])
        assert outcome.terminated is False
        obs = reset(envs) if outcome.truncated else outcome.obs[None]
    if action is hp.Action.COFFEE:
        assert records.info.heart_attack.sum() >= 2


def test_a_step_is_the_functional_cores_for_the_same_key():
    words = threefry.fold_in(jax.random.key(5), 0)
    envs, _ = lone_environment()
    state = envs.state()
    step = jax.jit(hp.transition_info)
    for t, action in enumerate(actions(num=MAX_STEPS)):
        key = threefry.key_at(words, jnp.uint32(0), jnp.uint32(t))
        state, obs, reward, done, info = step(state, int(action), hp.sample_noise(key), PARAMS)
        outcome = envs.step_lone(int(action))
        np.testing.assert_allclose(outcome.obs, obs, rtol=2e-6, atol=1e-6)
        np.testing.assert_allclose(outcome.reward, reward, rtol=2e-6, atol=1e-6)
        assert outcome.truncated == bool(done)
        assert outcome.info == {
            "productivity": pytest.approx(float(info.productivity), rel=2e-6),
            "half_hours": int(info.half_hours),
            "heart_attack_risk": pytest.approx(float(info.heart_attack_risk), rel=2e-6),
            "heart_attack": bool(info.heart_attack),
            "cost": float(info.heart_attack),
        }


@pytest.mark.parametrize("autoreset", [Autoreset.NEXT_STEP, Autoreset.SAME_STEP])
def test_the_modes_of_resetting_live_the_same_episodes(autoreset):
    """An environment that waits, reset by hand, against one that resets by itself: the same numbers, nothing lost."""
    by_hand, first = lone_environment()
    envs, obs = lone_environment(autoreset)
    np.testing.assert_array_equal(first, obs)
    for action in actions():
        expected = by_hand.step_lone(int(action))
        outcome = envs.step(np.array([action], np.int32))
        assert outcome.reward[0] == close(expected.reward)
        assert outcome.truncated[0] == expected.truncated
        assert {name: values[0] for name, values in outcome.info.items()} == close(expected.info)
        if not expected.truncated:
            assert outcome.obs[0] == close(expected.obs)
            continue
        begun = reset(by_hand)
        if autoreset is Autoreset.SAME_STEP:
            assert outcome.last_obs[0] == close(expected.obs)
        else:
            assert outcome.obs[0] == close(expected.obs)
            outcome = envs.step(np.array([3], np.int32))
            assert not outcome.stepped[0]
            assert outcome.reward[0] == 0
            assert not outcome.truncated[0]
        np.testing.assert_array_equal(outcome.obs, begun)


def test_environments_are_as_many_lone_environments():
    words = np.stack([stepping.seed_words(seed) for seed in (3, 1, 4)])
    everyone = np.ones(3, bool)
    envs = stepping.Envs(HEARTPOLE_V0, PARAMS, 3)
    obs = envs.reset(words, everyone, everyone)
    alone = [lone_environment(seed=seed) for seed in (3, 1, 4)]
    np.testing.assert_allclose(obs, np.concatenate([obs for _, obs in alone]), rtol=1e-6)
    batch = np.array([1, 2, 3], np.int32)
    for _ in range(5):
        outcome = envs.step(batch)
        for i, (index, _) in enumerate(alone):
            expected = index.step_lone(int(batch[i]))
            np.testing.assert_allclose(outcome.obs[i], expected.obs, rtol=2e-6, atol=1e-6)
            np.testing.assert_allclose(outcome.reward[i], expected.reward, rtol=2e-6, atol=1e-6)


def test_a_reset_of_some_environments_leaves_the_others_alone():
    envs = stepping.Envs(HEARTPOLE_V0, PARAMS, 2)
    words, everyone = np.stack([stepping.seed_words(seed) for seed in (0, 1)]), np.ones(2, bool)
    envs.reset(words, everyone, everyone)
    before = envs.step(np.array([1, 1], np.int32)).obs
    obs = envs.reset(words, ~everyone, np.array([True, False]))
    np.testing.assert_array_equal(obs[1], before[1])
    assert obs[0, 4] == 0
    assert before[1, 4] == 1


def test_two_resets_in_a_row_are_two_episodes_and_a_seed_begins_anew():
    envs, first = lone_environment()
    second, third = reset(envs), reset(envs)
    assert len({obs[0, 0] for obs in (first, second, third)}) == 3
    np.testing.assert_array_equal(reset(envs, seed=5), first)


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**31 - 1])
def test_seed_words_are_those_of_jaxs_key(seed):
    np.testing.assert_array_equal(
        stepping.seed_words(seed), jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))
    )


def test_seeds_of_any_size_differ():
    seeds = (1, 2**32 + 1, 2**64 + 1, 2**127)
    assert len({tuple(stepping.seed_words(seed)) for seed in seeds}) == 4


def test_sixty_four_bits_give_the_same_to_float32(x64):
    envs, obs = lone_environment()
    with jax.enable_x64(False):
        others, _ = lone_environment()
        expected = others.step_lone(1)
    assert obs.dtype == np.float32
    outcome = envs.step_lone(1)
    assert outcome.obs.dtype == np.float32
    assert np.isfinite(outcome.reward)
    assert expected.truncated == outcome.truncated


def test_a_second_instance_of_other_parameters_compiles_nothing_new():
    lone_environment()[0].step_lone(1)
    before = stepping._step._cache_size(), stepping._reset._cache_size()
    envs, _ = lone_environment(params=hp.EnvParams(max_steps=3, heart_attack_proclivity=0.25))
    assert [envs.step_lone(0).truncated for _ in range(3)] == [False, False, True]
    assert (stepping._step._cache_size(), stepping._reset._cache_size()) == before
