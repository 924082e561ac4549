"""Frames: what a person should see is there, in pixels."""

import dataclasses
from collections import deque

import numpy as np
import pytest

from heartpole_jax import EnvParams, make
from heartpole_jax.drawing.frames.frame import draw_frame
from heartpole_jax.drawing.frames.moment import Moment
from heartpole_jax.envs.display import ActionInfo

MAX_STEPS = 1000
VALUES = {"alertness": 1.0, "hypertension": 0.5, "intoxication": 0.02, "time_since_slept": 0, "time_elapsed": 0,
          "work_done": 0.0}  # fmt: skip
START = Moment(
    values=VALUES, num_steps=0, action=None, reward=0.0, heart_attack=False, heart_attack_risk=0.0, num_heart_attacks=0
)
RED, BLUE, VERMILLION, ORANGE = (0xC1, 0x12, 0x1F), (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0xE6, 0x9F, 0x00)
# field, row of the strip's top, lowest and highest value, colour
STRIPS = [
    ("alertness", 98, -1.0, 4.0, BLUE),
    ("hypertension", 202, 0.0, 9.0, VERMILLION),
    ("intoxication", 306, 0.0, 0.2, ORANGE),
]
STRIP_HEIGHT, NOW, ROW = 92, 706, slice(408, 438)
# HeartPole-v1's, of which two strips are new and all are lower.
V1 = make("HeartPole-v1")
START_V1 = dataclasses.replace(START, values=VALUES | {"stimulation": 0.5, "impairment": 0.25})
ACTIONS_V1 = V1.actions
PURPLE, GREEN = (0xCC, 0x79, 0xA7), (0x00, 0x9E, 0x73)
STRIPS_V1 = [
    ("alertness", 98, -1.0, 4.0, BLUE),
    ("stimulation", 180, 0.0, 3.0, PURPLE),
    ("impairment", 262, 0.0, 1.5, GREEN),
    ("hypertension", 344, 0.0, 9.0, VERMILLION),
    ("intoxication", 426, 0.0, 0.2, ORANGE),
]
STRIP_HEIGHT_V1, ROW_V1 = 70, slice(506, 536)


def with_(moment, **fields):
    """The moment with other fields, or other values of the patient."""
    values = {name: fields.pop(name) for name in [*fields] if not hasattr(moment, name) or name == "time_elapsed"}
    return dataclasses.replace(moment, values={**moment.values, **values}, **fields)


def after(time, **fields):
    """A moment `time` half-hours into the episode, one decision each."""
    return with_(START, **{"time_elapsed": time, "num_steps": time, "action": 0, **fields})


def frame(*moments, **references):
    return draw_frame(moments, params=EnvParams(max_steps=MAX_STEPS, **references))


def frame_v1(*moments, shown=ACTIONS_V1, limit=1344):
    env = dataclasses.replace(V1, actions=shown, num_actions=len(shown))
    return draw_frame(moments, env, dataclasses.replace(V1.default_params, max_half_hours=limit))


def is_colour(pixels, colour):
    return (pixels == colour).all(axis=-1)


def rows_of_the_dot(pixels, colour):
    """Rows in the columns of the last moment where its dot is, and no number beside the strip."""
    return np.flatnonzero(is_colour(pixels[88:404, NOW - 1 : NOW + 1], colour).any(axis=1)) + 88


def word_below_the_number(pixels, top):
    return (pixels[top + 61 : top + 74, 714:] < 255).any()


def test_a_frame_is_a_fresh_writable_rgb_array_and_the_same_moments_give_the_same_pixels():
    moments = [START, after(1, action=1), after(18, action=3), after(19, action=2, alertness=3.5)]
    pixels = frame(*moments)
    assert (pixels.dtype, pixels.shape, pixels.flags.writeable) == (np.uint8, (480, 800, 3), True)
    before = pixels.copy()
    pixels[:] = 0
    np.testing.assert_array_equal(frame(*moments), before)


def test_a_heart_attack_is_hard_to_miss_hides_no_strip_and_leaves_a_line():
    calm = frame(START, after(1))
    attack = frame(START, after(1, heart_attack=True, num_heart_attacks=1))
    later = frame(START, after(1, heart_attack=True, num_heart_attacks=1), after(21, num_heart_attacks=1))
    assert is_colour(calm, RED).sum() == 0
    assert is_colour(attack, RED).mean() > 0.15
    assert is_colour(attack[86:, :10], RED).all()
    assert is_colour(attack[98:404, 130:690], RED).mean() == 0
    assert 0 < is_colour(later, RED).mean() < 0.01
    line = is_colour(later[98:438, 130:706], RED).mean(axis=0)
    assert np.flatnonzero(line > 0.95).tolist() == [415, 416]  # 20 half-hours of 8 pixels left of 576


def test_a_heart_attack_before_the_strip_leaves_no_line():
    attack = after(1, heart_attack=True, num_heart_attacks=1)
    lines = [is_colour(frame(START, attack, after(end))[98:438, :NOW], RED).any() for end in (72, 73)]
    assert lines == [True, False]


