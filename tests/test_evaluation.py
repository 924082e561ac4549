"""Expected returns against a table measured by other code, and the estimators against hand results."""

import types

import compiling
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax import Action, EnvParams, evaluation, make, optimum, policies
from heartpole_jax.evaluation import heartpole_v0 as evaluation_v0

pytestmark = pytest.mark.once

# Score, heart attacks and expected return of 20,000 episodes of a NumPy implementation, with the tolerance that its own
# errors and rounding call for (4 standard errors).
KNOWN = {
    "optimal": ((0.3268, 2e-4), (1.23631, 1e-5), (-123.304, 1e-3)),
    "rested below 0.4": ((0.3260, 3e-4), (1.23631, 1e-5), (-123.306, 1e-3)),
    "rested after 16": ((0.3210, 3e-4), (1.23631, 1e-5), (-123.311, 1.5e-3)),
    "sleep": ((0.0476, 1e-4), (1.23631, 1e-5), (-123.584, 1e-3)),
    "reference": ((0.2342, 1e-3), (1.3898, 1e-3), (-138.75, 0.1)),
    "random": ((0.1184, 5e-4), (2.345, 6e-3), (-234.39, 0.6)),
    "nothing": ((-424.025, 0.01), (1.23631, 1e-5), (-547.66, 0.02)),
    "coffee": ((-193.53, 0.4), (21.92, 0.05), (-2385.3, 5.0)),
}


@pytest.fixture(scope="module")
def rows():
    with compiling.optimised():
        return evaluation.leaderboard(None, jax.random.key(7), num_episodes=8_192)


def test_the_leaderboard_agrees_with_the_measured_table(rows):
    found = {row.evaluation.name: row.evaluation for row in rows}
    assert set(KNOWN) <= set(found)
    for name, (score, heart_attacks, expected_return) in KNOWN.items():
        for known, tolerance, estimate in (
            (*score, found[name].score),
            (*heart_attacks, found[name].heart_attacks),
            (*expected_return, found[name].expected_return),
        ):
            assert abs(estimate.mean - known) < tolerance + 4 * estimate.standard_error, (name, estimate, known)


@pytest.mark.parametrize("name", ["optimal", "rested below 0.4", "rested after 16", "sleep", "nothing"])
def test_who_never_drinks_has_no_excess_to_the_last_digit(rows, name):
    found = next(row.evaluation for row in rows if row.evaluation.name == name)
    assert np.abs(found.excess_heart_attacks).max() < 1e-14
    if name == "sleep":  # the others' scores differ enough to take part in the control variate's coefficient
        assert found.expected_return.mean == pytest.approx(found.score.mean - 123.63115783, abs=1e-6)  # 1e5 risk(0)


@pytest.mark.parametrize("attack", [False, True])
@pytest.mark.parametrize("action", [Action.NOTHING, Action.COFFEE])
@pytest.mark.parametrize("hypertension", [0.0, 1e-6, 1e-3, 0.3, 7.0, 80.0])
def test_the_excess_keeps_its_digits(hypertension, action, attack):
    """Against float64, at the draw: of one who was sober until then, or was as tense before."""
    sigma = lambda z: 1 / (1 + np.exp(-np.float64(z)))
    expected = 0.5 * (sigma(hypertension - 6) - sigma(-6))
    state = types.SimpleNamespace(hypertension=jnp.float32(hypertension if action == Action.NOTHING else 0.0))
    after = types.SimpleNamespace(hypertension=jnp.float32(0.0 if attack else hypertension))
    info = types.SimpleNamespace(
        productivity=0.0, half_hours=1, heart_attack=jnp.array(attack),
        heart_attack_risk=jnp.float32(0.5 * sigma(hypertension - 6)),
    )  # fmt: skip
    transition = types.SimpleNamespace(state=state, next_state=after, info=info, action=jnp.int32(action))
    found = evaluation_v0._parts(optimum.resting_risk(), 6.0)(transition)["excess_risk"]
    if attack:
        assert float(found) == pytest.approx(expected, abs=1.2e-10, rel=1e-6)
    else:
        assert float(found) == pytest.approx(expected, rel=1e-6, abs=0)


