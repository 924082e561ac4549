"""Strip charts of episodes written by hand, so that every number in the chart is known."""

import dataclasses
import io
import itertools

import jax
import numpy as np
import pytest

from heartpole_jax import Action, EnvParams, EnvState, StepInfo, Transition, everything, policies, rollout
from heartpole_jax.drawing.charts.strip_chart import draw_episode

# Coffee, nothing, a night (16 half-hours asleep, one of work) that ends in a heart attack, beer.
ACTIONS = [Action.COFFEE, Action.NOTHING, Action.SLEEP, Action.BEER]
TIMES = [0, 1, 2, 19, 20]
ALERTNESS = [1.0, 1.5, 1.25, 0.75, -0.5]
HYPERTENSION = [0.0, 0.25, 0.24, 0.0, 0.125]
INTOXICATION = [0.0, 0.0, 0.0, 0.0, 0.02]
WORK_DONE = [0.0, 1.0, 1.5, 2.0, 1.9]
REWARDS = [1.0, -0.25, -100.625, -0.0125]
HEART_ATTACKS = [False, False, True, False]


def episode(actions=ACTIONS, times=TIMES, heart_attacks=HEART_ATTACKS, hypertension=HYPERTENSION, **fields):
    """Records of one patient; quantities left out are those above, or zero for other lengths."""
    num_steps = len(actions)

    def course(values):
        return np.array(values if len(values) == num_steps + 1 else [0.0] * (num_steps + 1), np.float32)

    whole = EnvState(
        alertness=course(fields.get("alertness", ALERTNESS)),
        hypertension=course(hypertension),
        intoxication=course(fields.get("intoxication", INTOXICATION)),
        time_since_slept=np.zeros(num_steps + 1, np.int32),
        time_elapsed=np.array(times, np.int32),
        work_done=course(WORK_DONE),
        num_steps=np.arange(num_steps + 1, dtype=np.int32),
    )
    records = Transition(
        state=jax.tree.map(lambda x: x[:-1], whole),
        obs=np.zeros((num_steps, 6), np.float32),
        action=np.array(actions, np.int32),
        reward=np.array(REWARDS if num_steps == len(REWARDS) else [0.0] * num_steps, np.float32),
        done=np.zeros(num_steps, bool),
        terminated=np.zeros(num_steps, bool),
        next_state=jax.tree.map(lambda x: x[1:], whole),
        next_obs=np.zeros((num_steps, 6), np.float32),
        info=StepInfo(
            productivity=np.zeros(num_steps, np.float32),
            half_hours=np.diff(times).astype(np.int32),
            heart_attack_risk=np.zeros(num_steps, np.float32),
            heart_attack=np.array(heart_attacks),
        ),
    )
    return jax.tree.map(lambda x: x[:, None], records)


def long_episode(heart_attack_steps, num_steps=1000):
    attacks = np.isin(np.arange(num_steps), heart_attack_steps)
    return episode([Action.NOTHING] * num_steps, range(num_steps + 1), attacks)


@pytest.fixture(scope="module")
def figure():
    """The chart of the episode above, for tests that only look."""
    return draw_episode(episode())


def backdrop(figure):
    return figure.axes[0]


def action_axes(figure):
    return figure.axes[1]


def strip(figure, name):
    (axes,) = [axes for axes in figure.axes if axes.get_title(loc="left").startswith(name)]
    return axes


def course_drawn(axes):
    """The (days, values) of the curve in `axes`: the one line that is not a level across."""
    (line,) = [line for line in axes.lines if len(line.get_xdata()) > 2]
    return line.get_data()


def blocks(figure, action):
    """The (start, end) of the blocks in the row named after `action`, in half-hours."""
    axes = action_axes(figure)
    rows = {label.get_text(): row for row, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}
    row = rows[action.name.lower()]
    extents = [path.get_extents() for collection in axes.collections for path in collection.get_paths()]
    return [(e.x0 * 48, e.x1 * 48) for e in extents if e.y0 < row < e.y1]


def heart_attack_days(figure):
    return [line.get_xdata()[0] for line in backdrop(figure).lines]


def heart_attack_labels(figure):
    return [text for text in backdrop(figure).texts if text.get_text() == "heart attack"]


