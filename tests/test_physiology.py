"""The tutorial's equations: check values, gradients by hand, and the far ends of every range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax.envs import physiology

# (function, argument, value), by hand from the tutorial's equations.
CHECK_VALUES = [
    (physiology.alertness_decay, 0.0, 0.01798620996209156),
    (physiology.alertness_decay, 40.0, 0.5),
    (physiology.crippling_anxiety, 1.0, 0.11920292202211755),
    (physiology.crippling_anxiety, 3.0, 0.5),
    (physiology.ballmer_function, 0.0, 0.9241418199787566),
    (physiology.ballmer_function, 0.135, 2.0140636270),
    (physiology.heart_attack_risk, 0.0, 0.0012363115783173872),
    (physiology.heart_attack_risk, 6.0, 0.25),
    (physiology.decay, 2.0, 1.94),
]


def working(alertness, intoxication):
    return physiology.productivity(alertness, physiology.ballmer_function(intoxication))


def test_check_values_are_met(x64):
    for function, argument, value in CHECK_VALUES:
        assert float(function(argument)) == pytest.approx(value, rel=1e-9 if value > 2 else 1e-15, abs=0), function
    assert float(working(0.8270396053524154, 0.012121832164124767)) == pytest.approx(0.645391786501011, rel=1e-14)


def test_check_values_are_met_in_float32():
    for function, argument, value in CHECK_VALUES:
        assert float(function(argument)) == pytest.approx(value, rel=1e-6), function


def test_half_of_a_drink_is_gone_after_twelve_hours(x64):
    level = 1.0
    for _ in range(24):
        level = physiology.decay(level)
    assert float(level) == pytest.approx(0.4814, abs=5e-5)


def test_doses_lie_between_their_bounds():
    assert physiology.uniform_between(0.7, 1.3, 0.0) == 0.7
    assert physiology.uniform_between(0.7, 1.3, 1.0) == pytest.approx(1.3)
    assert physiology.uniform_between(0.01, 0.03, 0.25) == pytest.approx(0.015)


def test_the_score_is_zero_at_time_zero_and_the_mean_later():
    assert float(physiology.score(0.0, jnp.int32(0))) == 0.0
    assert float(physiology.score(3.0, jnp.int32(4))) == 0.75


def test_parameters_move_the_curves(x64):
    """At every threshold, onset, limit and peak the curve is at half, or at its height."""
    assert float(physiology.heart_attack_risk(2.0, proclivity=0.8, threshold=2.0)) == pytest.approx(0.4)
    assert float(physiology.alertness_decay(15.0, onset=10.0, width=5.0)) == pytest.approx(1 / (1 + np.exp(-1)))
    assert float(physiology.crippling_anxiety(2.0, threshold=2.0)) == 0.5
    assert float(physiology.ballmer_function(0.3, limit=0.3, peak=9.0)) == 0.5
    assert float(physiology.ballmer_function(0.3, limit=0.2, steepness=10.0, peak=9.0)) == pytest.approx(
        1 / (1 + np.exp(1))
    )
    tall = physiology.ballmer_function(0.9, peak=0.8, peak_width=0.1, peak_height=5.0)
    assert float(tall) == pytest.approx(5 * np.exp(-0.5))
    assert float(physiology.productivity(2.0, 3.0, anxiety_threshold=2.0)) == 3.0
    assert float(physiology.decay(2.0, rate=0.25)) == 0.5


def sigma(z):
    return 1 / (1 + np.exp(-z))


def gaussian(x):
    return np.exp(-((x - 0.135) ** 2) / (2 * 0.005**2))


# Derivatives by hand, of NumPy numbers; sigma' = sigma (1 - sigma).
GRADIENTS = [
    (physiology.heart_attack_risk, lambda h: 0.5 * sigma(h - 6) * sigma(6 - h), (0.0, 3.0, 6.0, 9.0)),
    (physiology.alertness_decay, lambda s: sigma(s / 10 - 4) * sigma(4 - s / 10) / 10, (0.0, 40.0, 70.0)),
    (physiology.crippling_anxiety, lambda a: sigma(a - 3) * sigma(3 - a), (-2.0, 1.0, 3.0)),
    (
        physiology.ballmer_function,
        lambda x: -50 * sigma(2.5 - 50 * x) * sigma(50 * x - 2.5) - (x - 0.135) / 0.005**2 * 2 * gaussian(x),
        (0.0, 0.05, 0.12, 0.13, 0.135, 0.14, 0.15),
    ),
    (
        lambda a: physiology.productivity(a, 1.7),
        lambda a: 1.7 * sigma(3 - a) * (1 - a * sigma(a - 3)),
        (-5.0, 0.0, 1.0, 3.0, 6.0),
    ),
    (lambda x: physiology.decay(x), lambda x: 0.97, (0.0, 2.0)),
    (lambda u: physiology.uniform_between(0.7, 1.3, u), lambda u: 0.6, (0.0, 0.5)),
    (lambda w: physiology.score(w, jnp.int32(4)), lambda w: 0.25, (0.0, 2.0)),
]


@pytest.mark.parametrize(
    ("function", "derivative", "points"),
    GRADIENTS,
    ids=["risk", "fatigue", "anxiety", "ballmer", "productivity", "decay", "doses", "score"],
)
def test_gradients_are_those_by_hand(function, derivative, points, x64):
    for point in points:
        assert float(jax.grad(function)(point)) == pytest.approx(derivative(point), rel=1e-12, abs=1e-15), point


def test_everything_is_finite_at_the_far_ends():
    """Values and gradients, around every bend and up to the largest float; of productivity, a product, up to 1e30."""
    points = jnp.array([0.0, 1e-30, 0.135, 0.1349, 0.13, 0.14, 0.2, 1.0, 3.0, 6.0, 40.0, 958.0, 1e6, 1e30])
    points = jnp.concatenate([points, -points])
    largest = jnp.finfo(jnp.float32).max
    everywhere = jnp.concatenate([points, jnp.array([largest, -largest])])
    pairs = jnp.stack(jnp.meshgrid(points, points), axis=-1).reshape(-1, 2)
    for function in (
        physiology.heart_attack_risk,
        physiology.alertness_decay,
        physiology.crippling_anxiety,
        physiology.ballmer_function,
        physiology.decay,
    ):
        value, slope = jax.vmap(jax.value_and_grad(function))(everywhere)
        assert jnp.isfinite(value).all(), function
        assert jnp.isfinite(slope).all(), function
    value, slopes = jax.vmap(jax.value_and_grad(working, argnums=(0, 1)))(*pairs.T)
    assert jnp.isfinite(value).all()
    assert jnp.isfinite(jnp.stack(slopes)).all()
    value, slope = jax.value_and_grad(physiology.score)(0.0, jnp.int32(0))
    assert (float(value), float(slope)) == (0.0, 1.0)


def test_the_sigmoids_keep_their_digits_at_the_far_ends():
    """1 - sigma(a - 3) would be 0 at a = 30, where sigma(3 - a) is 1.9e-12."""
    assert float(physiology.productivity(30.0, 1.0)) == pytest.approx(30 * sigma(-27.0), rel=1e-5)
    assert float(physiology.productivity(-1000.0, 0.5)) == -500.0
    assert float(physiology.productivity(1e30, 1.0)) == 0.0
    assert float(physiology.ballmer_function(1e30)) == 0.0


def test_scalars_and_arrays_give_the_same_under_jit_and_vmap():
    points = jnp.linspace(-1.0, 7.0, 9)
    for function, _, _ in CHECK_VALUES:
        one_by_one = jnp.stack([jnp.asarray(function(x)) for x in points])
        np.testing.assert_allclose(jax.jit(function)(points), one_by_one, rtol=1e-6)
        np.testing.assert_allclose(jax.vmap(function)(points), one_by_one, rtol=1e-6)
