"""The window, on a screen that is none."""

import numpy as np
import pygame
import pytest

from heartpole_jax.drawing.frames.window import Window


def test_a_window_shows_frames_until_it_is_closed(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    frame = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
    window = Window("HeartPole", frame.shape, fps=1000)
    window.show(frame)
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    np.testing.assert_array_equal(shown, frame)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    window.show(frame)
    assert not window.is_open
    window.show(frame)  # nothing happens
    window.close()


def test_where_no_window_can_be_opened_the_error_names_the_other_way(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonesuch")
    with pytest.raises(RuntimeError, match=r"no window could be opened .*rgb_array"):
        Window("HeartPole", (480, 800, 3))


def test_closing_one_window_does_not_break_another(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    frame = np.zeros((48, 80, 3), np.uint8)
    one, other = Window("one", frame.shape, fps=1000), Window("other", frame.shape, fps=1000)
    one.close()
    other.show(frame)
    assert not other.is_open
