"""Parallel coordinates: a line for each configuration through an axis for each swept name, down to its score.

Axes lie below one another and not side by side, so that any number of names fits on a phone.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from agents.reports import sweep_axes, value_axis
from agents.sweeps.results import Configuration, Summary
from heartpole_jax.drawing.charts import style

_WIDTH, _ROW = 4.6, 0.78  # inches, of an axis with its name and its ticks
_MOST_VECTORS = 300  # lines, beyond which they are pixels
_BEST = 10  # of so many configurations one is among the best


def draw(
    ranked: Sequence[Configuration],
    scores: Mapping[int, float],
    summary: Summary,
    short: Mapping[str, str],
    score: str,
    log: bool,
) -> style.Figure:
    """The figure; the best is vermillion, the best tenth blue, the others pale, those without a score end at the edge.

    Args:
      ranked: configurations, at least one with a value of every swept name.
      scores: of each by its index; not finite where it diverged.
      summary: of the sweep.
      short: names as they are written.
      score: what the last axis is called.
      log: whether that axis is logarithmic.
    """
    known = [one for one in ranked if all(one.values.get(name) is not None for name in summary.swept)]
    values = np.array([scores[one.index] for one in known], np.float64)
    rows = [_swept(known, name, name in summary.log_scaled) for name in summary.swept]
    rows.append(_scores(values, log, worst_high=not known or known[0].metric != "return"))
    figure = style.new_figure((_WIDTH, 0.25 + _ROW * len(rows)))
    axes = figure.add_axes((0.06, 0.2 / figure.get_figheight(), 0.88, 1 - 0.3 / figure.get_figheight()))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(len(rows) - 0.45, -0.45)
    x, y = np.array([row.places for row in rows]), np.arange(len(rows))
    order = np.argsort(np.where(np.isfinite(values), values if known[0].metric != "return" else -values, np.inf))
    best = max(1, int(np.isfinite(values).sum()) // _BEST)
    for rank, which in reversed(list(enumerate(order))):
        colour, width, alpha = _look(rank, best)
        axes.plot(
            x[:, which], y, color=colour, linewidth=width, alpha=alpha, zorder=2 + (rank < best) + (rank == 0),
            rasterized=len(known) > _MOST_VECTORS and rank >= best, solid_joinstyle="round",
        )  # fmt: skip
    for place, (name, row) in enumerate(zip([*(short[name] for name in summary.swept), score], rows, strict=True)):
        _draw_axis(axes, place, name, row)
    return figure


class _Row:
    """An axis: places in 0 to 1 of each configuration and of each tick."""

    def __init__(self, places: np.ndarray, ticks: Sequence[tuple[float, str]]):
        self.places, self.ticks = places, ticks


def _swept(known: Sequence[Configuration], name: str, log_scaled: bool) -> _Row:
    along = value_axis.of([one.values[name] for one in known], log_scaled)
    low, high = along.limits
    if along.ticks is None:
        numbers = (float(along.places.min()), float(along.places.max()))
        ticks = [(number, sweep_axes.tick(float(f"{number:.3g}"))) for number in dict.fromkeys(numbers)]
    else:
        ticks = list(zip(along.ticks, along.labels, strict=True))
    to = lambda value: _share(value, low, high, along.log)
    return _Row(to(along.places), [(float(to(np.float64(at))), text) for at, text in ticks])


def _scores(values: np.ndarray, log: bool, worst_high: bool) -> _Row:
    low, high = sweep_axes.limits([float(value) for value in values], log)
    finite = np.isfinite(values)
    drawn = np.clip(np.where(finite, values, high if worst_high else low), low, high)
    numbers = dict.fromkeys((float(values[finite].min()), float(values[finite].max()))) if finite.any() else {}
    ticks = [
        (float(_share(np.clip(at, low, high), low, high, log)), sweep_axes.tick(float(f"{at:.3g}"))) for at in numbers
    ]
    return _Row(_share(drawn, low, high, log), ticks)


def _share(value: np.ndarray, low: float, high: float, log: bool) -> np.ndarray:
    return np.log(value / low) / np.log(high / low) if log else (value - low) / (high - low)


def _look(rank: int, best: int) -> tuple[str, float, float]:
    """Colour, width and opacity of the line of that rank."""
    if rank == 0:
        return style.VERMILLION, 2.4, 1.0
    return (style.BLUE, 1.4, 0.8) if rank < best else (style.GREY, 0.7, 0.28)


def _draw_axis(axes: style.Axes, place: int, name: str, row: _Row) -> None:
    axes.plot([0, 1], [place, place], color=style.INK, linewidth=0.8, zorder=5)
    axes.text(
        0, place - 0.16, style.plain(name), fontsize=style.TICK_SIZE, color=style.INK, zorder=7, bbox=style.OVER_LINES
    )
    free = -1.0  # where the last label ends; one that would lie on it is left out, its tick is not
    for at, text in sorted(row.ticks):
        axes.plot([at], [place], "|", color=style.INK, markersize=7, zorder=6)
        width = 0.026 * len(text)
        start = min(max(at - width / 2, 0.0), 1 - width)
        if start > free:
            axes.text(
                start, place + 0.2, style.plain(text), fontsize=style.TICK_SIZE - 2, color=style.GREY, va="center",
                zorder=7, bbox=style.OVER_LINES,
            )  # fmt: skip
            free = start + width
