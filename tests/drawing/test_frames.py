"""Frames, texts and the window: what a person should see is there, in pixels."""

import dataclasses

import numpy as np
import pytest

from heartpole_jax import EnvParams
from heartpole_jax.drawing.ansi import describe
from heartpole_jax.drawing.frames import draw_frame
from heartpole_jax.drawing.moment import Moment
from heartpole_jax.drawing.window import Window

PARAMS = EnvParams()
AWAKE = Moment(
    alertness=1.0, hypertension=0.5, intoxication=0.02, time_since_slept=3, time_elapsed=3, work_done=2.0, num_steps=3,
    action=0, reward=0.01, heart_attack=False, heart_attack_risk=0.002, num_heart_attacks=0,
)  # fmt: skip
RED = (0xC1, 0x12, 0x1F)


def with_(**fields):
    return dataclasses.replace(AWAKE, **fields)


def share_of(frame, colour):
    return (frame == colour).all(axis=-1).mean()


def test_a_frame_is_a_fresh_rgb_array_and_the_same_moments_give_the_same_pixels():
    frame = draw_frame([AWAKE], PARAMS)
    assert (frame.dtype, frame.shape, frame.flags.writeable) == (np.uint8, (480, 800, 3), True)
    again = frame.copy()
    frame[:] = 0
    np.testing.assert_array_equal(draw_frame([AWAKE], PARAMS), again)


def test_a_heart_attack_is_hard_to_miss_and_leaves_a_line():
    attack = with_(heart_attack=True, num_heart_attacks=1)
    after = with_(time_elapsed=13, num_heart_attacks=1)
    assert share_of(draw_frame([AWAKE], PARAMS), RED) == 0
    assert share_of(draw_frame([AWAKE, attack], PARAMS), RED) > 0.2
    later = draw_frame([AWAKE, attack, after], PARAMS)
    assert share_of(later, RED) < 0.02
    assert (later[110:420] == RED).all(axis=-1).mean(axis=0).max() > 0.95  # a red line, the curves crossing it


@pytest.mark.parametrize(
    ("field", "top", "low", "high", "colour"),
    [
        ("alertness", 100, -1.0, 4.0, (0x00, 0x72, 0xB2)),
        ("hypertension", 206, 0.0, 10.0, (0xD5, 0x5E, 0x00)),
        ("intoxication", 312, 0.0, 0.2, (0xE6, 0x9F, 0x00)),
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_dot_of_each_strip_lies_at_its_value(field, top, low, high, colour, share):
    frame = draw_frame([with_(**{field: low + share * (high - low)})], PARAMS)
    rows = np.flatnonzero((frame[:, 690] == colour).all(axis=-1))
    assert rows.mean() == pytest.approx(top + 92 * (1 - share), abs=1.5)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e9, -958.0])
def test_values_beyond_a_strip_are_clipped_and_marked(value):
    frame = draw_frame([with_(alertness=value)], PARAMS)
    rows = np.flatnonzero((frame[:, 690] == (0x00, 0x72, 0xB2)).all(axis=-1))
    assert rows.mean() == pytest.approx(100 if value > 0 else 192, abs=1.5)


def test_every_action_looks_different():
    start = with_(action=None, time_elapsed=0, num_steps=0)
    bands = [draw_frame([start, with_(action=action)], PARAMS)[420:452].tobytes() for action in range(4)]
    assert len(set(bands)) == 4


def test_day_and_night_have_their_colours():
    noon, midnight = (draw_frame([with_(time_elapsed=t)], PARAMS)[2, 400].mean() for t in (8, 32))
    assert noon > 150
    assert midnight < 60


def test_a_long_history_looks_like_its_tail():
    moments = [with_(time_elapsed=t, alertness=np.sin(t / 5), action=t % 3, num_steps=t) for t in range(400)]
    np.testing.assert_array_equal(draw_frame(moments, PARAMS), draw_frame(moments[-128:], PARAMS))


def test_the_reference_lines_follow_the_parameters():
    assert not np.array_equal(
        draw_frame([AWAKE], PARAMS), draw_frame([AWAKE], dataclasses.replace(PARAMS, heart_attack_threshold=4.0))
    )


def test_a_text_tells_all_of_it():
    moment = with_(action=1, heart_attack=True, num_heart_attacks=2, alertness=2.0, hypertension=12.0, reward=-99.5)
    assert describe(moment) == (
        "day 1, 09:30  chose coffee, reward -99.5000  *** HEART ATTACK ***\n"
        "  alertness      |██████████          | 2.000\n"
        "  blood pressure |████████████████████| 12.000\n"
        "  blood alcohol  |██                  | 0.020 %\n"
        "  score +0.6667, 3 decisions, heart attacks 2, risk 0.20%\n"
    )


def test_a_texts_bars_keep_their_width():
    for value in (-5.0, 0.0, 0.013, 3.99, 1e9, np.nan, np.inf):
        assert describe(with_(alertness=value)).splitlines()[1].rindex("|") == 38
    assert "woke up" in describe(with_(action=None))


def test_a_window_shows_frames_until_it_is_closed(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import pygame

    frame = draw_frame([AWAKE], PARAMS)
    window = Window("HeartPole", frame.shape, fps=1000)
    window.show(frame)
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    np.testing.assert_array_equal(shown, frame)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    window.show(frame)
    assert not window.is_open
    window.show(frame)  # nothing happens
    window.close()


def test_where_no_window_can_be_opened_the_error_tells_the_other_way(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonesuch")
    with pytest.raises(RuntimeError, match=r"no window could be opened .*rgb_array"):
        Window("HeartPole", (480, 800, 3))
