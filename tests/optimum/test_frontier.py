"""The bound of score against heart attacks: by hand, against the certificate, enumeration and simulated policies."""

import jax
import jax.numpy as jnp
import last_decisions
import numpy as np
import pytest

from heartpole_jax import EnvParams, evaluation, policies
from heartpole_jax.optimum import certificate, frontier, return_ceiling, sober_optimum

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def found():
    return frontier()


def test_without_drinks_the_frontier_is_one_point(found):
    assert found.heart_attacks == pytest.approx(500 / (1 + np.exp(6)), rel=1e-12)
    assert found.score == pytest.approx(0.3268793, abs=1e-7)
    assert found.bound(found.heart_attacks) == found.score


def test_the_bound_is_the_least_of_three_lines(found):
    excess = np.array([0.0, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.2, 30.0])
    # From the derivation's numbers, for one decision left: a dose costs at least 0.01981 at a penalty of 100, the first
    # beer earns at most 0.00697 + (0.119 + 3.307) / 1000; and with 27 left the later coffee 8.19 / 1000.
    first, head_start, ceiling = 100 * (0.00697 + 0.003426) / 0.01981, 0.00697, 3.1362
    bound = found.bound(found.heart_attacks + excess)
    np.testing.assert_allclose(bound[:3], found.score + first * excess[:3], rtol=5e-3)
    np.testing.assert_allclose(bound[3:6], found.score + head_start + 17.9 * excess[3:6], rtol=0.02)
    np.testing.assert_allclose(bound[6:], ceiling, atol=1e-4)
    assert found.bound(5.0).shape == ()


@pytest.mark.parametrize(
    "changes", [{}, {"max_steps": 60}, {"ballmer_peak_height": 0.0}, {"coffee_alertness_high": 0.3}]
)
def test_no_drink_pays_above_the_certified_penalty(changes):
    penalty = frontier(EnvParams(**changes)).certified_penalty
    above, below = (EnvParams(**changes, heart_attack_penalty=factor * penalty) for factor in (1.0001, 0.9999))
    assert certificate(above).certified
    assert not certificate(below).certified


def test_the_penalty_plays_no_part(found):
    assert frontier(EnvParams(heart_attack_penalty=3.0)) is found


@pytest.mark.parametrize("penalty", [0.0, 3.0, 30.0, 300.0, 3000.0])
def test_the_best_of_three_decisions_by_enumeration_is_below_the_bound(penalty):
    """At any penalty the best return of all policies is at most the largest of bound - penalty * attacks."""
    start = tuple(np.array([value]) for value in (1.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    best = last_decisions.value(start, 3, drinks=True, penalty=penalty).item()
    found = frontier(EnvParams(max_steps=3))
    attacks = found.heart_attacks + np.append(0.0, np.geomspace(1e-8, 10.0, 4001))
    assert best <= np.max(found.bound(attacks) - penalty * attacks) + 1e-4  # of the rule for the waking alertness
    assert best >= sober_optimum(EnvParams(max_steps=3)).score - penalty * found.heart_attacks - 1e-4


@pytest.mark.parametrize(
    "changes", [{}, {"max_steps": 100, "heart_attack_proclivity": 0.1, "coffee_hypertension_high": 2.0}]
)
def test_no_policy_is_above_the_bound(changes):
    params = EnvParams(**changes)
    found, reached = frontier(params), []
    for name in policies.heartpole_v0.SCRIPTED:
        row = evaluation.evaluate(policies.make(name, params), jax.random.key(0), params, num_episodes=256)
        excess = max(row.excess_heart_attacks.mean + 5 * row.excess_heart_attacks.standard_error, 0.0)
        bound = found.bound(found.heart_attacks + excess)
        assert row.score.mean - 5 * row.score.standard_error <= bound + 1e-6, name
        reached.append(row.score.mean)
    assert max(reached) > found.score  # with drinks there is more of it


@pytest.mark.parametrize("changes", [{"heart_attack_proclivity": 0.0}, {"coffee_hypertension_high": 0.0}])
def test_where_drinks_are_free_only_the_ceiling_is_known(changes):
    params = EnvParams(**changes)
    found = frontier(params)
    assert found.certified_penalty == np.inf
    ceiling = return_ceiling(params) + params.heart_attack_penalty * found.heart_attacks
    np.testing.assert_allclose(found.bound(found.heart_attacks + np.array([0.0, 1.0])), ceiling)


def test_the_figure_has_the_bound_and_the_policies_within_its_axes(found):
    pytest.importorskip("matplotlib")
    from heartpole_jax.drawing.charts.frontier import draw_frontier

    points = {"mine": {"a": (0.2, 0.5), "sober": (0.0, 0.32), "wild": (20.0, -190.0)}, "none": {"sober": (0.0, 0.3)}}
    (axes,) = draw_frontier(found, points).axes
    drawn = {line.get_label(): line for line in axes.lines}
    excess = drawn["no policy is above"].get_xdata()
    np.testing.assert_array_equal(drawn["no policy is above"].get_ydata(), found.bound(found.heart_attacks + excess))
    np.testing.assert_array_equal(drawn["mine"].get_xydata(), [(0.2, 0.5)])
    assert "none" not in drawn
    assert [text.get_text() for text in axes.texts] == ["a"]


def test_bad_input_is_refused(found):
    with pytest.raises(ValueError, match=r"heart_attacks must be at least 1\.236312, the fewest .* got 1\.0"):
        found.bound(np.array([2.0, 1.0]))
    with pytest.raises(ValueError, match="got nan"):
        found.bound(float("nan"))
    with pytest.raises(TypeError, match="heart_attacks must be a number"):
        found.bound("3")
    with pytest.raises(ValueError, match="frontier needs parameters that are plain numbers"):
        frontier(EnvParams(max_steps=jnp.array(5)))
