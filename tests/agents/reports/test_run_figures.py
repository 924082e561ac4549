"""A run's figures: the records' own numbers, and the final evaluation beside them."""

import itertools

import numpy as np
import pytest

from agents.reports import run_figures
from agents.reports.learning_curve import LOWEST_REGRET
from agents.reports.run_figures import Level
from heartpole_jax.drawing.charts import style

RECORDS = [
    {"env_steps": 100, "greedy_return": -130.0, "episode_return": -400.0, "regret": 6.7, "loss": 2.0, "epsilon": 0.5,
     "learning_rate": 0.001, "certified": 1.0},
    {"env_steps": 200, "greedy_return": -123.5, "episode_return": None, "regret": 0.0001, "loss": 0.1, "epsilon": 0.1,
     "learning_rate": 0.0005, "certified": 1.0},
]  # fmt: skip


def _line(figure, colour):
    for axes in figure.axes:
        for line in axes.lines:
            if line.get_color() == colour and len(line.get_xdata()) == len(RECORDS) and line.get_linestyle() == "-":
                return line.get_ydata().tolist()
    raise AssertionError(f"no line of {colour}")


def test_the_curves_are_the_records():
    found = run_figures.curves(RECORDS, "regret", {})
    assert list(found) == ["return", "regret", "loss", "schedules"]
    assert _line(found["return"], style.VERMILLION) == [-130.0, -123.5]
    assert _line(found["regret"], style.VERMILLION) == [6.7, LOWEST_REGRET]  # below it, drawn there
    assert _line(found["loss"], style.BLUE) == [2.0, 0.1]
    assert _line(found["schedules"], style.INK) == [0.5, 0.1]
    assert _line(found["schedules"], style.ORANGE) == [0.001, 0.0005]


def test_the_evaluation_is_a_line_beside_the_curve_with_its_number():
    levels = {"return": [Level(-123.32, "expected return -123.32", style.BLUE), Level(-123.3, "optimal", style.INK)]}
    figure = run_figures.curves(RECORDS, "regret", levels)["return"]
    axes = figure.axes[0]
    dashed = {line.get_color(): line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"}
    assert dashed == {style.BLUE: -123.32, style.INK: -123.3}
    assert [text.get_text() for text in axes.texts] == ["- -  expected return -123.32", "- -  optimal"]
    low, high = axes.get_ylim()
    assert low < -130
    assert high > -123.3
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in (axes.title, axes._left_title, *axes.texts) if text.get_text()]
    assert all(upper.y0 >= lower.y1 for upper, lower in itertools.pairwise(boxes))  # none lies on another
    assert boxes[-1].y0 >= axes.get_window_extent().y1  # nor on the curve
    assert boxes[0].y1 <= figure.bbox.height


def test_a_run_of_an_environment_without_a_best_return_has_no_regret():
    records = [{**record, "regret": None} for record in RECORDS]
    assert list(run_figures.curves(records, "regret", {})) == ["return", "loss", "schedules"]


@pytest.mark.parametrize("value", [None, np.inf, np.nan, 1e305])
def test_records_without_numbers_are_drawn_all_the_same(value):
    records = [dict.fromkeys(RECORDS[0], value) | {"env_steps": steps} for steps in (1, 2)]
    found = run_figures.curves(records, "regret", {})
    assert list(found) == ["return", "schedules"]
    for figure in found.values():
        figure.canvas.draw()
