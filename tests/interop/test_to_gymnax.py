"""Ours as gymnax's, held to our own `step` and `reset` of the same key, and to gymnax's CartPole in and out again."""

import dataclasses
import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest
from contract import check_environment, check_own_buffers

import heartpole_jax as hp
from heartpole_jax.envs import menu as menus

gymnax = pytest.importorskip("gymnax", reason="gymnax pins jax < 0.12")

from heartpole_jax.interop.gymnax import from_gymnax, to_gymnax, to_gymnax_legacy  # noqa: E402


def key_of(data):
    return jax.random.wrap_key_data(jnp.asarray(data))


def key_data(num_keys, seed=0):
    """Keys as data, since every one is used by the adapter and by what it is compared with."""
    return np.asarray(jax.random.key_data(jax.random.split(jax.random.key(seed), num_keys)))


def same(expected, got):
    """Equal in every bit."""
    assert jax.tree.structure(expected) == jax.tree.structure(got)
    for x, y in zip(jax.tree.leaves(expected), jax.tree.leaves(got), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def test_every_array_of_a_reset_and_of_a_step_is_its_own():
    for env in (to_gymnax(), to_gymnax_legacy("HeartPole-v1")):
        obs, state = env.reset_env(jax.random.key(0))
        check_own_buffers((obs, state), "reset_env")
    env = from_gymnax("CartPole-v1")
    state, obs = env.reset(jax.random.key(1))
    check_own_buffers((state, obs, env.step(state, 1, jax.random.key(2))[:2]), "step")


@pytest.mark.parametrize("action", [1, np.int8(1), jnp.uint32(1), hp.Action.COFFEE])
def test_gymnax_is_handed_actions_of_one_type(action):
    env, seen = from_gymnax("CartPole-v1"), []
    theirs = env.transition.args[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(theirs), "step_env", lambda self, key, state, action, params: seen.append(action) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            env.step(env.reset(jax.random.key(0))[0], action, jax.random.key(1))
    assert (seen[0].shape, seen[0].dtype, int(seen[0])) == ((), jnp.int32, 1)


def test_an_action_that_gymnax_has_not_is_refused():
    env = from_gymnax("CartPole-v1")
    state, _ = env.reset(jax.random.key(0))
    for action, kind in ((2, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)):
        with pytest.raises(kind, match=r"action must be .*in 0 \.\. 1, got"):
            env.step(state, action, jax.random.key(1))


def test_gymnaxs_environments_as_ours_can_be_pickled():
    env = from_gymnax("CartPole-v1")
    twin = pickle.loads(pickle.dumps(env))
    same(env.reset(key_of(key_data(1)[0])), twin.reset(key_of(key_data(1)[0])))


def test_steps_and_resets_are_ours_of_the_same_key_past_the_limit():
    """Without jit, which would round two programs differently: the same operations give the same bits."""
    env, keys = to_gymnax(), key_data(9)
    params = env.default_params.replace(max_steps_in_episode=6, heart_attack_proclivity=1.0)
    ours = hp.EnvParams(max_steps=6, heart_attack_proclivity=1.0)
    obs, state = env.reset_env(key_of(keys[0]), params)
    our_state, our_obs = hp.reset(key_of(keys[0]), ours)
    same((our_obs, our_state), (obs, state.env_state))
    limits = []
    for time, data in enumerate(keys[1:]):
        obs, state, reward, terminated, info = env.step_env(key_of(data), state, time % 4, params)
        our_info = hp.transition_info(our_state, time % 4, hp.sample_noise(key_of(data)), ours)[4]
        our_state, our_obs, our_reward, done = hp.step(our_state, time % 4, key_of(data), ours)
        same((our_obs, our_state, our_reward), (obs, state.env_state, reward))
        same({**vars(our_info), "discount": jnp.float32(1.0)}, info)
        same(our_obs, env.observe(jax.random.key(1), state, 0, params))
        assert not terminated
        assert int(state.time) == time + 1
        assert bool(env.is_truncated(state, params)) == bool(done)
        limits.append(bool(done))
    assert limits == [False] * 5 + [True] * 3


def test_reset_is_ours_of_the_same_key():
    obs, state = to_gymnax().reset(jax.random.key(5))
    our_state, our_obs = jax.jit(hp.reset)(jax.random.key(5))
    same((our_obs, our_state), (obs, state.env_state))


def test_the_time_limit_is_truncated_and_gives_the_true_last_observation_and_the_next_start():
    """gymnax's `step` splits its key: the first half steps, the second begins the next episode."""
    env, keys = to_gymnax(), key_data(4)
    params = env.default_params.replace(max_steps_in_episode=3)
    obs, state = env.reset(key_of(keys[0]), params)
    ours, _ = hp.reset(key_of(keys[0]))
    for time, data in enumerate(keys[1:]):
        obs, state, reward, terminated, truncated, info = env.step(key_of(data), state, hp.Action.COFFEE, params)
        step_key, reset_key = jax.random.split(key_of(data))
        ours, our_obs, our_reward, _ = hp.step(ours, hp.Action.COFFEE, step_key)
        assert (bool(terminated), bool(truncated), float(info["discount"])) == (False, time == 2, 1.0)
        assert (bool(info["terminated"]), bool(info["truncated"])) == (False, time == 2)
        np.testing.assert_allclose(info["final_observation"], our_obs, rtol=1e-6)
        np.testing.assert_allclose(reward, our_reward, rtol=1e-5, atol=1e-6)
        assert float(info["final_observation"][4]) == time + 1  # half-hours since the start
    np.testing.assert_allclose(obs, hp.reset(reset_key)[1], rtol=1e-6)
    assert obs[1:].tolist() == [0.0] * 5
    assert (int(state.time), int(state.env_state.num_steps), bool(state.truncated)) == (0, 0, False)


@pytest.mark.parametrize("max_steps", [1000, 2])
def test_a_true_end_is_terminated_and_not_truncated_at_the_limit_as_well(max_steps):
    env = to_gymnax(probe_environments.counter(2), probe_environments.Params(max_steps=max_steps))
    _, state = env.reset(jax.random.key(0))
    ends = []
    for seed in (1, 2):
        obs, state, _, terminated, truncated, info = env.step(jax.random.key(seed), state, 0)
        ends.append((bool(terminated), bool(truncated), float(info["discount"])))
    assert ends == [(False, False, 1.0), (True, False, 0.0)]
    assert info["final_observation"][1] == 2.0
    assert obs[1] == 0.0
    _, state = env.reset_env(jax.random.key(0))
    assert not env.is_terminated(state)
    for seed in (1, 2):
        _, state, *_ = env.step_env(jax.random.key(seed), state, 0)
    assert env.is_terminated(state)
    assert env.is_terminal(state, env.default_params)


def test_an_expected_penalty_is_a_hundred_times_the_risk():
    env = to_gymnax()
    _, state = env.reset(jax.random.key(0))
    expected = env.default_params.replace(expected_penalty=1.0)
    _, _, reward, _, _, info = env.step(jax.random.key(1), state, 1, env.default_params)
    _, _, expected_reward, *_ = env.step(jax.random.key(1), state, 1, expected)
    assert not info["heart_attack"]
    np.testing.assert_allclose(reward - expected_reward, 100 * info["heart_attack_risk"], rtol=1e-4)


def test_parameters_can_be_swept_under_vmap():
    env, params = to_gymnax(), to_gymnax().default_params

    def ends(max_steps, decay):
        swept = params.replace(max_steps_in_episode=max_steps, intoxication_decay=decay)
        _, state = env.reset(jax.random.key(0), swept)
        return env.step(jax.random.key(1), state, hp.Action.BEER, swept)[4:]

    truncated, info = jax.jit(jax.vmap(ends))(jnp.array([1, 2]), jnp.array([0.5, 1.0]))
    assert truncated.tolist() == [True, False]
    np.testing.assert_allclose(2 * info["final_observation"][0, 2], info["final_observation"][1, 2], rtol=1e-6)


def test_environments_in_a_scan_end_together_at_the_limit():
    env = to_gymnax()
    params = env.default_params.replace(max_steps_in_episode=4)
    _, states = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(jax.random.key(0), 3), params)

    def body(states, key):
        step = jax.vmap(env.step, in_axes=(0, 0, None, None))
        _, states, reward, _, truncated, _ = step(jax.random.split(key, 3), states, 3, params)
        return states, (truncated, reward)

    states, (truncated, reward) = jax.lax.scan(body, states, jax.random.split(jax.random.key(1), 9))
    np.testing.assert_array_equal(truncated, np.tile([[t in (3, 7)] for t in range(9)], (1, 3)))
    assert states.time.tolist() == [1, 1, 1]
    assert len(set(reward[0].tolist())) == 3  # every environment has its own random numbers


def test_gradients_stop_at_a_step_until_they_are_asked_for():
    def next_alertness(env, alertness):
        _, state = env.reset(jax.random.key(0))
        state = state.replace(env_state=state.env_state.replace(alertness=alertness))
        return env.step(jax.random.key(1), state, hp.Action.COFFEE)[0][0]

    env = to_gymnax()
    assert jax.grad(functools.partial(next_alertness, env))(1.0) == 0.0
    assert env.supports_transition_gradients
    with_gradients = env.with_transition_gradients()
    assert jax.grad(functools.partial(next_alertness, with_gradients))(1.0) == 1.0  # a coffee adds, whatever was there
    assert not env.transition_gradients_enabled


def test_out_and_in_again_the_environment_is_the_same():
    env = hp.make("HeartPole-v0")
    again = from_gymnax(to_gymnax(env, hp.EnvParams(max_steps=3)))
    assert (again.name, again.num_actions, again.obs_shape) == ("gymnax:HeartPole-v0", 4, (6,))
    assert again.default_params.max_steps == 3
    keys = key_data(5)
    state, obs = again.reset(key_of(keys[0]))
    our_state, our_obs = env.reset(key_of(keys[0]))
    same(our_obs, obs)
    for data, action in zip(keys[1:], (1, 3, 0, 2), strict=True):
        state, obs, reward, done = again.step(state, action, key_of(data))
        our_state, *expected = env.step(our_state, action, key_of(data), hp.EnvParams(max_steps=3))
        same(expected, [obs, reward, done])
        same(our_state, state.gymnax.env_state)
        assert not again.terminated(state)
    check_environment(again)


@pytest.mark.parametrize("name", ["CartPole-v1", "MountainCar-v0"])
def test_gymnaxs_own_environments_in_and_out_again_are_the_same(name):
    theirs, params = gymnax.make(name)
    params = params.replace(max_steps_in_episode=25)
    env, keys = to_gymnax(from_gymnax(theirs, params)), key_data(81)
    _, state = env.reset(key_of(keys[0]))
    _, their_state = theirs.reset(key_of(keys[0]), params)
    ends = np.zeros(2, int)
    for time, data in enumerate(keys[1:]):
        got = env.step(key_of(data), state, time % 2)
        expected = theirs.step(key_of(data), their_state, time % 2, params)
        for i in (0, 2):
            np.testing.assert_allclose(got[i], expected[i], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(got[5]["final_observation"], expected[5]["final_observation"], rtol=1e-4, atol=1e-5)
        assert (bool(got[3]), bool(got[4])) == (bool(expected[3]), bool(expected[4]))
        ends += (bool(got[3]), bool(got[4]))
        # From their state, since differences of rounding would grow.
        like = state.env_state
        their_state = expected[1]
        settled = jax.tree.map(lambda x, y: jnp.asarray(x, y.dtype), their_state, like.gymnax)
        state = got[1].replace(env_state=got[1].env_state.replace(gymnax=settled))
    assert ends.sum() >= 3


def test_heartpole_v1_goes_out_and_in_again():
    """Out to gymnax's interface and in again: the same episodes, cut at the time limit, which is no true end."""
    whole = to_gymnax("HeartPole-v1")
    assert (whole.num_actions, whole.obs_shape, whole.default_params.max_steps_in_episode) == (8, (8,), 1344)
    np.testing.assert_array_equal(whole.observation_space().low, [-np.inf, 0, 0, 0, 0, 0, 0, 0])
    rows = (
        menus.Row(name="work", half_hours=0, source="none", grade="assumed"),
        menus.Row(name="decaffeinate", half_hours=2, stimulation=(-0.5, 0.0), source="none", grade="assumed"),
    )
    core = hp.make("HeartPole-v1", menu=menus.Menu(rows))
    params = dataclasses.replace(core.default_params, max_half_hours=7)
    ours, keys = to_gymnax(core, params), key_data(4)
    np.testing.assert_array_equal(ours.observation_space().low, [-np.inf, 0, 0, 0, 0, 0, -np.inf, 0])
    theirs = from_gymnax(ours)
    state, obs = core.reset(key_of(keys[0]))
    their_state, their_obs = theirs.reset(key_of(keys[0]))
    np.testing.assert_array_equal(their_obs, obs)
    core_step, their_step = jax.jit(core.step), jax.jit(theirs.step)
    ends = []
    for key, action in zip(keys[1:], (1, 0, 1), strict=True):
        state, obs, reward, done = core_step(state, action, key_of(key), params)
        their_state, their_obs, their_reward, their_done = their_step(their_state, action, key_of(key))
        np.testing.assert_allclose(their_obs, obs, rtol=2e-6, atol=1e-6)
        np.testing.assert_allclose(their_reward, reward, rtol=2e-6, atol=1e-6)
        ends.append((bool(done), bool(their_done), bool(theirs.terminated(their_state))))
    assert ends == [(False, False, False), (False, False, False), (True, True, False)]  # 3, 4, 7 half-hours

    assert to_gymnax_legacy(core, params).default_params.max_steps_in_episode == 7
    with pytest.raises(
        TypeError, match="max_steps_in_episode follows from the environment's own limit and cannot be replaced"
    ):
        ours.default_params.replace(max_steps_in_episode=9)
    assert ours.default_params.replace(max_half_hours=9).max_steps_in_episode == 9
    with pytest.raises(ValueError, match=r"the menu of params has 4 actions .*, and this HeartPole-v1 has 8"):
        to_gymnax("HeartPole-v1", hp.heartpole_v1.EnvParams(menu=menus.find("heartpole_v0")))
