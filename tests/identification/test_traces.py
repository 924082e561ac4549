"""What a trace holds, and which traces are refused: as no trace at all, or as impossible."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import golden_traces

import heartpole_jax as hp
from heartpole_jax import identification
from heartpole_jax.identification import ImpossibleTraceError, ObservationNoise, check_trace, make_trace
from heartpole_jax.identification.traces import half_hours_awake, states_of

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("reused_keys_raise")]

NOTHING, COFFEE, BEER, SLEEP = 0, 1, 2, 3
NAMES = ("alertness", "hypertension", "intoxication", "work_done")


@pytest.fixture(scope="module")
def golden():
    """The golden traces as `Trace`s, with their recorded counters."""
    data = golden_traces()
    columns = {name: data["states"][..., i] for i, name in enumerate(hp.heartpole_v0.OBS_NAMES)}
    traces = [
        make_trace(actions, heart_attacks=attacks.astype(bool), **{name: columns[name][i] for name in NAMES})
        for i, (actions, attacks) in enumerate(zip(data["actions"], data["heart_attacks"], strict=True))
    ]
    return traces, columns


def changed(trace, name, row, value):
    rows = getattr(trace, name).copy()
    rows[row] = value
    return dataclasses.replace(trace, **{name: rows})


def test_the_counters_follow_from_the_actions(golden):
    traces, columns = golden
    for i, trace in enumerate(traces):
        states = states_of(trace)
        np.testing.assert_array_equal(states.time_since_slept, columns["time_since_slept"][i])
        np.testing.assert_array_equal(states.time_elapsed, columns["time_elapsed"][i])
    np.testing.assert_array_equal(half_hours_awake(np.array([NOTHING, NOTHING, SLEEP, COFFEE])), [0, 1, 0, 1])


def test_every_golden_trace_is_possible(golden):
    for trace in golden[0]:
        check_trace(trace)
        check_trace(dataclasses.replace(trace, heart_attacks=np.full(400, -1)))


def test_a_rollout_in_float32_is_possible_and_has_the_numbers_of_its_states():
    records = hp.rollout(
        hp.policies.uniformly_random(), jax.random.key(0), num_envs=3, num_steps=300, record=hp.everything
    ).records
    for patient in range(3):
        trace = identification.trace_of_rollout(records, patient)
        check_trace(trace)
        np.testing.assert_array_equal(trace.actions, records.action[:, patient])
        np.testing.assert_array_equal(trace.heart_attacks, records.info.heart_attack[:, patient])
        np.testing.assert_array_equal(trace.work_done[1:], records.next_obs[:, patient, 5])


def test_noise_and_gaps_have_the_deviations_and_the_share_asked_for():
    trace = make_trace([NOTHING] * 4000, **{name: np.zeros(4001) for name in NAMES})
    noise = ObservationNoise(alertness=0.5, hypertension=0.1, intoxication=0.01, work_done=2.0)
    seen = identification.observe(trace, jax.random.key(0), noise, missing=0.25)
    for name in NAMES:
        values = np.asarray(getattr(seen, name))
        assert np.isnan(values).mean() == pytest.approx(0.25, abs=0.03)
        assert np.nanstd(values) == pytest.approx(getattr(noise, name), rel=0.06)
        assert abs(np.nanmean(values)) < 4 * getattr(noise, name) / np.sqrt(3000)


def test_a_noisy_trace_with_gaps_is_possible_with_its_noise_and_not_without(golden):
    noise = ObservationNoise(alertness=0.05, hypertension=0.05, intoxication=0.002, work_done=0.1)
    for i, trace in enumerate(golden[0][:6]):
        seen = identification.observe(trace, jax.random.key(i), noise, missing=0.3)
        check_trace(seen, noise=noise)
        with pytest.raises(ImpossibleTraceError):
            check_trace(seen)


def rested(num_steps=3):
    """Nothing done by a developer who woke up with alertness 1: by hand, fatigue sigma((s - 40) / 10)."""
    fatigue = 1 / (1 + np.exp((40 - np.arange(num_steps)) / 10))
    alertness = 1 - np.concatenate([[0.0], np.cumsum(fatigue)])
    sober = 1 / (1 + np.exp(-2.5)) + 2 * np.exp(-(27.0**2) / 2)
    work = alertness[:-1] / (1 + np.exp(alertness[:-1] - 3)) * sober
    zeros = np.zeros(num_steps + 1)
    return make_trace(
        [NOTHING] * num_steps, heart_attacks=[False] * num_steps, alertness=alertness, hypertension=zeros,
        intoxication=zeros, work_done=np.concatenate([[0.0], np.cumsum(work)]),
    )  # fmt: skip


def test_an_episode_computed_by_hand_is_possible():
    check_trace(rested())


@pytest.mark.parametrize(
    ("name", "row", "value", "message"),
    [
        (
            "alertness",
            0,
            0.6,
            r"alertness in row 0 \(before the first action\) .* got 0\.6, possible is 0\.7 \.\. 1\.3",
        ),
        ("alertness", 2, 1.5, r"alertness in row 2 \(after NOTHING\) is impossible: got 1\.5, possible is 0\.96"),
        ("hypertension", 1, 0.2, r"hypertension in row 1 \(after NOTHING\) .* got 0\.2, possible is 0 \.\. 0"),
        ("intoxication", 3, 0.01, r"intoxication in row 3 .* got 0\.01"),
        ("work_done", 2, 5.0, r"work_done in row 2 .* got 5, possible is 1\.6"),
    ],
)
def test_an_impossible_value_is_refused_with_its_row_and_what_was_possible(name, row, value, message):
    with pytest.raises(ImpossibleTraceError, match=message):
        check_trace(changed(rested(), name, row, value))


def one_step(action, alertness, hypertension, intoxication, attack=False, before=(1.0, 0.0)):
    """A trace of one action from alertness and hypertension `before`; only its rows of the body."""
    return make_trace(
        [action], heart_attacks=[attack], alertness=[before[0], alertness], hypertension=[0.0, hypertension],
        intoxication=[0.0, intoxication],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        (one_step(COFFEE, 2.1, 0.1, 0.0), r"alertness in row 1 \(after COFFEE\).* got 2\.1, .* is 0\.982.* 1\.982"),
        (one_step(COFFEE, 1.5, 0.3, 0.0), r"hypertension in row 1 \(after COFFEE\).* got 0\.3, .* is 0 \.\. 0\.291"),
        (one_step(BEER, 1.1, 0.1, 0.02), r"alertness in row 1 \(after BEER\).* possible is 0\.482.* \.\. 0\.982"),
        (one_step(BEER, 0.8, 0.1, 0.005), r"intoxication in row 1 \(after BEER\).* possible is 0\.0097 \.\. 0\.0291"),
        (one_step(SLEEP, 1.4, 0.0, 0.0), r"alertness in row 1 \(after SLEEP\).* possible is 0\.682.* \.\. 1\.282"),
        (one_step(COFFEE, 1.5, 0.1, 0.0, attack=True), r"hypertension in row 1.* got 0\.1, possible is 0 \.\. 0"),
        (one_step(COFFEE, 1.5, 0.0, 0.01), r"intoxication in row 1 \(after COFFEE\).* possible is 0 \.\. 0"),
    ],
)  # fmt: skip
def test_a_dose_outside_of_its_range_is_refused(trace, message):
    with pytest.raises(ImpossibleTraceError, match=message):
        check_trace(trace)


def test_hypertension_that_falls_to_zero_needs_a_heart_attack():
    trace = make_trace([COFFEE, NOTHING], hypertension=[0.0, 0.2, 0.0], heart_attacks=[0, 1])
    check_trace(trace)
    check_trace(dataclasses.replace(trace, heart_attacks=np.array([-1, -1])))
    with pytest.raises(ImpossibleTraceError, match=r"row 2 \(after NOTHING\).* got 0, possible is 0\.19399"):
        check_trace(dataclasses.replace(trace, heart_attacks=np.array([0, 0])))
    with pytest.raises(ImpossibleTraceError, match=r"got 0\.1, possible is 0 or 0\.19399"):
        check_trace(make_trace([COFFEE, NOTHING], hypertension=[0.0, 0.2, 0.1]))
    with pytest.raises(ImpossibleTraceError, match=r"heart_attacks in row 2.*proclivity of 0"):
        check_trace(trace, hp.EnvParams(heart_attack_proclivity=0.0))
    with pytest.raises(ImpossibleTraceError, match=r"hypertension in row 2 .* got 0, possible is 0\.19399"):
        check_trace(
            dataclasses.replace(trace, heart_attacks=np.array([-1, -1])), hp.EnvParams(heart_attack_proclivity=0.0)
        )


def test_noise_below_zero_or_of_no_number_is_refused():
    with pytest.raises(ValueError, match=r"Noise\.hypertension must be a standard deviation, at least 0, got -0\.1"):
        identification.ObservationNoise(hypertension=-0.1)
    with pytest.raises(TypeError, match=r"Noise\.alertness must be a real number or an array of them, got 'x'"):
        identification.ObservationNoise(alertness="x")


def test_a_gap_widens_what_is_possible_by_the_doses_in_it():
    """Two coffees between two rows: up to 2 of alertness, less the fatigue of 0.018 and 0.0198."""
    nan = np.nan
    check_trace(make_trace([COFFEE, COFFEE], alertness=[1.0, nan, 2.9]))
    with pytest.raises(ImpossibleTraceError, match=r"row 2 .* got 3\.1, possible is 0\.962.* \.\. 2\.962"):
        check_trace(make_trace([COFFEE, COFFEE], alertness=[1.0, nan, 3.1]))


def test_other_parameters_make_other_traces_possible():
    trace = one_step(COFFEE, 2.1, 0.1, 0.0)
    check_trace(trace, hp.EnvParams(coffee_alertness_high=1.5))


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (TypeError, {"actions": [0.0, 1.0]}, "actions must be whole numbers in 0 .. 3, got dtype float64"),
        (ValueError, {"actions": [[0]]}, r"actions must be of shape \(T,\) with T at least 1, got \(1, 1\)"),
        (ValueError, {"actions": np.zeros(0, int)}, r"got \(0,\)"),
        (ValueError, {"actions": [0, 4]}, r"actions must be in 0 \.\. 3, got 4 at step 1"),
        (ValueError, {"alertness": [1.0, 1.0]}, r"alertness must be of shape \(3,\), before .* got \(2,\)"),
        (TypeError, {"work_done": ["a", "b", "c"]}, "work_done must be real numbers"),
        (ValueError, {"intoxication": [0, 0, np.inf]}, "intoxication must be finite, .* got inf in row 2"),
        (TypeError, {"heart_attacks": [0.0, 1.0]}, "heart_attacks must be bools, .* got dtype float64"),
        (ValueError, {"heart_attacks": [True]}, r"heart_attacks must be of shape \(2,\), one for each action"),
        (ValueError, {"heart_attacks": [0, 2]}, "heart_attacks must be 1, 0 or -1 for unknown, got 2 at step 1"),
        (
            ValueError,
            {"heart_attacks": np.array([0, -(2**63)])},
            "1, 0 or -1 for unknown, got -9223372036854775808 at step 1",
        ),
        (ValueError, {"heart_attacks": np.array([0, 2**64 - 1], np.uint64)}, "got 18446744073709551615 at step 1"),
    ],
)
def test_what_is_no_trace_is_refused(error, arguments, message):
    with pytest.raises(error, match=message):
        make_trace(**{"actions": [0, 1]} | arguments)


def test_records_that_are_no_single_episode_are_refused():
    records = hp.rollout(
        lambda key, obs: NOTHING, jax.random.key(0), num_envs=1, num_steps=4, record=hp.everything
    ).records
    with pytest.raises(TypeError, match="records must be a Transition, got NoneType"):
        identification.trace_of_rollout(None)
    other = hp.make("HeartPole-v1")
    homework = hp.rollout(
        lambda key, obs: 0, jax.random.key(0), env=other, num_envs=1, num_steps=2, record=hp.everything
    )
    with pytest.raises(TypeError, match=r"a trace is of HeartPole-v0, got records of states of .*heartpole_v1"):
        identification.trace_of_rollout(homework.records)
    for spoil in (lambda x: x[1:], lambda x: jnp.concatenate([x, x])):
        with pytest.raises(ValueError, match="a trace is one episode from its start"):
            identification.trace_of_rollout(jax.tree.map(spoil, records))
