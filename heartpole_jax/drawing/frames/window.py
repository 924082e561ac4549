"""A window that shows frames, for `render_mode="human"`."""

import os
from typing import Any

import numpy as np

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
try:
    import pygame
except ImportError as missing:
    raise ImportError("a window needs pygame: pip install '.[render]' in the clone") from missing


class Window:
    """A window for frames of one size, at most `fps` of them a second.

    Who closes it by hand sees no more frames; the program goes on.

    Raises:
      RuntimeError: where there is no screen.
    """

    def __init__(self, title: str, frame_shape: tuple[int, ...], fps: int = 10):
        try:
            pygame.display.init()
            self._screen: Any = pygame.display.set_mode((frame_shape[1], frame_shape[0]))
        except pygame.error as error:
            raise RuntimeError(f"no window could be opened ({error}); take render_mode='rgb_array'") from error
        pygame.display.set_caption(title)
        self._clock, self._fps = pygame.time.Clock(), fps

    @property
    def is_open(self) -> bool:
        return self._screen is not None

    def show(self, frame: np.ndarray) -> None:
        """Shows a frame, uint8 of shape (height, width, 3), and waits until the next may follow."""
        if self._screen is None or not pygame.display.get_init():  # the display is shared: another window may end it
            self._screen = None
            return
        if any(event.type == pygame.QUIT for event in pygame.event.get()):
            self.close()
            return
        self._screen.blit(pygame.surfarray.make_surface(frame.swapaxes(0, 1)), (0, 0))
        pygame.display.flip()
        self._clock.tick(self._fps)

    def close(self) -> None:
        """Closes the window. A second call does nothing."""
        if self._screen is not None:
            self._screen = None
            pygame.display.quit()