def test_the_number_of_heart_attacks_is_the_last_moments():
    counts = [frame(START, after(1, num_heart_attacks=count))[:86, 740:] for count in (1, 2)]
    assert not np.array_equal(*counts)


@pytest.mark.parametrize(("field", "top", "low", "high", "colour"), STRIPS)
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_dot_of_each_strip_lies_at_its_value(field, top, low, high, colour, share):
    value = low + share * (high - low)
    rows = rows_of_the_dot(frame(with_(START, **{field: value})), colour)
    assert rows.mean() == pytest.approx(top + STRIP_HEIGHT * (1 - share), abs=1.5)


@pytest.mark.parametrize(("field", "top", "low", "high", "colour"), STRIPS)
def test_a_curve_lies_at_its_values(field, top, low, high, colour):
    moments = [after(time, **{field: low + 0.3 * (high - low)}) for time in range(40)]
    rows = np.flatnonzero(is_colour(frame(*moments)[:, 600], colour))
    assert rows.mean() == pytest.approx(top + STRIP_HEIGHT * 0.7, abs=1.5)


@pytest.mark.parametrize(("field", "top", "low", "high", "colour"), STRIPS)
def test_values_beyond_a_strip_are_drawn_at_its_edge_and_said_to_be_clipped(field, top, low, high, colour):
    inside = frame(after(1, **{field: high}))
    for value, row in ((high * 1.001, top), (1e9, top), (np.inf, top), (low - 0.001, top + 92), (-np.inf, top + 92)):
        pixels = frame(after(1, **{field: value}))
        assert rows_of_the_dot(pixels, colour).mean() == pytest.approx(row, abs=3.5)
        assert word_below_the_number(pixels, top)
    assert not word_below_the_number(inside, top)


@pytest.mark.parametrize(("field", "top", "low", "high", "colour"), STRIPS)
def test_what_is_not_a_number_has_no_dot(field, top, low, high, colour):
    pixels = frame(START, after(1, **{field: np.nan}))
    assert not rows_of_the_dot(pixels[: top + 94], colour).size
    assert word_below_the_number(pixels, top)


@pytest.mark.parametrize(("field", "top", "low", "high", "colour"), STRIPS)
def test_a_curve_passes_over_what_is_not_a_number(field, top, low, high, colour):
    middle = {field: 0.5 * (low + high)}
    gap = after(10, **{field: np.nan})
    strips = [
        frame(after(0, **middle), *moments, after(20, **middle))[top : top + 92, 130:706] for moments in ([], [gap])
    ]
    np.testing.assert_array_equal(*strips)


def test_numbers_of_any_length_stay_within_their_place():
    last = after(9, alertness=-54321.125, work_done=-1e12, reward=-100.1234, num_steps=123_456, time_since_slept=12345)
    pixels = frame(START, last)
    assert (pixels[88:404, 714 + 72 :] == 255).all()
    assert (pixels[88:404, 127:130] == 255).all()


def test_every_action_looks_different():
    rows = [frame(START, after(17, action=action))[ROW].tobytes() for action in range(4)]
    headers = [frame(START, after(17, action=action))[:86].tobytes() for action in range(4)]
    assert len(set(rows)) == len(set(headers)) == 4


def test_sleep_is_a_band_of_seventeen_half_hours():
    row = frame(START, after(5), after(22, action=3), after(24))[ROW][6]
    band = np.flatnonzero(is_colour(row, (0x2B, 0x3A, 0x67)))
    assert (band[0], band[-1]) == (NOW - 19 * 8 + 1, NOW - 2 * 8 - 2)


def test_each_drink_of_a_row_is_seen():
    brown = is_colour(frame(START, *(after(t, action=1) for t in range(1, 11)))[424, :NOW], (0xD9, 0xB4, 0x8F))
    assert (np.diff(brown.astype(int)) == 1).sum() == 10


def test_day_and_night_have_their_colours():
    noon, midnight = (frame(after(time)) for time in (8, 32))
    assert noon[2, 400].mean() > 150
    assert midnight[2, 400].mean() < 60
    # From 22:00, half-hour 28, the strips are darker.
    panel = frame(after(32))[300 - 10, [NOW - 8 * 4 - 4, NOW - 8 * 4 + 4]].mean(axis=-1)
    assert panel[0] > 240 > 230 > panel[1]


def test_the_bar_below_the_sky_shows_the_decisions_of_the_episode():
    assert is_colour(frame(after(8, num_steps=250))[84], BLUE).sum() == pytest.approx(200, abs=1)
    assert is_colour(frame(after(8, num_steps=5000))[84], BLUE).all()
    assert not is_colour(frame(START)[84], BLUE).any()


@pytest.mark.parametrize("container", [list, deque])
def test_a_long_history_looks_like_its_tail(container):
    moments = [
        after(time, alertness=2 + np.sin(time / 5), action=time % 3, heart_attack=time % 90 == 7) for time in range(400)
    ]
    tail = draw_frame(moments[-73:])
    np.testing.assert_array_equal(draw_frame(container(moments)), tail)
    assert not np.array_equal(draw_frame(moments[-60:]), tail)


