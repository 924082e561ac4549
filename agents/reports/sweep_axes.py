"""The axes of a sweep's figures: their limits, plain numbers on them, logarithmic where `log` is set."""

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from heartpole_jax.drawing.charts import style

LOWEST = 1e-4  # regrets below are drawn there
Rectangle = tuple[float, float, float, float]


def limits(values: Iterable[float], log: bool, lowest: float = LOWEST) -> tuple[float, float]:
    """Limits of an axis that leave a little room around the finite values."""
    finite = [value for value in values if np.isfinite(value)] or [1.0]
    low, high = min(finite), max(finite)
    if log:
        low, high = max(low, lowest), max(high, lowest)
        room = max(1.15, (high / low) ** 0.06)
        return low / room, high * room
    room = 0.06 * (high - low) or max(abs(high) * 0.05, 1e-6)
    return low - room, high + room


def scale(axes: style.Axes, which: Literal["x", "y"], log: bool) -> None:
    """Plain numbers on the axis, logarithmic where `log` is set."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    if not log:
        axis.set_major_locator(style.MaxNLocator(5))
        axis.set_major_formatter(style.FuncFormatter(tick))
        return
    between = (2, 5) if which == "y" else (3,)  # along x there is room for fewer
    (axes.set_yscale if which == "y" else axes.set_xscale)("log", subs=between)
    low, high = axis.get_view_interval()
    plain = style.FuncFormatter(tick)
    axis.set_major_formatter(plain)
    few = np.floor(np.log10(high)) - np.ceil(np.log10(low)) < 1  # powers of ten in view, less one
    axis.set_minor_formatter(plain if few else style.FuncFormatter(lambda value, _: ""))
    axes.tick_params(axis=which, which="minor", labelsize=style.TICK_SIZE, labelcolor=style.GREY, color=style.PALE)


def tick(value: float, _: Any = None) -> str:
    """A number beside a tick."""
    if value and abs(value) < 1e-3:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "\N{MINUS SIGN}")
    return f"{round(value, 6):,g}".replace("-", "\N{MINUS SIGN}")


def inside(figure: style.Figure, left: float, right: float, top: float, bottom: float) -> Rectangle:
    """The rectangle of axes that leaves these inches of the figure around them."""
    width, height = figure.get_size_inches()
    return (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)


def short_steps(steps: float) -> str:
    """A number of decisions in thousands or millions."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(steps) >= size:
            return f"{steps / size:.3g}{letter}"
    return f"{steps:g}"
