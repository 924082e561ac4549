"""EnvParams of both versions: every field matters, sweeps, is differentiable, and is checked."""

import copy
import dataclasses
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import NO_ATTACK, as_noise, as_state

import heartpole_jax as hp
from heartpole_jax.envs import heartpole_v0, heartpole_v1, menu

SLEEP, COFFEE, BEER = {hp.Action.SLEEP}, {hp.Action.COFFEE}, {hp.Action.BEER}
ALL = set(hp.Action)
AWAKE = ALL - SLEEP  # who sleeps is past the Ballmer peak when at work
SOME = None
NOISE = (0.5, 0.25, 0.75, NO_ATTACK)


class Version(NamedTuple):
    """A version of HeartPole, a patient of it, and another value for each of its parameters."""

    module: ModuleType
    params: Any
    state: Callable[[], Any]  # of JAX's default float
    num_actions: int
    changes: dict[str, tuple[Any, set[int] | None]]  # another value, and the actions whose step it changes, or SOME


V0 = Version(
    heartpole_v0,
    hp.EnvParams(max_steps=8.0, expected_penalty=0.5),
    lambda: dataclasses.replace(as_state((1.5, 5.0, 0.127, 45, 60, 20.0)), num_steps=jnp.int32(6)),
    4,
    {
        "max_steps": (7.0, ALL),
        "heart_attack_proclivity": (0.9, ALL),
        "heart_attack_threshold": (5.0, ALL),
        "heart_attack_penalty": (50.0, ALL),
        "expected_penalty": (0.2, ALL),
        "hypertension_decay": (0.9, ALL),
        "intoxication_decay": (0.96, ALL),
        "fatigue_onset": (30.0, ALL),
        "fatigue_width": (5.0, ALL),
        "anxiety_threshold": (2.0, ALL),
        "ballmer_limit": (0.08, ALL),
        "ballmer_steepness": (40.0, ALL),
        "ballmer_peak": (0.13, AWAKE),
        "ballmer_peak_width": (0.01, ALL),
        "ballmer_peak_height": (3.0, AWAKE),
        "wake_up_alertness_low": (0.5, SLEEP),
        "wake_up_alertness_high": (1.5, SLEEP),
        "coffee_alertness_low": (0.2, COFFEE),
        "coffee_alertness_high": (1.2, COFFEE),
        "coffee_hypertension_low": (0.1, COFFEE),
        "coffee_hypertension_high": (0.4, COFFEE),
        "beer_alertness_loss_low": (0.1, BEER),
        "beer_alertness_loss_high": (0.7, BEER),
        "beer_hypertension_low": (0.1, BEER),
        "beer_hypertension_high": (0.4, BEER),
        "beer_intoxication_low": (0.02, BEER),
        "beer_intoxication_high": (0.04, BEER),
    },
)
V1_VALUES = {
    "max_half_hours": 61.0, "heart_attack_proclivity": 0.4, "heart_attack_threshold": 5.0, "heart_attack_penalty": 50.0,
    "expected_penalty": 0.2, "hypertension_decay": 0.9, "intoxication_elimination": 0.01, "stimulation_decay": 0.9,
    "impairment_decay": 0.8, "fatigue_onset": 30.0, "fatigue_width": 5.0, "anxiety_threshold": 2.0,
    "ballmer_limit": 0.08, "ballmer_steepness": 40.0, "ballmer_peak": 0.13, "ballmer_peak_width": 0.01,
    "ballmer_peak_height": 3.0, "wake_up_alertness_low": 0.5, "wake_up_alertness_high": 1.5,
    "bedtime_stimulation_cost": 0.6,
}  # fmt: skip
V1 = Version(
    heartpole_v1,
    heartpole_v1.EnvParams(max_half_hours=70.0, expected_penalty=0.5),
    lambda: as_state((1.5, 5.0, 0.127, 45, 60, 20.0, 0.4, 0.2), heartpole_v1),
    8,
    {name: (value, SOME) for name, value in V1_VALUES.items()}
    | {"menu": (menu.change(menu.default(), "coffee", stimulation=(0.5, 1.0)), COFFEE)},
)
VERSIONS = {"v0": V0, "v1": V1}


def outcomes(version, params):
    """All that can be seen: two starts, (2 x observations,), and a step with each action, (actions, 14)."""

    def one(action):
        _, obs, reward, done, info = version.module.transition_info(version.state(), action, as_noise(NOISE), params)
        return jnp.stack([*obs, reward, done, *jax.tree.leaves(info)]).astype(float)

    start = jnp.concatenate([version.module.observe(version.module.initial_state(u, params)) for u in (0.25, 0.75)])
    return start, jax.vmap(one)(jnp.arange(version.num_actions, dtype=jnp.int32))


