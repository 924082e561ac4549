"""Noise inferred from steps: known numbers come back, and what is not determined is said to be so."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import as_noise, as_state, golden_traces

import heartpole_jax as hp
from heartpole_jax.identification import infer_noise, sample_noise_given

pytestmark = pytest.mark.once

COFFEE, BEER, SLEEP, NOTHING = hp.Action.COFFEE, hp.Action.BEER, hp.Action.SLEEP, hp.Action.NOTHING
NAMES = ("alertness", "hypertension", "intoxication", "heart_attack")


@pytest.fixture(scope="module")
def golden():
    traces = golden_traces()
    return {
        "before": traces["states"][:, :-1].reshape(-1, 6),
        "after": traces["states"][:, 1:].reshape(-1, 6),
        "actions": traces["actions"].reshape(-1),
        "noise": traces["noise"].reshape(-1, 4),
        "attacks": traces["heart_attacks"].reshape(-1).astype(bool),
    }


def infer_all(golden, known):
    def one(before, action, after, attack):
        return infer_noise(as_state(before), action, as_state(after), heart_attack=attack if known else None)

    flags = jnp.asarray(golden["attacks"], jnp.int32)
    return jax.device_get(jax.jit(jax.vmap(one))(golden["before"], golden["actions"], golden["after"], flags))


def used(golden):
    """Which uniforms left a mark, by the table of the tutorial: (n,) for each."""
    actions, attacks = golden["actions"], golden["attacks"]
    return {
        "alertness": actions != NOTHING,
        "hypertension": ((actions == COFFEE) | (actions == BEER)) & ~attacks,
        "intoxication": actions == BEER,
        "heart_attack": np.zeros(len(actions), bool),
    }


def test_the_golden_traces_noise_comes_back_to_1e_9_wherever_it_was_used(golden, x64):
    inferred = infer_all(golden, known=True)
    for column, name in enumerate(NAMES[:3]):
        determined = getattr(inferred.determined, name)
        np.testing.assert_array_equal(determined, used(golden)[name])
        error = np.abs(getattr(inferred.value, name) - golden["noise"][:, column])[determined]
        # a sleepless developer's alertness of -300 has fewer digits left for the dose
        assert error.max() < 1e-9, name


def test_what_a_step_leaves_open_lies_in_an_interval_that_holds_the_truth(golden, x64):
    inferred = infer_all(golden, known=True)
    for column, name in enumerate(NAMES):
        low, high, value = (getattr(part, name) for part in (inferred.low, inferred.high, inferred.value))
        open_ = ~getattr(inferred.determined, name)
        truth = golden["noise"][:, column]
        assert (low <= truth)[open_].all(), name
        assert (truth < high)[open_].all(), name
        assert (low <= value).all(), name
        assert (value <= high).all(), name
        if name != "heart_attack":
            assert (low[open_] == 0).all(), name
            assert (high[open_] == 1).all(), name


def test_the_inferred_noise_replays_every_step(golden, x64):
    inferred = infer_all(golden, known=True)

    def replay(before, action, noise):
        _, obs, _, _, info = hp.transition_info(as_state(before), action, noise)
        return obs, info.heart_attack

    obs, attacks = jax.jit(jax.vmap(replay))(golden["before"], golden["actions"], inferred.value)
    np.testing.assert_array_equal(attacks, golden["attacks"])
    np.testing.assert_allclose(obs, golden["after"], rtol=1e-12, atol=1e-9)


def test_heart_attacks_are_read_off_the_hypertension(golden, x64):
    """Unless it was 0 before: then the data do not show it, and the uniform stays anywhere."""
    inferred = infer_all(golden, known=False)
    marked = (golden["before"][:, 1] > 0) | (golden["actions"] == COFFEE) | (golden["actions"] == BEER)
    np.testing.assert_array_equal(inferred.heart_attack, np.where(marked, golden["attacks"], -1))
    assert (~marked).sum() > 100
    assert golden["attacks"][marked].sum() > 20
    assert (inferred.low.heart_attack[~marked] == 0).all()
    assert (inferred.high.heart_attack[~marked] == 1).all()


def test_without_a_heart_attack_its_die_was_at_least_the_risk(x64):
    """Hypertension 6 is half of the proclivity 0.5."""
    before, after = as_state([1.0, 6.0 / 0.97, 0.0, 3, 3, 0.0]), as_state([0.9, 6.0, 0.0, 4, 4, 1.0])
    inferred = infer_noise(before, NOTHING, after)
    assert float(inferred.low.heart_attack) == pytest.approx(0.25, abs=1e-15)
    assert float(inferred.high.heart_attack) == 1.0
    attacked = dataclasses.replace(after, hypertension=jnp.zeros(()))
    inferred = infer_noise(before, NOTHING, attacked)
    assert float(inferred.low.heart_attack) == 0.0
    assert float(inferred.high.heart_attack) == pytest.approx(0.25, abs=1e-15)
    assert int(inferred.heart_attack) == 1


def test_after_a_heart_attack_the_dose_of_hypertension_is_open_and_its_risk_bounded_by_the_highest_dose(x64):
    before, after = as_state([1.0, 3.0, 0.0, 3, 3, 0.0]), as_state([1.2, 0.0, 0.0, 4, 4, 1.0])
    inferred = infer_noise(before, COFFEE, after)
    assert not bool(inferred.determined.hypertension)
    highest = 0.5 / (1 + np.exp(6 - 0.97 * 3.3))
    assert float(inferred.high.heart_attack) == pytest.approx(highest, rel=1e-12)


def test_a_range_without_width_leaves_its_uniform_open_and_still_replays(x64):
    params = hp.EnvParams(coffee_alertness_low=0.4, coffee_alertness_high=0.4)
    state = as_state([1.0, 0.2, 0.0, 3, 3, 0.0])
    after, *_ = hp.transition(state, COFFEE, as_noise([0.3, 0.6, 0.5, 0.99]), params)
    inferred = infer_noise(state, COFFEE, after, params)
    assert not bool(inferred.determined.alertness)
    assert (float(inferred.low.alertness), float(inferred.high.alertness)) == (0.0, 1.0)
    assert float(inferred.value.hypertension) == pytest.approx(0.6, abs=1e-12)
    again, *_ = hp.transition(state, COFFEE, inferred.value, params)
    np.testing.assert_allclose(hp.observe(again), hp.observe(after), atol=1e-12)


def test_where_nothing_lasts_half_an_hour_no_dose_is_determined_and_nothing_is_nan(x64):
    params = hp.EnvParams(hypertension_decay=0.0, intoxication_decay=0.0)
    state = as_state([1.0, 0.0, 0.0, 3, 3, 0.0])
    after, *_ = hp.transition(state, BEER, as_noise([0.3, 0.6, 0.5, 0.99]), params)
    inferred = infer_noise(state, BEER, after, params)
    assert not bool(inferred.determined.hypertension | inferred.determined.intoxication)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(inferred))
    assert int(inferred.heart_attack) == -1


def test_gradients_of_the_inferred_noise_are_finite_and_right(x64):
    """u = (dose - low) / (high - low): du / d alertness after a coffee is 1 / (1 - 0)."""
    state, noise = as_state([1.0, 0.2, 0.05, 3, 3, 0.0]), as_noise([0.3, 0.6, 0.5, 0.99])
    after, *_ = hp.transition(state, COFFEE, noise)

    def inferred(alertness):
        return infer_noise(state, COFFEE, dataclasses.replace(after, alertness=alertness)).value.alertness

    assert float(jax.jit(jax.grad(inferred))(after.alertness)) == pytest.approx(1.0)


def test_drawn_noise_replays_the_step_and_keeps_what_is_determined(golden, x64):
    rows = np.r_[np.flatnonzero(golden["attacks"]), np.arange(300)]
    picked = {name: value[rows] for name, value in golden.items()}

    def one(key, before, action, after, attack):
        noise = sample_noise_given(key, as_state(before), action, as_state(after), heart_attack=attack)
        _, obs, _, _, info = hp.transition_info(as_state(before), action, noise)
        return noise, obs, info.heart_attack

    keys = jax.random.split(jax.random.key(1), (20, len(rows)))
    flags = jnp.asarray(picked["attacks"], jnp.int32)
    in_axes = (0, None, None, None, None)
    noise, obs, attacks = jax.jit(jax.vmap(jax.vmap(one), in_axes))(
        keys, picked["before"], picked["actions"], picked["after"], flags
    )
    np.testing.assert_array_equal(attacks, np.broadcast_to(picked["attacks"], attacks.shape))
    np.testing.assert_allclose(obs, np.broadcast_to(picked["after"], obs.shape), rtol=1e-12, atol=1e-9)
    coffee = picked["actions"] == COFFEE
    spread = np.ptp(np.asarray(noise.alertness), axis=0)
    assert (spread[coffee] == 0).all()
    assert (spread[picked["actions"] == NOTHING] > 0.3).all()


def test_after_a_heart_attack_dose_and_uniform_have_the_distribution_of_all_episodes_that_had_one(x64):
    """400,000 doses, kept where there was an attack: the mean of dose, of uniform and of their product."""
    params = hp.EnvParams(coffee_hypertension_high=4.0)  # a wide range, over which the risk is far from constant
    before, after = as_state([1.0, 3.0, 0.0, 3, 3, 0.0]), as_state([1.2, 0.0, 0.0, 4, 4, 1.0])
    keys = jax.random.split(jax.random.key(2), 20_000)
    noise = jax.jit(jax.vmap(lambda key: sample_noise_given(key, before, COFFEE, after, params)))(keys)
    dose, uniform = np.asarray(noise.hypertension), np.asarray(noise.heart_attack)

    rng = np.random.default_rng(0)
    u, v = rng.random((2, 400_000))
    kept = v < 0.5 / (1 + np.exp(6 - 0.97 * (3 + 4 * u)))
    for ours, theirs in ((dose, u[kept]), (uniform, v[kept]), (dose * uniform, (u * v)[kept])):
        error = np.hypot(ours.std() / np.sqrt(ours.size), theirs.std() / np.sqrt(theirs.size))
        assert abs(ours.mean() - theirs.mean()) < 4 * error
    assert abs(u[kept].mean() - 0.5) > 0.1  # the prior's mean would not do


def test_an_action_out_of_range_is_refused():
    state = as_state([1.0, 0.0, 0.0, 0, 0, 0.0])
    with pytest.raises(ValueError, match=r"action must be in 0 \.\. 3, got 4"):
        infer_noise(state, 4, state)
    with pytest.raises(TypeError, match="action must be an integer"):
        infer_noise(state, 1.5, state)


def test_in_float32_the_noise_comes_back_to_1e_5():
    state = as_state([1.0, 0.5, 0.05, 3, 3, 0.0])
    for action in hp.Action:
        after, *_ = hp.transition(state, action, as_noise([0.3, 0.6, 0.25, 0.99]))
        inferred = infer_noise(state, action, after)
        for name, truth in (("alertness", 0.3), ("hypertension", 0.6), ("intoxication", 0.25)):
            value = getattr(inferred.value, name)
            assert value.dtype == jnp.float32
            if getattr(inferred.determined, name):
                assert float(value) == pytest.approx(truth, abs=1e-5)