def test_the_leaderboard_is_sorted_and_paired(rows):
    means = [row.evaluation.expected_return.mean for row in rows]
    assert means == sorted(means, reverse=True)
    assert rows[0].behind == (0.0, 0.0)
    for row in rows:
        assert row.behind.mean == pytest.approx(means[0] - row.evaluation.expected_return.mean, abs=1e-9)
        assert row.evaluation.regret.mean == pytest.approx(-123.3042785 - row.evaluation.expected_return.mean, abs=1e-6)


def test_drinks_and_sleep_are_counted(rows):
    found = {row.evaluation.name: row.evaluation for row in rows}
    assert found["coffee"].drinks_a_day.mean == pytest.approx(48.0)
    assert found["beer"].drinks_a_day.mean == pytest.approx(48.0)
    # 31 cups and 30 nights of 16 half-hours in 1000 decisions: 1480 half-hours
    assert found["reference"].drinks_a_day.mean == pytest.approx(48 * 31 / 1480)
    assert found["reference"].share_asleep.mean == pytest.approx(16 * 30 / 1480)
    assert found["sleep"].share_asleep.mean == pytest.approx(16 / 17)
    assert found["nothing"].drinks_a_day.mean == found["nothing"].share_asleep.mean == 0.0


def test_taking_the_noise_of_attacks_out_changes_no_mean_and_shrinks_the_error(rows):
    for row in rows:
        found = row.evaluation
        raw = found.score.mean - 100 * found.heart_attacks.mean
        assert found.expected_return.mean == pytest.approx(raw, abs=4 * found.expected_return.standard_error + 1e-4)
        # Raw returns have a standard deviation of at least 111.
        assert found.expected_return.standard_error < 111 / np.sqrt(8_192) or found.name in ("coffee", "beer")
    sober = next(row.evaluation for row in rows if row.evaluation.name == "rested after 16")
    assert sober.expected_return.standard_error < 1.5e-4


def test_the_noise_of_attacks_is_regressed_out_with_the_other_halfs_coefficient():
    attacks, risks = np.array([17.0, 19.0, 15.0, 14.0]), np.array([16.0, 17.0, 16.0, 16.0])
    values = np.array([3.0, 10.0, 1.0, 2.0])
    # Attacks less risks are 1, 2, -1, -2. Even episodes: the slope of (3, 1) on (1, -1) is 1; odd ones: of (10, 2) on
    # (2, -2) it is 2.
    adjusted = evaluation.without_attack_noise(values, attacks, risks, -100.0)
    np.testing.assert_allclose(adjusted, [3 - 2 * 1, 10 - 1 * 2, 1 + 2 * 1, 2 + 1 * 2])


@pytest.mark.parametrize("attacks", [[1.0, 0.0, 0.0, 2.0], [20.0, 20.0, 20.0, 20.0], [0.0, 0.0, 0.0, 0.0]])
def test_where_attacks_are_few_or_all_alike_what_one_does_by_itself_is_taken(attacks):
    attacks, risks = np.array(attacks), np.full(4, 1.23631157)
    adjusted = evaluation.without_attack_noise(5.0 - 100.0 * attacks, attacks, risks, -100.0)
    np.testing.assert_allclose(adjusted, np.full(4, 5.0 - 123.631157), rtol=1e-12)


def test_a_few_short_episodes_are_evaluated_correctly():
    # Hardly any patient has a heart attack, at a risk of 0.001 sigmoid(-6) in 1600 + 100 half-hours.
    params = EnvParams(max_steps=100, heart_attack_proclivity=0.001)
    found = evaluation.evaluate(policies.make("sleep"), jax.random.key(0), params, num_episodes=100)
    assert found.expected_return.mean == pytest.approx(0.0476 - 100 * optimum.heart_attack_floor(params), abs=1e-3)
    # Coffee all the time: 0.290 of 200,000 episodes in NumPy, whose own error is 0.003.
    short = evaluation.evaluate(policies.make("coffee"), jax.random.key(0), EnvParams(max_steps=5), num_episodes=16)
    assert abs(short.expected_return.mean - 0.290) < 5 * short.expected_return.standard_error + 0.01
    assert short.heart_attacks.mean > optimum.heart_attack_floor(EnvParams(max_steps=5))


