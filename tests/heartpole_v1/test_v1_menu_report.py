"""What a menu's report says: its table, a simulated day, free lunches where there are some and none where not."""

import numpy as np
import oracle_v1
import pytest

from heartpole_jax.drawing.charts.menu import day_figure
from heartpole_jax.envs import menu
from heartpole_jax.envs.menu import Menu, Row
from heartpole_jax.evaluation import menu_report

pytestmark = pytest.mark.once

DEFAULT = menu.default()
SOBER = Menu(tuple(DEFAULT.actions[i] for i in (0, 1, 3)))  # nothing, coffee, sleep: fewer days to try


def row(name, half_hours=0, **values):
    return Row(name=name, half_hours=half_hours, source="none", grade="assumed", **values)


def with_row(*rows, base=SOBER):
    return Menu((*base.actions, *rows))


def test_the_table_shows_every_row_with_its_doses_and_grade():
    lines = menu_report.table(DEFAULT)
    assert len(lines) == 2 + 8
    assert lines[3].split() == ["1", "coffee", "0", "..", "0.3", "0", "..", "1", "meta-analysis"]
    assert lines[5].split() == ["3", "sleep", "8", "h", "yes", "assumed"]
    assert lines[9].split()[-4:] == ["0.5", "x", "4.8", "case-crossover"]
    text = " ".join(" ".join(menu_report.sources(DEFAULT)).split())
    for action in DEFAULT.actions:
        assert f"[{action.grade}] {action.source}" in text


def day_by_hand(name, num_decisions):
    """The oracle's day after the action called `name`: states at every decision, and the sum of the risks."""
    rows, state, risks, states = oracle_v1.MENU, oracle_v1.wake_up(0.5), [], []
    for i in range(num_decisions):
        state, _, risk, _ = oracle_v1.step(state, rows[name if i == 0 else "nothing"], (0.5, 0.5, 0.5, 1.0))
        states.append(state)
        risks.append(risk)
    return np.array(states), np.cumsum(risks)


