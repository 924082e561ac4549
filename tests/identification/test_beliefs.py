"""Each operation on a belief against sums over a fine grid of a two-dimensional Gaussian or a uniform, in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax.identification import beliefs
from heartpole_jax.identification.beliefs import Belief

MEAN, COVARIANCE = np.array([0.3, -0.2]), np.array([[0.5, 0.2], [0.2, 0.4]])
YES = jnp.array(True)


@pytest.fixture
def belief(x64):
    return Belief(mean=jnp.asarray(MEAN), covariance=jnp.asarray(COVARIANCE), log_likelihood=jnp.asarray(-1.5))


def moments(weight):
    """The logarithm of the integral of `weight` over the Gaussian, and the mean and covariance that it leaves."""
    axis = np.linspace(-6, 6, 601)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    deviation = points - MEAN
    density = np.exp(-0.5 * np.einsum("xyi,ij,xyj->xy", deviation, np.linalg.inv(COVARIANCE), deviation))
    density /= density.sum()
    density = density * weight(points[..., 0], points[..., 1])
    total = density.sum()
    mean = np.einsum("xy,xyi->i", density, points) / total
    return np.log(total), mean, np.einsum("xy,xyi,xyj->ij", density, points - mean, points - mean) / total


def check(found, expected):
    log_likelihood, mean, covariance = expected
    assert float(found.log_likelihood) == pytest.approx(-1.5 + log_likelihood, abs=1e-8)
    np.testing.assert_allclose(found.mean, mean, atol=1e-8)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-8)


def test_an_observation_weighs_a_belief_by_its_density(belief):
    def density(x, y):
        return np.exp(-0.5 * (0.9 - (2 * x - 0.1)) ** 2 / 0.3) / np.sqrt(2 * np.pi * 0.3)

    found = beliefs.observe(belief, 0, jnp.asarray(0.9), YES, 0.3, factor=2.0, offset=-0.1)
    check(found, moments(density))


@pytest.mark.parametrize("curvature", [-0.8, 0.4], ids=["concave", "convex"])
def test_an_event_weighs_a_belief_by_its_probability(curvature, belief):
    def probability(x, y):
        return np.exp(-0.7 + 0.6 * (y + 0.2) + 0.5 * curvature * (y + 0.2) ** 2)

    parts = tuple(jnp.asarray(part) for part in (-0.7, 0.6, curvature))
    check(beliefs.weigh(belief, 1, parts, YES), moments(probability))


def test_what_was_not_seen_or_does_not_count_changes_nothing(belief):
    no = jnp.array(False)
    parts = tuple(jnp.asarray(part) for part in (-0.7, 0.6, -0.8))
    for found in (beliefs.observe(belief, 0, jnp.asarray(0.9), no, 0.3), beliefs.weigh(belief, 1, parts, no),
                  beliefs.add_dose(belief, 0, 1, 0.1, 0.5, no), beliefs.forget(belief, 0, no)):  # fmt: skip
        np.testing.assert_array_equal(found.mean, belief.mean)
        np.testing.assert_array_equal(found.covariance, belief.covariance)
        assert float(found.log_likelihood) == -1.5


def test_a_throw_adds_a_uniform_and_forgets_the_old_die(belief):
    """low + width u has the mean low + width / 2, the variance width^2 / 12 and the covariance width / 12 with u."""
    found = beliefs.add_dose(belief, 0, 1, 0.1, 0.6, YES)
    np.testing.assert_allclose(found.mean, [0.3 + 0.1 + 0.3, 0.5], rtol=1e-12)
    np.testing.assert_allclose(found.covariance, [[0.5 + 0.03, 0.05], [0.05, 1 / 12]], rtol=1e-12)


def test_adding_a_line_adds_its_variance_and_covariance(belief):
    """x + 2 + 3 (y - mean y) + N(0, 0.7): by the rules for sums."""
    found = beliefs.add_to(belief, 0, 2.0, jnp.array([0.0, 3.0]), 0.7)
    np.testing.assert_allclose(found.mean, [2.3, -0.2], rtol=1e-12)
    variance = 0.5 + 2 * 3 * 0.2 + 9 * 0.4 + 0.7
    np.testing.assert_allclose(found.covariance, [[variance, 0.2 + 3 * 0.4], [0.2 + 3 * 0.4, 0.4]], rtol=1e-12)


@pytest.mark.parametrize(
    ("mean", "deviation"), [(0.5, np.sqrt(1 / 12)), (0.4, 0.2), (0.02, 0.03), (0.97, 0.1), (1.1, 0.05), (0.5, 1e-3)]
)
def test_a_die_is_made_uniform_exactly(mean, deviation, x64):
    """The Gaussian of a uniform after some observations is its prior N(1/2, 1/12) times a likelihood: the likelihood's
    integral over [0, 1), and the moments that it has there, on a grid of 400,000 points."""
    belief = Belief(mean=jnp.array([mean]), covariance=jnp.array([[deviation**2]]), log_likelihood=jnp.zeros(()))
    found = beliefs.uniformity(belief, 0)
    u = (np.arange(400_000) + 0.5) / 400_000
    exponent = 6 * (u - 0.5) ** 2 - 0.5 * ((u - mean) / deviation) ** 2
    likelihood = np.exp(exponent) * np.sqrt(1 / 12) / deviation
    settled = np.sum(u * likelihood) / np.sum(likelihood)
    spread = np.sum((u - settled) ** 2 * likelihood) / np.sum(likelihood)
    assert float(found.log_likelihood) == pytest.approx(np.log(np.mean(likelihood)), abs=1e-6)
    assert float(found.shift) + mean == pytest.approx(settled, abs=1e-7)
    assert float(found.spread) + deviation**2 == pytest.approx(spread, rel=1e-5)


def test_settling_a_die_takes_the_others_along(belief):
    """Given the noise the rest is Gaussian with the same line and spread: the law of total variance."""
    found = beliefs.Uniformity(jnp.asarray(0.25), jnp.asarray(0.1), jnp.asarray(-0.15), jnp.zeros(24), jnp.zeros(24))
    settled = beliefs.settle(belief, 1, found, YES)
    np.testing.assert_allclose(settled.mean, [0.3 + 0.5 * 0.1, -0.1], rtol=1e-12)
    np.testing.assert_allclose(settled.covariance, [[0.5 - 0.25 * 0.15, 0.125], [0.125, 0.25]], rtol=1e-12)
    assert float(settled.log_likelihood) == -1.25