def words(figure):
    return " ".join(text.get_text() for text in figure.texts)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alertness", ALERTNESS),
        ("hypertension", HYPERTENSION),
        ("blood alcohol", INTOXICATION),
        ("score", [0.0, 1.0, 0.75, 2.0 / 19, 1.9 / 20]),
        ("return", [0.0, 1.0, 0.75, -99.875, -99.8875]),
    ],
)
def test_a_strip_shows_its_quantity_at_every_decision_and_at_the_end(name, expected, figure):
    days, values = course_drawn(strip(figure, name))
    np.testing.assert_allclose(days, np.array(TIMES) / 48)
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_the_last_value_stands_beside_each_strip(figure):
    assert strip(figure, "alertness").texts[-1].get_text() == "\N{MINUS SIGN}0.5"
    assert strip(figure, "score").texts[-1].get_text() == "0.095"
    assert strip(figure, "return").texts[-1].get_text() == "\N{MINUS SIGN}99.9"


def test_the_return_jumps_at_the_end_of_a_step_and_the_body_drifts(figure):
    drawstyles = [strip(figure, name).lines[-1].get_drawstyle() for name in ("return", "alertness")]
    assert drawstyles == ["steps-post", "default"]


def test_sleep_is_a_block_of_sixteen_half_hours_and_the_others_of_one(figure):
    np.testing.assert_allclose(blocks(figure, Action.SLEEP), [(2, 18)])
    np.testing.assert_allclose(blocks(figure, Action.COFFEE), [(0, 1)])
    np.testing.assert_allclose(blocks(figure, Action.NOTHING), [(1, 2)])
    np.testing.assert_allclose(blocks(figure, Action.BEER), [(19, 20)])


def test_the_rows_count_the_actions():
    figure = draw_episode(episode([Action.COFFEE, Action.COFFEE, Action.NOTHING], [0, 1, 2, 3], [False] * 3))
    counts = dict(
        zip(
            [label.get_text() for label in action_axes(figure).get_yticklabels()],
            [text.get_text() for text in action_axes(figure).texts],
            strict=True,
        )
    )
    assert counts == {"nothing": "1 ×", "sleep": "0 ×", "beer": "0 ×", "coffee": "2 ×"}  # noqa: RUF001


def test_nights_are_shaded_through_every_strip(figure):
    (night,) = backdrop(figure).collections[0].get_paths()
    extent = night.get_extents()
    np.testing.assert_allclose((extent.x0 * 48, extent.x1 * 48, extent.y0, extent.y1), (2, 18, 0, 1))


def test_a_heart_attack_is_a_labelled_mark_through_every_strip(figure):
    np.testing.assert_allclose(heart_attack_days(figure), [19 / 48])  # at the end of its step
    (line,) = backdrop(figure).lines
    assert list(line.get_ydata()) == [0, 1]
    whole = backdrop(figure).get_position()
    for axes in figure.axes[1:]:
        assert axes.get_xlim() == backdrop(figure).get_xlim()
        assert whole.y0 <= axes.get_position().y0
        assert axes.get_position().y1 <= whole.y1
    (label,) = heart_attack_labels(figure)
    assert label.xy[0] == pytest.approx(19 / 48)
    assert "♥ 1 heart attack" in words(figure)


def test_without_heart_attacks_there_is_no_mark():
    figure = draw_episode(episode(heart_attacks=[False] * 4))
    assert heart_attack_days(figure) == []
    assert heart_attack_labels(figure) == []
    assert "no heart attacks" in words(figure)


@pytest.mark.parametrize("step", [0, 500, 999])
def test_a_single_heart_attack_is_labelled_wherever_it_falls(step):
    figure = draw_episode(long_episode([step]))
    assert len(heart_attack_labels(figure)) == 1


