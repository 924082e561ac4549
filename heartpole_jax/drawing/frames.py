"""Frames: a developer's last two days as a strip, one RGB array a decision.

Above, the clock over a sky of the hour, the score, and the heart attacks. Below, alertness, blood pressure and blood
alcohol over the last 48 hours, and what was drunk and slept. A heart attack turns the frame red and leaves a red line.

Drawn with Pillow, on a background that is made once: some 5 ms a frame.
"""

import functools
from collections.abc import Sequence

import numpy as np

from heartpole_jax.drawing.moment import Moment
from heartpole_jax.drawing.palette import BLUE, GREY, INK, ORANGE, PALE, SKY, VERMILLION
from heartpole_jax.heartpole_v0 import EnvParams

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as missing:
    raise ImportError("frames need Pillow: pip install 'heartpole-jax[render]'") from missing

WIDTH, HEIGHT = 800, 480
HALF_HOURS = 96  # shown, the last ones
_LEFT, _RIGHT, _HEADER = 150, 690, 84
_STRIP_TOPS, _STRIP_HEIGHT, _ACTIONS_Y = (100, 206, 312), 92, 434
RED = "#C1121F"
# hours and colours between which the sky passes
_SKY = ((0, (20, 24, 48)), (5, (60, 60, 110)), (7, (250, 196, 140)), (9, (176, 218, 245)),
        (17, (176, 218, 245)), (20, (240, 150, 110)), (22, (20, 24, 48)), (24, (20, 24, 48)))  # fmt: skip


def draw_frame(moments: Sequence[Moment], params: EnvParams) -> np.ndarray:
    """The frame after the last of `moments`, uint8 of shape (480, 800, 3); the same moments give the same pixels.

    Args:
      moments: of one episode, in order, the last 98 or more of it (or all): a frame shows no more.
      params: give the reference lines (numbers alone).
    """
    now = moments[-1]
    image = _background(*_references(params)).copy()
    draw = ImageDraw.Draw(image)
    _draw_header(draw, now, int(params.max_steps))
    shown = [moment for moment in moments if moment.time_elapsed >= now.time_elapsed - HALF_HOURS - 17]
    _draw_actions(draw, shown, now)
    for top, (_, name, low, high, _, colour, form) in zip(_STRIP_TOPS, _strips(*_references(params)), strict=True):
        points = [(_x(moment, now), _y(getattr(moment, name), top, low, high)) for moment in shown]
        if len(points) > 1:
            draw.line(points, fill=colour, width=3, joint="curve")
        x, y = points[-1]
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=colour)
        _draw_value(draw, getattr(now, name), low, high, top, colour, form)
    # What is older than the strip is painted over by its own margin.
    image.paste(_background(*_references(params)).crop((0, _HEADER + 1, _LEFT, HEIGHT)), (0, _HEADER + 1))
    if now.heart_attack:
        _draw_heart_attack(draw)
    return np.array(image)


def _references(params: EnvParams) -> tuple[float, float, float]:
    return (
        float(params.anxiety_threshold),
        float(params.heart_attack_threshold),
        float(params.ballmer_peak),
    )


def _strips(anxiety: float, threshold: float, peak: float):
    """Each strip: its title, the moment's field, lowest and highest value, references, colour, format."""
    alertness = ((1.0, "rested"), (anxiety, "anxious"))
    pressure = ((threshold, "half the risk"),)
    alcohol = ((peak, "Ballmer peak"),)
    return (
        ("alertness", "alertness", -1.0, max(4.0, 1.3 * anxiety), alertness, BLUE, "{:.2f}"),
        ("blood pressure", "hypertension", 0.0, max(10.0, 1.5 * threshold), pressure, VERMILLION, "{:.2f}"),
        ("blood alcohol, %", "intoxication", 0.0, max(0.2, 1.4 * peak), alcohol, ORANGE, "{:.3f}"),
    )


