"""The likelihood against brute force: every density summed over a fine grid of doses, in NumPy."""

import itertools

import jax
import numpy as np
import pytest
from scipy import special

import heartpole_jax as hp
from heartpole_jax import identification
from heartpole_jax.identification import ObservationNoise, coordinates, filtering

pytestmark = pytest.mark.once

NOTHING, COFFEE, BEER, SLEEP = 0, 1, 2, 3
NOISE = ObservationNoise(alertness=0.05, hypertension=0.03, intoxication=0.002, work_done=0.05)
NODES, WEIGHTS = (x for x in np.polynomial.legendre.leggauss(400))
U, DU = 0.5 * (NODES + 1), 0.5 * WEIGHTS  # quadrature over a uniform


def normal(x, deviation):
    return np.exp(-0.5 * np.square(x / deviation)) / (deviation * np.sqrt(2 * np.pi))


# One program for all short traces: they are filled up to four steps, which `test_steps_that_only_fill_up` covers.
BODY = jax.jit(filtering.body_log_likelihoods)
HEART = jax.jit(filtering.heart_log_likelihoods, static_argnums=3)


def body(trace, noise=NOISE, params=None, num_steps=4):
    params = hp.EnvParams() if params is None else params
    return float(BODY(filtering.rows_of(trace, num_steps), params, noise).sum())


def heart(trace, noise=NOISE, params=None, unknown=False, num_steps=4):
    params = hp.EnvParams() if params is None else params
    return float(HEART(filtering.rows_of(trace, num_steps), params, noise, unknown).sum())


def fatigue(awake):
    return special.expit((awake - 40) / 10)


def productivity(alertness, intoxication):
    ballmer = special.expit(50 * (0.05 - intoxication)) + 2 * np.exp(-0.5 * ((intoxication - 0.135) / 0.005) ** 2)
    return alertness * special.expit(3 - alertness) * ballmer


def test_one_row_is_a_uniform_seen_through_a_gaussian(x64):
    """Alertness on waking up, U(0.7, 1.3): the difference of two normal distribution functions over 0.6."""
    for seen in (0.5, 0.72, 1.0, 1.4):
        trace = identification.make_trace([NOTHING], alertness=[seen, np.nan])
        density = (special.ndtr((seen - 0.7) / 0.05) - special.ndtr((seen - 1.3) / 0.05)) / 0.6
        assert body(trace) == pytest.approx(np.log(density), abs=1e-7)


@pytest.mark.parametrize("seen", [[0.69, 0.66, 0.68, 0.63], [1.0, 0.9, 1.0, 0.95], [1.35, 1.34, 1.25, 1.3]])
def test_rows_between_two_doses_are_exact_also_at_the_edge_of_the_range(seen, x64):
    trace = identification.make_trace([NOTHING] * 3, alertness=seen)
    alertness = 0.7 + 0.6 * U
    density = normal(seen[0] - alertness, 0.05)
    for awake in range(3):
        alertness = alertness - fatigue(awake)
        density = density * normal(seen[awake + 1] - alertness, 0.05)
    assert body(trace) == pytest.approx(np.log(np.sum(DU * density)), abs=1e-6)


def test_a_range_without_width_is_a_plain_gaussian(x64):
    params = hp.EnvParams(wake_up_alertness_low=1.0, wake_up_alertness_high=1.0)
    trace = identification.make_trace([NOTHING], alertness=[1.1, np.nan])
    assert body(trace, params=params) == pytest.approx(np.log(normal(0.1, 0.05)), abs=1e-9)


@pytest.mark.parametrize("wide", [1.0, 5.0], ids=["noise of a fifth of the dose", "noise as wide as the dose"])
def test_two_beers_in_a_row_against_the_double_integral(wide, x64):
    """Intoxication alone: the first dose counts as a Gaussian once the second has come."""
    noise = ObservationNoise(alertness=1.0, intoxication=0.004 * wide, hypertension=1.0, work_done=1.0)
    first, second = np.meshgrid(0.01 + 0.02 * U, 0.01 + 0.02 * U, indexing="ij")
    weights = np.outer(DU, DU)
    for seen in ([0.0, 0.02, 0.035], [0.0, 0.011, 0.02], [0.0, np.nan, 0.045]):
        trace = identification.make_trace([BEER, BEER], intoxication=seen)
        level = [0.0 * first, 0.97 * first, 0.97 * (0.97 * first + second)]
        density = np.prod(
            [normal(y - x, noise.intoxication) for y, x in zip(seen, level, strict=True) if not np.isnan(y)], axis=0
        )
        assert body(trace, noise) == pytest.approx(np.log(np.sum(weights * density)), abs=0.02)


def test_a_coffee_seen_only_through_the_work_that_it_makes(x64):
    """Wake-up and dose, and the sum of two productivities seen. This is where the filter is coarsest: it takes
    productivity for a straight line over the whole of an unseen dose."""
    noise = ObservationNoise(alertness=0.05, intoxication=0.002, hypertension=0.03, work_done=0.2)
    wake_up, dose = np.meshgrid(0.7 + 0.6 * U, U, indexing="ij")
    work = productivity(wake_up, 0.0)
    later = work + productivity(wake_up - fatigue(0) + dose, 0.0)
    for seen in ([0.0, 0.75, 1.9], [0.0, 0.9, np.nan], [0.0, 0.7, 1.4]):
        trace = identification.make_trace([NOTHING, COFFEE], alertness=[1.02, np.nan, np.nan], work_done=seen)
        density = normal(1.02 - wake_up, 0.05) * normal(0.0, 0.2) * normal(seen[1] - work, 0.2)
        if not np.isnan(seen[2]):
            density = density * normal(seen[2] - later, 0.2)
        assert body(trace, noise) == pytest.approx(np.log(np.sum(np.outer(DU, DU) * density)), abs=0.08)


