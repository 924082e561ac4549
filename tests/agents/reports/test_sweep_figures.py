"""The figures of a sweep: what they show is what the trials say, compared at the same age."""

import dataclasses
import io

import numpy as np
import pytest
import synthetic_sweep
from synthetic_sweep import SUMMARY, trial

from agents.reports import sweep_axes, sweep_figures
from agents.sweeps import results

RATE = "hyperparams.learning_rate"
ONE_NAME = dataclasses.replace(SUMMARY, swept=(RATE,))


def _curve(*regrets):
    steps = 100.0 * np.arange(1, len(regrets) + 1)
    return {name: np.array(regrets, float) for name in results.CURVES} | {"env_steps": steps}


def _points(figure, colour):
    """(x, y) of all dots of a colour in the figure's only axes."""
    (axes,) = figure.axes
    lines = [line for line in axes.lines if line.get_marker() == "o" and line.get_color() == colour]
    return sorted(tuple(map(float, point)) for line in lines for point in zip(*line.get_data(), strict=True))


HALVED = [
    *(trial(0, s, 0.01, curve=_curve(8.0, 2.0, 0.01)) for s in range(2)),
    *(trial(1, s, 5.0, "stopped", env_steps=200, curve=_curve(9.0, 5.0)) for s in range(2)),
    *(trial(2, s, 70.0, "stopped", env_steps=100, curve=_curve(70.0)) for s in range(2)),
    *(trial(3, s, 500.0, "diverged", env_steps=100, diverged_at=100, curve=_curve(np.nan)) for s in range(2)),
]


def test_with_halving_all_are_compared_after_the_first_rung_in_colours_of_how_far_they_came():
    figure = sweep_figures.marginals(HALVED, ONE_NAME)[RATE]
    assert _points(figure, sweep_figures.COLOURS["end"]) == [(0.001, 8.0)]
    assert _points(figure, sweep_figures.COLOURS["went on"]) == [(0.002, 9.0)]
    assert _points(figure, sweep_figures.COLOURS["stopped"]) == [(0.003, 70.0)]
    (axes,) = figure.axes
    assert axes.get_ylabel() == "regret\nafter 100 steps"
    (crosses,) = [line for line in axes.lines if line.get_marker() == "x"]
    assert crosses.get_xdata().tolist() == [0.004]  # who diverged is not left out


def test_a_trial_that_diverged_later_counts_as_it_was_after_the_first_rung():
    late = [dataclasses.replace(m, diverged_at=300, status="diverged") if m.configuration == 0 else m for m in HALVED]
    figure = sweep_figures.marginals(late, ONE_NAME)[RATE]
    assert (0.001, 8.0) in _points(figure, sweep_figures.COLOURS["went on"])


def test_without_halving_the_final_numbers_are_shown_and_the_best_stands_out():
    trials = [trial(i, s, value) for i, value in enumerate((0.5, 0.02, 3.0)) for s in range(2)]
    figure = sweep_figures.marginals(trials, ONE_NAME)[RATE]
    assert _points(figure, sweep_figures.COLOURS["end"]) == [(0.002, 0.02)]
    assert _points(figure, sweep_figures.COLOURS["went on"]) == [(0.001, 0.5), (0.003, 3.0)]
    assert figure.axes[0].get_ylabel() == "regret"
    assert (figure.axes[0].get_xscale(), figure.axes[0].get_yscale()) == ("log", "log")


def test_choices_have_a_place_each_and_lists_are_named():
    figures = sweep_figures.marginals(synthetic_sweep.trials(32, num_seeds=2), SUMMARY)
    assert [label.get_text() for label in figures["config.hidden_sizes"].axes[0].get_xticklabels()] == [
        "[16, 16]", "[64, 64]", "[256]",
    ]  # fmt: skip
    assert [label.get_text() for label in figures["config.double_q"].axes[0].get_xticklabels()] == ["false", "true"]


GRID = [1e-4, 1e-3, 3e-3, 1e-2]


def test_the_values_of_a_grid_have_a_place_and_a_tick_each():
    trials = [trial(4 * k + i, 0, 1.0 + i, values={RATE: value}) for i, value in enumerate(GRID) for k in range(2)]
    (axes,) = sweep_figures.marginals(trials, dataclasses.replace(ONE_NAME, log_scaled=frozenset()))[RATE].axes
    assert axes.get_xticks().tolist() == [0, 1, 2, 3]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.0001", "0.001", "0.003", "0.01"]
    dots = {(x, y) for line in axes.lines if line.get_marker() == "o" for x, y in zip(*line.get_data(), strict=True)}
    assert dots == {(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)}


def test_the_best_curves_show_the_median_over_seeds():
    trials = [trial(0, s, 1.0, curve=_curve(*values)) for s, values in enumerate(((9, 3), (7, 1), (8, 2)))]
    figure = sweep_figures.curves([*trials, trial(1, 0, 4.0)])[0]
    (median,) = [line for line in figure.axes[0].lines if line.get_linewidth() > 2]
    assert median.get_ydata().tolist() == [8.0, 2.0]
    assert figure.axes[0].get_title(loc="left") == "rank 1"


def test_seeds_that_diverged_are_reported_on_the_curve():
    trials = [trial(0, 0, 1.0), trial(0, 1, 1.0, "diverged", diverged_at=50, curve=_curve(2.0, np.nan))]
    figure = sweep_figures.curves(trials)[0]
    assert figure.axes[0].get_title(loc="left") == "rank 1, 1 of 2 seeds diverged"


def test_the_overview_has_a_dot_for_each_configuration_in_order():
    trials = [trial(i, s, value + s) for i, value in enumerate((0.3, 0.1, 0.2)) for s in range(2)]
    (axes,) = sweep_figures.overview(trials).axes
    dots = {line.get_ydata()[0]: line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"}
    assert dots == pytest.approx({1: 0.6, 2: 0.7, 3: 0.8})


@pytest.mark.parametrize("case", ["one", "all diverged", "all equal", "returns", "negative", "two values"])
def test_strange_sweeps_are_drawn_without_a_warning(case):
    empty = {name: np.zeros(0) for name in ("env_steps", *results.CURVES)}
    trials = {
        "one": [trial(0, 0, 0.5)],
        "all diverged": [trial(i, 0, np.nan, "diverged", diverged_at=0, env_steps=0, curve=empty) for i in range(3)],
        "all equal": [trial(i, s, 1.0) for i in range(20) for s in range(2)],
        "returns": synthetic_sweep.trials(16, num_seeds=2, regret=False),
        "negative": [trial(i, 0, -1e-5 + 2.0 * i) for i in range(3)],
        "two values": [trial(i, 0, float(i), values={RATE: 0.1 if i % 2 else 0.01}) for i in range(10)],
    }[case]
    summary = SUMMARY if case == "returns" else ONE_NAME
    figures = [*sweep_figures.marginals(trials, summary).values(), *sweep_figures.curves(trials).values()]
    for figure in (*figures, sweep_figures.overview(trials)):
        sink = io.BytesIO()
        figure.savefig(sink, format="png")
        assert sink.getvalue()[:4] == b"\x89PNG"


def test_ticks_are_plain_and_steps_short():
    assert [sweep_axes.tick(value) for value in (0.001, 0.00002, 12000.0, -3.0, 0.0)] == [
        "0.001", "2e\N{MINUS SIGN}5", "12,000", "\N{MINUS SIGN}3", "0",
    ]  # fmt: skip
    assert [sweep_axes.short_steps(steps) for steps in (100, 4096, 1_600_000)] == ["100", "4.1k", "1.6M"]
