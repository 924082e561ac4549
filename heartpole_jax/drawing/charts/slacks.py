"""What a drink of HeartPole-v0 costs at least, as a figure: the slacks of the proof that none pays."""

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.drawing.charts import style
from heartpole_jax.optimum import Certificate

_LINES = {
    "later_coffee": ("any later coffee", style.ORANGE, "-"),
    "later_beer": ("any later beer", style.BLUE, "-"),
    "first_coffee": ("a first coffee", style.ORANGE, "--"),
    "first_beer": ("a first beer", style.BLUE, "--"),
}


@arguments.typed()
def draw_slacks(found: Certificate) -> style.Figure:
    """A figure of what drinks cost at least, in expected return, against the decisions left.

    Raises:
      TypeError: if `found` is no `Certificate`; `optimum.certificate` makes one.
      ImportError: on importing this module without matplotlib.
    """
    figure = style.new_figure(style.HALF_SLIDE)
    axes = figure.add_axes((0.13, 0.16, 0.83, 0.72))
    style.clean(axes)
    left = np.arange(1, len(found.first_beer) + 1)
    for name, (label, colour, dashes) in _LINES.items():
        axes.plot(left, getattr(found, name), dashes, color=colour, linewidth=2.0, label=label)
    axes.axhline(0.0, color=style.INK, linewidth=1.0)
    axes.set_xscale("log")
    axes.set_xlim(1, max(left[-1], 2))
    axes.set_xlabel("decisions left", fontsize=style.TEXT_SIZE, color=style.GREY)
    axes.set_ylabel("expected return", fontsize=style.TEXT_SIZE, color=style.GREY)
    title = "What a drink costs at least" if found.certified else "What a drink costs at least: it may pay"
    axes.set_title(title, loc="left", fontsize=style.TITLE_SIZE, color=style.INK)
    axes.legend(frameon=False, fontsize=style.TICK_SIZE, loc="lower right")
    return figure
