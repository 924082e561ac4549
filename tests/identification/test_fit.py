"""Parameters from traces: estimates against hand results, coverage with a stated error rate, and what is said when the
data cannot show."""

import dataclasses
import re
import types
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heartpole_jax as hp
from heartpole_jax import identification
from heartpole_jax.identification import ObservationNoise, coordinates, estimating, fitting, maximising, profiling

pytestmark = pytest.mark.once

NOTHING, COFFEE, BEER, SLEEP = 0, 1, 2, 3
NOISE = ObservationNoise(alertness=0.05, hypertension=0.05, intoxication=0.002, work_done=0.05)
TRUTH = hp.EnvParams(heart_attack_threshold=2.0)


def drinker(key, obs):
    return jnp.searchsorted(jnp.array([0.4, 0.75, 0.9]), jax.random.uniform(key)).astype(jnp.int32)


def simulated(num_patients, num_steps, seed=0, policy=drinker, params=TRUTH):
    records = hp.rollout(policy, jax.random.key(seed), params, num_envs=num_patients, num_steps=num_steps,
                         record=hp.everything).records  # fmt: skip
    return [identification.trace_of_rollout(records, i) for i in range(num_patients)]


def seen(traces, seed=1, missing=0.1):
    keys = jax.random.split(jax.random.key(seed), len(traces))
    return [jax.device_get(identification.observe(t, k, NOISE, missing)) for t, k in zip(traces, keys, strict=True)]


def only(trace, *names):
    """`trace` with nothing seen but `names`."""
    hidden = {name: np.full(len(trace.actions) + 1, np.nan) for name in vars(NOISE) if name not in names}
    return dataclasses.replace(trace, **hidden)


def test_the_error_of_observation_of_a_body_at_rest_is_the_root_mean_square():
    """Hypertension of a developer who does nothing is 0: the estimate is sqrt(mean y^2), its error that / sqrt(2 n)."""
    y = np.random.default_rng(0).normal(0.0, 0.07, 200)
    trace = identification.make_trace([NOTHING] * 199, heart_attacks=[False] * 199, hypertension=y)
    found = identification.fit(trace, "noise_hypertension", observation_noise=NOISE)
    estimate = found.estimates["noise_hypertension"]
    expected = np.sqrt(np.mean(y**2))
    assert estimate.value == pytest.approx(expected, rel=1e-4)
    assert estimate.standard_error == pytest.approx(expected / np.sqrt(400), rel=1e-3)
    assert (estimate.low, estimate.high) == pytest.approx(
        (expected * np.exp(-1.959964 / 20), expected * np.exp(1.959964 / 20)), rel=1e-3
    )  # symmetric on the logarithm
    # sum of squared scores: (y^2 / s^2 - 1)^2 summed, on the logarithm
    scores = np.sum((y**2 / expected**2 - 1) ** 2)
    assert estimate.robust_standard_error == pytest.approx(expected * np.sqrt(scores) / 400, rel=1e-3)
    assert found.converged
    assert found.observation_noise.hypertension == estimate.value
    log_likelihood = np.sum(-0.5 * np.log(2 * np.pi * expected**2) - 0.5 * y**2 / expected**2)
    rest = 199 * np.log(1 - 0.5 / (1 + np.exp(6)))
    assert found.log_likelihood == pytest.approx(log_likelihood + rest, abs=1e-5)


def test_the_proclivity_of_a_heart_at_rest_is_the_share_of_attacks_over_half_the_risk(monkeypatch):
    """Hypertension stays 0, so kappa sigma(-threshold) = attacks / draws: 30 in 400, at a threshold of 0 twice that."""
    attacks = np.arange(400) % 40 < 3
    trace = identification.make_trace([NOTHING] * 400, heart_attacks=attacks)
    params = hp.EnvParams(heart_attack_threshold=0.0, heart_attack_proclivity=0.4)
    monkeypatch.setattr(fitting, "_SECONDS_A_MESSAGE", 0.0)
    messages = []
    found = identification.fit(
        trace, ["heart_attack_proclivity"], params, observation_noise=NOISE, progress=messages.append
    )
    assert len(messages) == found.num_evaluations
    assert found.params.heart_attack_proclivity == pytest.approx(0.15, rel=1e-3)
    error = 2 * np.sqrt(0.075 * 0.925 / 400)
    assert found.estimates["heart_attack_proclivity"].standard_error == pytest.approx(error, rel=1e-3)


