"""The learning curve of a run as figures for a page: each small, so that a phone shows it whole."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from agents.reports import sweep_axes
from agents.reports.learning_curve import LOWEST_REGRET, column
from agents.reports.sweep_figures import PANEL
from heartpole_jax.drawing.charts import style

Records = Sequence[Mapping[str, float | None]]
_LINE = 0.19  # inches, of the text of a level


class Level(NamedTuple):
    """A number of the final evaluation, as a line beside the curve."""

    value: float
    text: str
    colour: str


def curves(records: Records, regret_name: str, levels: Mapping[str, Sequence[Level]]) -> dict[str, style.Figure]:
    """The figures by their names: return, regret (where one is known), loss, schedules.

    Args:
      records: of a run, `run_folder.read_metrics(folder)`, at least one.
      regret_name: "regret", or what it is called where the optimum is unknown.
      levels: lines beside the curves, by the names "return" and "regret".
    """
    greedy, exploring = column(records, "greedy_return"), column(records, "episode_return")
    regret, loss = column(records, "regret"), column(records, "loss")
    steps = column(records, "env_steps")
    found = {"return": _returns(steps, greedy, exploring, levels.get("return", ()))}
    if np.any(np.isfinite(regret)):
        found[regret_name] = _panel(
            steps, {style.VERMILLION: np.maximum(regret, LOWEST_REGRET)}, regret_name,
            log=_is_wide(regret), levels=levels.get("regret", ()),
        )  # fmt: skip
    if np.any(np.isfinite(loss)):
        found["loss"] = _panel(steps, {style.BLUE: loss}, "loss, mean over a chunk", log=_is_wide(loss))
    found["schedules"] = _schedules(steps, column(records, "epsilon"), column(records, "learning_rate"))
    return found


def _returns(steps: np.ndarray, greedy: np.ndarray, exploring: np.ndarray, levels: Sequence[Level]) -> style.Figure:
    """Returns, of the greedy policy and while exploring; the axis holds all of the first."""
    shown = greedy[np.isfinite(greedy)] if np.any(np.isfinite(greedy)) else exploring
    return _panel(
        steps, {style.SKY: exploring, style.VERMILLION: greedy}, "return", levels=levels, shown=list(map(float, shown))
    )


def _panel(
    steps: np.ndarray,
    lines: Mapping[str, np.ndarray],
    title: str,
    *,
    log: bool = False,
    levels: Sequence[Level] = (),
    shown: Sequence[float] | None = None,
) -> style.Figure:
    """Lines, by their colours, over the steps; `shown` is what the axis holds, all of the lines by default."""
    figure = style.new_figure(PANEL)
    top = 0.42 + _LINE * len(levels)
    axes = figure.add_axes(sweep_axes.inside(figure, left=0.95, right=0.3, top=top, bottom=0.62))
    style.clean(axes)
    everything = [float(value) for values in lines.values() for value in values] if shown is None else shown
    low, high = sweep_axes.limits([*everything, *(level.value for level in levels)], log, lowest=LOWEST_REGRET)
    axes.set_ylim(low, high)
    sweep_axes.scale(axes, "y", log)
    for place, level in enumerate(levels):
        _draw_level(axes, level._replace(value=max(level.value, LOWEST_REGRET)) if log else level, len(levels) - place)
    for colour, values in lines.items():
        axes.plot(steps, values, color=colour, linewidth=2.0, marker="o" if len(steps) < 3 else None, zorder=3)
    _finish(axes, steps, title, above=72 * _LINE * len(levels))
    return figure


def _draw_level(axes: style.Axes, level: Level, line: int) -> None:
    """A dashed line, and its text above the axes, in the `line`-th line from them: curves cross what lies in them."""
    axes.axhline(level.value, color=level.colour, linewidth=1.3, linestyle=(0, (4, 3)), zorder=2)
    axes.annotate(
        f"- -  {level.text}", (0, 1), xycoords="axes fraction", xytext=(0, 72 * _LINE * (line - 1) + 5),
        textcoords="offset points", fontsize=style.TICK_SIZE - 1, color=level.colour,
    )  # fmt: skip


def _schedules(steps: np.ndarray, epsilon: np.ndarray, learning_rate: np.ndarray) -> style.Figure:
    """What share of actions is random (left axis), and the learning rate (right axis)."""
    figure = style.new_figure(PANEL)
    axes = figure.add_axes(sweep_axes.inside(figure, left=0.95, right=0.95, top=0.42, bottom=0.62))
    right = axes.twinx()
    for own, values, colour in ((axes, epsilon, style.INK), (right, learning_rate, style.ORANGE)):
        style.clean(own)
        own.plot(steps, values, color=colour, linewidth=2.0, marker="o" if len(steps) < 3 else None)
        highest = float(np.max(values, initial=0.0, where=np.isfinite(values)))
        own.set_ylim(0, 1.05 * highest or 1.0)
        own.yaxis.set_major_locator(style.MaxNLocator(4))
        own.yaxis.set_major_formatter(style.FuncFormatter(sweep_axes.tick))
    _finish(axes, steps, "epsilon (left), learning rate (right)")
    return figure


def _finish(axes: style.Axes, steps: np.ndarray, title: str, above: float = 0.0) -> None:
    """The axis of steps and the title, `above` points higher than usual."""
    axes.set_xlim(0, steps[-1])
    axes.xaxis.set_major_locator(style.MaxNLocator(5))
    axes.xaxis.set_major_formatter(style.FuncFormatter(lambda value, _: sweep_axes.short_steps(value)))
    axes.grid(axis="y", color=style.PALE, linewidth=0.5, alpha=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel("steps, of all environments together", fontsize=style.TICK_SIZE, color=style.GREY)
    axes.set_title(title, loc="left", fontsize=style.TEXT_SIZE + 1, color=style.INK, pad=8 + above)


def _is_wide(values: np.ndarray) -> bool:
    """Whether the positive ones spread over more than a factor of ten."""
    positive = values[np.isfinite(values) & (values > 0)]
    return bool(positive.size) and positive.max() > 10 * max(positive.min(), LOWEST_REGRET)
