"""The proof that no drink pays: its numbers against an independent derivation, what it says against enumeration of the
last decisions in plain NumPy and against simulation, and what happens where it says nothing."""

import dataclasses
import itertools

import compiling
import jax
import jax.numpy as jnp
import last_decisions
import numpy as np
import pytest

from heartpole_jax import EnvParams, evaluation, policies
from heartpole_jax.__main__ import main
from heartpole_jax.optimum import certificate, return_ceiling, sober_optimum
from heartpole_jax.optimum.heartpole_v0 import certificate as proof
from heartpole_jax.policy import Policy

pytestmark = pytest.mark.once


@pytest.fixture(scope="module", autouse=True)
def optimised():
    with compiling.optimised():
        yield


@pytest.fixture(scope="module")
def found():
    return certificate()


def test_the_best_policy_without_drinks_is_the_optimum_over_all_policies(found):
    assert found.certified
    assert found.smallest_slack == pytest.approx(0.0094, abs=5e-5)
    assert found.reason == "no drink pays: the first one costs at least 0.0094 of the expected return"


# From a derivation that used none of this code: the slack with one decision left, the least one with 100 or more left.
@pytest.mark.parametrize(
    ("name", "last", "early"),
    [
        ("first_coffee", 0.0124, 0.0309),
        ("first_beer", 0.0094, 0.0331),
        ("later_coffee", 0.0194, 0.0380),
        ("later_beer", 0.0164, 0.0400),
    ],
)
def test_the_slacks_are_the_derived_ones(found, name, last, early):
    slacks = getattr(found, name)
    assert slacks.shape == (1000,)
    assert slacks[0] == slacks.min() == pytest.approx(last, abs=6e-5)
    assert slacks[99:].min() == pytest.approx(early, abs=2e-4)


def test_its_constants_are_the_derived_ones(found):
    params = EnvParams()
    np.testing.assert_allclose(found.hypertension_cost[[0, 1, 9, 999]], [0.0735, 0.117, 0.180, 0.1815], atol=5e-4)
    most = 0.3 / (1 - 0.97)
    kappa = proof._dose_cost(params, (0.0, 0.3), np.append(0.0, found.hypertension_cost), most)
    np.testing.assert_allclose(kappa[[0, 1, 2, 9, 19]], [0.01981, 0.0305, 0.0368, 0.0459, 0.0462], atol=6e-5)
    # A bound from above: never below the derived suprema, and hardly more.
    coffee, beer = proof._alertness_gain(params, 0.0, 1.0), proof._alertness_gain(params, -0.5, 0.0)
    for gain, (one, ten, all_of_them) in ((coffee, (0.42, 4.1, 8.19)), (beer, (0.119, 1.189, 2.867))):
        assert one - 0.001 < gain[0] < one + 0.01
        assert ten - 0.001 < gain[9] < 1.06 * ten
        assert all_of_them - 0.001 < gain[-1] < 1.05 * all_of_them
    assert proof._ballmer_gain(params) == pytest.approx(3.307, abs=0.02)
    assert proof._enhancement(params) == pytest.approx(0.00697, abs=1e-5)


@pytest.mark.parametrize(("num_steps", "certified"), [(5, False), (20, False), (500, False), (700, True), (2000, True)])
def test_it_holds_from_some_seven_hundred_decisions_on(num_steps, certified):
    found = certificate(EnvParams(max_steps=num_steps))
    assert found.certified == certified == (found.smallest_slack > 0)
    assert ("cannot exclude" in found.reason) != certified


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"heart_attack_penalty": 0.0}, "coffee pays"),
        ({"heart_attack_proclivity": 0.0}, "coffee pays"),
        ({"hypertension_decay": 0.0}, "coffee pays"),
        ({"coffee_hypertension_high": 0.0}, "a first coffee pays"),
        ({"beer_hypertension_high": 0.0}, "a first beer pays"),
        ({"intoxication_decay": 1.0}, "a first beer pays"),
        ({"fatigue_onset": 1e6}, "a first coffee pays"),
        ({"ballmer_peak_height": 50.0}, "a first beer pays"),
        ({"coffee_alertness_low": 50.0, "coffee_alertness_high": 60.0, "fatigue_onset": 400.0}, "a first coffee pays"),
        ({"wake_up_alertness_low": -0.5}, "a waking alertness that is never negative"),
    ],
)
def test_where_a_drink_may_pay_nothing_is_certified(changes, reason):
    found = certificate(EnvParams(**changes))
    assert not found.certified
    assert reason in found.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"heart_attack_penalty": 1000.0, "max_steps": 100},
        {"ballmer_peak_height": 0.0},
        {"coffee_alertness_high": 0.0, "beer_alertness_loss_high": 0.0, "ballmer_peak_height": 0.0},
        {"anxiety_threshold": 1.5},
        {"fatigue_onset": 20.0, "fatigue_width": 4.0},
    ],
)
def test_where_drinks_cost_more_or_earn_less_it_is_certified(changes):
    assert certificate(EnvParams(**changes)).certified


