"""What the drawings share: the one import of matplotlib, the palette, the sizes, and the look of an axis.

Figures are made without pyplot, so that drawing touches no global state and needs no display. Sizes are set on each
artist and not through rcParams, which matplotlib reads again later, when it makes its ticks.
"""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np

from heartpole_jax import arguments, disk
from heartpole_jax.drawing.palette import BLUE, GREEN, GREY, INK, ORANGE, PALE, PURPLE, SKY, VERMILLION
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.terminal import printable

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator, NullLocator
except ImportError as error:
    raise ImportError("drawing needs matplotlib: pip install '.[plot]' in the clone") from error

__all__ = [
    "BLUE", "GREEN", "GREY", "INK", "ORANGE", "PALE", "PURPLE", "SKY", "VERMILLION",
    "Axes", "Figure", "FuncFormatter", "Line2D", "MaxNLocator", "MultipleLocator", "NullLocator",
]  # fmt: skip

SLIDE = (13.33, 7.5)  # inches, 16:9
HALF_SLIDE = (8.0, 4.5)
DPI = 150
TITLE_SIZE, TEXT_SIZE, TICK_SIZE = 17, 13, 12  # points
OVER_LINES = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0}  # keeps a text legible on a line


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty white figure of `size` inches, on a canvas that renders to memory and files."""
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


@arguments.typed()
def as_svg(figure: Figure) -> bytes:
    """The figure as an SVG file: texts as outlines, which need no font, and the same bytes for the same figure."""
    sink = io.BytesIO()
    with rc_context({"svg.hashsalt": "heartpole", "svg.fonttype": "path"}):
        figure.savefig(sink, format="svg", metadata={"Date": None})
    return sink.getvalue()


@arguments.typed()
def save(figure: Figure, path: Path) -> None:
    """Writes the figure, as the kind of file that the name ends in, a PNG where it ends in none, and folders for it.

    Raises:
      ValueError: for an ending that is of no kind of picture.
      OSError: where it cannot be written.
    """
    check_kind(path)
    sink = io.BytesIO()
    figure.savefig(sink, format=path.suffix[1:].lower() or "png")
    path.parent.mkdir(parents=True, exist_ok=True)
    disk.write_atomic(path, sink.getvalue())


def check_kind(path: Path) -> None:
    """Raises ValueError where `save` would, for the ending."""
    known = FigureCanvasAgg.get_supported_filetypes().keys() - {"pgf"}  # which needs LaTeX
    if path.suffix and path.suffix[1:].lower() not in known:
        raise ValueError(f"{path} must end in one of .{', .'.join(sorted(known))}, or in none for a PNG")


def plain(text: str) -> str:
    """The text for matplotlib to draw as it is, control characters as escapes: between two $ it would read formulas."""
    return printable(text).replace("$", r"\$")


def clean(axes: Axes) -> None:
    """Takes the box off `axes`, leaving quiet left and bottom spines and legible ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(labelsize=TICK_SIZE, labelcolor=GREY, color=PALE)


def mark(axes: Axes, x: float, y: float, text: str, offset: tuple[float, float], colour: str = INK) -> None:
    """A dot at (x, y) with `text` beside it, `offset` points away; to its left where the offset is negative.

    A point outside the horizontal limits of `axes` is left out.
    """
    low, high = axes.get_xlim()
    if not low <= x <= high:
        return
    axes.plot([x], [y], "o", color=colour, markersize=8, clip_on=False, zorder=5)
    axes.annotate(
        text,
        (x, y),
        xytext=offset,
        textcoords="offset points",
        fontsize=TEXT_SIZE,
        color=colour,
        horizontalalignment="left" if offset[0] >= 0 else "right",
        verticalalignment="center",
        bbox=OVER_LINES,
    )


def number(value: float) -> str:
    """`value` to three digits, or to what three decimals or whole numbers show of it."""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 3):.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def beside(axes: Axes, y: float, text: str, colour: str) -> None:
    """Writes `text` to the right of `axes`, at the height of the value `y`."""
    axes.annotate(
        text, (1, y), xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points",
        fontsize=TICK_SIZE, color=colour, verticalalignment="center_baseline",
    )  # fmt: skip


def scalar_params(params: Any = None, env: Environment = HEARTPOLE_V0) -> Any:
    """`params` of the environment, or its defaults for None.

    Raises:
      TypeError: for another environment's.
      ValueError: if it holds several values of a constant.
    """
    params = env.params_or_default(params)
    for field in dataclasses.fields(params):
        shape = np.shape(getattr(params, field.name))
        if shape != ():
            raise ValueError(
                f"a drawing shows one set of parameters, got EnvParams.{field.name} of shape {shape}; "
                "pick one with jax.tree.map(lambda x: x[i], params)"
            )
    return params
