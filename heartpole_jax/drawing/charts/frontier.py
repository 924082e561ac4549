"""Score against expected heart attacks of HeartPole-v0, as a figure: what no policy exceeds, what policies reach."""

from collections.abc import Mapping

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.drawing.charts import style
from heartpole_jax.optimum import Frontier

_FEWEST, _MOST = 1e-4, 1e2  # of the heart attacks above the fewest, on a log scale
_LOWEST, _HIGHEST = -0.1, 1.6  # of the score


@arguments.typed(policies=Mapping)
def draw_frontier(found: Frontier, policies: Mapping[str, Mapping[str, tuple[float, float]]]) -> style.Figure:
    """A figure of the bound, and of policies as points: the score against the heart attacks above the fewest.

    Args:
      found: the bound.
      policies: by the name of a group, {a policy's name: (expected heart attacks above the fewest, score)}. What
        lies outside of the axes is left out: scores below -0.1, and those without drinks, whose best is a line.

    Raises:
      TypeError: if `found` is no `Frontier`; `optimum.frontier` makes one.
      ImportError: on importing this module without matplotlib.
    """
    figure = style.new_figure(style.HALF_SLIDE)
    axes = figure.add_axes((0.10, 0.16, 0.86, 0.72))
    style.clean(axes)
    excess = np.geomspace(_FEWEST, _MOST, 701)
    axes.plot(
        excess, found.bound(found.heart_attacks + excess), color=style.INK, linewidth=2.0, label="no policy is above"
    )
    axes.axhline(found.score, color=style.GREY, linewidth=1.0, linestyle="--", label="the best without drinks")
    colours = (style.ORANGE, style.BLUE, style.GREEN, style.PURPLE)
    for place, ((group, points), colour) in enumerate(zip(policies.items(), colours, strict=False)):
        beside, alignment = ((-6, "right"), (6, "left"))[place % 2]  # names of two groups keep out of each other's way
        drawn = {
            name: (attacks, score)
            for name, (attacks, score) in points.items()
            if _FEWEST <= attacks <= _MOST and _LOWEST <= score <= _HIGHEST
        }
        if drawn:
            axes.plot(*zip(*drawn.values(), strict=True), "o", color=colour, label=group)
        for name, point in drawn.items():
            axes.annotate(
                style.plain(name), point, (beside, 4), textcoords="offset points", fontsize=10, color=colour,
                horizontalalignment=alignment,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(_FEWEST, _MOST)
    axes.set_ylim(_LOWEST, _HIGHEST)
    axes.set_xlabel("expected heart attacks above the fewest", fontsize=style.TEXT_SIZE, color=style.GREY)
    axes.set_ylabel("score", fontsize=style.TEXT_SIZE, color=style.GREY)
    axes.set_title("What heart attacks can buy", loc="left", fontsize=style.TITLE_SIZE, color=style.INK)
    axes.legend(frameon=False, fontsize=style.TICK_SIZE, loc="upper left")
    return figure
