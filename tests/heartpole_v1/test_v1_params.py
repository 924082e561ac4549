"""HeartPole-v1's parameters and doses: each matters, sweeps, is differentiable and is checked; and no step breaks."""

import dataclasses

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from test_v1_golden_traces import as_noise, as_state

from heartpole_jax import heartpole_v1, menu
from heartpole_jax.heartpole_v1 import EnvParams

pytestmark = pytest.mark.once

NO_ATTACK = 1 - 2.0**-24
STATE = (1.5, 5.0, 0.127, 45, 60, 20.0, 0.4, 0.2)
NOISE = (0.5, 0.25, 0.75, NO_ATTACK)
HALF = EnvParams(max_half_hours=61.0, expected_penalty=0.5)
NAMES = [row.name for row in menu.default().actions]
# Another value for every field, which changes something that can be seen.
OTHER = {
    "max_half_hours": 62.0, "heart_attack_proclivity": 0.4, "heart_attack_threshold": 5.0, "heart_attack_penalty": 50.0,
    "expected_penalty": 0.2, "hypertension_decay": 0.9, "intoxication_elimination": 0.01, "stimulation_decay": 0.9,
    "impairment_decay": 0.8, "fatigue_onset": 30.0, "fatigue_width": 5.0, "anxiety_threshold": 2.0,
    "ballmer_limit": 0.08, "ballmer_steepness": 40.0, "ballmer_peak": 0.13, "ballmer_peak_width": 0.01,
    "ballmer_peak_height": 3.0, "wake_up_alertness_low": 0.5, "wake_up_alertness_high": 1.5,
    "bedtime_stimulation_cost": 0.6, "menu": menu.change(menu.default(), "coffee", stimulation=(0.5, 1.0)),
}  # fmt: skip


def outcomes(params):
    """All that can be seen: a start, and one step from STATE with each action, as numbers (8,) and (8, 14)."""

    def one(action):
        _, obs, reward, done, info = heartpole_v1.transition_info(as_state(STATE), action, as_noise(NOISE), params)
        return jnp.stack([*obs, reward, done, *jax.tree.leaves(info)]).astype(float)

    start = heartpole_v1.observe(heartpole_v1.initial_state(0.25, params))
    return start, jax.vmap(one)(jnp.arange(8, dtype=jnp.int32))


@pytest.fixture(scope="module")
def swept():
    """`outcomes` of HALF (row 0) and of one variant for each field, under one vmap."""
    variants = [HALF] + [dataclasses.replace(HALF, **{name: value}) for name, value in OTHER.items()]
    return jax.device_get(jax.jit(jax.vmap(outcomes))(jax.tree.map(lambda *x: jnp.stack(x), *variants)))


def test_the_fields_and_defaults_are_those_of_the_description():
    values = {name: value for name, value in vars(EnvParams()).items() if name != "menu"}
    assert list(values.values()) == [
        1344, 0.5, 6, 100, 0, 0.97, 0.0075, 0.933, 0.841, 40, 10, 3, 0.05, 50, 0.135, 0.005, 2, 0.7, 1.3, 0.3
    ]  # fmt: skip
    assert set(values) | {"menu"} == set(OTHER)
    assert EnvParams().menu is menu.default()


@pytest.mark.parametrize("name", OTHER)
def test_every_field_changes_something(swept, name):
    starts, steps = swept
    lane = list(OTHER).index(name) + 1
    assert (steps[lane] != steps[0]).any()
    assert (starts[lane] != starts[0]).any() == name.startswith("wake_up")


def test_a_swept_dose_changes_its_action_alone(swept):
    changed = (swept[1][list(OTHER).index("menu") + 1] != swept[1][0]).any(axis=1)
    assert [name for name, is_changed in zip(NAMES, changed, strict=True) if is_changed] == ["coffee"]


def test_a_sweep_is_a_python_loop_over_its_values(swept):
    for name in ("hypertension_decay", "stimulation_decay", "menu"):
        alone = jax.jit(outcomes)(dataclasses.replace(HALF, **{name: OTHER[name]}))
        for ours, theirs in zip(alone, swept, strict=True):
            np.testing.assert_allclose(ours, theirs[list(OTHER).index(name) + 1], rtol=1e-5)


def test_gradients_of_every_constant_and_dose_are_those_of_finite_differences(x64):
    """Of what a start and the eight steps show, in some direction: central differences in float64."""
    start = dataclasses.replace(HALF, max_half_hours=70.0)  # far from where a step is done

    def loss(params):
        start, steps = outcomes(params)
        weights = jnp.cos(jnp.arange(steps.size, dtype=float)).reshape(steps.shape)
        return start @ jnp.sin(jnp.arange(8.0)) + (weights * steps).sum()

    of_vector = lambda x: loss(jax.tree.unflatten(jax.tree.structure(start), list(x)))
    values = jnp.stack([jnp.asarray(x, float) for x in jax.tree.leaves(start)])
    assert values.size == 20 + 8 + 2 * 12  # constants, hazards, doses
    gradient = jax.jit(jax.grad(of_vector))(values)
    steps = jnp.diag(1e-6 * jnp.maximum(jnp.abs(values), 1.0))
    many = jax.jit(jax.vmap(of_vector))
    difference = many(values[None] + steps) - many(values[None] - steps)
    np.testing.assert_allclose(gradient, difference / (2 * jnp.diag(steps)), rtol=1e-5, atol=1e-6)
    assert (gradient != 0).sum() == values.size - 1  # but the time limit


