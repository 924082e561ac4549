"""fANOVA's shares on studies whose answer is known: sums of functions of one name each."""

import dataclasses
import importlib.util
import sys

import numpy as np
import pytest
import synthetic_sweep
from synthetic_sweep import SUMMARY, trial

from agents.reports import importance, sweep_axes, sweep_figures
from agents.sweeps import results

NAMES = ("hyperparams.a", "hyperparams.b", "hyperparams.c")


def _shares(trials, summary, log=False):
    ranked = results.rank(trials)
    scores = sweep_figures.at_budget(trials, ranked)
    return importance.shares(ranked, scores, summary, log, sweep_axes.LOWEST)


needs_scikit_learn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="fANOVA needs scikit-learn, of the extra optuna"
)


@needs_scikit_learn
def test_a_sum_of_terms_is_split_as_their_variances_are():
    # 3 a + b of uniform a, b: variances of 9/12 and 1/12, so 0.9 and 0.1, nothing of c, nothing of names together.
    drawn = np.random.default_rng(0).uniform(size=(256, 3))
    trials = [
        trial(i, 0, 3 * a + b, values=dict(zip(NAMES, (a, b, c), strict=True))) for i, (a, b, c) in enumerate(drawn)
    ]
    found = _shares(trials, dataclasses.replace(SUMMARY, swept=NAMES, log_scaled=frozenset()))
    assert list(found)[:2] == list(NAMES[:2])
    assert found[NAMES[0]] == pytest.approx(0.9, abs=0.04)
    assert found[NAMES[1]] == pytest.approx(0.1, abs=0.04)
    assert found[NAMES[2]] < 0.01


@needs_scikit_learn
def test_names_are_ranked_as_the_synthetic_study_was_made():
    """Its logarithm of regret: 1.6 (|rate + 3| + 8 |discount - 0.98| + 0 to 0.6 by width - 0.2 double), and noise.

    Of these terms the variances over the ranges are 0.32, 0.04, 0.06 and 0.01.
    """
    found = _shares(synthetic_sweep.trials(192, num_seeds=4, halving=False), SUMMARY, log=True)
    assert next(iter(found)) == "hyperparams.learning_rate"
    assert list(found)[-1] == "config.double_q"
    assert found["hyperparams.learning_rate"] > 0.6


@needs_scikit_learn
def test_the_same_results_have_the_same_shares_and_a_diverged_one_counts_as_the_worst():
    values = [dict(zip(NAMES, (i % 4, i // 4, 1.0), strict=True)) for i in range(12)]
    trials = [trial(i, 0, float(1 + i % 4), values=value) for i, value in enumerate(values)]
    diverged = [
        dataclasses.replace(one, status="diverged", diverged_at=50, regret=9.0) if one.values[NAMES[0]] == 3 else one
        for one in trials
    ]
    summary = dataclasses.replace(SUMMARY, swept=NAMES, log_scaled=frozenset())
    found = _shares(diverged, summary)
    assert found == _shares(diverged, summary)
    assert list(found) == list(NAMES[:2])  # the third does not vary
    assert found[NAMES[0]] > 0.95


@needs_scikit_learn
@pytest.mark.parametrize("number", [1, importance.FEWEST - 1])
def test_too_few_configurations_are_refused(number):
    trials = [trial(i, 0, 1.0 + i, values=dict.fromkeys(NAMES, 0.1 * i)) for i in range(number)]
    summary = dataclasses.replace(SUMMARY, swept=NAMES, log_scaled=frozenset())
    with pytest.raises(ValueError, match=rf"needs 8 configurations and two names that vary, got {number} and [03]"):
        _shares(trials, summary)


def test_without_scikit_learn_the_way_to_get_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"needs Optuna and scikit-learn: pip install '\.\[optuna\]' in the clone"):
        importance.shares([], {}, SUMMARY, False, 1e-4)


def test_the_figure_has_a_bar_for_each_share_and_one_for_the_rest():
    figure = importance.figure({"x.a": 0.7, "x.b": 0.2}, {"x.a": "a", "x.b": "b"})
    (axes,) = figure.axes
    assert [round(bar.get_width(), 6) for bar in axes.patches] == [0.7, 0.2, 0.1]
    assert [text.get_text() for text in axes.texts] == ["a", "70 %", "b", "20 %", "together", "10 %"]
