"""Strip charts of HeartPole-v1, of episodes written by hand: its rows, its strips, and the command that draws them."""

import dataclasses

import numpy as np
import pytest
from test_strip_chart import action_axes, course_drawn, episode, strip, words

from heartpole_jax import EnvParams, make
from heartpole_jax.__main__ import main
from heartpole_jax.drawing.charts.strip_chart import draw_episode
from heartpole_jax.envs import heartpole_v1
from heartpole_jax.envs import menu as menus

V1 = make("HeartPole-v1")
STIMULATION = [0.0, 0.5, 0.75, 0.25, 1.0]
IMPAIRMENT = [0.0, 0.0, 0.125, 0.0, 0.5]
SLEEP_V1, EXERCISE_V1, CANNABIS_V1 = 3, 5, 7


def episode_v1(actions=(CANNABIS_V1, 0, SLEEP_V1, EXERCISE_V1), times=(0, 2, 3, 20, 22)):
    """The episode above with the actions of HeartPole-v1's menu."""
    records = episode(list(actions), list(times))
    new = {"stimulation": np.array(STIMULATION), "impairment": np.array(IMPAIRMENT)}
    begun, ended = ({name: x[part, None] for name, x in new.items()} for part in (np.s_[:-1], np.s_[1:]))
    return dataclasses.replace(
        records,
        state=heartpole_v1.EnvState(**vars(records.state), **begun),
        next_state=heartpole_v1.EnvState(**vars(records.next_state), **ended),
    )


@pytest.fixture(scope="module")
def figure_v1():
    return draw_episode(episode_v1(), env=V1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("stimulation", STIMULATION), ("impairment", IMPAIRMENT), ("score", [0.0, 0.5, 0.5, 0.1, 1.9 / 22])],
)
def test_version_1_has_strips_of_its_own(name, expected, figure_v1):
    days, values = course_drawn(strip(figure_v1, name))
    np.testing.assert_allclose(days * 48, [0, 2, 3, 20, 22])
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_version_1_has_a_row_for_each_row_of_the_menu_and_breaks_as_blocks(figure_v1):
    names = [label.get_text() for label in action_axes(figure_v1).get_yticklabels()]
    assert names == ["nothing", "sleep", "cannabis", "energy drink", "exercise", "nap", "beer", "coffee"]
    extents = [
        path.get_extents() for collection in action_axes(figure_v1).collections for path in collection.get_paths()
    ]
    blocks = {names[round((e.y0 + e.y1) / 2)]: (e.x0 * 48, e.x1 * 48) for e in extents}
    assert blocks == {
        name: pytest.approx(block)
        for name, block in (("cannabis", (0, 1)), ("nothing", (2, 3)), ("sleep", (3, 19)), ("exercise", (20, 21)))
    }
    assert "HeartPole-v1: one episode" in words(figure_v1)


def test_the_names_of_rows_stay_in_the_figure():
    row = menus.default().actions[1]
    for name in ("energy drink", "a long name indeed, of 40 letters or more"):
        menu = menus.Menu((dataclasses.replace(row, name=name),))
        figure = draw_episode(episode_v1(actions=(0,) * 4), env=make("HeartPole-v1", menu=menu))
        figure.draw_without_rendering()
        (label,) = action_axes(figure).get_yticklabels()
        assert label.get_window_extent().x0 >= 0


def test_actions_and_parameters_of_the_other_version_are_refused():
    with pytest.raises(ValueError, match=r"actions must be in 0 \.\. 7, got \[8\]"):
        draw_episode(episode_v1(actions=(8, 0, 0, 0)), env=V1)
    with pytest.raises(TypeError, match=r"params must be an EnvParams of .*v1, got .*heartpole_v0"):
        draw_episode(episode_v1(), EnvParams(), env=V1)
    with pytest.raises(TypeError, match=r"params must be an EnvParams of .*v0, got .*heartpole_v1"):
        draw_episode(episode(), heartpole_v1.EnvParams())
    with pytest.raises(TypeError, match=r"records.state must be an EnvState of .*heartpole_v0, got .*heartpole_v1"):
        draw_episode(episode_v1())


def test_the_command_draws_an_episode_of_version_1(tmp_path, capsys):
    """Nights of 17 half-hours, of which the 80th ends after four weeks, 1344."""
    file = tmp_path / "nights.png"
    command = ["episode", "--env", "HeartPole-v1", "--policy", "always sleep", "--menu", "heartpole_v0"]
    assert main([*command, "--out", str(file)]) == 0
    assert "80 decisions, heart attacks: " in (printed := capsys.readouterr().out)
    assert "nothing: 0, coffee: 0, beer: 0, sleep: 80\n" in printed
    assert file.read_bytes().startswith(b"\x89PNG")
    assert main(["episode", "--menu", "heartpole_v0"]) == 2
    assert "HeartPole-v0 has no menu, got 'heartpole_v0'" in capsys.readouterr().err
