"""Published policies: their rules by decision, their scores against other code, their chances against counts."""

import csv
import io
import json
import math

import compiling
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax import evaluation, policies
from heartpole_jax.__main__ import main
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0, OBS_NAMES, Action
from heartpole_jax.evaluation import literature_scores, literature_tables

pytestmark = pytest.mark.once

REST_RISK = 0.5 / (1 + math.exp(6))
# Expected returns of 2,000 episodes of a NumPy implementation with expected penalties, and its standard errors.
KNOWN = {"Vadim": (-124.06, 0.01), "deepseek-coder": (-140.93, 0.02), "gpt-4o": (-142.09, 0.03)}
NOTHING, COFFEE, BEER, SLEEP = Action


@pytest.fixture(scope="module")
def found():
    with compiling.optimised():
        return evaluation.literature(jax.random.key(5), num_episodes=2_048)


@pytest.mark.parametrize(
    ("name", "changed", "action"),
    [
        ("vadim", {"time_since_slept": 0}, COFFEE),
        ("vadim", {"time_since_slept": 1}, NOTHING),
        ("vadim", {"time_since_slept": 30}, NOTHING),
        ("vadim", {"time_since_slept": 31}, SLEEP),
        ("gpt-4o", {}, NOTHING),
        ("gpt-4o", {"alertness": 0.79}, COFFEE),
        ("gpt-4o", {"alertness": 0.49}, SLEEP),
        ("gpt-4o", {"alertness": 0.79, "hypertension": 0.2}, COFFEE),
        ("gpt-4o", {"alertness": 0.79, "hypertension": 0.21}, NOTHING),
        ("gpt-4o", {"alertness": 0.79, "intoxication": 0.11}, NOTHING),
        ("gpt-4o", {"hypertension": 0.31}, SLEEP),
        ("gpt-4o", {"intoxication": 0.21}, SLEEP),
        ("gpt-4o", {"time_since_slept": 12}, NOTHING),
        ("gpt-4o", {"time_since_slept": 13}, SLEEP),
        ("deepseek-coder", {}, NOTHING),
        ("deepseek-coder", {"alertness": 0.69}, COFFEE),
        ("deepseek-coder", {"alertness": 0.69, "hypertension": 0.1}, NOTHING),
        ("deepseek-coder", {"alertness": 0.69, "intoxication": 0.1}, NOTHING),
        ("deepseek-coder", {"work_done": 0.59}, BEER),
        ("deepseek-coder", {"work_done": 0.59, "alertness": 0.69}, COFFEE),
        ("deepseek-coder", {"work_done": 0.59, "intoxication": 0.1}, NOTHING),
        ("deepseek-coder", {"work_done": 0.59, "hypertension": 0.1}, NOTHING),
        ("deepseek-coder", {"hypertension": 0.41}, SLEEP),
        ("deepseek-coder", {"intoxication": 0.41}, SLEEP),
        ("deepseek-coder", {"time_since_slept": 18}, NOTHING),
        ("deepseek-coder", {"time_since_slept": 19}, SLEEP),
    ],
)
def test_the_published_programs_decide_as_their_rules_say(name, changed, action):
    patient = dict(zip(OBS_NAMES, (1.0, 0.0, 0.0, 5.0, 9.0, 1.0), strict=True))
    obs = jnp.array(list((patient | changed).values()), float)
    policy = policies.make(name)
    assert policy.act(policy.params, policy.carry, obs, None)[0] == action


def test_a_published_policy_is_suggested_by_its_name_and_stays_out_of_the_leaderboard():
    assert not {"vadim", "gpt-4o", "deepseek-coder"} & set(policies.of(HEARTPOLE_V0))
    with pytest.raises(ValueError, match="did you mean 'gpt-4o'"):
        policies.make("gpt4o")


@pytest.mark.parametrize("name", KNOWN)
def test_exact_scores_agree_with_other_code(name, found):
    row = next(row for row in found.rows if row.name == name)
    known, error = KNOWN[name]
    assert abs(row.expected_return.mean - known) < 4 * math.hypot(error, row.expected_return.standard_error)
    assert row.expected_return.standard_error < 0.04
    assert row.regret.mean == pytest.approx(-123.3043 - row.expected_return.mean, abs=1e-3)


def at_most(count, num_draws):
    """The probability of at most so many heart attacks in so many decisions at rest."""
    log_choose = lambda i: math.lgamma(num_draws + 1) - math.lgamma(i + 1) - math.lgamma(num_draws - i + 1)
    log_terms = [
        log_choose(i) + i * math.log(REST_RISK) + (num_draws - i) * math.log1p(-REST_RISK) for i in range(count + 1)
    ]
    return sum(map(math.exp, log_terms))


