"""HeartPole-v1 as an `Environment`: the contract, rollouts, autoreset, the checked mode, menus of one's own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract import check_environment
from jax.experimental import checkify

import heartpole_jax as hp
from heartpole_jax import make
from heartpole_jax.envs import heartpole_v1, menu

ENV = make("HeartPole-v1")
KEY = 42


def nap_always(key, obs):
    return 4


def test_it_keeps_the_contract():
    check_environment(ENV, num_steps=8)


def test_it_keeps_the_contract_in_64_bits(x64):
    check_environment(ENV, num_steps=8)


def test_it_keeps_the_contract_with_another_menu():
    check_environment(make("HeartPole-v1", menu="heartpole_v0"))


def test_it_has_the_sizes_of_its_menu_and_is_the_same_object_for_the_same_menu(tmp_path):
    assert (ENV.name, ENV.num_actions, ENV.obs_shape) == ("HeartPole-v1", 8, (8,))
    copy = tmp_path / "copy.toml"
    copy.write_text((menu.FOLDER / "heartpole_v1.toml").read_text())
    assert make("HeartPole-v1") is make("HeartPole-v1", menu=menu.default()) is make("HeartPole-v1", menu=copy)
    other = make("HeartPole-v1", menu="heartpole_v0")
    assert other.num_actions == 4
    assert other is not ENV
    assert make("HeartPole-v1", menu=menu.Menu(menu.default().actions[:1])).num_actions == 1


def test_a_menu_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"unknown menu .* 'heartpole_v2'; did you mean"):
        make("HeartPole-v1", menu="heartpole_v2")
    with pytest.raises(ValueError, match="menu has no actions"):
        make("HeartPole-v1", menu=menu.Menu(()))
    with pytest.raises(TypeError, match="menu must be a Menu, got 7"):
        make("HeartPole-v1", menu=7)
    with pytest.raises(TypeError, match=r"plain numbers; give arrays and tracers to EnvParams"):
        make("HeartPole-v1", menu=menu.change(menu.default(), "coffee", hazard=jnp.ones(())))


def test_a_rollout_ends_with_the_half_hours_and_not_with_the_decisions():
    """Naps of two half-hours: an episode of 20 half-hours is 10 decisions."""
    params = heartpole_v1.EnvParams(max_half_hours=20)
    half_hours = lambda transition: (transition.info.half_hours, transition.reward)
    result = hp.rollout(nap_always, jax.random.key(KEY), params, env=ENV, num_envs=4, num_steps=20, total=half_hours,
                        record=hp.everything)  # fmt: skip
    np.testing.assert_array_equal(result.totals[0], 20)
    np.testing.assert_array_equal(result.records.done[:, 0], np.arange(20) >= 9)
    np.testing.assert_allclose(result.totals[1], result.records.reward[:10].sum(axis=0), rtol=1e-5)
    assert not result.envs.running.any()
    np.testing.assert_allclose(
        result.records.obs[..., 6:], jnp.stack([result.records.state.stimulation, result.records.state.impairment], -1)
    )


def test_a_rollout_takes_as_many_decisions_as_an_episode_can_have():
    """The time limit in half-hours, and no patient is still on the way: a nap and its work take two of them."""
    params = heartpole_v1.EnvParams(max_half_hours=20)
    decisions = lambda transition: transition.info.half_hours > 0
    result = hp.rollout(nap_always, jax.random.key(KEY), params, env=ENV, num_envs=2, total=decisions)
    assert int(result.envs.time[0]) == params.max_steps == 20
    assert not result.envs.running.any()
    assert result.totals.tolist() == [10, 10]


def test_autoreset_hands_back_the_true_last_observation():
    params = heartpole_v1.EnvParams(max_half_hours=17)
    state, _ = ENV.reset(jax.random.key(0), params)
    state, obs, _, done, terminated, last_obs = hp.step_autoreset(ENV, state, 3, jax.random.key(1), params)
    assert (bool(done), bool(terminated)) == (True, False)
    assert (float(last_obs[4]), float(obs[4]), int(state.num_steps)) == (17, 0, 0)


def test_the_checked_mode_reports_an_action_that_is_not_on_the_menu():
    step = checkify.checkify(jax.jit(hp.checked(ENV).step))
    state, _ = ENV.reset(jax.random.key(0))
    step(state, 7, jax.random.key(1))[0].throw()
    with pytest.raises(checkify.JaxRuntimeError, match=r"action must be in 0 \.\. 7, got 8"):
        step(state, 8, jax.random.key(2))[0].throw()


def test_a_dose_can_be_swept_and_differentiated_through_a_rollout():
    """More hypertension a coffee, more risk: at every point and in the derivative."""

    def risk(high):
        tense = menu.change(menu.default(), "coffee", hypertension=(0.0, high))
        params = heartpole_v1.EnvParams(menu=tense, expected_penalty=1.0)
        totals = hp.rollout(lambda key, obs: 1, jax.random.key(KEY), params, env=ENV, num_envs=8, num_steps=30,
                            total=lambda transition: transition.info.heart_attack_risk).totals  # fmt: skip
        return totals.mean()

    risks, slopes = jax.jit(jax.vmap(jax.value_and_grad(risk)))(jnp.array([0.1, 0.3, 0.5]))
    assert (np.diff(risks) > 0).all()
    assert (slopes > 0).all()
    nearby = jax.jit(jax.vmap(risk))(jnp.array([0.29, 0.31]))
    assert float(slopes[1]) == pytest.approx(float(nearby[1] - nearby[0]) / 0.02, rel=0.02)


def test_no_tracer_leaks_out_of_a_step(leaks_raise):
    def loss(alertness, action, key):
        reset_key, step_key = jax.random.split(key)
        state, _ = heartpole_v1.reset(reset_key)
        state = dataclasses.replace(state, alertness=alertness)
        state, obs, reward, _ = heartpole_v1.step(state, action, step_key)
        return reward + obs[0]

    gradients = jax.jit(jax.vmap(jax.grad(loss)))(
        jnp.ones(8), jnp.arange(8, dtype=jnp.int32), jax.random.split(jax.random.key(0), 8)
    )
    assert jnp.isfinite(gradients).all()
