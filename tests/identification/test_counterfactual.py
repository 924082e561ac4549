"""The same noise, other actions: exact where the trace determines it, a distribution where it does not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import as_noise, golden_traces

import heartpole_jax as hp
from heartpole_jax import identification

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("reused_keys_raise")]

COFFEE, BEER, SLEEP, NOTHING = hp.Action.COFFEE, hp.Action.BEER, hp.Action.SLEEP, hp.Action.NOTHING


def simulate(actions, noise, params=None, wake_up=0.5):
    """Every state (T + 1,), reward and heart attack (T,) of an episode with the random numbers (T, 4)."""
    params = hp.EnvParams() if params is None else params

    def step(state, inputs):
        action, row = inputs
        after, _, reward, _, info = hp.transition_info(state, action, as_noise(row), params)
        return after, (after, reward, info.heart_attack)

    start = hp.initial_state(wake_up, params)
    _, (states, rewards, attacks) = jax.lax.scan(step, start, (jnp.asarray(actions), jnp.asarray(noise)))
    return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), start, states), rewards, attacks


@pytest.fixture(scope="module")
def golden_trace():
    """120 steps of a golden episode with all actions and a heart attack in it."""
    golden = golden_traces()
    for actions, noise, states, attacks in zip(
        golden["actions"], golden["noise"], golden["states"], golden["heart_attacks"], strict=True
    ):
        part = slice(0, 120)
        if attacks[part].any() and len(set(actions[part])) == 4:
            columns = dict(zip(hp.heartpole_v0.OBS_NAMES, states[:121].T, strict=True))
            seen = {name: columns[name] for name in ("alertness", "hypertension", "intoxication", "work_done")}
            trace = identification.make_trace(actions[part], heart_attacks=attacks[part].astype(bool), **seen)
            return trace, noise[part]
    raise AssertionError("no such episode")


def test_the_same_actions_give_back_exactly_the_same_trace(golden_trace, x64):
    trace, _ = golden_trace
    what_if = identification.counterfactual(trace, trace.actions, key=jax.random.key(0), num_samples=3)
    for name in ("alertness", "hypertension", "intoxication", "work_done"):
        expected = np.broadcast_to(getattr(trace, name), (3, 121))
        np.testing.assert_array_equal(getattr(what_if.other.states, name), expected)
        np.testing.assert_array_equal(getattr(what_if.factual.states, name), expected)
    np.testing.assert_array_equal(what_if.other.rewards, what_if.factual.rewards)
    np.testing.assert_array_equal(what_if.other.heart_attacks, np.broadcast_to(trace.heart_attacks, (3, 120)))


def test_the_drawn_noise_alone_replays_the_trace_to_1e_9(golden_trace, x64):
    """Not only because the trace is taken as recorded: the random numbers, played from the start, land on it."""
    trace, _ = golden_trace
    what_if = identification.counterfactual(trace, trace.actions, key=jax.random.key(0), num_samples=2)
    noise = jnp.stack([getattr(what_if.noise, name)[1] for name in ("alertness", "hypertension", "intoxication",
                                                                    "heart_attack")], axis=1)  # fmt: skip
    states, rewards, attacks = simulate(trace.actions, noise, wake_up=(trace.alertness[0] - 0.7) / 0.6)
    np.testing.assert_array_equal(attacks, trace.heart_attacks)
    np.testing.assert_allclose(states.alertness, trace.alertness, atol=1e-9)
    np.testing.assert_allclose(states.hypertension, trace.hypertension, atol=1e-9)
    np.testing.assert_allclose(states.work_done, trace.work_done, atol=1e-9)
    np.testing.assert_allclose(what_if.factual.rewards[1], rewards, atol=1e-9)


def test_what_would_have_happened_is_what_does_happen_on_the_same_noise(x64):
    """Actions that use a subset of the random numbers, so all of it is determined: one coffee less in six."""
    actions = np.array([COFFEE, NOTHING, COFFEE, BEER, SLEEP, COFFEE])
    noise = np.full((6, 4), 0.9) * np.linspace(0.3, 1.0, 6)[:, None]
    noise[:, 3] = 0.99  # no heart attack at any risk of at most 0.5
    states, _, attacks = simulate(actions, noise)
    trace = identification.trace_of_states(states, actions, attacks)
    other_actions = actions.copy()
    other_actions[2] = NOTHING
    expected, expected_rewards, _ = simulate(other_actions, noise)
    # Its heart attacks have noise within bounds; at these risks none would have struck in nearly all of the samples.
    what_if = identification.counterfactual(trace, other_actions, key=jax.random.key(0), num_samples=40)
    calm = ~np.asarray(what_if.other.heart_attacks).any(axis=1)
    assert calm.sum() >= 30
    for name in vars(expected):
        values = np.asarray(getattr(what_if.other.states, name))[calm]
        np.testing.assert_allclose(values, np.broadcast_to(getattr(expected, name), values.shape), atol=1e-9)
    rewards = np.asarray(what_if.other.rewards)[calm]
    np.testing.assert_allclose(rewards, np.broadcast_to(expected_rewards, rewards.shape), atol=1e-9)


def test_a_dose_never_drunk_is_drawn_from_its_prior(x64):
    """A coffee in the place of nothing: alertness gains U(0, 1), mean 1/2 and standard deviation 1 / sqrt(12)."""
    states, _, attacks = simulate([NOTHING, NOTHING], np.full((2, 4), 0.99))
    trace = identification.trace_of_states(states, np.array([NOTHING, NOTHING]), attacks)
    what_if = identification.counterfactual(trace, [COFFEE, NOTHING], key=jax.random.key(0), num_samples=4000)
    gained = np.asarray(what_if.other.states.alertness - what_if.factual.states.alertness)[:, 2]
    assert gained.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * 4000))
    assert gained.std() == pytest.approx(1 / np.sqrt(12), rel=0.05)
    assert 0 < gained.min() < 0.01
    assert 0.99 < gained.max() < 1


def test_an_attack_that_did_not_happen_conditions_its_counterfactual(x64):
    """Risk 0.25 without an attack; with another's coffee it would have been r: P(attack) = (r - 0.25) / 0.75."""
    params = hp.EnvParams(coffee_hypertension_low=8.0, coffee_hypertension_high=8.0, heart_attack_threshold=7.76)
    states, _, attacks = simulate([COFFEE], np.array([[0.5, 0.5, 0.5, 0.99]]), params)
    assert not attacks[0]
    trace = identification.trace_of_states(states, np.array([COFFEE]), attacks)
    params_beer = dataclasses.replace(params, beer_hypertension_low=9.0, beer_hypertension_high=9.0)
    what_if = identification.counterfactual(trace, [BEER], params_beer, key=jax.random.key(3), num_samples=8000)
    risk = 0.5 / (1 + np.exp(-0.97))
    expected = (risk - 0.25) / 0.75
    assert np.asarray(what_if.other.heart_attacks).mean() == pytest.approx(
        expected, abs=4 * np.sqrt(expected * (1 - expected) / 8000)
    )
    assert not np.asarray(what_if.factual.heart_attacks).any()