@pytest.mark.parametrize(("name", "half_hours"), [("coffee", 1), ("cannabis", 2), ("sleep", 17)])
def test_the_day_is_the_oracles(name, half_hours):
    day = menu_report.simulate_day(DEFAULT)
    states, attacks = day_by_hand(name, 49 - half_hours)
    i = menu.index(DEFAULT, name)
    assert np.isnan(day.hypertension[i, 1:half_hours]).all()
    shown = {field: getattr(day, field)[i, half_hours:] for field in ("hypertension", "intoxication", "work_done")}
    for field, values in shown.items():
        np.testing.assert_allclose(values, states[:, oracle_v1.NAMES.index(field)], rtol=1e-4, atol=1e-6)
    effective = np.maximum(states[:, 0] + states[:, 6] - states[:, 7], 0)
    np.testing.assert_allclose(day.effective_alertness[i, half_hours:], effective, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(day.heart_attacks[i, half_hours:], attacks, rtol=1e-4)
    assert (day.effective_alertness[i, 0], day.heart_attacks[i, 0]) == (1.0, 0.0)


def test_an_action_that_takes_a_day_leaves_nothing_of_it():
    holiday = with_row(row("holiday", 48))
    day = menu_report.simulate_day(holiday)
    assert np.isnan(day.work_done[3, 1:]).all()
    assert menu_report.effects(holiday)[-1].split() == ["holiday", "longer"]
    (legend,) = [axes.get_legend() for axes in day_figure(holiday).axes if axes.get_legend()]
    names = [text.get_text() for text in legend.get_texts()]
    assert names[-1] == "holiday: a day or longer"
    assert not any("holiday" in name for name in names[:-1])


@pytest.mark.parametrize(
    ("better", "worse", "expected"),
    [
        ({"stimulation": (0.0, 1.0)}, {}, True),
        ({"stimulation": (0.0, 1.0)}, {"stimulation": (0.0, 0.9)}, True),
        ({"stimulation": (0.0, 1.0)}, {"stimulation": (0.1, 0.9)}, False),
        ({"hypertension": (-0.3, -0.1)}, {}, True),
        ({"hypertension": (-0.3, 0.1)}, {}, False),
        ({}, {"impairment": (0.0, 0.1)}, True),
        ({}, {"hazard": 1.1}, True),
        ({"hazard": 0.9}, {}, True),
        ({"half_hours": 1}, {"half_hours": 2}, True),
        ({"half_hours": 1, "wakes_up": True}, {"half_hours": 16, "wakes_up": True}, True),
        ({"alertness": (0.0, 9.0), "hypertension": (0.0, 0.1)}, {}, False),
        ({}, {}, False),
    ],
    ids=str,
)
def test_an_action_dominates_another_where_it_is_better_in_something_and_worse_in_nothing(better, worse, expected):
    assert menu_report.dominates(row("better", **better), row("worse", **worse)) == expected


@pytest.mark.slow
def test_the_shipped_menus_have_no_free_lunch_and_two_vices():
    assert menu_report.warnings(DEFAULT) == []
    assert [line.split()[0] for line in menu_report.vices(DEFAULT)] == ["'beer'", "'cannabis'"]
    assert menu_report.warnings(menu.find("heartpole_v0")) == []


@pytest.mark.slow
def test_an_action_that_helps_and_costs_nothing_is_a_free_lunch():
    lines = menu_report.warnings(with_row(row("elixir", stimulation=(0.5, 1.0))))
    assert "'elixir': better than 'nothing' in every respect, at no cost" in lines
    assert "'elixir': better than 'coffee' in every respect, at no cost" in lines
    assert not any("'sleep' in every" in line for line in lines)
    assert menu_report.warnings(with_row(row("doze", 1, wakes_up=True))) == [
        "'doze': better than 'sleep' in every respect, at no cost"
    ]


@pytest.mark.slow
def test_a_loop_that_beats_sleeping_is_found_though_it_dominates_nothing():
    """Pills that restore more than fatigue ever takes, at a price that makes them no free lunch by themselves."""
    pill = row("pill", alertness=(1.0, 2.0), hypertension=(0.0, 0.02))
    assert not any(menu_report.dominates(pill, other) for other in SOBER.actions)
    (first, *_) = lines = menu_report.warnings(with_row(pill))
    assert first.startswith("'pill' when tired, never sleeping, earns ")
    assert "'sleep' after" in first
    assert all("'pill'" in line for line in lines)


def test_a_loop_has_the_value_that_the_oracle_finds():
    """Four weeks of nothing: 11 half-hours of work, and the risk at rest in every half-hour."""
    (loop,) = [loop for loop in menu_report.loops(SOBER, 64) if loop.description == "'nothing' always"]
    resting = 1344 * 0.5 / (1 + np.exp(6))
    assert loop.expected_return == pytest.approx(11.1 - 100 * resting, abs=1.5)
    sleeper = menu_report.best_sleeper(SOBER, 64)
    assert sleeper.description.startswith("'sleep' after 8 hours")
    assert 255 < sleeper.expected_return < 275.1  # sleeping below an alertness of 0.4 earns 273.1


def test_a_routine_of_two_actions_takes_them_in_turn_where_it_is_tired():
    routine = menu_report._Routine(first=5, second=6, below=2.0, sleep=7, bedtime=24.0)

    def decision(turn, alertness=1.0, awake=0.0):
        obs = np.array([alertness, 0.0, 0.0, awake, 0.0, 0.0, 0.5, 0.0])
        return tuple(int(x) for x in menu_report._act(routine, turn, obs, None, idle=9))

    assert [decision(0), decision(1)] == [(5, 1), (6, 0)]
    assert [decision(1, alertness=1.6), decision(1, awake=24.0)] == [(9, 1), (7, 1)]


def test_a_menu_without_sleep_is_said_to_have_none():
    lines = menu_report.warnings(Menu(DEFAULT.actions[:1]))
    assert lines == ["'nothing' always, never sleeping, earns -155 in four weeks; and this menu has no sleep"]


def test_the_report_of_a_file_has_all_of_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text((menu.FOLDER / "heartpole_v0.toml").read_text())
    text = menu_report.report(path)
    for part in (
        "coffee",
        "Sources",
        "the HeartPole tutorial, fact 2",
        "work done",
        "none found",
        "never dosing advice",
    ):
        assert part in text


def test_the_figure_draws_each_action_that_does_something():
    figure = day_figure(DEFAULT)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    drawn = {title: len(axes.lines) - 1 for title, axes in panels.items() if title}
    assert list(drawn.values()) == [7, 3, 1, 1, 5, 7, 7]
    names = [text.get_text() for text in figure.axes[-1].get_legend().get_texts()]
    assert names == ["coffee", "beer", "sleep", "nap", "exercise", "energy_drink", "cannabis", "nothing"]
    work = panels["Work done, against nothing"].lines
    np.testing.assert_array_equal(work[0].get_ydata(), 0.0)
    assert work[1].get_ydata()[-1] == pytest.approx(15.14 - 11.01, abs=0.02)  # coffee's, as the report's table has it
    nothing, coffee, beer, exercise = (panels["Hypertension"].lines[i] for i in (0, 1, 2, 3))
    # The mean dose, of a patient with 0.5, after its half-hour; exercise takes two.
    assert coffee.get_ydata()[1] == pytest.approx((0.5 + 0.15) * 0.97, rel=1e-5)
    assert exercise.get_ydata()[1] == pytest.approx((0.5 - 0.195) * 0.97**2, rel=1e-5)
    # Coffee and beer coincide: they take turns.
    np.testing.assert_array_equal(coffee.get_ydata(), beer.get_ydata())
    assert {line.get_linestyle() for line in (coffee, beer)} == {"--"}
    assert nothing.get_linestyle() == "-"
