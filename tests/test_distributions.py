"""The random numbers of step, reset and rollout, a million draws of each, at fixed seeds.

Every test has an error rate of ERROR = 1e-6 / 100: with fewer than 100 p-values here, a right library fails one of them
with a probability below 1e-6 (Bonferroni).
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest
import scipy.stats
from oracle import as_state

import heartpole_jax as hp
from heartpole_jax.envs import physiology

NUM = 1_000_000
ERROR = 1e-6 / 100
STREAMS = ("alertness", "hypertension", "intoxication", "heart_attack", "start", "policy")


@jax.jit
def many_steps(state, action, key):
    """The same step a million times: (obs of shape (6, NUM), heart attacks of shape (NUM,))."""

    def one(key):
        _, obs, reward, _ = hp.step(state, action, key)
        return obs, reward < -50

    obs, attacks = jax.vmap(one)(jax.random.split(key, NUM))
    return obs.T, attacks


def assert_uniform(sample, low, high):
    assert scipy.stats.kstest(np.asarray(sample, float), "uniform", args=(low, high - low)).pvalue > ERROR


@pytest.mark.parametrize("action", hp.Action, ids=lambda action: action.name)
def test_doses_are_uniform_over_their_ranges(action):
    """Read off the state after the step: fatigue takes sigma(-4), a half-hour leaves 0.97 of the levels."""
    (alertness, hypertension, intoxication, *_), attacks = many_steps(
        as_state([1.0, 0, 0, 0, 0, 0]), int(action), jax.random.key(int(action))
    )
    awake = np.asarray(alertness, float) + float(physiology.alertness_decay(0))
    tense = np.asarray(hypertension)[~np.asarray(attacks)] / 0.97
    drunk = np.asarray(intoxication) / 0.97
    if action == hp.Action.COFFEE:
        assert_uniform(awake, 1.0, 2.0)
        assert_uniform(tense, 0.0, 0.3)
    elif action == hp.Action.BEER:
        assert_uniform(awake, 0.5, 1.0)
        assert_uniform(tense, 0.0, 0.3)
        assert_uniform(drunk, 0.01, 0.03)
    elif action == hp.Action.SLEEP:
        assert_uniform(awake, 0.7, 1.3)
    else:
        np.testing.assert_allclose(awake, 1.0, rtol=1e-6)
    if action in (hp.Action.NOTHING, hp.Action.SLEEP):
        assert (tense == 0).all()
    if action != hp.Action.BEER:
        assert (drunk == 0).all()


def test_waking_up_at_reset_is_uniform():
    _, obs = jax.jit(jax.vmap(hp.reset))(jax.random.split(jax.random.key(9), NUM))
    assert_uniform(obs[:, 0], 0.7, 1.3)
    np.testing.assert_array_equal(obs[:, 1:], 0)


@pytest.mark.parametrize("hypertension", [0.0, 3.0, 6.0, 20.0])
def test_heart_attacks_are_binomial_at_the_risk_after_the_half_hour(hypertension):
    state = as_state([1.0, hypertension, 0, 0, 0, 0])
    (_, after, *_), attacks = many_steps(state, 0, jax.random.key(100 + int(hypertension)))
    risk = 0.5 / (1 + np.exp(6 - 0.97 * hypertension))
    assert scipy.stats.binomtest(int(attacks.sum()), NUM, risk).pvalue > ERROR
    np.testing.assert_allclose(after, np.where(attacks, 0, 0.97 * hypertension), rtol=1e-6)


@pytest.fixture(scope="module")
def draws():
    """The random numbers of 1000 envs and 1000 steps of a rollout, each (steps, envs), as numbers in [0, 1)."""
    result = hp.rollout(
        probe_environments.random_policy(2**16),
        jax.random.key(2026),
        env=probe_environments.pure_noise(),
        num_envs=1000,
        num_steps=1000,
        total=None,
        record=lambda t: (t.info, t.obs[0], t.action),
        autoreset=True,
    )
    noise, start, action = jax.device_get(result.records)
    streams = [*np.moveaxis(noise, -1, 0), start, (action + 0.5) / 2**16]
    return dict(zip(STREAMS, streams, strict=True))


@pytest.mark.parametrize("name", STREAMS)
def test_every_die_of_a_rollout_is_uniform(draws, name):
    assert_uniform(draws[name].reshape(-1), 0.0, 1.0)
    assert np.unique(draws[name]).size > (50_000 if name == "policy" else 900_000)


def assert_independent(x, y):
    """No correlation, and no departure from even counts on a 16 x 16 grid."""
    x, y = np.asarray(x, float).reshape(-1), np.asarray(y, float).reshape(-1)
    z = np.corrcoef(x, y)[0, 1] * np.sqrt(x.size)
    assert 2 * scipy.stats.norm.sf(abs(z)) > ERROR
    cells = np.bincount((x * 16).astype(int) * 16 + (y * 16).astype(int), minlength=256)
    assert scipy.stats.chisquare(cells).pvalue > ERROR


def test_the_uniforms_of_one_step_are_independent(draws):
    for first, second in itertools.combinations(STREAMS, 2):
        assert_independent(draws[first], draws[second])


def test_consecutive_steps_are_independent(draws):
    for name in STREAMS:
        assert_independent(draws[name][:-1], draws[name][1:])


def test_neighbouring_patients_are_independent(draws):
    for name in STREAMS:
        assert_independent(draws[name][:, :-1], draws[name][:, 1:])


def test_the_four_uniforms_of_one_key_are_independent():
    noise = jax.jit(jax.vmap(hp.sample_noise))(jax.random.split(jax.random.key(77), NUM))
    uniforms = [getattr(noise, name) for name in STREAMS[:4]]
    assert all(u.dtype == jnp.float32 for u in uniforms)
    for first, second in itertools.combinations(uniforms, 2):
        assert_independent(first, second)