@functools.cache
def swept(version_name):
    """`outcomes` of the version's parameters (row 0) and of one variant for each field, under one vmap."""
    version = VERSIONS[version_name]
    variants = [dataclasses.replace(version.params, **{name: value}) for name, (value, _) in version.changes.items()]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), version.params, *variants)
    return jax.device_get(jax.jit(jax.vmap(functools.partial(outcomes, version)))(stacked))


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (V0, [1000, 0.5, 6, 100, 0, 0.97, 0.97, 40, 10, 3, 0.05, 50, 0.135, 0.005, 2,
              0.7, 1.3, 0, 1, 0, 0.3, 0, 0.5, 0, 0.3, 0.01, 0.03]),
        (V1, [1344, 0.5, 6, 100, 0, 0.97, 0.0075, 0.933, 0.841, 40, 10, 3, 0.05, 50, 0.135, 0.005, 2, 0.7, 1.3, 0.3,
              menu.default()]),
    ],
    ids=["v0", "v1"],
)  # fmt: skip
def test_the_fields_and_defaults_are_those_of_the_spec(version, expected):
    defaults = vars(type(version.params)())
    assert list(defaults.values()) == expected
    assert set(defaults) == set(version.changes)


@pytest.mark.parametrize(
    ("version_name", "field"), [("v0", field) for field in V0.changes] + [("v1", field) for field in V1.changes]
)
def test_every_field_changes_what_it_should_and_nothing_else(version_name, field):
    starts, steps = swept(version_name)
    changes = VERSIONS[version_name].changes
    row = list(changes).index(field) + 1
    changed = set(np.flatnonzero((steps[row] != steps[0]).any(axis=1)))
    assert changed
    if changes[field][1] is not SOME:
        assert changed == changes[field][1]
    assert (starts[row] != starts[0]).any() == field.startswith("wake_up")


@pytest.mark.parametrize(
    ("version_name", "fields"),
    [
        ("v0", ("max_steps", "hypertension_decay", "coffee_alertness_high", "ballmer_peak_width")),
        ("v1", ("hypertension_decay", "stimulation_decay", "menu")),
    ],
)
def test_a_sweep_under_vmap_is_a_python_loop_over_its_values(version_name, fields):
    """Parameters as numbers of Python and as traced arrays, one at a time and all at once."""
    version = VERSIONS[version_name]
    alone = jax.jit(functools.partial(outcomes, version))
    for field in fields:
        params = dataclasses.replace(version.params, **{field: version.changes[field][0]})
        for ours, theirs in zip(alone(params), swept(version_name), strict=True):
            np.testing.assert_allclose(ours, theirs[list(version.changes).index(field) + 1], rtol=1e-5)


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_gradients_of_every_number_are_those_of_finite_differences(version, x64):
    """Constants and doses: central differences in float64 of what starts and steps show, in some direction."""

    def loss(params):
        start, steps = outcomes(version, params)
        weights = jnp.cos(jnp.arange(steps.size, dtype=float)).reshape(steps.shape)
        return start @ jnp.sin(jnp.arange(start.size, dtype=float)) + (weights * steps).sum()

    of_vector = lambda x: loss(jax.tree.unflatten(jax.tree.structure(version.params), list(x)))
    values = jnp.stack([jnp.asarray(x, float) for x in jax.tree.leaves(version.params)])
    assert values.size == (27 if version is V0 else 20 + 8 + 2 * 12)  # of v1: constants, hazards, doses
    gradient = jax.jit(jax.grad(of_vector))(values)
    steps = jnp.diag(1e-6 * jnp.maximum(jnp.abs(values), 1.0))
    many = jax.jit(jax.vmap(of_vector))
    difference = many(values[None] + steps) - many(values[None] - steps)
    np.testing.assert_allclose(gradient, difference / (2 * jnp.diag(steps)), rtol=1e-5, atol=1e-6)
    assert (gradient != 0).sum() == values.size - 1  # but the time limit


def test_a_gradient_is_an_env_params_that_trees_can_handle():
    """It may be negative; only what is built by name is checked."""

    def loss(params):
        state, _ = hp.reset(jax.random.key(0), params)
        return hp.step(state, hp.Action.COFFEE, jax.random.key(1), params)[2]

    gradient = jax.jit(jax.grad(loss))(hp.EnvParams(max_steps=1000.0, expected_penalty=1.0))
    assert isinstance(gradient, hp.EnvParams)
    assert float(gradient.heart_attack_penalty) < 0
    downhill = jax.tree.map(lambda x: -1e3 * x, gradient)
    assert isinstance(downhill, hp.EnvParams)
    assert all(np.isfinite(x) for x in jax.tree.leaves(gradient))
    with_integers = jax.jit(lambda params: jax.grad(loss, allow_int=True)(params).heart_attack_penalty)
    assert float(with_integers(hp.EnvParams(expected_penalty=1.0))) == float(gradient.heart_attack_penalty)


