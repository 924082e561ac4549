"""Parallel coordinates: a line for each configuration through its own values, the best one on top."""

import dataclasses

import numpy as np
import pytest
import synthetic_sweep
from synthetic_sweep import SUMMARY, trial

from agents.reports import parallel_coordinates, sweep_figures
from agents.sweeps import result_text, results
from heartpole_jax.drawing.charts import style

NAMES = ("a", "b")


def _draw(trials, summary, log=False):
    ranked = results.rank(trials)
    scores = sweep_figures.at_budget(trials, ranked)
    return parallel_coordinates.draw(ranked, scores, summary, result_text.short_names(summary.swept), "regret", log)


def _lines(figure, colour):
    (axes,) = figure.axes
    return [line.get_xdata() for line in axes.lines if len(line.get_xdata()) > 2 and line.get_color() == colour]


def test_each_line_goes_through_its_values_to_its_score():
    grid = [(0.1, "x"), (0.2, "y"), (0.3, "x")]
    trials = [trial(i, 0, score, values=dict(zip(NAMES, values, strict=True)))
              for i, (values, score) in enumerate(zip(grid, (3.0, 1.0, 2.0), strict=True))]  # fmt: skip
    figure = _draw(trials, dataclasses.replace(SUMMARY, swept=NAMES, log_scaled=frozenset()))
    (best,) = _lines(figure, style.VERMILLION)
    # Three places in (-0.6, 2.6), two in (-0.6, 1.6); the score has 6 % of 2 as room on both sides.
    np.testing.assert_allclose(best, [1.6 / 3.2, 1.6 / 2.2, 0.12 / 2.24])
    others = sorted(line.tolist() for line in _lines(figure, style.GREY))
    np.testing.assert_allclose(others, [[0.6 / 3.2, 0.6 / 2.2, 2.12 / 2.24], [2.6 / 3.2, 0.6 / 2.2, 1.12 / 2.24]])


def test_one_that_diverged_ends_at_the_worst_edge():
    trials = [trial(0, 0, 1.0), trial(1, 0, 2.0), trial(2, 0, 5.0, "diverged", diverged_at=50)]
    summary = dataclasses.replace(SUMMARY, swept=("hyperparams.learning_rate",))
    ends = sorted(line[-1] for line in _lines_of_two(_draw(trials, summary)))
    assert ends[-1] == 1.0
    assert ends[0] < 0.1


def _lines_of_two(figure):
    (axes,) = figure.axes
    return [line.get_xdata() for line in axes.lines if list(line.get_ydata()) == [0, 1]]


@pytest.mark.parametrize("number", [2, 12])
def test_any_number_of_names_has_an_axis_each_in_a_figure_of_one_width(number):
    names = tuple(f"name_{i}" for i in range(number))
    trials = [trial(i, 0, 1.0 + i, values=dict.fromkeys(names, 0.1 * i)) for i in range(4)]
    figure = _draw(trials, dataclasses.replace(SUMMARY, swept=names, log_scaled=frozenset()))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in texts if text.startswith("name_")] == list(names)
    assert figure.get_figwidth() == pytest.approx(4.6)
    figure.canvas.draw()
    for text in figure.axes[0].texts:
        assert text.get_window_extent().x1 <= figure.bbox.width


def test_a_tenth_of_the_configurations_is_the_best():
    figure = _draw(synthetic_sweep.trials(40, num_seeds=2, halving=False), SUMMARY, log=True)
    assert len(_lines(figure, style.VERMILLION)) == 1
    assert 2 <= len(_lines(figure, style.BLUE)) <= 3  # four of 40 are a tenth, some of which diverged
