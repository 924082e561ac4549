"""A day after each action of a menu of HeartPole-v1: what it does to the body, and to the work.

    day_figure(menu).savefig("menu.png")

One panel a variable, one line an action; a line that is no different from doing nothing is left out of its panel. Lines
that coincide share it, dash by dash.
"""

from typing import Any

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.drawing.charts import style
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.envs.menu import Menu
from heartpole_jax.evaluation import menu_report

_COLOURS = (style.BLUE, style.VERMILLION, style.GREEN, style.ORANGE, style.SKY, style.PURPLE, style.INK)
_DASHES = ("-", "--", ":")  # for menus of more actions than colours
_PANELS = (
    ("effective_alertness", "Effective alertness", "1 = rested"),
    ("stimulation", "Stimulation", "units of alertness"),
    ("impairment", "Impairment", "units of alertness"),
    ("intoxication", "Blood alcohol", "%"),
    ("hypertension", "Hypertension", "0 = normal"),
    ("work_done", "Work done, against nothing", "half-hours"),
    ("heart_attacks", "Heart attacks, against nothing", "expected"),
)
_RELATIVE = ("work_done", "heart_attacks")
_TENSE = 0.5  # hypertension in the morning: at 0 what calms would show nothing
_TITLE = "A day that begins with it, of a rested patient with a hypertension of 0.5"
_DASH = 5.0  # line widths


@arguments.typed()
def day_figure(menu: Menu, params: EnvParams | None = None, title: str = _TITLE) -> style.Figure:
    """A figure of a rested, somewhat tense patient's day after each action of `menu`, at mean doses, and nothing else.

    Raises:
      ImportError: on importing this module without matplotlib.
    """
    day, idle = (menu_report.simulate_day(each, params, _TENSE) for each in (menu, menu_report.IDLING_ONLY))
    hours = np.arange(menu_report.HALF_HOURS_A_DAY + 1) / 2
    figure = style.new_figure((16.0, 7.5))
    figure.text(0.055, 0.945, style.plain(title), fontsize=style.TITLE_SIZE, color=style.INK)
    grid = figure.add_gridspec(2, 4, left=0.055, right=0.985, top=0.86, bottom=0.09, wspace=0.38, hspace=0.42)
    lines: dict[str, style.Line2D] = {}
    for place, (name, heading, unit) in enumerate(_PANELS):
        axes = figure.add_subplot(grid[place])
        nothing = getattr(idle, name)[0]
        base = nothing if name in _RELATIVE else np.zeros_like(nothing)
        _prepare(axes, heading, unit)
        axes.plot(hours, nothing - base, color=style.PALE, linewidth=6.0, zorder=1)
        shown = [i for i, values in enumerate(getattr(day, name)) if not _same(values, nothing)]
        for i in shown:
            values = getattr(day, name)[i]
            known = ~np.isnan(values)
            sharing = [j for j in shown if _same(values, getattr(day, name)[j])]
            # Straight through the break, in which nothing is decided and so nothing is known.
            (line,) = axes.plot(hours[known], (values - base)[known], color=_colour(i), linewidth=2.5)
            line.set_linestyle(_dashes(sharing.index(i), len(sharing), i))
            sample = style.Line2D([], [], color=_colour(i), linewidth=2.5, linestyle=_dashes(0, 1, i))
            lines.setdefault(menu.actions[i].name, sample)
    _name_lines(figure.add_subplot(grid[7]), lines, menu)
    return figure


def _same(values: np.ndarray, others: np.ndarray) -> bool:
    """Whether two courses coincide, wherever both are known, and are known at the same times or one throughout."""
    known = ~np.isnan(values) & ~np.isnan(others)
    return bool(np.allclose(values[known], others[known], rtol=0, atol=1e-6))


def _colour(action: int) -> str:
    return _COLOURS[action % len(_COLOURS)]


def _dashes(place: int, number: int, action: int) -> Any:
    """The line style of the one at `place` among `number` lines that coincide: each takes its turn."""
    if number == 1:
        return _DASHES[action // len(_COLOURS) % len(_DASHES)]
    return (place * _DASH, (_DASH, (number - 1) * _DASH))


def _prepare(axes: style.Axes, heading: str, unit: str) -> None:
    style.clean(axes)
    axes.set_title(heading, loc="left", fontsize=style.TEXT_SIZE, color=style.INK)
    axes.set_xlabel("hours", fontsize=style.TICK_SIZE, color=style.GREY)
    axes.set_ylabel(unit, fontsize=style.TICK_SIZE, color=style.GREY)
    axes.set_xlim(0, menu_report.HALF_HOURS_A_DAY / 2)
    axes.xaxis.set_major_locator(style.MultipleLocator(6))
    axes.yaxis.set_major_locator(style.MaxNLocator(5))


def _name_lines(axes: style.Axes, lines: dict, menu: Menu) -> None:
    axes.axis("off")
    longer = [row.name for row in menu.actions if row.half_hours >= menu_report.HALF_HOURS_A_DAY]
    idle = [row.name for row in menu.actions if row.name not in lines and row.name not in longer]
    (pale,) = axes.plot([], [], color=style.PALE, linewidth=6.0)
    named = {**lines, ", ".join(idle) or "doing nothing": pale}
    named |= {f"{name}: a day or longer": axes.plot([], [], " ")[0] for name in longer}
    # matplotlib leaves out a label that begins with an underscore.
    labels = [style.plain(f" {label}" if label.startswith("_") else label) for label in named]
    axes.legend(
        named.values(), labels, loc="center left", frameon=False, fontsize=style.TEXT_SIZE,
        labelcolor=style.INK, handlelength=2.5,
    )  # fmt: skip