def test_the_reward_of_an_episode_has_a_finite_gradient_in_every_field():
    def loss(params):
        state, _ = hp.reset(jax.random.key(0), params)

        def body(state, action_and_key):
            action, data = action_and_key
            state, _, reward, _ = hp.step(state, action, jax.random.wrap_key_data(data), params)
            return state, reward

        data = jax.random.key_data(jax.random.split(jax.random.key(1), 40))
        return jax.lax.scan(body, state, (jnp.arange(40) % 4, data))[1].sum()

    gradient = jax.jit(jax.grad(loss))(hp.EnvParams(max_steps=1000.0, expected_penalty=1.0))
    flat = {name: float(x) for name, x in vars(gradient).items()}
    assert all(np.isfinite(x) for x in flat.values())
    sober = ("ballmer_peak", "ballmer_peak_width", "ballmer_peak_height")  # the peak is out of reach of ten beers
    assert all(x != 0 for name, x in flat.items() if name not in ("max_steps", *sober)), flat


@pytest.mark.parametrize("hypertension", [0.0, 6.0, 9.0])
def test_the_mean_penalty_is_the_same_for_every_expected_penalty(hypertension):
    """Over an even sequence of 2^17 heart-attack uniforms; at 1 no reward depends on it, at 0 it is all or nothing."""
    uniforms = (jnp.arange(2**17) + 0.5) / 2**17
    state = as_state([1.0, hypertension / 0.97, 0, 0, 10, 5.0])

    @jax.jit
    @jax.vmap
    def rewards(beta):
        step = lambda u: hp.transition(state, 0, as_noise((0, 0, 0, u)), hp.EnvParams(expected_penalty=beta))[2]
        return jax.vmap(step)(uniforms)

    tutorial, half, expected = np.asarray(rewards(jnp.array([0.0, 0.5, 1.0])), float)
    gain = tutorial.max()
    risk = 0.5 / (1 + np.exp(6 - hypertension))
    assert np.ptp(expected) == 0
    assert expected[0] == pytest.approx(gain - 100 * risk, abs=1e-5)
    np.testing.assert_allclose(np.unique(tutorial), [gain - 100, gain], atol=1e-5)
    np.testing.assert_allclose(half, (tutorial + expected) / 2, atol=1e-5)
    for mean in (tutorial.mean(), half.mean()):
        assert mean == pytest.approx(expected.mean(), abs=100 / 2**17)


def test_proclivity_and_max_steps_are_the_makers_choice():
    state = as_state([1.0, 60.0, 0, 0, 0, 0])
    always = hp.EnvParams(heart_attack_proclivity=1.0, max_steps=1)
    never = hp.EnvParams(heart_attack_proclivity=0.0, max_steps=2)
    _, _, reward, done = hp.transition(state, 0, as_noise((0, 0, 0, NO_ATTACK)), always)
    assert float(reward) < -99
    assert bool(done)
    _, _, reward, done = hp.transition(state, 0, as_noise((0, 0, 0, 0)), never)
    assert float(reward) > 0
    assert not bool(done)


BAD = [
    *[(name, value, ValueError) for name in ("max_steps",) for value in (0, -1, 1.5, 2**31)],
    *[(name, -0.1, ValueError) for name in ("heart_attack_proclivity", "expected_penalty", "hypertension_decay")],
    *[(name, 1.1, ValueError) for name in ("heart_attack_proclivity", "expected_penalty", "intoxication_decay")],
    *[(name, 0.0, ValueError) for name in ("fatigue_width", "ballmer_peak_width")],
    *[(name, -0.01, ValueError) for name in ("coffee_hypertension_low", "beer_hypertension_low")],
    ("beer_intoxication_low", -0.01, ValueError),
    ("fatigue_onset", float("nan"), ValueError),
    ("heart_attack_penalty", float("inf"), ValueError),
    *[("heart_attack_penalty", value, ValueError) for value in (1e39, -1e300, 2**31, 10**40)],
    ("coffee_alertness_high", np.array([1.0, 1e39]), ValueError),
    ("fatigue_width", 1e-40, ValueError),
    ("hypertension_decay", 1 + 1e-12, ValueError),
    ("hypertension_decay", np.array([0.9, 1.2]), ValueError),
    ("expected_penalty", "1", TypeError),
    ("expected_penalty", None, TypeError),
    ("expected_penalty", True, TypeError),
    ("fatigue_width", [], TypeError),
    ("fatigue_width", [1.0, 2.0], TypeError),
    ("fatigue_width", np.zeros(0), TypeError),
    ("expected_penalty", 1j, TypeError),
]
BAD_V1 = [
    *[("max_half_hours", value, ValueError) for value in (0, -1, 1.5, 2**31)],
    ("intoxication_elimination", -0.1, ValueError),
    *[(name, -0.1, ValueError) for name in ("heart_attack_proclivity", "stimulation_decay")],
    *[(name, 1.1, ValueError) for name in ("expected_penalty", "impairment_decay", "hypertension_decay")],
    ("fatigue_width", 0.0, ValueError),
    ("bedtime_stimulation_cost", float("nan"), ValueError),
    ("stimulation_decay", np.array([0.9, 1.2]), ValueError),
    ("stimulation_decay", "1", TypeError),
    ("expected_penalty", True, TypeError),
    ("menu", None, TypeError),
    ("menu", "coffee.toml", TypeError),
]


