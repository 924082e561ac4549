"""Two episodes in one picture: each as written by hand, on one axis of time and one scale a strip."""

import numpy as np
import pytest
from test_strip_chart import ALERTNESS, TIMES, course_drawn, episode

from heartpole_jax import Action
from heartpole_jax.drawing.charts.strip_chart import action_colours, draw_episode
from heartpole_jax.drawing.charts.versus import draw_versus
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.envs.registry import make

LONGER = {
    "actions": [Action.NOTHING, Action.SLEEP, Action.SLEEP],
    "times": [0, 1, 18, 35],
    "heart_attacks": [False] * 3,
    "hypertension": [0.0] * 4,
    "alertness": [1.0, 0.5, 2.5, 0.25],
}


def strips(figure, name):
    return [axes for axes in figure.axes if axes.get_title(loc="left").startswith(name)]


def test_the_first_episode_stands_above_the_second_on_one_axis_of_time():
    figure = draw_versus(episode(), episode(**LONGER), titles=("one", "two"))
    upper, lower = strips(figure, "alertness")
    assert upper.get_position().y0 == lower.get_position().y0  # each in its half of the figure
    assert upper.get_window_extent().y0 > lower.get_window_extent().y1
    for axes, times, alertness in ((upper, TIMES, ALERTNESS), (lower, LONGER["times"], LONGER["alertness"])):
        days, values = course_drawn(axes)
        np.testing.assert_allclose(days, np.array(times) / 48)
        np.testing.assert_allclose(values, alertness)
        assert axes.get_xlim() == (0.0, 35 / 48)
    assert [text.get_text() for part in figure.subfigs for text in part.texts] == [
        "one", "4 decisions in 10 hours, ♥ 1 heart attack", "two", "3 decisions in 17.5 hours, no heart attacks",
    ]  # fmt: skip


def test_a_strip_has_one_scale_in_both():
    figure = draw_versus(episode(), episode(**LONGER))
    for name in ("alertness", "hypertension", "blood alcohol", "score", "return"):
        upper, lower = strips(figure, name)
        assert upper.get_ylim() == lower.get_ylim()
    low, high = strips(figure, "alertness")[0].get_ylim()
    assert low < -0.5 < 2.5 < high


def test_a_narrow_episode_has_all_of_its_texts_inside():
    figure = draw_episode(episode(), title="a policy, seed 3", width=5.0)
    figure.canvas.draw()
    assert figure.get_size_inches().tolist() == [5.0, 7.5]
    title, summary = figure.texts
    assert title.get_window_extent().y0 > summary.get_window_extent().y1
    for artist in (*figure.texts, *(label for axes in figure.axes for label in axes.get_yticklabels())):
        box = artist.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width


@pytest.mark.parametrize("width", [3.9, 41.0, float("nan")])
def test_a_width_that_nothing_fits_into_is_refused(width):
    with pytest.raises(ValueError, match=r"^width must be from 4 to 40 inches, got "):
        draw_episode(episode(), width=width)


@pytest.mark.parametrize("env", [HEARTPOLE_V0, make("HeartPole-v1")], ids=lambda env: env.name)
def test_every_action_has_a_colour_of_its_own(env):
    assert len(set(action_colours(env))) == env.num_actions