def test_where_the_noise_is_small_range_ends_are_the_outermost_doses():
    """Ten mornings, each seen with an error of 1e-4, which is far less than the doses lie apart. The likelihood of the
    low end is (high - low)^-10 Phi((0.74 - low) / 1e-4): highest 3.278 errors below the least, where phi / Phi is
    1e-4 * 10 / 0.54, and by exp(-5.99 / 2) lower where the width is larger by a factor of exp(5.99 / 20)."""
    mornings = np.array([0.74, 0.81, 0.88, 0.93, 1.0, 1.05, 1.11, 1.17, 1.22, 1.28])
    fatigue = 1 / (1 + np.exp(4))
    trace = identification.make_trace([SLEEP] * 9, alertness=mornings - fatigue * (np.arange(10) > 0))
    noise = ObservationNoise(alertness=1e-4)
    params = hp.EnvParams(wake_up_alertness_high=1.28)
    found = identification.fit(trace, ["wake_up_alertness_low"], params, observation_noise=noise)
    estimate = found.estimates["wake_up_alertness_low"]
    assert estimate.value == pytest.approx(0.74 - 3.278e-4, abs=1e-5)
    assert 0 <= estimate.high - estimate.value < 5e-4
    reach = 0.54 * np.exp(-np.log(0.05) / 10)
    assert estimate.low == pytest.approx(1.28 - reach, abs=0.01)


def test_a_fit_reports_every_five_seconds_how_far_it_is(monkeypatch, capsys):
    times = iter([0.0, 2.0, 5.0, 6.0, 11.0])
    monkeypatch.setattr(fitting.time, "monotonic", lambda: next(times))
    evaluated = fitting._watch(("a", "b"), fitting._to_stderr)
    for _ in range(4):
        evaluated()
    line = "fitting a, b: {} evaluations of the likelihood in {} s\n"
    assert capsys.readouterr() == ("", line.format(2, 5) + line.format(4, 11))


def test_the_cutoff_goes_from_two_degrees_of_freedom_to_one():
    """chi^2 quantiles at 95 %: 5.991 and 3.841. No dose near the end, and a great many."""
    cutoffs = profiling.edge_cutoff(0.95, np.array([1e-6, 1.0]), np.array([1.0, 1.0]), np.array([50, 50]))
    np.testing.assert_allclose(np.square(cutoffs), [5.991465, 3.841459], atol=2e-3)


STUDIED = ("hypertension_decay", "heart_attack_proclivity", "coffee_hypertension_low", "coffee_hypertension_high")
OFF = dataclasses.replace(TRUTH, hypertension_decay=0.95, heart_attack_proclivity=0.3, coffee_hypertension_low=0.05,
                          coffee_hypertension_high=0.4)  # fmt: skip


@pytest.fixture(scope="module")
def hearts():
    """Thirty-two data sets of two developers, hypertension and hearts alone."""
    traces = [only(trace, "hypertension") for trace in seen(simulated(64, 60, seed=7), seed=8)]
    return list(zip(traces[::2], traces[1::2], strict=True))


@pytest.fixture(scope="module")
def study(hearts):
    """Estimates of four parameters from each, all fitted together."""
    rows, _ = fitting.stack([trace for pair in hearts for trace in pair], NOISE)
    rows = jax.tree.map(lambda x: x.reshape(len(hearts), 2, *x.shape[1:]), rows)
    return STUDIED, estimating.estimate(rows, coordinates.coordinates(STUDIED, OFF, NOISE))


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say(study):
    """If they do, fewer than 26 of 32 hold it with probability 0.0009 for one parameter, 0.004 for the four; intervals
    of half the width hold it in 67 %, and pass with probability 0.06 each."""
    names, found = study
    for j, name in enumerate(names):
        truth = getattr(TRUTH, name)
        assert np.sum((found.low[:, j] <= truth) & (truth <= found.high[:, j])) >= 26, name


@pytest.mark.slow
def test_intervals_are_no_wider_than_they_must_be(study):
    """The mean half-width is 1.96 times the spread of the estimates, within a third: 32 estimates know it to 13 %.
    An end at a limit (a low end of 0, an estimate of 0) is another matter."""
    names, found = study
    for j, name in enumerate(names):
        if name != "coffee_hypertension_low":
            half_width = np.mean(found.high[:, j] - found.low[:, j]) / 2
            assert half_width == pytest.approx(1.96 * found.values[:, j].std(), rel=1 / 3), name


@pytest.mark.slow
def test_every_search_of_the_study_has_ended(study):
    assert (study[1].maximum.left_to_gain < fitting.CONVERGED).all()


@pytest.mark.slow
def test_estimates_are_nowhere_out_of_range(study):
    names, found = study
    j = names.index("coffee_hypertension_low")
    for values in (found.values, found.low):
        assert (values[:, j] >= 0).all()
    assert (found.values[:, j] == 0).any()  # the bound is met
    for name in ("hypertension_decay", "heart_attack_proclivity"):
        assert (found.high[:, names.index(name)] < 1).all()
    assert (found.low <= found.values).all()
    assert (found.values <= found.high).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::heartpole_jax.identification.IdentificationWarning")
