"""Sensitivities, held to closed forms and to integrals that NumPy works out."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax import Action, EnvParams, Policy, gradients, policies
from heartpole_jax.__main__ import main
from heartpole_jax.gradients.sensitivity import as_text, choose_estimator, sensitivity

pytestmark = pytest.mark.once

CONSTANTS = [name for name in vars(EnvParams()) if name not in ("max_steps", "expected_penalty")]

# The idle one wakes up as 1, for certain, and pays more for attacks than three decisions of work earn.
STRICT = EnvParams(wake_up_alertness_low=1.0, wake_up_alertness_high=1.0, heart_attack_penalty=1000.0)


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def of_three_idle_decisions(rested=1.0, **changed):
    """Score, heart attacks and return of three decisions of nothing by a body that wakes up `rested`."""
    p = {name: float(value) for name, value in vars(STRICT).items()} | changed
    fatigue = np.cumsum([0.0] + [sigmoid((s - p["fatigue_onset"]) / p["fatigue_width"]) for s in (0, 1)])
    alertness = rested - fatigue
    peak = p["ballmer_peak_height"] * np.exp(-0.5 * (p["ballmer_peak"] / p["ballmer_peak_width"]) ** 2)
    ballmer = sigmoid(p["ballmer_steepness"] * p["ballmer_limit"]) + peak
    score = np.mean(alertness * sigmoid(p["anxiety_threshold"] - alertness) * ballmer)
    attacks = 3 * p["heart_attack_proclivity"] * sigmoid(-p["heart_attack_threshold"])
    return np.array([score, attacks, score - p["heart_attack_penalty"] * attacks])


@functools.cache
def nothing():
    return sensitivity(policies.always(Action.NOTHING), jax.random.key(0), STRICT, num_steps=3)


def test_idling_has_the_elasticities_of_its_closed_form():
    found = nothing()
    assert (found.estimator, found.unbiased, found.num_episodes, found.num_steps) == ("marginal", True, 128, 3)
    values = of_three_idle_decisions()
    assert values[2] < 0
    idle = [name for name in CONSTANTS if not name.startswith("wake_up")]
    for i, outcome in enumerate(found.outcomes.values()):
        assert outcome.value.mean == pytest.approx(values[i], rel=1e-5)
        assert list(outcome.influences) == CONSTANTS
        for name in idle:
            at = float(getattr(STRICT, name))
            step = 1e-5 * (at or 1.0)
            up, down = (of_three_idle_decisions(**{name: at + s})[i] for s in (step, -step))
            influence = outcome.influences[name]
            assert influence.at == pytest.approx(at)
            assert influence.derivative.mean == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-6)
            expected = at * (up - down) / (2 * step) / abs(values[i])
            assert influence.elasticity.mean == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_heart_attacks_of_the_idle_follow_proclivity_one_to_one_and_the_threshold_sixfold():
    influences = nothing().outcomes["heart_attacks"].influences
    assert influences["heart_attack_proclivity"].elasticity.mean == pytest.approx(1.0, abs=1e-5)
    assert influences["heart_attack_threshold"].elasticity.mean == pytest.approx(-6 * sigmoid(6), rel=1e-5)
    assert nothing().outcomes["heart_attacks"].ranked() == ["heart_attack_threshold", "heart_attack_proclivity"]
    # A negative return rises where attacks get fewer.
    assert nothing().outcomes["return"].influences["heart_attack_threshold"].elasticity.mean > 0


def test_the_ends_of_a_range_share_its_influence():
    """To shift both is to shift the dose, and the noise of the two cancels."""
    slope = (of_three_idle_decisions(1.0 + 1e-5)[0] - of_three_idle_decisions(1.0 - 1e-5)[0]) / 2e-5
    ends = [nothing().outcomes["score"].influences[f"wake_up_alertness_{end}"] for end in ("low", "high")]
    assert sum(end.derivative.mean for end in ends) == pytest.approx(slope, rel=1e-4)
    for end in ends:
        assert abs(end.derivative.mean - slope / 2) < 4 * end.derivative.standard_error
        assert end.derivative.standard_error < slope / 20


def attacks_of_coffees(low=0.0, high=0.3, decay=0.97):
    """Heart attacks in three coffees: the mean over their doses and over the attacks of the first two."""
    doses = low + (high - low) * np.stack(np.meshgrid(*[(np.arange(30) + 0.5) / 30] * 3))
    risk = lambda h: 0.5 * sigmoid(h - 6)
    total = 0.0
    for first, second in itertools.product((False, True), repeat=2):
        h, weight, number = 0.0, 1.0, 0.0
        for dose, attack in zip(doses, (first, second, None), strict=True):
            h = decay * (h + dose)
            number = number + (risk(h) if attack is None else attack)
            weight = weight * (1.0 if attack is None else risk(h) if attack else 1 - risk(h))
            h = 0.0 if attack else h
        total += np.mean(weight * number)
    return total


def test_an_effect_is_of_a_mean_dose_and_of_what_a_decay_takes():
    found = sensitivity(policies.always(Action.COFFEE), jax.random.key(0), num_steps=3)
    outcome, value = found.outcomes["heart_attacks"], attacks_of_coffees()
    assert abs(outcome.value.mean - value) < 4 * outcome.value.standard_error
    for name, argument, at, size in [
        ("coffee_hypertension_low", "low", 0.0, 0.15),
        ("coffee_hypertension_high", "high", 0.3, 0.15),
        ("hypertension_decay", "decay", 0.97, 0.03),
    ]:
        up, down = (attacks_of_coffees(**{argument: at + step}) for step in (1e-5, -1e-5))
        share = (up - down) / 2e-5 / value
        influence = outcome.influences[name]
        assert abs(influence.elasticity.mean - at * share) <= 4 * influence.elasticity.standard_error
        assert abs(influence.effect.mean - size * share) < 4 * influence.effect.standard_error
        assert influence.effect.standard_error < size * share / 10
    assert outcome.ranked()[-1] == "coffee_hypertension_low"  # an effect alone


def test_a_policy_with_a_threshold_is_differenced():
    """Whatever it does, the score of the sober is proportional to sigma(50 limit)."""
    found = sensitivity(policies.coffee_after_waking(alertness=1.0), jax.random.key(0), num_steps=2, num_episodes=256)
    assert (found.estimator, found.unbiased, found.num_episodes) == ("finite_differences", False, 256)
    assert "square of the step" in found.promise
    score = found.outcomes["score"].influences
    assert score["ballmer_limit"].elasticity.mean == pytest.approx(2.5 * sigmoid(-2.5), rel=1e-3)
    for name in CONSTANTS:
        if "beer" in name or "hypertension" in name or "heart_attack" in name:
            assert score[name].derivative == (0.0, 0.0)


def test_what_is_zero_has_no_percent():
    params = EnvParams(heart_attack_proclivity=0.0)
    found = sensitivity(policies.always(Action.NOTHING), jax.random.key(0), params, num_steps=3)
    attacks = found.outcomes["heart_attacks"]
    assert attacks.value.mean == 0
    assert all(math.isnan(influence.elasticity.mean) for influence in attacks.influences.values())
    assert attacks.influences["heart_attack_proclivity"].derivative.mean == pytest.approx(3 * sigmoid(-6), rel=1e-4)
    # Of the tutorial's 0.5 one percent.
    returned = found.outcomes["return"]
    expected = -100 * 3 * sigmoid(-6) * 0.5 / abs(returned.value.mean)
    assert returned.influences["heart_attack_proclivity"].effect.mean == pytest.approx(expected, rel=1e-4)
    _, rest = as_text(found, "nothing").split("heart attacks 0 ± 0")
    assert rest.splitlines()[1] == "  it is 0, which has no percent"


def calm(params, carry, obs, draw):
    return jnp.where(obs[1] < 0.1, Action.COFFEE, Action.NOTHING), carry


def tense_logits(weights, carry, obs):
    return weights * obs[1], carry


def alert_logits(weights, carry, obs):
    return weights * obs[0], carry


@pytest.mark.parametrize(
    ("policy", "estimator"),
    [
        (Policy(act=calm), "finite_differences"),
        (gradients.SoftPolicy(alert_logits, np.arange(4.0)), "marginal"),
        (gradients.SoftPolicy(tense_logits, np.arange(4.0)), "hybrid"),
        (gradients.Doses(np.full((4, 4), 0.25)), "marginal"),
    ],
)
def test_the_estimator_is_one_that_keeps_its_promise(policy, estimator):
    assert choose_estimator(policy, jax.random.key(0), EnvParams(), num_steps=4) == estimator


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"params": EnvParams(ballmer_limit=np.array([0.05, 0.06]))}, "one set of plain numbers"),
        ({"estimator": "finite_difference"}, "did you mean 'finite_differences'"),
        ({"num_steps": 0}, "num_steps must be at least 1"),
        ({"estimator": "pathwise", "num_episodes": 1}, "num_episodes must be at least 2"),
    ],
)
def test_bad_input_is_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        sensitivity(policies.always(Action.NOTHING), jax.random.key(0), **{"num_steps": 3} | asked)


def test_the_command_prints_a_table_and_draws_it(tmp_path, capsys):
    path = tmp_path / "new" / "sensitivity.png"
    assert (
        main(["sensitivity", "--policy", "nothing", "--params", "max_steps=3", "--episodes", "128", "--out", str(path)])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "nothing: 128 episodes of 3 decisions; ± is one standard error"
    assert lines[1].startswith("marginal: unbiased")
    start = next(i for i, line in enumerate(lines) if line.startswith("heart attacks"))
    assert [line.split()[:2] for line in lines[start + 1 : start + 3]] == [
        ["heart_attack_threshold", "6"],
        ["heart_attack_proclivity", "0.5"],
    ]
    assert "-5.985" in lines[start + 1]
    assert lines[start + 3] == "  23 others: less than 0.0001 %"
    assert lines[-1] == f"written: {path}"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert main(["sensitivity", "--policy", "nothink"]) == 2
    assert "did you mean 'nothing'" in capsys.readouterr().err
