"""The five values of gymnax before 1.0, held to the six."""

import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest

import heartpole_jax as hp

pytest.importorskip("gymnax", reason="gymnax pins jax < 0.12")

from heartpole_jax.interop.gymnax import from_gymnax, to_gymnax, to_gymnax_legacy


def test_a_step_is_the_modern_one_with_done_for_both_ends():
    env, modern = to_gymnax_legacy(), to_gymnax()
    params = env.default_params.replace(max_steps_in_episode=3)
    assert params == modern.default_params.replace(max_steps_in_episode=3)
    obs, state = env.reset(jax.random.key(0), params)
    np.testing.assert_array_equal(obs, modern.reset(jax.random.key(0), params)[0])
    dones = []
    for seed in range(1, 7):
        expected = modern.step(jax.random.key(seed), state, 1, params)
        obs, state, reward, done, info = env.step(jax.random.key(seed), state, 1, params)
        jax.tree.map(np.testing.assert_array_equal, (obs, state, reward, info), (*expected[:3], expected[5]))
        dones.append((bool(done), bool(info["terminated"]), bool(info["truncated"]), float(info["discount"])))
    no, limit = (False, False, False, 1.0), (True, False, True, 1.0)
    assert dones == [no, no, limit, no, no, limit]
    assert info["final_observation"][4] == 3.0
    assert obs[4] == 0.0


def test_step_env_does_not_reset_and_its_end_is_that_of_is_terminal():
    env = to_gymnax_legacy(probe_environments.counter(2))
    limited = to_gymnax_legacy(probe_environments.time_limit_only(2))
    ends = []
    for each in (env, limited):
        _, state = each.reset_env(jax.random.key(0))
        assert not each.is_terminal(state)
        for seed in (1, 2):
            obs, state, _, done, info = each.step_env(jax.random.key(seed), state, 0)
        np.testing.assert_array_equal(info["final_observation"], obs)
        np.testing.assert_array_equal(each.get_obs(state), obs)
        assert done
        assert each.is_terminal(state, each.default_params)
        ends.append((bool(info["terminated"]), bool(info["truncated"]), float(each.discount(state))))
        assert float(info["discount"]) == ends[-1][2]
    assert ends == [(True, False, 0.0), (False, True, 1.0)]


def test_it_describes_itself_as_the_modern_one_does():
    env = to_gymnax_legacy("HeartPole-v0", hp.EnvParams(max_steps=7))
    assert (env.name, env.num_actions) == ("HeartPole-v0", 4)
    assert env.default_params.max_steps_in_episode == 7
    assert env.action_space(env.default_params).n == 4
    assert env.observation_space(env.default_params).shape == (6,)
    assert env.state_space(env.default_params).contains(env.reset(jax.random.key(0))[1])


def test_equal_environments_are_compiled_once():
    traced = []

    @functools.partial(jax.jit, static_argnums=0)
    def reset(env, key):
        traced.append(env)
        return env.reset(key)[0]

    env = to_gymnax_legacy()
    for seed, each in enumerate((env, to_gymnax_legacy("HeartPole-v0"), copy.deepcopy(env))):
        reset(each, jax.random.key(seed))
    assert len(traced) == 1
    assert to_gymnax_legacy(params=hp.EnvParams(max_steps=7)) != env
    assert to_gymnax() != env


def test_environments_can_be_mapped_with_an_axis_of_parameters():
    env = to_gymnax_legacy()

    def done(max_steps, key):
        params = env.default_params.replace(max_steps_in_episode=max_steps)
        reset_key, step_key = jax.random.split(key)
        _, state = env.reset(reset_key, params)
        return env.step(step_key, state, 0, params)[3]

    assert jax.vmap(done)(jnp.array([1, 2, 1]), jax.random.split(jax.random.key(0), 3)).tolist() == [True, False, True]


def test_it_is_refused_on_the_way_in_where_its_done_would_be_taken_for_a_true_end():
    with pytest.raises(TypeError, match=r"environment of gymnax 1\.0 or newer"):
        from_gymnax(to_gymnax_legacy())


def test_bad_input_is_an_error():
    with pytest.raises(ValueError, match="unknown environment 'HartPole-v0'; did you mean 'HeartPole-v0'"):
        to_gymnax_legacy("HartPole-v0")
    with pytest.raises(TypeError, match="must be an EnvParams, got a dict"):
        to_gymnax_legacy("HeartPole-v0", {})