@pytest.mark.parametrize(
    ("name", "most_attacks"),
    [("DQN 3x16", 17), ("gpt-4o", 20), ("DQN 0", 24), ("SARSA 3x16", 27), ("notebook's SARSA", 0)],
)
def test_the_best_policy_reaches_a_printed_score_as_often_as_so_few_heart_attacks_happen(name, most_attacks, found):
    """A score of 0.33 less 100 for each heart attack; the averages of 20 episodes are of 20,000 decisions."""
    row = next(row for row in found.rows if row.name == name)
    expected = at_most(most_attacks, 1_000 * row.published.num_episodes)
    assert row.best_prints_it == pytest.approx(expected, abs=0.03 if row.published.num_episodes == 1 else 0.015)


def test_a_mean_of_twenty_episodes_ranks_wrongly_about_as_the_normal_approximation_says(found):
    pair = next(pair for pair in found.pairs if (pair.better, pair.worse) == ("Vadim", "gpt-4o"))
    error = math.hypot(25, 27)
    assert pair.chance_of_wrong_order == pytest.approx(0.5 * math.erfc(18.02 / error / math.sqrt(2)), abs=0.03)
    assert not pair.printed_in_order
    assert len(found.pairs) == 6


@pytest.mark.parametrize(
    ("averages", "others", "chance"),
    [([1.0, 3.0], [2.0, 2.0], 0.5), ([1.0], [1.0], 0.5), ([2.0, 2.0, 0.0], [1.0], 2 / 3), ([0.0], [1.0, -1.0], 0.5)],
)
def test_the_chance_to_be_above_counts_pairs_and_half_of_ties(averages, others, chance):
    assert literature_scores.chance_above(np.array(averages), np.array(others)) == pytest.approx(chance)


def test_weights_give_a_sample_the_mean_that_is_known():
    values = np.array([0.0, 0.0, -100.0, 0.0, -200.0])
    weights = literature_scores.tilted(values, -40.0)
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ values == pytest.approx(-40.0, abs=1e-9)
    ratios = weights[[2, 4]] / weights[0]
    assert ratios[1] == pytest.approx(ratios[0] ** 2)


def test_every_published_score_has_a_source_and_a_policy_or_what_is_missing():
    entries = evaluation.published()
    assert len(entries) == len({entry.name for entry in entries}) == 12
    assert {entry.policy for entry in entries if entry.policy} == {"reference", "vadim", "gpt-4o", "deepseek-coder"}
    for entry in entries:
        assert entry.work
        assert entry.place
        assert entry.missing is None or "not published" in entry.missing


@pytest.mark.parametrize("given", [{}, {"policy": "sleep", "missing": "lost"}])
def test_an_entry_without_a_policy_says_what_is_missing(given):
    with pytest.raises(ValueError, match="'x' must have either a policy or what is missing"):
        evaluation.Published(name="x", work="w", place="p", printed=-1.0, num_episodes=20, **given)


def test_all_formats_hold_the_same_numbers(found, tmp_path):
    literature_tables.save(found, tmp_path, 5)
    report = json.loads((tmp_path / "literature.json").read_text())
    rows = list(csv.DictReader(io.StringIO((tmp_path / "literature.csv").read_text())))
    assert len(rows) == len(report["policies"]) == 13
    for row, record in zip(rows, report["policies"], strict=True):
        assert row["name"] == record["name"]
        assert row["expected_return"] == ("" if record["expected_return"] is None else str(record["expected_return"]))
    assert report["run"]["episodes"] == 2_048
    assert "| DQN 3x16 | -84.96 | 20 | unknown |" in (tmp_path / "literature.md").read_text()
    lines = str(found).splitlines()
    assert lines[2].startswith("optimal (the best known)")
    assert sum("the wrong way round" in line for line in lines) == 4  # "deepseek-coder" and "gpt-4o" are too


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--params max_steps=9", "--literature is of the published policies and constants; leave --params out"),
        ("--policies sleep", "--literature is of the published policies and constants; leave --policies out"),
        ("--env HeartPole-v1", "no published policies of HeartPole-v1 are known; those of HeartPole-v0 are"),
        ("--episodes 3", "num_episodes must be at least 4"),
    ],
)
def test_what_was_not_published_is_refused(arguments, message, capsys):
    assert main(["leaderboard", "--literature", *arguments.split()]) == 2
    assert message in capsys.readouterr().err


def test_the_best_policy_of_the_literature_is_one_of_the_environments():
    assert literature_scores._file(HEARTPOLE_V0)["best"] in policies.of(HEARTPOLE_V0)
