"""The learning curve of a run: how good the policy was, the loss, and the schedules, over the steps."""

from collections.abc import Mapping, Sequence

import numpy as np

from heartpole_jax.drawing.charts import style
from heartpole_jax.evaluation import gap_name

LOWEST_REGRET = 1e-3  # what the few episodes after a chunk can distinguish from 0
_LARGEST = 1e300  # beyond which an axis overflows
_MARGINS = {"left": 0.085, "right": 0.9, "top": 0.87, "bottom": 0.095, "hspace": 0.42}


def draw(records: Sequence[Mapping[str, float | None]], title: str, evaluation_episodes: int) -> style.Figure:
    """A figure of a run's records, `run_folder.read_metrics(folder)`: regret, or the return where none is known, above.

    Args:
      evaluation_episodes: of the greedy policy after every chunk, for the caption.

    Raises:
      ValueError: for no records.
      ImportError: on importing this module without matplotlib.
    """
    if not records:
        raise ValueError("a learning curve needs at least one record, got none")
    steps = column(records, "env_steps")
    if not np.all(np.isfinite(steps)) or steps[-1] <= 0:
        raise ValueError(f"a learning curve needs records after steps that are known, got {steps[-1]}")
    figure = style.new_figure(style.SLIDE)
    grid = figure.add_gridspec(3, 1, height_ratios=[2.0, 1.0, 1.0], **_MARGINS)
    score = figure.add_subplot(grid[0])
    loss, schedule = (figure.add_subplot(grid[i], sharex=score) for i in (1, 2))
    for axes in (score, loss, schedule):
        style.clean(axes)
        axes.set_xlim(0, steps[-1])
        axes.xaxis.set_major_formatter(style.FuncFormatter(lambda value, _: _short(value)))
        axes.xaxis.set_major_locator(style.MaxNLocator(10, steps=[1, 2, 5, 10]))
    for axes in (score, loss):
        axes.tick_params(axis="x", labelbottom=False)
    if np.any(np.isfinite(column(records, "regret"))):
        name = gap_name(bool(records[-1]["certified"]))
        _draw_regret(score, steps, column(records, "regret"), f"{name} of the greedy policy", evaluation_episodes)
    else:
        _draw_returns(score, steps, column(records, "greedy_return"), column(records, "episode_return"))
    _plot(loss, "loss: Huber, mean over a chunk's updates", steps, column(records, "loss"), style.BLUE)
    _logarithmic(loss, column(records, "loss"))
    _draw_schedules(schedule, steps, column(records, "epsilon"), column(records, "learning_rate"))
    figure.text(_MARGINS["left"], 0.945, style.plain(title), fontsize=style.TITLE_SIZE, color=style.INK)
    if lost := not_finite(records):
        text = f"left out, since not finite: {', '.join(lost)}"
        figure.text(_MARGINS["left"], 0.015, text, fontsize=style.TICK_SIZE, color=style.VERMILLION)
    return figure


def not_finite(records: Sequence[Mapping[str, float | None]]) -> list[str]:
    """The names of what is drawn that have values which are no numbers; a missing value is none of them."""
    drawn = ("regret", "greedy_return", "episode_return", "loss", "epsilon", "learning_rate")
    return [
        name.replace("_", " ")
        for name in drawn
        if any((value := record.get(name)) is not None and not abs(value) <= _LARGEST for record in records)
    ]


def _draw_regret(axes: style.Axes, steps: np.ndarray, regret: np.ndarray, name: str, episodes: int) -> None:
    shown = np.where(np.isfinite(regret), np.maximum(regret, LOWEST_REGRET), np.nan)
    text = f"{name}, {episodes:,} episodes after each chunk (below {LOWEST_REGRET:g} drawn there)"
    _plot(axes, text, steps, shown, style.VERMILLION)
    _logarithmic(axes, shown)
    axes.grid(axis="y", color=style.PALE, linewidth=0.6)


def _draw_returns(axes: style.Axes, steps: np.ndarray, greedy: np.ndarray, exploring: np.ndarray) -> None:
    _plot(axes, "return: of the greedy policy, and of the episodes while training (sky)", steps, exploring, style.SKY)
    _plot(axes, "", steps, greedy, style.VERMILLION)


def _draw_schedules(axes: style.Axes, steps: np.ndarray, epsilon: np.ndarray, learning_rate: np.ndarray) -> None:
    _plot(axes, "epsilon (left), learning rate (right, orange)", steps, epsilon, style.INK, write=False)
    axes.set_ylim(0, 1.05 * max(_highest(epsilon), 0.1))
    axes.set_xlabel("steps, of all environments together", fontsize=style.TEXT_SIZE, color=style.GREY)
    right = axes.twinx()
    style.clean(right)
    right.plot(steps, learning_rate, color=style.ORANGE, linewidth=2.0)
    right.set_ylim(0, 1.05 * _highest(learning_rate) or 1.0)
    right.yaxis.set_major_locator(style.MaxNLocator(3))
    right.yaxis.set_major_formatter(style.FuncFormatter(lambda value, _: f"{value:g}"))


def _plot(axes: style.Axes, name: str, steps: np.ndarray, values: np.ndarray, colour: str, write: bool = True) -> None:
    axes.plot(steps, values, color=colour, linewidth=2.0, marker="o" if len(steps) < 3 else None)
    if name:
        axes.set_title(name, loc="left", fontsize=style.TEXT_SIZE, color=style.INK, pad=4)
    if write and np.isfinite(values[-1]):
        style.beside(axes, values[-1], style.number(values[-1]), colour)


def _logarithmic(axes: style.Axes, values: np.ndarray) -> None:
    """A logarithmic axis, where there is anything to show on one; marked at 2 and 5 as well where it is short."""
    positive = values[values > 0]
    if not positive.size:
        return
    axes.set_yscale("log", subs=(2, 5))
    plain = style.FuncFormatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(plain)
    short = positive.max() < 30 * positive.min()
    axes.yaxis.set_minor_formatter(plain if short else style.FuncFormatter(lambda value, _: ""))
    axes.tick_params(axis="y", which="minor", labelsize=style.TICK_SIZE, labelcolor=style.GREY, color=style.PALE)


def column(records: Sequence[Mapping[str, float | None]], name: str) -> np.ndarray:
    """The values, NaN where there is none, or none that can be drawn: axes have no place for infinity."""
    values = np.array([np.nan if (value := record.get(name)) is None else value for record in records], np.float64)
    return np.where(np.abs(values) <= _LARGEST, values, np.nan)


def _highest(values: np.ndarray) -> float:
    return float(np.max(values, initial=0.0, where=np.isfinite(values)))


def _short(steps: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(steps) >= size:
            return f"{steps / size:g}{letter}"
    return f"{steps:g}"
