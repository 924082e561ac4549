"""Goodness of fit: residuals by hand, uniform where the model is right and not where it is wrong; and the picture."""

import dataclasses
import io

import jax
import numpy as np
import pytest
from matplotlib.patches import Rectangle
from scipy import special, stats

import heartpole_jax as hp
from heartpole_jax import identification
from heartpole_jax.drawing.charts.fit import draw_fit
from heartpole_jax.identification import ObservationNoise, residuals

pytestmark = pytest.mark.once

NOISE = ObservationNoise(alertness=0.05, hypertension=0.05, intoxication=0.002, work_done=0.05)
PARAMS = hp.EnvParams(heart_attack_threshold=2.0)
NAMES = ("alertness", "hypertension", "intoxication", "work_done")
NUM_STEPS = 200


@pytest.fixture(scope="module")
def trace():
    records = hp.rollout(hp.policies.uniformly_random(), jax.random.key(0), PARAMS, num_envs=1, num_steps=NUM_STEPS,
                         record=hp.everything).records  # fmt: skip
    exact = identification.trace_of_rollout(records)
    return jax.device_get(identification.observe(exact, jax.random.key(1), NOISE, missing=0.1))


@pytest.fixture(scope="module")
def found(trace):
    return residuals(trace, PARAMS, NOISE)


def test_the_first_alertness_is_expected_to_be_a_uniform_seen_through_a_gaussian(trace, found):
    """U(0.7, 1.3) with an error of 0.05: the distribution function is an integral of normal ones."""
    seen = trace.alertness[0]
    assert np.isfinite(seen)
    u = (np.arange(20_000) + 0.5) / 20_000
    expected = np.mean(special.ndtr((seen - (0.7 + 0.6 * u)) / 0.05))
    assert found.expected["alertness"][0] == pytest.approx(1.0, abs=1e-9)
    assert found.deviations["alertness"][0] == pytest.approx(np.sqrt(0.36 / 12 + 0.05**2), rel=1e-9)
    assert found.quantiles["alertness"][0] == pytest.approx(expected, abs=1e-6)


def test_hypertension_is_expected_after_a_coffee_as_by_hand():
    """0.97 U(0, 0.3) with an error of 0.05; the risk beforehand is that at rest, 0.5 sigma(-2), and no more."""
    trace = identification.make_trace([hp.Action.COFFEE] * NUM_STEPS, heart_attacks=[False] * NUM_STEPS,
                                      hypertension=[0.0, 0.2] + [np.nan] * (NUM_STEPS - 1))  # fmt: skip
    found = residuals(trace, PARAMS, NOISE)
    assert found.expected["hypertension"][1] == pytest.approx(0.97 * 0.15, abs=1e-9)
    deviation = np.sqrt((0.97 * 0.3) ** 2 / 12 + 0.05**2)
    assert found.standardised["hypertension"][1] == pytest.approx((0.2 - 0.97 * 0.15) / deviation, rel=1e-9)
    u = (np.arange(20_000) + 0.5) / 20_000
    assert found.quantiles["hypertension"][1] == pytest.approx(
        np.mean(special.ndtr((0.2 - 0.97 * 0.3 * u) / 0.05)), abs=1e-6
    )
    risk = np.mean(0.5 * special.expit(0.97 * 0.3 * u - 2))
    assert found.heart_attack_risks[0] == pytest.approx(risk, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_where_the_model_is_right_quantiles_are_uniform_and_residuals_standard(name, found):
    """By Kolmogorov and Smirnov, at an error rate of 0.001 for each name."""
    quantiles = found.quantiles[name][np.isfinite(found.quantiles[name])]
    assert len(quantiles) > 100
    assert stats.kstest(quantiles, "uniform").pvalue > 1e-3
    z = found.standardised[name][np.isfinite(found.standardised[name])]
    assert abs(z.mean()) < 3.3 / np.sqrt(len(z))
    assert z.std() == pytest.approx(1.0, abs=3.3 / np.sqrt(2 * len(z)))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("alertness", {"wake_up_alertness_high": 2.0}),
        ("hypertension", {"hypertension_decay": 0.8}),
        ("intoxication", {"intoxication_decay": 0.99}),
        ("work_done", {"anxiety_threshold": 2.0}),
    ],
)
def test_where_the_model_is_wrong_quantiles_are_not_uniform(name, change, trace):
    quantiles = residuals(trace, dataclasses.replace(PARAMS, **change), NOISE).quantiles[name]
    assert stats.kstest(quantiles[np.isfinite(quantiles)], "uniform").pvalue < 1e-3


