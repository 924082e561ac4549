"""The tornado of an invented sensitivity: what is drawn is what was given."""

import numpy as np
import pytest

from heartpole_jax.drawing.charts.tornado import draw_tornado
from heartpole_jax.evaluation import Estimate
from heartpole_jax.gradients.sensitivity import Influence, OutcomeSensitivity, Sensitivity


def influence(elasticity, error=0.01, at=1.0, effect=None):
    effect = elasticity if effect is None else effect
    return Influence(at, Estimate(elasticity, error), Estimate(elasticity, error), Estimate(effect, error))


def invented():
    """Twelve influences that grow with their number and change sign, one too small, one of a parameter that is 0."""
    many = {f"no_{i}": influence(i * (-1) ** i, error=i / 10) for i in range(1, 13)}
    many |= {"tiny": influence(1e-5), "nought": influence(0.0, at=0.0, effect=0.5)}
    few = {"only": influence(0.25), "not_this": influence(0.0)}
    return Sensitivity(
        outcomes={
            "score": OutcomeSensitivity(Estimate(0.5, 0.1), few),
            "heart_attacks": OutcomeSensitivity(Estimate(0.0, 0.0), {"only": influence(np.nan)}),
            "return": OutcomeSensitivity(Estimate(-20.0, 1.0), many),
        },
        estimator="marginal", unbiased=True, promise="none at all", num_episodes=64, num_steps=1000,
    )  # fmt: skip


@pytest.fixture(scope="module")
def figure():
    return draw_tornado(invented(), title="an invented policy")


def labels(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def texts(artist):
    return [text.get_text() for text in artist.texts]


def test_the_ten_longest_bars_are_drawn_the_longest_on_top(figure):
    axes = figure.axes[2]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == [12, -11, 10, -9, 8, -7, 6, -5, 4, -3]
    assert labels(axes) == [f"no {i}" for i in range(12, 2, -1)]
    heights = [bar.get_y() for bar in axes.patches]
    bottom, top = axes.get_ylim()
    assert heights == sorted(heights)
    assert bottom > top  # downwards


def test_bars_of_either_direction_have_a_colour_of_their_own(figure):
    colours = [bar.get_facecolor() for bar in figure.axes[2].patches]
    assert len(set(colours)) == 2
    assert colours[0] == colours[2] != colours[1] == colours[3]


def test_whiskers_are_two_standard_errors(figure):
    (whiskers,) = figure.axes[2].collections
    ends = np.array([segment[:, 0] for segment in whiskers.get_segments()])
    means = np.array([i * (-1) ** i for i in range(12, 2, -1)])
    np.testing.assert_allclose(ends, np.stack([means - 0.2 * abs(means), means + 0.2 * abs(means)], axis=1))


def test_a_line_names_what_has_no_bar(figure):
    assert texts(figure.axes[0])[-1] == "1 other: less than 0.0001 %"
    assert texts(figure.axes[1]) == ["it is 0, which has no percent"]
    assert texts(figure.axes[2])[-1] == ("2 smaller\n1 at 0, of which there is no percent\n1 other: less than 0.0001 %")


def test_the_figure_names_what_it_is_of_and_how_that_was_found(figure):
    assert "an invented policy" in texts(figure)
    assert "marginal: none at all; 64 episodes of 1,000 decisions" in texts(figure)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["score: 0.5", "heart attacks an episode: 0", "return: \N{MINUS SIGN}20"]
    assert all(axes.get_xlabel() for axes in figure.axes)


def test_texts_stay_on_the_figure(figure):
    figure.canvas.draw()
    for axes in figure.axes:
        for text in [*axes.texts, *axes.get_yticklabels(), axes.title]:
            box = text.get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.width


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="found must be a Sensitivity, got a dict; `sensitivity` makes one"):
        draw_tornado({"score": 1.0})