def test_one_data_set_alone_gives_the_same_as_among_others(hearts, study):
    found = identification.fit(hearts[5], STUDIED, OFF, observation_noise=NOISE)
    for j, name in enumerate(STUDIED):
        estimate = found.estimates[name]
        assert getattr(found.params, name) == estimate.value
        expected = (getattr(study[1], part)[5, j] for part in ("values", "standard_errors", "low", "high"))
        assert (estimate.value, estimate.standard_error, estimate.low, estimate.high) == pytest.approx(
            tuple(expected), rel=1e-3, abs=1e-4
        )


def test_traces_of_different_lengths_go_together():
    long, short = (only(trace, "hypertension") for trace in seen(simulated(2, 60, seed=3)))
    cut = identification.make_trace(
        short.actions[:10], heart_attacks=short.heart_attacks[:10], hypertension=short.hypertension[:11]
    )
    rows, unknown = fitting.stack([long, cut], NOISE)
    assert rows.actions.shape == (2, 60)
    assert not unknown
    np.testing.assert_array_equal(rows.counted.sum(axis=1), [60, 10])
    assert not rows.seen[1, 11:].any()


def open_parameters(trace, names, params=None):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = identification.fit(trace, names, params, observation_noise=NOISE)
    messages = [str(w.message) for w in caught if w.category is identification.IdentificationWarning]
    assert len(messages) == len(found.unidentified)
    return found, messages


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a",), "a is not identified by these traces: the likelihood hardly depends on it; fix it, or add "),
        (("a", "b"), "a and b are not identified apart from each other by these traces: the likelihood hardly "),
    ],
)  # fmt: skip
def test_a_warning_speaks_of_one_parameter_or_of_several(names, message):
    with pytest.warns(identification.IdentificationWarning) as caught:
        fitting._warn(types.SimpleNamespace(unidentified=(names,), converged=True))
    assert [str(warning.message).startswith(message) for warning in caught] == [True]


@pytest.mark.slow
def test_without_a_coffee_its_doses_cannot_be_identified():
    (episode,) = simulated(1, 60, policy=lambda key, obs: jnp.where(obs[4] % 3 == 0, BEER, NOTHING).astype(jnp.int32))
    trace = only(seen([episode])[0], "hypertension")
    found, messages = open_parameters(trace, ["hypertension_decay", "coffee_hypertension_high"])
    assert found.unidentified == (("coffee_hypertension_high",),)
    assert "coffee_hypertension_high is not identified by these traces" in messages[0]
    assert "the data do not identify: coffee_hypertension_high" in str(found)
    assert np.isfinite(found.params.hypertension_decay)


def test_without_a_high_blood_pressure_proclivity_and_threshold_cannot_be_distinguished():
    """Far below the threshold the risk is kappa exp(h - threshold): only one number."""
    attacks = np.arange(300) % 60 == 59
    trace = identification.make_trace([NOTHING] * 300, heart_attacks=attacks)
    params = hp.EnvParams(heart_attack_threshold=3.0)
    found, messages = open_parameters(trace, ["heart_attack_proclivity", "heart_attack_threshold"], params)
    assert found.unidentified == (("heart_attack_proclivity", "heart_attack_threshold"),)
    assert "heart_attack_proclivity and heart_attack_threshold are not identified" in messages[0]


@pytest.mark.filterwarnings("ignore::heartpole_jax.identification.IdentificationWarning")
def test_a_search_that_has_not_ended_says_so(monkeypatch):
    monkeypatch.setattr(maximising, "_SCORING_STEPS", 1)
    monkeypatch.setattr(maximising, "_HESSIANS", 1)
    monkeypatch.setattr(maximising, "_NEWTON_STEPS", 1)
    trace = only(seen(simulated(1, 60, seed=3))[0], "hypertension")
    far_off = dataclasses.replace(TRUTH, hypertension_decay=0.2)
    with pytest.warns(identification.ConvergenceWarning, match="the search has not ended: another step promises"):
        found = identification.fit(trace, "hypertension_decay", far_off, observation_noise=NOISE)
    assert not found.converged