@functools.lru_cache(maxsize=8)
def _background(anxiety: float, threshold: float, peak: float) -> Image.Image:
    """All that no moment changes."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    for top, (title, _, low, high, references, colour, _) in zip(
        _STRIP_TOPS, _strips(anxiety, threshold, peak), strict=True
    ):
        draw.rectangle((_LEFT, top, _RIGHT, top + _STRIP_HEIGHT), fill="#F6F6F6")
        draw.text((16, top + 4), title, fill=colour, font=_font(16))
        for value, name in references:
            y = _y(value, top, low, high)
            for x in range(_LEFT, _RIGHT, 10):
                draw.line((x, y, x + 4, y), fill=PALE, width=1)
            draw.text((_LEFT + 4, y - 8), name, fill=GREY, font=_font(11), anchor="lm")
    draw.text((16, _ACTIONS_Y + 2), "what was done", fill=GREY, font=_font(16), anchor="lm")
    draw.text((_LEFT, HEIGHT - 12), "two days ago", fill=GREY, font=_font(11), anchor="lm")
    draw.text((_RIGHT, HEIGHT - 12), "now", fill=GREY, font=_font(11), anchor="rm")
    return image


def _draw_header(draw: ImageDraw.ImageDraw, now: Moment, max_steps: int) -> None:
    day, hour, minute = now.clock
    sky = _sky(hour + minute / 60)
    text = "white" if sum(sky) < 300 else INK
    draw.rectangle((0, 0, WIDTH, _HEADER), fill=sky)
    draw.text((16, 26), f"day {day}", fill=text, font=_font(20), anchor="lm")
    draw.text((16, 58), f"{hour:02}:{minute:02}", fill=text, font=_font(32), anchor="lm")
    done = "just woke up" if now.action is None else ("works on", "coffee", "beer", "sleeps, then works")[now.action]
    draw.text((_LEFT, 58), done, fill=text, font=_font(28), anchor="lm")
    draw.text((_LEFT, 26), f"decision {now.num_steps:,} of {max_steps:,}", fill=text, font=_font(16), anchor="lm")
    draw.text((560, 26), "score", fill=text, font=_font(16), anchor="rm")
    draw.text((560, 58), f"{now.score:+.3f}", fill=text, font=_font(28), anchor="rm")
    draw.text((WIDTH - 16, 26), "heart attacks", fill=text, font=_font(16), anchor="rm")
    _draw_heart(draw, WIDTH - 84, 58, 13, RED if now.num_heart_attacks else text)
    draw.text((WIDTH - 16, 58), f"{now.num_heart_attacks}", fill=text, font=_font(32), anchor="rm")


def _draw_actions(draw: ImageDraw.ImageDraw, shown: Sequence[Moment], now: Moment) -> None:
    """Nights as bands, drinks as cups and glasses, work as dots, heart attacks as red lines."""
    for moment in shown:
        x = _x(moment, now)
        if moment.action == 3:
            width = 17 * (_RIGHT - _LEFT) / HALF_HOURS
            draw.rectangle((max(x - width, _LEFT), _ACTIONS_Y - 12, max(x, _LEFT), _ACTIONS_Y + 14), fill=SKY)
            if x - width >= _LEFT:
                draw.text((x - width / 2, _ACTIONS_Y), "z z z", fill="white", font=_font(16), anchor="mm")
        elif moment.action == 1:
            _draw_cup(draw, x, _ACTIONS_Y)
        elif moment.action == 2:
            _draw_glass(draw, x, _ACTIONS_Y)
        elif moment.action == 0:
            draw.ellipse((x - 2, _ACTIONS_Y - 1, x + 2, _ACTIONS_Y + 3), fill=PALE)
        if moment.heart_attack:
            draw.line((x, _STRIP_TOPS[0], x, _ACTIONS_Y + 16), fill=RED, width=2)


def _draw_cup(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    draw.ellipse((x + 1, y - 5, x + 8, y + 4), outline="#5C3A21", width=2)
    draw.rectangle((x - 6, y - 7, x + 4, y + 7), fill="#5C3A21")


def _draw_glass(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    draw.polygon(((x - 6, y - 8), (x + 6, y - 8), (x + 4, y + 10), (x - 4, y + 10)), fill=ORANGE)
    draw.rectangle((x - 6, y - 11, x + 6, y - 6), fill="#FFF8E7", outline=PALE)


def _draw_heart(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, colour: str) -> None:
    draw.ellipse((x - size, y - size, x + 1, y + 1), fill=colour)
    draw.ellipse((x - 1, y - size, x + size, y + 1), fill=colour)
    draw.polygon(((x - size + 1, y - size / 3), (x + size - 1, y - size / 3), (x, y + size)), fill=colour)


def _draw_value(draw, value: float, low: float, high: float, top: int, colour: str, form: str) -> None:
    """The number at the right, with an arrow where it is beyond the strip."""
    size = 24 if abs(value) < 100 else 16
    draw.text((_RIGHT + 12, top + _STRIP_HEIGHT / 2), form.format(value), fill=colour, font=_font(size), anchor="lm")
    if not low <= value <= high:
        y, up = (top + 10, -6) if value > high else (top + _STRIP_HEIGHT - 10, 6)
        draw.polygon(((_RIGHT + 14, y), (_RIGHT + 26, y), (_RIGHT + 20, y + up)), fill=colour)


def _draw_heart_attack(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((0, 0, WIDTH - 1, HEIGHT - 1), outline=RED, width=14)
    draw.rectangle((120, 176, 680, 316), fill=RED)
    _draw_heart(draw, 190, 248, 38, "white")
    draw.line(((190, 206), (176, 232), (202, 250), (186, 290)), fill=RED, width=7)
    draw.text((250, 246), "HEART ATTACK", fill="white", font=_font(52), anchor="lm")


def _x(moment: Moment, now: Moment) -> float:
    return _RIGHT - (now.time_elapsed - moment.time_elapsed) * (_RIGHT - _LEFT) / HALF_HOURS


def _y(value: float, top: int, low: float, high: float) -> float:
    """The row of a value, clipped to its strip; NaN lies at the bottom."""
    share = (min(max(value, low), high) - low) / (high - low) if value == value else 0.0
    return top + _STRIP_HEIGHT * (1 - share)


def _sky(hour: float) -> tuple[int, int, int]:
    colours = np.array([colour for _, colour in _SKY])
    red, green, blue = (int(np.interp(hour, [at for at, _ in _SKY], channel)) for channel in colours.T)
    return red, green, blue


@functools.lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
