"""Frames: a developer's last day and a half as a strip, one RGB array a decision.

Above, the clock under the sky of the hour, what was done, the score and the heart attacks. Below, a strip for each of
the environment's gauges over the last 36 hours, nights darker, and what was drunk and slept. A heart attack turns the
frame red, but for the strips, and leaves a red line on them.

Drawn with Pillow: all that no moment changes is made once, curves are smoothed by drawing them larger.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.drawing import palette
from heartpole_jax.drawing.frames import sprites
from heartpole_jax.drawing.frames.moment import Moment
from heartpole_jax.drawing.palette import BLUE, GREEN, GREY, INK, PURPLE, VERMILLION
from heartpole_jax.envs.display import ActionInfo, Gauge
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0

try:
    from PIL import Image, ImageDraw
except ImportError as missing:
    raise ImportError("drawing frames needs Pillow: pip install '.[render]' in the clone") from missing

WIDTH = 800
HALF_HOURS = 72  # shown, the last ones
PIXELS = 8  # to a half-hour
LEFT, HEADER, ROW_HEIGHT = 130, 86, 30
RIGHT = LEFT + HALF_HOURS * PIXELS
NIGHT, NAVY, HAZE = "#1A2050", "#2B3A67", "#CBD3DE"
_LONG_BREAK = 4  # half-hours, from which on a break is a band, and not a picture alone
_ICONS = {
    "coffee": "cup",
    "beer": "glass",
    "energy_drink": "can",
    "exercise": "weights",
    "nap": "z",
    "cannabis": "leaf",
}
_CARDS = (GREEN, PURPLE, BLUE, VERMILLION, sprites.BROWN)  # of actions that have no picture
# hours and colours between which the sky passes
_SKY = ((0, (20, 24, 48)), (5, (50, 50, 100)), (6.5, (250, 190, 140)), (8, (206, 226, 242)), (10, (170, 214, 245)),
        (16, (170, 214, 245)), (18, (224, 220, 225)), (19.5, (250, 165, 110)), (21.5, (20, 24, 48)),
        (24, (20, 24, 48)))  # fmt: skip


class _Strip(NamedTuple):
    gauge: Gauge
    top: int
    height: int
    low: float
    high: float
    references: tuple[tuple[float, str], ...]

    @property
    def colour(self) -> str:
        return getattr(palette, self.gauge.colour.upper())

    @property
    def form(self) -> str:
        return f"{{:.{self.gauge.decimals}f}}{self.gauge.unit}"


@arguments.typed(moments=Sequence)  # a long history costs nothing
def draw_frame(moments: Sequence[Moment], env: Environment = HEARTPOLE_V0, params: Any = None) -> np.ndarray:
    """The frame after the last of `moments`, uint8 of shape (height, 800, 3), fresh; same moments, same pixels.

    The height follows from the gauges: 480 for HeartPole-v0's three, 576 for HeartPole-v1's five.

    Args:
      moments: of one episode, in order. No more than the last 36 hours are looked at, so a longer history costs
        nothing, and its last 73 moments are enough. Each carries the count of the heart attacks up to it.
      env: whose moments they are.
      params: its parameters, for the time limit and the reference lines; the defaults where None.

    Raises:
      ValueError: without a moment, or for an environment without gauges.
    """
    if not moments:
        raise ValueError("a frame shows the last of its moments, got none; begin with the one after reset")
    arguments.check_type("each of moments", moments[-1], Moment)
    if not env.gauges:
        raise ValueError(f"a frame shows the gauges of an environment, and {env.name!r} has none; give it some")
    params = env.params_or_default(params)
    levels = (level.at for gauge in env.gauges for level in gauge.frame_levels)
    strips = _strips(env.gauges, tuple(float(getattr(params, at)) if isinstance(at, str) else at for at in levels))
    now, shown, row_top = moments[-1], _shown(moments), _row_top(strips)
    image = _background(strips).copy()
    draw = ImageDraw.Draw(image)
    _draw_time(image, draw, now, strips)
    _draw_row(image, draw, shown, now, row_top, env.actions)
    for strip in strips:
        _draw_curve(image, draw, shown, now, strip)
    _draw_attacks(image, draw, shown, now, row_top)
    _draw_references(image, strips)
    _draw_values(image, now, strips)
    limit = int(getattr(params, env.time_limit.parameter))
    _draw_header(image, draw, now, _progress(now, limit, env.time_limit.counts_decisions), env.actions)
    return np.array(image)


def _shown(moments: Sequence[Moment]) -> list[Moment]:
    """The moments of the strip, in order, and the one before them, where the curves come from."""
    shown: list[Moment] = []
    for moment in reversed(moments):
        shown.append(moment)
        if moments[-1].time_elapsed - moment.time_elapsed >= HALF_HOURS:
            break
    return shown[::-1]


@functools.lru_cache(maxsize=8)
def _strips(gauges: tuple[Gauge, ...], levels: tuple[float, ...]) -> tuple[_Strip, ...]:
    """A strip for each gauge; `levels` are the values of their reference lines, in order."""
    height = 92 if len(gauges) < 4 else 350 // len(gauges)
    values, strips = iter(levels), []
    for place, gauge in enumerate(gauges):
        lines = [(next(values), level) for level in gauge.frame_levels]
        low, high = gauge.frame
        high = max(high, *(value * level.headroom for value, level in lines)) if lines else high
        references = tuple((value, level.name) for value, level in lines)
        strips.append(_Strip(gauge, HEADER + 12 + place * (height + 12), height, low, high, references))
    return tuple(strips)


def _row_top(strips: tuple[_Strip, ...]) -> int:
    return strips[-1].top + strips[-1].height + 10


@functools.lru_cache(maxsize=8)
def _background(strips: tuple[_Strip, ...]) -> Image.Image:
    """All that no moment changes."""
    row_top = _row_top(strips)
    height = (row_top + ROW_HEIGHT + 42) // 16 * 16  # which videos like
    image = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(image)
    for strip in strips:
        draw.rectangle((LEFT, strip.top, RIGHT - 1, strip.top + strip.height - 1), fill=sprites.PANEL)
        sprites.write(image, (16, strip.top + 4), strip.gauge.name, 15, strip.colour, "la")
        for value, _ in strip.references:
            y = _row(value, strip)
            draw.line((LEFT, y, RIGHT - 1, y), fill="#AAAAAA")
    draw.rectangle((LEFT, row_top, RIGHT - 1, row_top + ROW_HEIGHT - 1), fill=sprites.PANEL)
    sprites.write(image, (16, row_top + ROW_HEIGHT / 2), "what was done", 15, GREY, "lm")
    sprites.write(image, (RIGHT + 10, row_top + 2), "reward", 11, GREY, "la")
    return image


def _draw_time(image: Image.Image, draw: ImageDraw.ImageDraw, now: Moment, strips: tuple[_Strip, ...]) -> None:
    """Nights, darker, and the clock below the strips, from the beginning of the episode on."""
    first, row = max(int(now.time_elapsed) - HALF_HOURS, 0), (_row_top(strips), ROW_HEIGHT)
    bottom = sum(row)
    for time in range(first, int(now.time_elapsed) + 1):
        x, clock = round(_column(time, now)), (time + 16) % 48  # an episode begins at eight
        if clock % 12 == 0:
            name = f"day {(time + 16) // 48 + 1}" if clock == 0 else f"{clock // 2:02}:00"
            draw.line((x, bottom, x, bottom + 4), fill=GREY)
            sprites.write(image, (x, bottom + 13), name, 12, GREY, "mm")
        if (clock == 44 or (time == first and not 12 <= clock < 44)) and time < now.time_elapsed:
            end = min(x + ((12 - clock) % 48) * PIXELS, RIGHT)  # night is from ten to six
            for top, height in (*((strip.top, strip.height) for strip in strips), row):
                sprites.tint(image, (x, top, end, top + height), NIGHT, 28)


def _draw_row(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    shown: Sequence[Moment],
    now: Moment,
    top: int,
    actions: Sequence[ActionInfo],
) -> None:
    """What was done in each half-hour: a picture, a band for sleep and long breaks, a dot for work alone."""
    middle = top + ROW_HEIGHT // 2
    for moment in shown:
        x = round(_column(moment.time_elapsed, now))
        if moment.action is None or x <= LEFT:
            continue
        chosen = actions[moment.action]
        width = (chosen.half_hours + 1) * PIXELS  # the half-hour of work after a break included
        left = max(x - width, LEFT)
        if chosen.wakes_up or chosen.half_hours >= _LONG_BREAK:
            band = (left + 1, top + 4, x - 2, top + ROW_HEIGHT - 5)
            draw.rectangle(band, fill=NAVY if chosen.wakes_up else HAZE)
        if chosen.idles:
            draw.rectangle((x - 5, middle - 1, x - 4, middle), fill=GREY)
        elif not chosen.wakes_up:
            sprites.place(image, _icon(chosen, moment.action, width, 16, INK), max(x - width // 2, LEFT + 6), middle)
        elif x - left > 60:
            sprites.place(image, sprites.icon("moon", 16), (left + x) // 2 - 18, middle)
            sprites.write(image, ((left + x) // 2 + 12, middle), "z z z", 14, "white", "mm")


def _icon(chosen: ActionInfo, action: int, width: int, height: int, ink: str) -> Image.Image | None:
    """The picture of an action within `width` by `height` pixels, where there is none a card with its first letter.

    Sleep and work have neither."""
    if chosen.idles or chosen.wakes_up:
        return None
    name = _ICONS.get(chosen.name, f"={chosen.label[:1].upper()}")
    size = min(2 * width if sprites.is_narrow(name) else width - 2, height)
    return sprites.icon(name, size, ink if chosen.name in _ICONS else _CARDS[action % len(_CARDS)])


def _draw_curve(
    image: Image.Image, draw: ImageDraw.ImageDraw, shown: Sequence[Moment], now: Moment, strip: _Strip
) -> None:
    """The course of a value and a dot at the last one. Arrows on the edge where it is beyond the strip.

    What is not a number is left out.
    """
    points = []  # on a mask of twice the size
    for moment in shown:
        value = moment.values[strip.gauge.field]
        if math.isnan(value):
            continue
        x, y = _column(moment.time_elapsed, now), _row(value, strip)
        points.append((2 * (x - LEFT), 2 * (y - strip.top)))
        if not strip.low <= value <= strip.high and x > LEFT:
            tip, base = (y - 5, y) if value > strip.high else (y + 5, y)
            draw.polygon(((x - 3, base), (x + 3, base), (x, tip)), fill=strip.colour)
    if len(points) > 1:
        mask = Image.new("L", (2 * (RIGHT - LEFT), 2 * strip.height))
        pen, ground = ImageDraw.Draw(mask), 2 * strip.height
        pen.polygon([(points[0][0], ground), *points, (points[-1][0], ground)], fill=44)
        pen.line(points, fill=255, width=5, joint="curve")
        image.paste(strip.colour, (LEFT, strip.top), mask.reduce(2))
    if not math.isnan(now.values[strip.gauge.field]):
        y = round(_row(now.values[strip.gauge.field], strip))
        sprites.place(image, sprites.icon("dot", 12, strip.colour), RIGHT, y)


def _draw_attacks(
    image: Image.Image, draw: ImageDraw.ImageDraw, shown: Sequence[Moment], now: Moment, row_top: int
) -> None:
    """A red line, a heart on its top, for each heart attack of the strip."""
    for moment in shown:
        x = round(_column(moment.time_elapsed, now))
        if moment.heart_attack and x > LEFT:
            draw.line((x - 1, HEADER + 6, x - 1, row_top + ROW_HEIGHT - 1), fill=sprites.RED, width=2)
            sprites.place(image, sprites.icon("heart", 14, sprites.RED), x - 1, HEADER + 9)


def _draw_references(image: Image.Image, strips: tuple[_Strip, ...]) -> None:
    """The names of the reference lines, legible over the curves."""
    for strip in strips:
        for value, name in strip.references:
            sprites.write(image, (LEFT + 5, _row(value, strip) - 8), name, 11, INK, "lm", halo=2)


def _draw_values(image: Image.Image, now: Moment, strips: tuple[_Strip, ...]) -> None:
    """The last values beside the strips, and what belongs to them."""
    for strip in strips:
        value = now.values[strip.gauge.field]
        text = _number(value, strip.form)
        y = strip.top + strip.height / 2
        sprites.write(image, (RIGHT + 10, y), text, 22, strip.colour, "lm", 66)
        if not strip.low <= value <= strip.high:
            word = "not a number" if math.isnan(value) else "above scale" if value > strip.high else "below scale"
            sprites.write(image, (RIGHT + 10, y + 20), word, 12, strip.colour, "lm", 66)
    for strip in strips:
        if strip.gauge.note is not None:
            sprites.write(image, (16, strip.top + 28), strip.gauge.note(now), 13, GREY, "la", LEFT - 22)
    reward = _number(now.reward, "{:+.4f}")
    sprites.write(image, (RIGHT + 10, _row_top(strips) + 21), reward, 15, INK, "lm", 66)


def _progress(now: Moment, limit: int, counts_decisions: bool) -> tuple[str, float]:
    """How far the episode has come, in words and as a share."""
    if not counts_decisions:
        words = f"decision {now.num_steps:,}, hour {now.time_elapsed / 2:,g} of {limit / 2:,g}"
        return words, min(now.time_elapsed / max(limit, 1), 1)
    return f"decision {now.num_steps:,} of {limit:,}", min(now.num_steps / max(limit, 1), 1)


def _draw_header(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    now: Moment,
    progress: tuple[str, float],
    actions: Sequence[ActionInfo],
) -> None:
    """The clock, what was done, the score and the heart attacks under the sky; all red at a heart attack."""
    day, hour, minute = now.clock
    sky = (193, 18, 31) if now.heart_attack else _sky(hour + minute / 60)
    ink = "white" if 0.3 * sky[0] + 0.6 * sky[1] + 0.1 * sky[2] < 110 else INK
    draw.rectangle((0, 0, WIDTH, HEADER - 1), fill=sky)
    sprites.write(image, (16, 26), f"day {day:,}", 18, ink, "lm")
    sprites.write(image, (16, 57), f"{hour:02}:{minute:02}", 32, ink, "lm")
    done = "just woke up" if now.action is None else actions[now.action].done
    score = _number(now.score, "{:+.3f}")
    decision, share = progress
    if now.heart_attack:
        sprites.place(image, sprites.icon("broken", 60), 166, 44)
        sprites.write(image, (210, 18), f"{decision}: {done}, score {score}", 15, ink, "lm", 450)
        sprites.write(image, (207, 54), "HEART ATTACK", 46, ink, "lm")
        draw.rectangle((0, 0, WIDTH - 1, image.height - 1), outline=sprites.RED, width=10)
    else:
        icon = None if now.action is None else _icon(actions[now.action], now.action, 46, 44, ink)
        sprites.place(image, sprites.icon("sun" if 6 <= hour < 22 else "moon", 30), 128, 56)
        left = 164 + (icon.width + 18 if icon else 0)
        sprites.place(image, icon, 165 + (icon.width // 2 if icon else 0), 44)
        sprites.write(image, (left, 26), decision, 15, ink, "lm")
        sprites.write(image, (left, 57), done, 24, ink, "lm", 484 - left)
        sprites.write(image, (620, 26), "score", 15, ink, "rm")
        sprites.write(image, (620, 57), score, 28, ink, "rm", 130)
    sprites.write(image, (784, 26), "heart attacks", 15, ink, "rm")
    attacks = f"{now.num_heart_attacks:,}"
    width = sprites.words(attacks, 30, ink, "rm", WIDTH, 0)[0].width
    sprites.write(image, (784, 57), attacks, 30, ink, "rm")
    sprites.place(
        image, sprites.icon("heart", 26, sprites.RED if now.num_heart_attacks and ink == INK else ink), 764 - width, 57
    )
    if share and not now.heart_attack:
        draw.rectangle((0, HEADER - 4, WIDTH * share, HEADER - 1), fill=BLUE)


def _column(time: float, now: Moment) -> float:
    return RIGHT - (now.time_elapsed - time) * PIXELS


def _row(value: float, strip: _Strip) -> float:
    """The row of a value, clipped to its strip."""
    share = (min(max(value, strip.low), strip.high) - strip.low) / (strip.high - strip.low)
    return strip.top + strip.height * (1 - share)


def _sky(hour: float) -> tuple[int, int, int]:
    hours = [at for at, _ in _SKY]
    red, green, blue = (int(np.interp(hour, hours, channel)) for channel in zip(*(c for _, c in _SKY), strict=True))
    return red, green, blue


def _number(value: float, form: str) -> str:
    """`value` in its format, or short where it is long. The font has no true minus sign."""
    return f"{value:.2g}" if abs(value) >= 100_000 else form.format(value)