@pytest.mark.parametrize(
    ("cls", "name", "value", "error"),
    [(hp.EnvParams, *case) for case in BAD] + [(heartpole_v1.EnvParams, *case) for case in BAD_V1],
    ids=lambda x: x.__module__ if isinstance(x, type) else str(x),
)
def test_a_bad_value_is_refused_by_name_and_value(cls, name, value, error):
    with pytest.raises(error) as raised:
        cls(**{name: value})
    assert f"EnvParams.{name} must be " in str(raised.value)
    assert repr(value) in str(raised.value)
    with pytest.raises(error):
        dataclasses.replace(cls(), **{name: value})


RANGES = ["wake_up_alertness", "coffee_alertness", "coffee_hypertension", "beer_alertness_loss", "beer_hypertension",
          "beer_intoxication"]  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "name"), [*((hp.EnvParams, name) for name in RANGES), (heartpole_v1.EnvParams, "wake_up_alertness")]
)
def test_a_range_that_is_upside_down_is_refused(cls, name):
    with pytest.raises(ValueError, match=rf"EnvParams\.{name}_low must not exceed {name}_high, got 2\.0 and 1\.5"):
        cls(**{f"{name}_low": 2.0, f"{name}_high": 1.5})


def test_a_range_that_is_infinite_in_float32_is_refused():
    with pytest.raises(ValueError, match=r"coffee_alertness_low must be nearer .* got -3e\+38 and 3e\+38"):
        hp.EnvParams(coffee_alertness_low=-3e38, coffee_alertness_high=3e38)


def test_with_64_bits_float64_is_the_limit(x64):
    assert hp.EnvParams(heart_attack_penalty=1e39, fatigue_width=1e-40).heart_attack_penalty == 1e39


@chex.dataclass(frozen=True)
class Sleepwalker(hp.EnvParams):
    steps_a_night: int = 100
    name: str = "somebody"


@dataclasses.dataclass(frozen=True)
class Namesake(hp.EnvParams):
    pass


@pytest.mark.parametrize("cls", [Sleepwalker, Namesake])
def test_a_subclass_is_checked_as_its_parent(cls):
    params = cls(heart_attack_penalty=50.0)
    for build in (cls, lambda **values: dataclasses.replace(params, **values)):
        with pytest.raises(ValueError, match=rf"{cls.__name__}\.heart_attack_penalty must be at least 0, got -1"):
            build(heart_attack_penalty=-1)


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="coffee"):
        hp.EnvParams(coffee=1)


def test_params_cannot_be_changed_and_survive_copying():
    params = hp.EnvParams(max_steps=7)
    with pytest.raises(dataclasses.FrozenInstanceError):
        params.max_steps = 8
    assert copy.deepcopy(params) == params


def test_arrays_and_tracers_pass_the_checks():
    hp.EnvParams(hypertension_decay=jnp.array([0.9, 0.95]), max_steps=np.int64(5))
    build = jax.jit(lambda x: hp.EnvParams(hypertension_decay=x))
    assert float(build(2.0).hypertension_decay) == 2.0


@pytest.mark.parametrize("make_params", [hp.EnvParams, hp.heartpole_v1.EnvParams])
def test_a_misspelt_constant_is_refused_with_the_nearest_one(make_params):
    with pytest.raises(TypeError, match=r"^EnvParams has no constant 'heart_atack_penalty'; did you mean 'heart_att"):
        make_params(heart_atack_penalty=5.0)
    with pytest.raises(TypeError, match=r"^EnvParams has no constant 'x'; its fields name them"):
        make_params(x=1)