def test_a_calm_patients_hypertension_has_its_whole_gradient(x64):
    """0.97 and not half of it: a maximum with 0 would take the mean of its two sides there."""
    state = as_state((1.0, 0, 0, 0, 0, 0, 0, 0))

    def hypertension(h):
        return heartpole_v1.transition(dataclasses.replace(state, hypertension=h), 0, as_noise(NOISE))[0].hypertension

    assert float(jax.grad(hypertension)(0.0)) == pytest.approx(0.97, rel=1e-12)


BAD = [
    *[("max_half_hours", value, ValueError) for value in (0, -1, 1.5, 2**31)],
    *[
        (name, -0.1, ValueError)
        for name in ("heart_attack_proclivity", "stimulation_decay", "intoxication_elimination")
    ],
    *[(name, 1.1, ValueError) for name in ("expected_penalty", "impairment_decay", "hypertension_decay")],
    ("fatigue_width", 0.0, ValueError),
    ("bedtime_stimulation_cost", float("nan"), ValueError),
    ("stimulation_decay", np.array([0.9, 1.2]), ValueError),
    ("stimulation_decay", "1", TypeError),
    ("expected_penalty", True, TypeError),
    ("menu", None, TypeError),
    ("menu", "coffee.toml", TypeError),
]


@pytest.mark.parametrize(("name", "value", "error"), BAD, ids=str)
def test_a_bad_value_is_refused_by_name_and_value(name, value, error):
    with pytest.raises(error) as raised:
        EnvParams(**{name: value})
    assert f"EnvParams.{name} must be " in str(raised.value)
    assert repr(value) in str(raised.value)
    with pytest.raises(error):
        dataclasses.replace(EnvParams(), **{name: value})


def test_a_range_that_is_upside_down_is_refused():
    with pytest.raises(ValueError, match=r"EnvParams\.wake_up_alertness_low must not exceed .* got 2\.0 and 1\.3"):
        EnvParams(wake_up_alertness_low=2.0)


def numbers(low, high):
    return hnp.arrays(np.float32, 32, elements=st.floats(low, high, width=32, allow_subnormal=False))


def counts(high):
    return hnp.arrays(np.int32, 32, elements=st.integers(0, high))


states = st.builds(
    heartpole_v1.EnvState,
    alertness=numbers(-(2.0**99), 2.0**99) | numbers(-1, 4),
    hypertension=numbers(0, 2.0**99) | numbers(0, 10),
    intoxication=numbers(0, 2.0**99) | numbers(0.0, 0.25),
    time_since_slept=counts(2**30) | counts(100),
    time_elapsed=counts(2**30) | counts(2000),
    work_done=numbers(0, 2.0**99),
    stimulation=numbers(0, 2.0**99) | numbers(0, 4),
    impairment=numbers(0, 2.0**99) | numbers(0, 4),
    num_steps=counts(2000),
)
noises = hnp.arrays(np.int32, (32, 4), elements=st.integers(0, 2**24 - 1)).map(lambda x: (x * 2.0**-24).astype("f4"))
step_all = jax.jit(jax.vmap(lambda state, action, u: heartpole_v1.transition_info(state, action, as_noise(u))))


@jax.jit
@jax.vmap
def gradients(state, action, noise):
    """Of the reward, penalty and all, in the floats of the state and in the noise."""
    floats = [name for name, value in vars(state).items() if value.dtype == jnp.float32]

    def reward(values, noise):
        varied = dataclasses.replace(state, **dict(zip(floats, values, strict=True)))
        return heartpole_v1.transition(varied, action, as_noise(noise), EnvParams(expected_penalty=1.0))[2]

    return jax.grad(reward, argnums=(0, 1))([getattr(state, name) for name in floats], noise)


@settings(max_examples=25)
@given(states, hnp.arrays(np.int32, 32, elements=st.integers(0, 7)), noises)
def test_a_step_from_any_state_is_finite_with_finite_gradients_and_keeps_the_ranges(state, action, noise):
    after, obs, reward, done, info = jax.device_get(step_all(state, action, noise))
    slopes = jax.device_get(gradients(state, action, noise))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((after, obs, reward, info, slopes)))
    assert min(after.hypertension.min(), after.intoxication.min(), info.productivity.min()) >= 0
    assert ((info.heart_attack_risk >= 0) & (info.heart_attack_risk <= 1)).all()
    half_hours = np.array([1, 1, 1, 17, 2, 2, 1, 2])[action]
    np.testing.assert_array_equal(after.time_elapsed - state.time_elapsed, half_hours)
    np.testing.assert_array_equal(after.time_since_slept, np.where(action == 3, 1, state.time_since_slept + half_hours))
    np.testing.assert_array_equal(done, after.time_elapsed >= 1344)
