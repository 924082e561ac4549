"""The figures of the body, held to the tutorial's equations as NumPy writes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax import EnvParams
from heartpole_jax.drawing.charts import curves

NAMES = ["heart_attack_risk", "alertness_decay", "crippling_anxiety", "ballmer_peak", "overview"]


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def ballmer(x):
    return sigmoid(50 * (0.05 - x)) + 2 * np.exp(-((x - 0.135) ** 2) / (2 * 0.005**2))


def long_lines(axes):
    """The curves in `axes`, without dots and levels."""
    return [line.get_data() for line in axes.lines if len(line.get_xdata()) > 2]


def dots(axes):
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]


def texts(axes):
    return " ".join(text.get_text() for text in axes.texts)


@pytest.mark.parametrize(
    ("draw", "equations", "span"),
    [
        (curves.heart_attack_risk_figure, [lambda h: 0.5 * sigmoid(h - 6)], (0, 12)),
        (curves.alertness_decay_figure, [lambda s: sigmoid((s - 40) / 10)], (0, 80)),
        (
            curves.crippling_anxiety_figure,
            [lambda a: sigmoid(a - 3), lambda a: a * (1 - sigmoid(a - 3)) * ballmer(0.0)],
            (-1, 8),
        ),
        (curves.ballmer_peak_figure, [ballmer], (0, 0.2)),
    ],
)
def test_the_curve_drawn_is_the_tutorials(draw, equations, span):
    (axes,) = draw().axes
    lines = long_lines(axes)
    assert len(lines) == len(equations)
    for (x, y), equation in zip(lines, equations, strict=True):
        assert (x[0], x[-1]) == span == axes.get_xlim()
        # Of float32, and where the Ballmer peak is steepest of an x in float32.
        np.testing.assert_allclose(y, equation(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("draw", "points", "words"),
    [
        (curves.heart_attack_risk_figure, [(0, 0.0012363116), (6, 0.25)], ["0.00124", "809", "0.25 at 6"]),
        (curves.alertness_decay_figure, [(0, 0.0179862100), (40, 0.5)], ["0.018", "40 half-hours = 20 hours"]),
        (curves.crippling_anxiety_figure, [(2.557, 1.4389), (1, 0.8139812)], ["2.6: 1.44", "rested 0.81"]),
        (curves.ballmer_peak_figure, [(0, 0.92414182), (0.135, 2.014063627)], ["sober 0.924", "2.014 at 0.135 %"]),
    ],
)
def test_telling_points_are_marked_and_labelled(draw, points, words):
    (axes,) = draw().axes
    np.testing.assert_allclose(
        dots(axes), points, rtol=1e-5, atol=6e-3 if draw is curves.crippling_anxiety_figure else 0
    )
    assert all(word in texts(axes) for word in words)


def test_every_axis_names_its_quantity_and_every_figure_has_its_title():
    for figure in curves.draw_figures().values():
        for axes in figure.axes:
            assert axes.get_xlabel()
            assert axes.get_ylabel()
            assert axes.get_title(loc="left")


def test_the_overview_shows_the_same_four_curves():
    figures = curves.draw_figures()
    overview = figures.pop("overview")
    assert len(overview.axes) == 4
    for axes, figure in zip(overview.axes, figures.values(), strict=True):
        np.testing.assert_array_equal(long_lines(axes), long_lines(figure.axes[0]))
        assert texts(axes) == texts(figure.axes[0])


def test_curves_follow_the_parameters():
    params = EnvParams(heart_attack_proclivity=0.8, heart_attack_threshold=2.0)
    (axes,) = curves.heart_attack_risk_figure(params).axes
    x, y = long_lines(axes)[0]
    np.testing.assert_allclose(y, 0.8 * sigmoid(x - 2), rtol=1e-5)
    np.testing.assert_allclose(dots(axes)[1], (2.0, 0.4), rtol=1e-6)


def test_a_peak_narrower_than_the_grid_is_drawn_to_its_top():
    (axes,) = curves.ballmer_peak_figure(EnvParams(ballmer_peak=0.3, ballmer_peak_width=1e-5)).axes
    x, y = long_lines(axes)[0]
    assert y.max() == pytest.approx(2.0, abs=1e-3)
    assert x[0] == 0.0
    assert x[-1] > 0.3


def test_points_that_a_body_cannot_reach_are_not_marked():
    (axes,) = curves.heart_attack_risk_figure(EnvParams(heart_attack_threshold=-1.0)).axes
    assert [x for x, _ in dots(axes)] == [0.0]
    (axes,) = curves.heart_attack_risk_figure(EnvParams(heart_attack_proclivity=0.0)).axes
    assert dots(axes) == []


def test_save_figures_writes_a_png_of_each(tmp_path):
    paths = curves.save_figures(tmp_path / "new" / "folder")
    assert [path.name for path in paths] == [f"{name}.png" for name in NAMES]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(
        f"{name}.png" for name in NAMES
    )
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_save_figures_will_not_write_into_a_file(tmp_path):
    file = tmp_path / "figures"
    file.write_text("precious")
    with pytest.raises(ValueError, match=r"got the file .*figures"):
        curves.save_figures(file)
    assert file.read_text() == "precious"


def test_several_sets_of_parameters_are_refused():
    several = jax.vmap(lambda onset: EnvParams(fatigue_onset=onset))(jnp.array([30.0, 40.0]))
    with pytest.raises(ValueError, match=r"one set of parameters, got EnvParams\.\w+ of shape \(2,\)"):
        curves.draw_figures(several)


def test_params_of_another_kind_are_refused():
    with pytest.raises(TypeError, match="params must be an EnvParams, got a dict"):
        curves.overview_figure({"fatigue_onset": 40.0})
