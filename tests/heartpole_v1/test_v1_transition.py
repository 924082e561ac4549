"""One step of HeartPole-v1, by hand and against the oracle: order, durations, doses, risk, reward, the time limit."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracle_v1
import pytest
from oracle import as_noise, as_state

import heartpole_jax as hp
from heartpole_jax.envs import heartpole_v1, menu
from heartpole_jax.envs.menu import Menu, Row

NO_ATTACK = 1 - 2.0**-24
CALM = (0.5, 0.25, 0.75, NO_ATTACK)
#       a    h    x     s   t   W     stimulation, impairment
TIRED = (1.2, 2.0, 0.02, 38, 50, 21.0, 0.8, 0.3)
ACTIONS = {row.name: number for number, row in enumerate(menu.default().actions)}


def tired():
    return as_state(TIRED, heartpole_v1)


@pytest.fixture(scope="module")
def transition():
    return jax.jit(heartpole_v1.transition_info)


def sigma(z):
    return 1 / (1 + np.exp(-z))


def row(name, half_hours=0, **values):
    return Row(name=name, half_hours=half_hours, source="none", grade="assumed", **values)


def test_sleep_lasts_sixteen_half_hours_and_one_of_work(transition):
    state, _, reward, _, info = transition(tired(), ACTIONS["sleep"], as_noise(CALM), heartpole_v1.EnvParams())
    assert (int(state.time_since_slept), int(state.time_elapsed), int(info.half_hours)) == (1, 67, 17)
    assert float(state.hypertension) == pytest.approx(2.0 * 0.97**17, rel=1e-6)
    assert float(state.intoxication) == 0.0
    assert float(state.stimulation) == pytest.approx(0.8 * 0.933**17, rel=1e-5)
    assert float(state.impairment) == pytest.approx(0.3 * 0.841**17, rel=1e-5)
    # Caffeine at bedtime costs 0.3 of itself: a waking alertness of 1.0 - 0.24, then one half-hour of fatigue.
    assert float(state.alertness) == pytest.approx(0.76 - sigma(-4.0), rel=1e-6)
    effective = 0.76 + 0.8 * 0.933**16 - 0.3 * 0.841**16
    work = effective * sigma(3 - effective) * sigma(2.5)
    assert float(reward) == float(info.productivity) == pytest.approx(work, rel=1e-5)
    safe = [1 - 0.5 * sigma(2.0 * 0.97**i - 6) for i in range(1, 18)]
    assert float(info.heart_attack_risk) == pytest.approx(1 - np.prod(safe), rel=1e-5)


def test_alertness_comes_after_the_break_and_the_other_doses_before_it(transition):
    """An hour of everything: stimulation and impairment have worn off for a half-hour when work begins."""
    everything = row("everything", 1, alertness=(0.0, 1.0), hypertension=(0.0, 1.0), intoxication=(0.0, 0.04),
                     stimulation=(0.0, 2.0), impairment=(0.0, 0.4), hazard=3.0)  # fmt: skip
    params = heartpole_v1.EnvParams(menu=Menu((everything,)))
    state, _, reward, _, info = transition(tired(), 0, as_noise(CALM), params)
    stimulation, impairment, x = 1.8 * 0.933, 0.5 * 0.841, 0.02 + 0.03 - 0.0075
    alertness = 1.2 - sigma(-0.2) + 0.5
    effective = alertness + stimulation - impairment
    work = effective * sigma(3 - effective) * sigma(50 * (0.05 - x))
    assert float(reward) == float(info.productivity) == pytest.approx(work, rel=1e-5)
    assert float(state.alertness) == pytest.approx(alertness - sigma(-0.1), rel=1e-6)
    safe = [1 - 3 * 0.5 * sigma(2.25 * 0.97**i - 6) for i in (1, 2)]
    assert float(info.heart_attack_risk) == pytest.approx(1 - np.prod(safe), rel=1e-5)
    assert (int(state.time_since_slept), int(state.time_elapsed)) == (40, 52)


@pytest.mark.parametrize("half_hours", [0, 2, 16, 17, 40])
@pytest.mark.parametrize("wakes_up", [False, True])
def test_a_menu_of_ones_own_does_what_the_oracle_does(half_hours, wakes_up, x64):
    """Breaks beyond those that are unrolled as well, and a row beside it that is longer or shorter."""
    columns = ("alertness", "hypertension", "intoxication", "stimulation", "impairment")
    doses = dict(zip(columns, ((-0.5, 0.5), (-4.0, 1.5), (0.0, 0.3), (-1.0, 2.0), (0.1, 0.2)), strict=True))
    if wakes_up:
        doses.pop("alertness")
    rows = (row("other", 5), row("mine", half_hours, wakes_up=wakes_up, hazard=1.7, **doses))
    params = heartpole_v1.EnvParams(menu=Menu(rows))
    theirs = (half_hours, *(doses.get(name, (0, 0)) for name in columns), 1.7, wakes_up)
    step = jax.jit(heartpole_v1.transition_info)
    for noise in ((0.1, 0.9, 0.5, NO_ATTACK), (0.9, 0.1, 0.9, NO_ATTACK)):
        state, reward, risk, attack = oracle_v1.step(TIRED, theirs, noise)
        _, obs, ours, _, info = step(tired(), 1, as_noise(noise), params)
        np.testing.assert_allclose(obs, state, rtol=1e-12, atol=1e-12)
        assert float(info.heart_attack_risk) == pytest.approx(risk, rel=1e-12)
        assert float(ours) == pytest.approx(reward, rel=1e-12)
        assert bool(info.heart_attack) == attack


def test_exercise_lowers_hypertension_but_not_below_zero(transition):
    for hypertension, expected in ((1.0, (1 - 0.33 + 0.27 * 0.25) * 0.97**2), (0.05, 0.0)):
        state = dataclasses.replace(tired(), hypertension=jnp.float32(hypertension))
        after = transition(state, ACTIONS["exercise"], as_noise(CALM), heartpole_v1.EnvParams())[0]
        assert float(after.hypertension) == pytest.approx(expected, abs=1e-6)


def test_alcohol_leaves_at_a_constant_rate(transition):
    state = dataclasses.replace(tired(), intoxication=jnp.float32(0.2))
    after = transition(state, ACTIONS["sleep"], as_noise(CALM), heartpole_v1.EnvParams())[0]
    assert float(after.intoxication) == pytest.approx(0.2 - 17 * 0.0075, rel=1e-5)


def test_the_sleepless_do_no_work_rather_than_undo_it(transition):
    for alertness, impairment in ((-500.0, 0.0), (0.3, 0.5)):
        values = {"alertness": alertness, "stimulation": 0.1, "impairment": impairment}
        state = dataclasses.replace(tired(), **{k: jnp.float32(v) for k, v in values.items()})
        after, _, reward, _, _ = transition(state, ACTIONS["nothing"], as_noise(CALM), heartpole_v1.EnvParams())
        assert float(reward) == 0.0
        assert float(after.work_done) == 21.0


def test_a_heart_attack_costs_a_hundred_and_cleanses(transition):
    state, params = dataclasses.replace(tired(), hypertension=jnp.float32(20 / 0.97)), heartpole_v1.EnvParams()
    risk = float(transition(state, 0, as_noise(CALM), params)[4].heart_attack_risk)
    assert risk == pytest.approx(0.5 * sigma(14.0), rel=1e-6)
    well = transition(state, 0, as_noise((0.5, 0.5, 0.5, risk)), params)
    ill = transition(state, 0, as_noise((0.5, 0.5, 0.5, np.nextafter(np.float32(risk), np.float32(0)))), params)
    assert (bool(well[4].heart_attack), bool(ill[4].heart_attack)) == (False, True)
    assert float(ill[2]) == pytest.approx(float(well[2]) - 100, rel=1e-6)
    assert (float(well[0].hypertension), float(ill[0].hypertension)) == (pytest.approx(20.0), 0.0)
    assert not bool(ill[3]), "the episode goes on"


def test_a_risk_is_never_above_one_however_hazardous_the_action(transition):
    params = heartpole_v1.EnvParams(menu=menu.change(menu.default(), "sleep", hazard=50.0))
    state = dataclasses.replace(tired(), hypertension=jnp.float32(30.0))
    for action, expected in ((ACTIONS["cannabis"], 1.0), (ACTIONS["sleep"], 1.0), (ACTIONS["nothing"], 0.5)):
        _, _, _, _, info = transition(state, action, as_noise(CALM), params)
        assert float(info.heart_attack_risk) == pytest.approx(expected, rel=1e-6)

    params = heartpole_v1.EnvParams(menu=menu.change(menu.default(), "nothing", hazard=4.0))
    assert float(transition(state, ACTIONS["nothing"], as_noise(CALM), params)[4].heart_attack_risk) == 1.0
    # Certain in the night's first half-hour alone, at a hypertension of 8 that is 0.0001 by the morning.
    changed = menu.change(menu.default(), "sleep", hazard=3.0)
    params = heartpole_v1.EnvParams(menu=changed, hypertension_decay=0.5)
    state = dataclasses.replace(state, hypertension=jnp.float32(16.0))
    assert float(transition(state, ACTIONS["sleep"], as_noise(CALM), params)[4].heart_attack_risk) == 1.0


@pytest.mark.parametrize("hypertension", [0.0, 1.5, 9.0])
def test_the_mean_reward_is_the_same_for_every_expected_penalty(hypertension):
    """Over an even sequence of 2^16 heart-attack uniforms, for a night: 17 half-hours of risk."""
    uniforms = (jnp.arange(2**16) + 0.5) / 2**16
    state = dataclasses.replace(tired(), hypertension=jnp.float32(hypertension))

    def reward(beta, u):
        params = heartpole_v1.EnvParams(expected_penalty=beta)
        return heartpole_v1.transition(state, ACTIONS["sleep"], as_noise((0.5, 0.5, 0.5, u)), params)[2]

    rewards = jax.jit(jax.vmap(jax.vmap(reward, (None, 0)), (0, None)))(jnp.array([0.0, 0.5, 1.0]), uniforms)
    risk = 1 - np.prod([1 - 0.5 * sigma(hypertension * 0.97**i - 6) for i in range(1, 18)])
    sampled, half, expected = np.asarray(rewards, float)
    assert expected[0] == pytest.approx(sampled.max() - 100 * risk, abs=1e-4)
    for mean in (sampled.mean(), half.mean()):
        assert mean == pytest.approx(expected.mean(), abs=100 / 2**16 + 1e-4)


def test_done_is_the_time_limit_in_half_hours_and_no_death(transition):
    params, done, state = heartpole_v1.EnvParams(max_half_hours=20), [], heartpole_v1.initial_state(0.5)
    for name in ("nothing", "sleep", "nothing", "nothing", "sleep"):
        state, _, _, is_done, _ = transition(state, ACTIONS[name], as_noise(CALM), params)
        done.append(bool(is_done))
        assert not bool(heartpole_v1.terminated(state))
    assert done == [False, False, False, True, True]
    assert (int(state.time_elapsed), int(state.num_steps)) == (37, 5)


def test_an_episode_lasts_four_weeks_by_default(transition):
    for time_elapsed, expected in ((1342, False), (1343, True)):
        state = dataclasses.replace(tired(), time_elapsed=jnp.int32(time_elapsed))
        assert bool(transition(state, 0, as_noise(CALM), heartpole_v1.EnvParams())[3]) == expected


def test_a_patient_starts_rested_sober_and_calm():
    for u, alertness in ((0.0, 0.7), (0.5, 1.0), (NO_ATTACK, 1.3)):
        state, params = heartpole_v1.initial_state(u), heartpole_v1.EnvParams(wake_up_alertness_high=2.3)
        np.testing.assert_allclose(heartpole_v1.observe(state), [alertness, 0, 0, 0, 0, 0, 0, 0], rtol=1e-6)
        assert float(heartpole_v1.initial_state(u, params).alertness) == pytest.approx(0.7 + 1.6 * u, rel=1e-6)


def test_inside_jit_an_action_out_of_range_acts_as_a_row_without_effects(transition):
    state, noise = tired(), as_noise(CALM)
    for action in (-1, 8, 2**31 - 1):
        ours = transition(state, action, noise, heartpole_v1.EnvParams())
        for x, y in zip(
            *map(jax.tree.leaves, (ours, transition(state, 0, noise, heartpole_v1.EnvParams()))), strict=True
        ):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [(-1, ValueError, r"action must be in 0 \.\. 7, got -1"), (8, ValueError, "got 8"), (1.0, TypeError, "an integer")],
)
def test_a_bad_action_is_refused(action, error, message):
    with pytest.raises(error, match=message):
        heartpole_v1.step(tired(), action, jax.random.key(0))


def test_step_is_its_noise_and_what_follows_and_the_noise_is_v0s():
    state, _ = heartpole_v1.reset(jax.random.key(4))
    noise = hp.sample_noise(jax.random.key(5))
    stepped = heartpole_v1.step(state, 2, jax.random.key(5))
    assert all(jax.tree.leaves(jax.tree.map(jnp.array_equal, stepped, heartpole_v1.transition(state, 2, noise))))
    assert float(state.alertness) == float(hp.reset(jax.random.key(4))[0].alertness)
