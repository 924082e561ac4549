"""What the example prints, against hand results, the published sensitivity, and simulated attacks."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.once, pytest.mark.slow]

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def physiology(tmp_path_factory, warnings_raise):
    """(what differentiable_physiology.py prints, {name: [numbers]}; the folder that it ran in)."""
    folder = tmp_path_factory.mktemp("physiology")
    run = subprocess.run(
        [sys.executable, *warnings_raise, str(REPOSITORY / "examples/differentiable_physiology.py")],
        cwd=folder, env=os.environ | {"MPLBACKEND": "agg"}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    named = [line.rsplit(": ", 1) for line in run.stdout.splitlines() if not line.startswith(" ")]
    return {name: [float(number) for number in numbers.split()] for name, numbers in named}, folder


def risk(hypertension):
    return 0.5 / (1.0 + math.exp(6.0 - hypertension))


def expected_penalty(decay, num_steps):
    """Of a developer with a hypertension of 6 who does nothing, by enumeration of the heart attacks."""

    def attacks(hypertension, steps):
        if steps == 0:
            return 0.0
        level = decay * hypertension
        after = risk(level) * attacks(0.0, steps - 1) + (1.0 - risk(level)) * attacks(level, steps - 1)
        return risk(level) + after

    return -100.0 * attacks(6.0, num_steps)


def slope(num_steps):
    return (expected_penalty(0.97 + 1e-5, num_steps) - expected_penalty(0.97 - 1e-5, num_steps)) / 2e-5


def test_a_coffee_and_its_derivatives_are_those_of_the_hand_result(physiology):
    printed, _ = physiology
    assert printed["hypertension after a coffee, its derivatives"] == pytest.approx([0.97 * 0.15, 0.15, 0.97 * 0.3])


def test_a_plain_gradient_sees_no_heart_attack_and_with_risks_instead_is_right_for_one_step_alone(physiology):
    printed, _ = physiology
    assert printed["one step, derivative of the observed penalty"] == [0.0]
    assert printed["one step, derivative of the expected penalty"] == pytest.approx([slope(1)], rel=1e-5)
    assert printed["one step, by hand"] == pytest.approx([slope(1)], rel=1e-5)
    assert printed["two steps, by hand"] == pytest.approx([slope(2)], rel=1e-5)
    # What a plain gradient leaves out of the second step: the derivative of the first attack's probability.
    first = 0.97 * 6.0
    likelier = 6.0 * risk(first) * (1.0 - 2.0 * risk(first))
    left_out = -100.0 * likelier * (risk(0.0) - risk(0.97 * first))
    (pathwise,) = printed["two steps, jax.grad over all random numbers"]
    assert pathwise == pytest.approx(slope(2) - left_out, abs=0.01)  # the random numbers are 10,000
    assert pathwise < slope(2) - 10


@pytest.mark.parametrize("estimator", ["marginal", "hybrid"])
def test_unbiased_sensitivities_are_the_published_one(estimator, physiology):
    printed, _ = physiology
    mean, error = printed[f"{estimator}, error"]
    assert abs(mean + 1268.8) < 4 * math.hypot(error, 1.9)
    assert error < 10


def test_the_marginal_sensitivity_is_the_finite_difference_and_the_pathwise_one_is_not(physiology):
    printed, _ = physiology
    (difference,) = printed["finite difference of the marginal"]
    assert printed["marginal, error"][0] == pytest.approx(difference, rel=1e-4)
    mean, error = printed["pathwise, error"]
    assert abs(mean + 1268.8) > 5 * math.hypot(error, 1.9)
    assert abs(mean - difference) > 5 * error


def test_one_coffee_fewer_changes_simulated_and_marginal_heart_attacks_alike(physiology):
    printed, _ = physiology
    change, error = printed["change, error"]
    before, after = printed["heart attacks with 30 coffees, with 29"]
    assert after - before == pytest.approx(change, abs=1e-5)
    assert change < -4 * error
    assert abs(change - printed["change, marginal"][0]) < 4 * error


def test_an_attack_happens_all_the_same_with_the_ratio_of_the_risks(physiology):
    printed, _ = physiology
    level, less = printed["hypertension at the draw, of it the last coffee's"]
    ratio = risk(level - less) / risk(level)
    assert 0.0 < less < 0.3 * 0.97**11
    assert printed["ratio of the risks"] == pytest.approx([ratio], rel=1e-4)
    assert abs(printed["the attack happens all the same"][0] - ratio) < 4 * math.sqrt(ratio * (1 - ratio) / 4096)
    assert printed["hypertension of those who are spared"] == pytest.approx([level - less], rel=1e-4)


def test_the_gradient_of_a_schedule_of_doses_is_the_finite_difference_and_leads_uphill(physiology):
    printed, _ = physiology
    assert printed["derivative towards less coffee"] == pytest.approx(printed["its finite difference"], rel=1e-4)
    cups, before, error_before = printed["half coffees: cups, return, error"]
    fewer_cups, after, error_after = printed["after 20 steps: cups, return, error"]
    assert cups == 8.0
    assert fewer_cups < 4.0
    assert after - before > 5 * math.hypot(error_before, error_after)
    # No policy has fewer heart attacks than the sober, and no sober one does more than the peak of a sigmoid(3 - a)
    # over alertness a, 1.5572, times sigmoid(2.5).
    assert after < -100 * 16 * risk(0.0) + 1.5572 / (1.0 + math.exp(-2.5))


def test_the_figures_are_drawn(physiology):
    _, folder = physiology
    drawn = sorted(path.name for path in (folder / "out" / "differentiable_physiology").iterdir())
    assert drawn == ["doses.png", "heart_attack.png", "sensitivity.png"]
