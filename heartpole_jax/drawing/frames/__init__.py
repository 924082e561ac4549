"""One moment of an episode: a text, a frame drawn with Pillow, a window."""
