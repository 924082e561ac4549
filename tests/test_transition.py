"""One step of HeartPole-v0, by hand: durations, order of events, doses, the heart attack, the time limit, gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import NO_ATTACK, as_noise, as_state

import heartpole_jax as hp

CALM = (0.5, 0.25, 0.75, NO_ATTACK)
TIRED = (1.2, 2.0, 0.02, 38, 50, 21.0)


@pytest.fixture(scope="module")
def transition():
    return jax.jit(hp.transition_info)


def sigma(z):
    return 1 / (1 + np.exp(-z))


def test_sleep_lasts_sixteen_half_hours_and_one_of_work(transition):
    state, *_, info = transition(as_state(TIRED), hp.Action.SLEEP, as_noise(CALM), hp.EnvParams())
    assert (int(state.time_since_slept), int(state.time_elapsed), int(info.half_hours)) == (1, 67, 17)
    assert float(state.alertness) == pytest.approx(1.0 - sigma(-4.0), rel=1e-6)
    assert float(state.hypertension) == pytest.approx(2.0 * 0.97**17, rel=1e-6)
    assert float(state.intoxication) == pytest.approx(0.02 * 0.97**17, rel=1e-6)


@pytest.mark.parametrize(
    ("action", "alertness", "hypertension", "intoxication"),
    [(0, 1.2, 2.0, 0.02), (1, 1.7, 2.075, 0.02), (2, 0.95, 2.075, 0.045)],
    ids=["nothing", "coffee", "beer"],
)
def test_a_drink_comes_before_the_work_and_half_an_hour_after_it(
    transition, action, alertness, hypertension, intoxication
):
    """Doses first; work with them; then fatigue by the 38 half-hours awake so far, decay and the clock."""
    _, obs, reward, _, info = transition(as_state(TIRED), action, as_noise(CALM), hp.EnvParams())
    work = alertness * sigma(3 - alertness) * (sigma(50 * (0.05 - intoxication)))
    assert float(info.productivity) == pytest.approx(work, rel=1e-5)
    expected = [alertness - sigma(-0.2), 0.97 * hypertension, 0.97 * intoxication, 39, 51, 21 + work]
    np.testing.assert_allclose(obs, expected, rtol=1e-5)
    assert float(info.heart_attack_risk) == pytest.approx(0.5 * sigma(0.97 * hypertension - 6), rel=1e-5)
    assert float(reward) == pytest.approx((21 + work) / 51 - 21 / 50, rel=1e-4)


def test_the_first_half_hour_has_no_score_before_it(transition):
    state = as_state([1.0, 0, 0, 0, 0, 0])
    _, _, reward, _, info = transition(state, hp.Action.NOTHING, as_noise(CALM), hp.EnvParams())
    assert float(reward) == float(info.productivity) == pytest.approx(sigma(2.0) * sigma(2.5), rel=1e-6)


def test_a_heart_attack_costs_a_hundred_and_cleanses(transition):
    """At hypertension 20 / 0.97 the risk is 0.5 sigma(14): an attack just below it, none at it."""
    state, params = as_state([1.0, 20 / 0.97, 0.04, 3, 5, 2.0]), hp.EnvParams()
    risk = float(transition(state, 0, as_noise(CALM), params)[4].heart_attack_risk)
    assert risk == pytest.approx(0.5 * sigma(14.0), rel=1e-6)
    well = transition(state, 0, as_noise((0.5, 0.5, 0.5, risk)), params)
    ill = transition(state, 0, as_noise((0.5, 0.5, 0.5, np.nextafter(np.float32(risk), np.float32(0)))), params)
    assert (bool(well[4].heart_attack), bool(ill[4].heart_attack)) == (False, True)
    assert float(ill[2]) == pytest.approx(float(well[2]) - 100, rel=1e-6)
    assert (float(well[0].hypertension), float(ill[0].hypertension)) == (pytest.approx(20.0), 0.0)
    assert float(ill[4].heart_attack_risk) == risk
    assert not bool(ill[3]), "the episode goes on"
    for name in ("alertness", "intoxication", "time_since_slept", "time_elapsed", "work_done", "num_steps"):
        assert getattr(ill[0], name) == getattr(well[0], name)


def test_done_is_the_time_limit_from_its_decision_on_and_no_death(transition):
    state, params, done = as_state(TIRED), hp.EnvParams(max_steps=3), []
    for _ in range(5):
        state, _, _, is_done, _ = transition(state, hp.Action.SLEEP, as_noise(CALM), params)
        done.append(bool(is_done))
        assert not bool(hp.terminated(state))
    assert done == [False, False, True, True, True]
    assert int(state.num_steps) == 5


def test_done_comes_after_a_thousand_decisions_by_default(transition):
    for num_steps, expected in ((998, False), (999, True)):
        state = dataclasses.replace(as_state(TIRED), num_steps=jnp.int32(num_steps))
        assert bool(transition(state, 0, as_noise(CALM), hp.EnvParams())[3]) == expected


def test_a_patient_starts_rested_sober_and_calm():
    for u, alertness in ((0.0, 0.7), (0.5, 1.0), (NO_ATTACK, 1.3)):
        state = hp.initial_state(u)
        np.testing.assert_allclose(hp.observe(state), [alertness, 0, 0, 0, 0, 0], rtol=1e-6)
        assert int(state.num_steps) == 0
        assert not bool(hp.terminated(state))


def test_obs_shows_the_state_in_the_order_of_the_tutorial():
    np.testing.assert_array_equal(hp.observe(as_state([1, 2, 3, 4, 5, 6])), [1, 2, 3, 4, 5, 6])


def test_the_clock_counts_where_a_float_would_stop(transition):
    state = as_state([1.0, 0, 0, 2**24 + 1, 2**24 + 1, 0])
    state, *_ = transition(state, 0, as_noise(CALM), hp.EnvParams())
    assert (int(state.time_elapsed), int(state.time_since_slept)) == (2**24 + 2, 2**24 + 2)


def test_step_and_reset_are_their_noise_and_what_follows():
    state, obs = hp.reset(jax.random.key(4))
    np.testing.assert_array_equal(obs, hp.observe(hp.initial_state(hp.heartpole_v0.sample_wake_up(jax.random.key(4)))))
    stepped = hp.step(state, hp.Action.BEER, jax.random.key(5))
    noise = hp.sample_noise(jax.random.key(5))
    assert all(jax.tree.leaves(jax.tree.map(jnp.array_equal, stepped, hp.transition(state, hp.Action.BEER, noise))))
    again = hp.step(state, hp.Action.BEER, jax.random.key(6))
    assert float(again[0].intoxication) != float(stepped[0].intoxication)


def test_the_gradient_through_a_step_is_the_one_by_hand(x64):
    """d reward / d W = -d / (t (t + d)), and d reward / d a = p'(a) / (t + d); sleep forgets alertness."""
    gradient = jax.jit(jax.grad(lambda s, action: hp.transition(s, action, as_noise(CALM))[2], allow_int=True))
    by_hand = sigma(1.8) * (1 - 1.2 * sigma(-1.8)) * sigma(50 * (0.05 - 0.02))
    for action, half_hours, slope in ((hp.Action.NOTHING, 1, by_hand), (hp.Action.SLEEP, 17, 0.0)):
        slopes = gradient(as_state(TIRED), int(action))
        assert float(slopes.work_done) == pytest.approx(-half_hours / (50 * (50 + half_hours)), rel=1e-12)
        assert float(slopes.alertness) == pytest.approx(slope / (50 + half_hours), rel=1e-12)


