"""A day after each action of a menu of HeartPole-v1: what it does to the body, and to the work.

    day_figure(menu).savefig("menu.png")

One panel a variable, one line an action; a line that is no different from doing nothing is left out of its panel. Later
rows have thinner lines, so that two that coincide are both seen.
"""

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
    ("hypertension", "Hypertension", "0 = normal"),
    ("intoxication", "Blood alcohol", "%"),
    ("work_done", "Work done, more than with nothing", "half-hours"),
    ("heart_attacks", "Heart attacks, more than with nothing", "expected"),
)
_RELATIVE = ("work_done", "heart_attacks")


@arguments.typed()
def day_figure(menu: Menu, params: EnvParams | None = None, title: str = "A day that begins with it") -> style.Figure:
    """A figure of a rested patient's day after each action of `menu`, at mean doses, nothing else being done.

    Raises:
      ImportError: on importing this module without matplotlib.
    """
    day, idle = menu_report.simulate_day(menu, params), menu_report.simulate_day(menu_report.IDLING_ONLY, params)
    hours = np.arange(menu_report.HALF_HOURS_A_DAY + 1) / 2
    figure = style.new_figure(style.SLIDE)
    figure.text(0.06, 0.945, style.plain(title), fontsize=style.TITLE_SIZE, color=style.INK)
    grid = figure.add_gridspec(2, 3, left=0.06, right=0.98, top=0.86, bottom=0.09, wspace=0.24, hspace=0.42)
    lines = {}
    for place, (name, heading, unit) in enumerate(_PANELS):
        axes = figure.add_subplot(grid[place])
        nothing = getattr(idle, name)[0]
        base = nothing if name in _RELATIVE else np.zeros_like(nothing)
        _prepare(axes, heading, unit)
        axes.plot(hours, nothing - base, color=style.PALE, linewidth=6.0, zorder=1)
        for i, values in enumerate(getattr(day, name)):
            known = ~np.isnan(values)
            if np.allclose(values[known], nothing[known], rtol=0, atol=1e-6):
                continue
            dash = _DASHES[i // len(_COLOURS) % len(_DASHES)]
            colour, width = _COLOURS[i % len(_COLOURS)], max(5.0 - 0.8 * i, 1.5)
            # Straight through the break, in which nothing is decided and so nothing is known.
            (line,) = axes.plot(hours[known], (values - base)[known], dash, color=colour, linewidth=width)
            lines[menu.actions[i].name] = line
    _name_lines(figure.add_subplot(grid[5]), lines, menu)
    return figure


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