@pytest.mark.slow
def test_unknown_heart_attacks_are_no_hindrance():
    """A fall to 0 shows in the hypertension, so the estimate hardly changes."""
    trace = only(seen(simulated(1, 60, seed=3))[0], "hypertension")
    assert trace.heart_attacks.sum() > 0
    blind = dataclasses.replace(trace, heart_attacks=np.full(60, -1))
    known, guessed = (
        identification.fit(t, "hypertension_decay", TRUTH, observation_noise=NOISE).estimates["hypertension_decay"]
        for t in (trace, blind)
    )
    assert guessed.value == pytest.approx(known.value, abs=known.standard_error)
    assert guessed.standard_error >= 0.9 * known.standard_error


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"names": ["hypertension_decai"]}, "'hypertension_decai'; did you mean 'hypertension_decay'"),
        (ValueError, {"names": ["max_steps"]}, "max_steps leaves no mark on a trace"),
        (ValueError, {"names": []}, r"names must be at least one and all different, got \[\]"),
        (ValueError, {"names": ["ballmer_peak"] * 2}, "names must be at least one and all different"),
        (ValueError, {"traces": []}, "traces must be at least one, got none"),
        (TypeError, {"traces": [3]}, "traces must be a Trace or a Sequence of Trace, got a list of 1"),
        (ValueError, {"observation_noise": ObservationNoise()}, r"observation_noise.alertness must .* 0, got 0\.0"),
        (ValueError, {"confidence": 1.0}, r"confidence must be between 0 and 1, exclusive, got 1\.0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(error, arguments, message):
    trace = identification.make_trace([NOTHING], alertness=[1.0, 1.0])
    arguments = {"traces": trace, "names": ["intoxication_decay"], "observation_noise": NOISE} | arguments
    with pytest.raises(error, match=message):
        identification.fit(**arguments)


def test_traces_that_the_start_cannot_have_made_are_refused():
    trace = identification.make_trace([COFFEE, NOTHING], hypertension=[0.0, 0.2, 0.0], heart_attacks=[0, 1])
    calm = hp.EnvParams(heart_attack_proclivity=0.0)
    with pytest.raises(ValueError, match=r"init_params cannot have made these traces.*check_trace"):
        identification.fit(trace, "hypertension_decay", calm, observation_noise=NOISE)


@pytest.mark.slow
def test_the_fit_of_the_documentation_prints_what_it_says(capsys):
    text = (Path(__file__).parent.parent.parent / "docs/identification.md").read_text()
    block, printed = re.findall(r"```(?:python)?\n(.*?)```", text, re.DOTALL)[:2]
    names: dict = {}
    exec(compile(block, "docs/identification.md", "exec"), names)
    assert capsys.readouterr().out.split() == printed.split()
    assert float(names["gained"][0]) == pytest.approx(-9.84, abs=0.005)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("intoxication_decay", np.array([0.9, 0.8]), r"intoxication_decay must be one number, got shape \(2,\)"),
        ("intoxication_decay", 1.0, r"intoxication_decay needs a start between 0 and 1, exclusive, got 1\.0"),
        ("ballmer_peak_height", 0.0, r"ballmer_peak_height needs a start greater than 0, got 0\.0"),
        ("wake_up_alertness_high", 0.7, "wake_up_alertness_high needs a start inside of its range"),
    ],
)
def test_a_start_at_a_limit_is_refused(name, value, message):
    trace = identification.make_trace([NOTHING], alertness=[1.0, 1.0])
    params = hp.EnvParams(**{name: value})
    with pytest.raises(ValueError, match=message):
        identification.fit(trace, name, params, observation_noise=NOISE)


def test_coordinates_give_back_the_parameters_that_they_were_made_of(x64):
    space = coordinates.coordinates(coordinates.FITTABLE, hp.EnvParams(), NOISE)
    theta = coordinates.start(space)
    expected = {**vars(hp.EnvParams()), **{f"noise_{name}": value for name, value in vars(NOISE).items()}}
    values = coordinates.values(jnp.asarray(theta), space)
    np.testing.assert_allclose(values, [expected[name] for name in space.names], rtol=1e-12, atol=1e-12)


def test_any_coordinates_within_the_bounds_are_valid_parameters(x64):
    """Built of numbers, so that `EnvParams` checks them."""
    rng = np.random.default_rng(0)
    # 0.1 - exp(log(0.1)) is -1.4e-17, and 0.04's is negative too.
    low_ends = hp.EnvParams(
        coffee_hypertension_low=0.02,
        coffee_hypertension_high=0.1,
        beer_intoxication_low=0.02,
        beer_intoxication_high=0.04,
    )
    for names in (coordinates.FITTABLE, [n for n in coordinates.FITTABLE if n.endswith("_low")],
                  [n for n in coordinates.FITTABLE if n.endswith("_high")]):  # fmt: skip
        for init_params in (hp.EnvParams(), low_ends):
            space = coordinates.coordinates(tuple(names), init_params, NOISE)
            low, high = coordinates.bounds(space)
            for _ in range(20):
                theta = np.clip(coordinates.start(space) + rng.normal(0, 1.0, len(names)), low, high)
                params, noise = coordinates.build(jnp.asarray(theta), space)
                hp.EnvParams(**{name: float(value) for name, value in vars(params).items()})
                assert all(float(value) > 0 for value in vars(noise).values())