@pytest.mark.parametrize("left", [1, 2, 3])
def test_a_first_drink_costs_at_least_its_slack_whatever_follows(found, left):
    """The last decisions of an episode of 1000 from 80 states, all four actions enumerated."""
    cases = itertools.product([2.5, 1.2, 0.4, 0.0, -2.0, -100.0], [0, 20, 60], [-0.5, 0.0, 0.33, 1.0], [1000.0, 1992.0])
    a, s, ratio, time = np.array(list(cases)).T[:, ::1]
    state = (a, s, 0 * a, 0 * a, ratio * (time - left), time - left)
    sober = last_decisions.value(state, left, drinks=False)
    _, _, coffee, beer = last_decisions.values(state, left, drinks=True)
    assert np.min(sober - coffee) > found.first_coffee[left - 1]
    assert np.min(sober - beer) > found.first_beer[left - 1]
    # Not far above either: the proof gives away less than half.
    assert np.min(sober - coffee) < 2 * found.first_coffee[left - 1]


def _with_a_drink(action, decision):
    """The optimal policy, but for one decision."""
    best = policies.optimal()
    return Policy(act=_act_with_a_drink, params=(best.params, action, decision), carry=best.carry)


def _act_with_a_drink(params, carry, obs, draw):
    days, drink, decision = params
    action, after = policies.optimal().act(days, carry, obs, draw)
    return jnp.where(carry[0] == decision, drink, action), after


# What one drink costs in 8,000 episodes of another implementation.
@pytest.mark.parametrize(
    ("action", "decision", "cost", "error"),
    [(1, 999, 0.0198, 3e-4), (2, 999, 0.0201, 3e-4), (1, 995, 0.092, 2e-3)],
)
def test_a_drink_in_the_best_schedule_costs_what_was_simulated_elsewhere(found, action, decision, cost, error):
    key = jax.random.key(5)
    without = evaluation.evaluate(policies.optimal(), key, num_episodes=8192)
    drunk = evaluation.evaluate(_with_a_drink(action, decision), key, num_episodes=8192)
    loss = evaluation.estimate(without.returns - drunk.returns)
    assert loss.mean == pytest.approx(cost, abs=error + 4 * loss.standard_error)
    slack = (found.first_coffee if action == 1 else found.first_beer)[1000 - decision - 1]
    assert loss.mean > slack


def test_a_better_policy_than_the_best_known_has_no_regret_but_is_ahead():
    """Five decisions: a coffee at the first pays 0.215 (0.2153 and 0.2188 by two independent computations)."""
    params = EnvParams(max_steps=5)
    found = evaluation.evaluate(policies.heartpole_v0.schedule([1, 0, 0, 0, 0]), jax.random.key(0), params)
    assert not found.certified
    assert found.regret.mean == pytest.approx(-0.215, abs=0.005)
    assert "behind best known" in found.summary()
    assert "regret" not in str(found)
    board = evaluation.leaderboard({"sober": policies.optimal(params)}, jax.random.key(0), params, num_episodes=64)
    assert "behind best known" in str(board)
    assert "Regret" not in str(board)
    assert "Others may be better" in str(board)


def test_an_estimate_above_a_certified_optimum_is_an_error(monkeypatch):
    from heartpole_jax.evaluation import heartpole_v0 as evaluation_v0

    lower = evaluation.BestKnown(-123.4, certified=True)  # below what sleeping well has
    monkeypatch.setattr(evaluation_v0, "best_known", lambda params: lower)
    with pytest.raises(RuntimeError, match=r"is above the ceiling -123\.4 of all policies"):
        evaluation.evaluate(policies.optimal(), jax.random.key(0), num_episodes=256)


def test_the_optimum_is_below_the_ceiling_that_takes_no_proof():
    assert sober_optimum().expected_return < return_ceiling()


def test_what_cannot_be_computed_is_refused():
    with pytest.raises(ValueError, match="certificate needs parameters that are plain numbers"):
        certificate(EnvParams(heart_attack_penalty=jnp.array(100.0)))
    with pytest.raises(ValueError, match="20,000 at most, got max_steps 2,000,000"):
        certificate(EnvParams(max_steps=2_000_000))
    assert dataclasses.asdict(certificate())["certified"] is True


def test_the_command_line_reports_the_optimum_and_draws_what_drinks_cost(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "slacks.png"
    assert main(["optimum", "--out", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "without drinks       -123.30428, a score of 0.326879"
    assert lines[1].startswith("of all policies      the same: no drink pays")
    assert lines[2] == "no policy exceeds    -123.30428"
    assert lines[3] == "heart attacks        1.236312, and no policy has fewer"
    assert lines[4] == "no drink pays        where a heart attack costs 52.48 or more"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["optimum", "--params", "max_steps=20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("of all policies      unknown: not certified")
    assert lines[4] == "no drink pays        where a heart attack costs 2624 or more"
    assert float(lines[2].split()[-1]) == pytest.approx(return_ceiling(EnvParams(max_steps=20)), abs=1e-5)
    assert main(["optimum", "--params", "heart_attack_proclivity=0"]) == 0
    assert capsys.readouterr().out.splitlines()[4] == "no drink pays        unknown"


def test_the_figure_has_the_slacks(found):
    pytest.importorskip("matplotlib")
    from heartpole_jax.drawing.charts.slacks import draw_slacks

    (axes,) = draw_slacks(found).axes
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 1000}
    np.testing.assert_array_equal(drawn["a first beer"], found.first_beer)
    np.testing.assert_array_equal(drawn["any later coffee"], found.later_coffee)