def risk(level, params):
    return params.heart_attack_proclivity * special.expit(level - params.heart_attack_threshold)


FRAIL = hp.EnvParams(heart_attack_threshold=0.2, coffee_hypertension_high=1.0)


def heart_by_hand(actions, attacks, seen, params=FRAIL, deviation=0.03):
    """The probability of two steps, each of whose coffees is summed over."""
    coffee = params.coffee_hypertension_high * U
    doses = np.meshgrid(*[coffee if action == COFFEE else np.zeros(1) for action in actions], indexing="ij")
    weights = 1.0
    for action, axis in zip(actions, range(len(actions)), strict=True):
        shape = [1] * len(actions)
        shape[axis] = -1
        weights = weights * (DU if action == COFFEE else np.ones(1)).reshape(shape)
    level, density = 0.0, normal(seen[0], deviation) if not np.isnan(seen[0]) else 1.0
    for dose, attack, y in zip(doses, attacks, seen[1:], strict=True):
        level = 0.97 * (level + dose)
        density = density * (risk(level, params) if attack else 1 - risk(level, params))
        level = 0.0 * level if attack else level
        density = density if np.isnan(y) else density * normal(y - level, deviation)
    return np.sum(weights * density)


CASES = [
    ([COFFEE, COFFEE], [0.0, 0.5, 0.9]),
    ([COFFEE, COFFEE], [0.0, 0.02, np.nan]),
    ([COFFEE, NOTHING], [np.nan, np.nan, 0.4]),
    ([COFFEE, NOTHING], [0.01, 0.03, 0.0]),
]


@pytest.mark.parametrize(("actions", "seen"), CASES)
@pytest.mark.parametrize("attacks", list(itertools.product([0, 1], repeat=2)))
def test_heart_attacks_and_hypertension_against_the_double_integral(actions, seen, attacks, x64):
    trace = identification.make_trace(actions, heart_attacks=list(attacks), hypertension=seen)
    expected = heart_by_hand(actions, attacks, seen)
    if expected > 1e-12:
        assert heart(trace, params=FRAIL) == pytest.approx(np.log(expected), abs=0.03)
    else:
        assert heart(trace, params=FRAIL) < -15


@pytest.mark.parametrize(("actions", "seen"), CASES)
def test_unknown_heart_attacks_are_summed_over(actions, seen, x64):
    trace = identification.make_trace(actions, hypertension=seen)
    every = itertools.product([0, 1], repeat=2)
    expected = sum(heart_by_hand(actions, attacks, seen) for attacks in every)
    assert heart(trace, params=FRAIL, unknown=True) == pytest.approx(np.log(expected), abs=0.03)


@pytest.mark.slow
def test_known_flags_give_the_same_with_and_without_the_sum_over_unknown_ones(x64):
    records = hp.rollout(lambda key, obs: COFFEE, jax.random.key(1), FRAIL, num_envs=1, num_steps=12,
                         record=hp.everything).records  # fmt: skip
    trace = identification.observe(identification.trace_of_rollout(records), jax.random.key(2), NOISE, missing=0.2)
    trace = jax.device_get(trace)
    assert 0 < trace.heart_attacks.sum() < 12
    known, summed = (heart(trace, params=FRAIL, unknown=unknown, num_steps=12) for unknown in (False, True))
    assert known == pytest.approx(summed, abs=1e-9)


def test_where_nothing_is_seen_the_likelihood_is_one(x64):
    trace = identification.make_trace([COFFEE, BEER, SLEEP, NOTHING], heart_attacks=[0, 0, 0, 0])
    assert body(trace) == pytest.approx(0.0, abs=1e-9)


def test_steps_that_only_fill_up_change_nothing(x64):
    trace = identification.make_trace([COFFEE, BEER], heart_attacks=[0, 0], alertness=[1.0, 1.5, 1.2],
                                      hypertension=[0.0, 0.1, 0.3], intoxication=[0.0, 0.0, 0.02])  # fmt: skip
    params = hp.EnvParams()
    short, long = (filtering.rows_of(trace, length) for length in (2, 4))
    for function in (BODY, lambda *x: HEART(*x, False)):
        parts, filled = function(short, params, NOISE), function(long, params, NOISE)
        np.testing.assert_allclose(filled[:3], parts, atol=1e-12)
        np.testing.assert_allclose(filled[3:], 0.0, atol=1e-12)


def test_gradients_are_those_of_differences_and_finite(x64):
    """Every parameter that leaves a mark, on an episode with all actions in it, observed with gaps."""
    records = hp.rollout(hp.policies.uniformly_random(), jax.random.key(0), num_envs=1, num_steps=12,
                         record=hp.everything).records  # fmt: skip
    trace = identification.observe(identification.trace_of_rollout(records), jax.random.key(3), NOISE, missing=0.2)
    rows = filtering.rows_of(jax.device_get(trace))
    params = hp.EnvParams(coffee_hypertension_low=0.05, beer_hypertension_low=0.05)
    space = coordinates.coordinates(coordinates.FITTABLE, params, NOISE)

    @jax.jit
    def total(theta, direction):
        def along(size):
            built = coordinates.build(theta + size * direction, space)
            return (filtering.body_log_likelihoods(rows, *built).sum()
                    + filtering.heart_log_likelihoods(rows, *built).sum())  # fmt: skip

        return jax.jvp(along, (0.0,), (1.0,))

    theta, step = coordinates.start(space), 1e-5
    for direction in np.eye(len(theta)):
        _, slope = total(theta, direction)
        ahead, behind = (total(theta + sign * step * direction, direction)[0] for sign in (1, -1))
        assert np.isfinite(slope)
        assert float(slope) == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-5, abs=1e-5)