def test_a_few_episodes_are_enough_where_attacks_are_all_the_noise():
    # Returns that differ by unexpected attacks alone leave nothing over, whatever their mean in the sample.
    attacks, risks = np.array([12.0, 14.0, 11.0, 9.0, 13.0, 12.0]), np.array([10.7, 12.0, 12.0, 11.5, 12.3, 11.9])
    adjusted = evaluation.without_attack_noise(3.0 - 100 * (attacks - risks), attacks, risks, 7.0)
    np.testing.assert_allclose(adjusted, np.full(6, 3.0), atol=1e-9)


def test_the_estimate_is_unbiased_where_heart_attacks_are_certain_to_be_common():
    # risk 0.25 at rest and nothing to raise it: 50 attacks in 200 decisions, exactly known.
    params = EnvParams(max_steps=200, heart_attack_threshold=0.0)
    found = evaluation.evaluate(policies.make("nothing"), jax.random.key(1), params, num_episodes=4096)
    assert found.heart_attacks.mean == pytest.approx(50.0, abs=1e-3)
    assert found.excess_heart_attacks.mean == pytest.approx(0.0, abs=1e-3)


def test_expected_penalty_changes_no_evaluation():
    key, policy = jax.random.key(5), policies.make("reference")
    plain, expected = (
        evaluation.evaluate(policy, key, EnvParams(max_steps=100, expected_penalty=beta), num_episodes=512)
        for beta in (0.0, 1.0)
    )
    assert plain.expected_return == expected.expected_return


def test_a_summary_across_seeds_is_the_hand_result():
    summary = evaluation.across_seeds(np.arange(8.0), bootstrap_seed=0)
    assert summary.median == 3.5
    assert summary.interquartile_mean == 3.5  # of 2, 3, 4, 5
    assert summary.worst == 7.0
    assert 1.0 < summary.interquartile_mean_low < 3.5 < summary.interquartile_mean_high < 6.0
    assert summary == evaluation.across_seeds(np.arange(8.0), bootstrap_seed=0)
    constant = evaluation.across_seeds(np.full(30, 2.0), bootstrap_seed=1)
    assert constant == (2.0, 2.0, 2.0, 2.0, 2.0)


def test_coffees_until_the_heart_attack_are_geometric_at_a_constant_risk():
    # Coffee without hypertension, risk 0.25 throughout: mean 4, variance 12; 5 standard errors.
    params = EnvParams(heart_attack_threshold=0.0, coffee_hypertension_high=0.0)
    cups = evaluation.coffees_until_heart_attack(jax.random.key(2), 100_000, params, max_coffees=100)
    assert cups.min() == 1
    assert abs(cups.mean() - 4.0) < 5 * np.sqrt(12 / 100_000)
    assert abs(np.mean(cups == 1) - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 100_000)


def test_survivors_of_the_coffee_experiment_are_counted_apart():
    immortal = EnvParams(heart_attack_proclivity=0.0)
    np.testing.assert_array_equal(evaluation.coffees_until_heart_attack(jax.random.key(0), 3, immortal, 20), [21] * 3)
    doomed = EnvParams(heart_attack_proclivity=1.0, heart_attack_threshold=-100.0)
    np.testing.assert_array_equal(evaluation.coffees_until_heart_attack(jax.random.key(0), 3, doomed, 20), [1] * 3)


def test_impossible_results_are_reported(monkeypatch):
    monkeypatch.setattr(evaluation_v0, "return_ceiling", lambda params: -130.0)
    with pytest.raises(RuntimeError, match="above the ceiling"):
        evaluation.evaluate(policies.make("nothing"), jax.random.key(0), EnvParams(max_steps=10), num_episodes=64)


def test_bad_input_is_refused():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="num_episodes must be at least 4"):
        evaluation.evaluate(policies.reference(), key, num_episodes=3)
    with pytest.raises(ValueError, match="num_episodes must be at least 4"):  # before the optimum is solved for
        evaluation.leaderboard(None, key, env=make("HeartPole-v1"), num_episodes=3)
    with pytest.raises(ValueError, match="at least one policy"):
        evaluation.leaderboard({}, key)
    with pytest.raises(ValueError, match="at least four finite numbers"):
        evaluation.across_seeds(np.array([1.0, np.nan, 2.0, 3.0]), bootstrap_seed=0)