def test_no_moment_before_the_strip_is_looked_at():
    class Untouchable:
        def __getattr__(self, name):
            raise AssertionError(f"looked at {name}")

    frame(*([Untouchable()] * 9), *(after(time) for time in range(100, 173)))


@pytest.mark.parametrize(
    "reference", [{"heart_attack_threshold": 4.0}, {"anxiety_threshold": 2.0}, {"ballmer_peak": 0.1}]
)
def test_the_reference_lines_follow_the_parameters(reference):
    assert not np.array_equal(frame(START), frame(START, **reference))


@pytest.mark.parametrize(("field", "top", "low", "high", "colour"), STRIPS_V1)
def test_the_strips_of_version_1_are_five_and_lower(field, top, low, high, colour):
    pixels = frame_v1(with_(START_V1, **{field: low + 0.75 * (high - low)}))
    assert pixels.shape == (576, 800, 3)
    rows = np.flatnonzero(is_colour(pixels[:504, NOW - 1 : NOW + 1], colour).any(axis=1))
    rows = rows[(rows >= top - 6) & (rows < top + STRIP_HEIGHT_V1 + 6)]
    assert rows.mean() == pytest.approx(top + STRIP_HEIGHT_V1 * 0.25, abs=1.5)


def test_version_1_shows_the_effective_alertness():
    """1 + 0.5 - 0.25 is 0.25 + 1.5 - 0.5, and where the sum is below 0 it is 0."""
    place = np.s_[206:230, :126]
    same = with_(START_V1, alertness=0.25, stimulation=1.5, impairment=0.5)
    tired = [with_(START_V1, alertness=alertness) for alertness in (-5.0, -0.25)]
    np.testing.assert_array_equal(frame_v1(START_V1)[place], frame_v1(same)[place])
    np.testing.assert_array_equal(*(frame_v1(moment)[place] for moment in tired))
    assert not np.array_equal(frame_v1(START_V1)[place], frame_v1(tired[0])[place])


def chosen(action, time=17):
    return with_(START_V1, time_elapsed=time, num_steps=time, action=action)


@pytest.mark.parametrize("heart_attack", [False, True])
def test_every_action_of_version_1_looks_different(heart_attack):
    moments = [dataclasses.replace(chosen(action), heart_attack=heart_attack) for action in range(8)]
    rows = {frame_v1(START_V1, moment)[ROW_V1].tobytes() for moment in moments}
    headers = {frame_v1(START_V1, moment)[:86].tobytes() for moment in moments}
    assert len(rows) == len(headers) == 8


def test_what_no_picture_is_known_of_stands_on_a_card_and_long_breaks_are_bands():
    shown = (
        ActionInfo("tea", 0, wakes_up=False, idles=False),
        ActionInfo("broth", 0, wakes_up=False, idles=False),
        ActionInfo("hike", 7, wakes_up=False, idles=False),
        ActionInfo("siesta", 3, wakes_up=True, idles=False),
    )
    rows = [frame_v1(START_V1, chosen(action), chosen(0, 18), shown=shown)[ROW_V1] for action in range(4)]
    assert len({row.tobytes() for row in rows}) == 4
    # 8 half-hours, work after the hike included, that end one half-hour ago; of the siesta 4.
    for row, colour, first in ((rows[2], (0xCB, 0xD3, 0xDE), 9), (rows[3], (0x2B, 0x3A, 0x67), 5)):
        band = np.flatnonzero(is_colour(row[6], colour))
        assert (band[0], band[-1]) == (NOW - first * 8 + 1, NOW - 8 - 2)


@pytest.mark.parametrize(
    ("choice", "done"),
    [
        (ACTIONS_V1[0], "works"),
        (ACTIONS_V1[3], "slept 8 hours"),
        (ACTIONS_V1[4], "nap for 30 minutes"),
        (ACTIONS_V1[6], "energy drink, then work"),
        (ActionInfo("siesta", 2, wakes_up=True, idles=False), "siesta for 1 hour"),
        (ActionInfo("a" * 30, 3, wakes_up=False, idles=False), "a" * 23 + "… for 1.5 hours"),
    ],
)
def test_what_was_done_is_said_in_words(choice, done):
    assert choice.done == done


def test_a_name_of_any_length_stays_within_its_place():
    longest, none = (ActionInfo(name, 0, wakes_up=False, idles=False) for name in ("W" * 200, " "))
    pixels, other = (frame_v1(START_V1, chosen(0), shown=(choice,)) for choice in (longest, none))
    np.testing.assert_array_equal(pixels[:86, 486:], other[:86, 486:])


def test_the_bar_of_version_1_shows_the_time_of_the_episode():
    bar = frame_v1(dataclasses.replace(chosen(0, time=336), num_steps=20))[84]
    assert is_colour(bar, BLUE).sum() == pytest.approx(200, abs=1)


def test_no_moment_is_an_error():
    with pytest.raises(ValueError, match="got none"):
        draw_frame([])