def test_no_tracer_leaks_out_of_a_step(leaks_raise):
    def loss(alertness, action, key):
        reset_key, step_key = jax.random.split(key)
        state, _ = hp.reset(reset_key)
        state, obs, reward, _ = hp.step(dataclasses.replace(state, alertness=alertness), action, step_key)
        return reward + obs[0]

    gradients = jax.jit(jax.vmap(jax.grad(loss)))(
        jnp.ones(4), jnp.arange(4, dtype=jnp.int32), jax.random.split(jax.random.key(0), 4)
    )
    assert jnp.isfinite(gradients).all()


@pytest.mark.parametrize("action", hp.Action)
def test_float32_rewards_of_random_states_are_as_near_as_the_docs_say(action):
    """Against float64 from the same float32 state, relative to (|p| + d |S|) / (t + d), with the bounds of
    docs/correctness.md within 0.025 of the Ballmer peak and elsewhere; up to 0.4 % blood alcohol."""
    random, num = np.random.default_rng(int(action)), 200_000
    time = random.integers(0, 20_000, num)
    state = {
        "alertness": random.normal(1, 1, num), "hypertension": random.uniform(0, 8, num),
        "intoxication": random.uniform(0, 0.4, num), "time_since_slept": random.integers(0, 80, num),
        "time_elapsed": time, "work_done": random.uniform(-0.2, 0.6, num) * time, "num_steps": 0 * time,
    }  # fmt: skip
    state = {name: x.astype(np.float32 if x.dtype == float else np.int32) for name, x in state.items()}
    noise = random.integers(0, 2**24, (num, 3)) * 2.0**-24

    def rewards(x64):
        with jax.enable_x64(x64):
            number = jnp.result_type(float)

            @jax.jit
            @jax.vmap
            def step(state, noise):
                alertness, hypertension, intoxication = noise
                noise = hp.Noise(
                    alertness=alertness, hypertension=hypertension, intoxication=intoxication,
                    heart_attack=jnp.ones((), number),
                )  # fmt: skip
                state, _, reward, _, info = hp.transition_info(hp.EnvState(**state), int(action), noise)
                return reward, info.productivity, state.intoxication

            given = {name: jnp.asarray(x, number if x.dtype == np.float32 else jnp.int32) for name, x in state.items()}
            return [np.asarray(x, float) for x in step(given, jnp.asarray(noise, number))]

    (single, *_), (double, productivity, intoxication) = rewards(False), rewards(True)
    half_hours = 17 if action == hp.Action.SLEEP else 1
    score = state["work_done"] / np.maximum(time, 1)
    error = np.abs(single - double) * (time + half_hours) / (np.abs(productivity) + half_hours * np.abs(score))
    flank = np.abs(intoxication / 0.97 - 0.135) < 0.025
    on, off = {hp.Action.SLEEP: (4.3e-5, 8.0e-6), hp.Action.BEER: (6.3e-6, 1.7e-6)}.get(action, (3.0e-6, 1.5e-6))
    assert off / 4 < error[~flank].max() <= off
    assert on / 4 < error[flank].max() <= on