def test_an_attack_that_happened_would_have_happened_at_any_higher_risk(x64):
    params = hp.EnvParams(coffee_hypertension_low=8.0, coffee_hypertension_high=8.0, beer_hypertension_low=9.0,
                          beer_hypertension_high=9.0)  # fmt: skip
    states, _, attacks = simulate([COFFEE], np.array([[0.5, 0.5, 0.5, 0.0]]), params)
    assert attacks[0]
    trace = identification.trace_of_states(states, np.array([COFFEE]), attacks)
    with_beer = identification.counterfactual(trace, [BEER], params, key=jax.random.key(3), num_samples=500)
    assert np.asarray(with_beer.other.heart_attacks).all()
    sober = identification.counterfactual(trace, [NOTHING], params, key=jax.random.key(3), num_samples=4000)
    # u is uniform below the risk after the coffee, and the risk at rest is much lower
    expected = (1 / (1 + np.exp(6))) / (1 / (1 + np.exp(6 - 0.97 * 8)))
    assert np.asarray(sober.other.heart_attacks).mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / 4000))


def test_work_that_was_not_recorded_follows_from_the_body(golden_trace, x64):
    trace, _ = golden_trace
    blind = dataclasses.replace(trace, work_done=np.full(121, np.nan))
    what_if = identification.counterfactual(blind, trace.actions, key=jax.random.key(0), num_samples=2)
    np.testing.assert_allclose(what_if.factual.states.work_done[0], trace.work_done, atol=1e-9)


def test_samples_are_as_many_as_asked_for_and_follow_the_key(golden_trace):
    trace, _ = golden_trace
    other = np.where(trace.actions == COFFEE, NOTHING, trace.actions)
    one, same, another = (
        identification.counterfactual(trace, other, key=jax.random.key(seed), num_samples=5) for seed in (0, 0, 1)
    )
    assert one.other.states.alertness.shape == (5, 121)
    assert one.other.rewards.shape == (5, 120)
    np.testing.assert_array_equal(one.noise.heart_attack, same.noise.heart_attack)
    assert (np.asarray(one.noise.heart_attack) != np.asarray(another.noise.heart_attack)).all()


def test_what_cannot_be_asked_is_refused(golden_trace):
    trace, _ = golden_trace
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"as many as the trace's, got 2 for 120"):
        identification.counterfactual(trace, [0, 0], key=key)
    with pytest.raises(ValueError, match=r"actions must be in 0 \.\. 3, got 7 at step 0"):
        identification.counterfactual(trace, [7] * 120, key=key)
    with pytest.raises(TypeError, match="num_samples must be a whole number"):
        identification.counterfactual(trace, trace.actions, key=key, num_samples=2.5)
    gaps = trace.alertness.copy()
    gaps[4] = np.nan
    with pytest.raises(ValueError, match="needs a trace without gaps, got alertness missing in row 4"):
        identification.counterfactual(dataclasses.replace(trace, alertness=gaps), trace.actions, key=key)
    gaps[4] = 9.0
    with pytest.raises(identification.ImpossibleTraceError, match="alertness in row 4"):
        identification.counterfactual(dataclasses.replace(trace, alertness=gaps), trace.actions, key=key)