def test_heart_attacks_are_as_many_as_their_risks(trace, found):
    assert found.heart_attack_risks.shape == (NUM_STEPS,)
    expected = found.heart_attack_risks.sum()
    assert abs(trace.heart_attacks.sum() - expected) < 3.3 * np.sqrt(expected)


def test_what_was_not_seen_has_an_expectation_and_no_residual(trace, found):
    for name in NAMES:
        hidden = np.isnan(getattr(trace, name))
        assert hidden.any()
        assert np.isnan(found.quantiles[name][hidden]).all()
        assert np.isnan(found.standardised[name][hidden]).all()
        assert np.isfinite(found.expected[name]).all()


def test_a_heart_attack_leaves_no_residual_of_hypertension(trace, found):
    after = 1 + np.flatnonzero(trace.heart_attacks)
    assert after.size
    assert np.isnan(found.quantiles["hypertension"][after]).all()


def test_unknown_heart_attacks_are_refused(trace):
    with pytest.raises(ValueError, match=r"residuals need to know the heart attacks, .* unknown \(-1\)"):
        residuals(dataclasses.replace(trace, heart_attacks=np.full(NUM_STEPS, -1)), PARAMS, NOISE)


def test_the_picture_shows_what_was_seen_on_what_was_expected_and_all_quantiles(trace, found):
    figure = draw_fit(trace, PARAMS, NOISE)
    courses, histograms = figure.axes[::2], figure.axes[1::2]
    assert [axes.get_title(loc="left").split(" ")[0] for axes in courses] == [
        "alertness", "hypertension", "blood", "work",
    ]  # fmt: skip
    for name, axes in zip(NAMES, courses, strict=True):
        expected, seen = axes.lines
        np.testing.assert_array_equal(seen.get_ydata(), getattr(trace, name))
        np.testing.assert_array_equal(expected.get_ydata(), found.expected[name])
        (band,) = axes.collections
        corners = band.get_paths()[0].vertices
        top = found.expected[name] + 1.96 * found.deviations[name]
        assert corners[:, 1].max() == pytest.approx(top.max())
    for name, axes in zip(NAMES, histograms, strict=True):
        bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]  # and not what shades a span
        heights = [bar.get_height() for bar in bars if bar.get_width() == pytest.approx(0.1)]
        assert sum(heights) == np.isfinite(found.quantiles[name]).sum()
    words = " ".join(text.get_text() for text in figure.texts)
    assert f"{trace.heart_attacks.sum()} seen, {found.heart_attack_risks.sum():.1f} expected" in words
    file = io.BytesIO()
    figure.savefig(file)
    assert file.getvalue().startswith(b"\x89PNG")


def test_the_picture_leaves_out_what_was_never_seen_and_refuses_a_trace_without_anything(trace):
    blind = {name: np.full(NUM_STEPS + 1, np.nan) for name in NAMES}
    figure = draw_fit(dataclasses.replace(trace, **blind | {"alertness": trace.alertness}), PARAMS, NOISE)
    assert len(figure.axes) == 2
    with pytest.raises(ValueError, match="a trace to draw must show something"):
        draw_fit(dataclasses.replace(trace, **blind), PARAMS, NOISE)