def test_labels_of_heart_attacks_keep_off_each_other_and_stay_in_the_figure():
    steps = [3, 40, 200, 330, 335, 500, 640, 880, 990]
    figure = draw_episode(long_episode(steps))
    np.testing.assert_allclose(heart_attack_days(figure), (np.array(steps) + 1) / 48)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in heart_attack_labels(figure)]
    assert len(boxes) >= 4
    boxes.sort(key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert figure.bbox.x0 <= boxes[0].x0
    assert boxes[-1].x1 <= figure.bbox.x1
    assert "♥ 9 heart attacks" in words(figure)


def test_short_episodes_read_in_hours_and_long_ones_in_days(figure):
    short, long = figure, draw_episode(long_episode([]))
    assert short.axes[-1].get_xlabel() == "time (hours)"
    assert "4 decisions in 10 hours" in words(short)
    formatter = short.axes[-1].xaxis.get_major_formatter()
    assert formatter(20 / 48) == "10"
    assert long.axes[-1].get_xlabel() == "time (days)"
    assert "1,000 decisions in 20.8 days" in words(long)


def test_important_levels_appear_when_the_body_comes_near_them():
    def levels(name, records, params=None):
        lines = strip(draw_episode(records, params), name).lines
        return [line.get_ydata()[0] for line in lines if line.get_linestyle() == "--"]

    assert levels("hypertension", episode()) == []
    assert levels("hypertension", episode(hypertension=[0.0, 3.1, 3.0, 0.0, 0.1])) == [6.0]
    assert levels("hypertension", episode(), EnvParams(heart_attack_threshold=0.25)) == [0.25]
    assert levels("blood alcohol", episode()) == []
    assert levels("blood alcohol", episode(intoxication=[0.0, 0.05, 0.09, 0.08, 0.1])) == [0.135]


def test_the_title_heads_the_chart(figure):
    assert "HeartPole-v0: one episode" in words(figure)
    assert "A bad night" in words(draw_episode(episode(), title="A bad night"))


@pytest.fixture(scope="module")
def random_episode():
    return rollout(
        policies.uniformly_random(), jax.random.key(3), num_envs=1, num_steps=1000, record=everything
    ).records


@pytest.mark.parametrize("num_steps", [1, 10, 1000])
def test_a_rollout_draws_at_any_length(num_steps, random_episode):
    records = jax.tree.map(lambda x: x[:num_steps], random_episode)
    figure = draw_episode(records)
    days, alertness = strip(figure, "alertness").lines[-1].get_data()
    np.testing.assert_allclose(days[1:] * 48, records.next_obs[:, 0, 4])
    np.testing.assert_allclose(alertness[1:], records.next_obs[:, 0, 0])
    file = io.BytesIO()
    figure.savefig(file)
    assert file.getvalue().startswith(b"\x89PNG")


def test_records_of_several_patients_are_refused():
    several = jax.tree.map(lambda x: np.repeat(x, 3, axis=1), episode())
    with pytest.raises(ValueError, match=r"one patient's, got records of 3; pick patient i"):
        draw_episode(several)
    draw_episode(jax.tree.map(lambda x: x[:, 2:3], several))  # as the message advises


@pytest.mark.parametrize(
    "spoil",
    [
        lambda records: jax.tree.map(lambda x: x[:0], records),
        lambda records: jax.tree.map(lambda x: x[:, 0], records),
        lambda records: jax.tree.map(lambda x: x[:, :0], records),
        lambda records: dataclasses.replace(records, reward=records.reward[1:]),
    ],
    ids=["empty", "without the axis of patients", "no patients", "uneven"],
)
def test_records_of_other_shapes_are_refused(spoil):
    with pytest.raises(ValueError, match=r"leaves of shape \(num_steps, 1, \.\.\.\), got .*record=everything"):
        draw_episode(spoil(episode()))


def test_records_of_another_kind_are_refused():
    with pytest.raises(TypeError, match=r"must be a Transition, got NoneType; take rollout\(.*record=everything"):
        draw_episode(None)
    with pytest.raises(ValueError, match=r"records\.info must be HeartPole-v0's, got one without heart_attack"):
        draw_episode(dataclasses.replace(episode(), info=None))


def test_several_episodes_are_refused():
    records = episode()
    pasted = jax.tree.map(lambda x: np.concatenate([x, x]), records)
    with pytest.raises(ValueError, match=r"one episode, got 8 steps of which the first ends after 4"):
        draw_episode(pasted)
    draw_episode(jax.tree.map(lambda x: x[:4], pasted))  # as the message advises


def test_steps_after_the_time_limit_are_refused():
    done = np.array([False, True, True, True])[:, None]
    with pytest.raises(ValueError, match=r"one episode, got 4 steps of which the first ends after 2"):
        draw_episode(dataclasses.replace(episode(), done=done))
    draw_episode(dataclasses.replace(episode(), done=np.array([False, False, False, True])[:, None]))


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"records must be finite, got nan"):
        draw_episode(episode(alertness=[1.0, np.nan, 1.0, 1.0, 1.0]))


def test_unknown_actions_are_refused():
    with pytest.raises(ValueError, match=r"actions must be in 0 \.\. 3, got \[4\]"):
        draw_episode(episode([Action.COFFEE, 4, Action.SLEEP, Action.BEER]))
