"""A fitted model against its trace: what was seen, what was expected, and whether the two agree.

figure = draw_fit(trace, found.params, found.observation_noise)
figure.savefig("fit.png")
"""

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.drawing.charts import style
from heartpole_jax.envs.heartpole_v0 import EnvParams
from heartpole_jax.identification.diagnosing import Residuals, residuals
from heartpole_jax.identification.traces import OBSERVED, ObservationNoise, Trace

_LABELS = {
    "alertness": "alertness (1 = rested)", "hypertension": "hypertension (0 = normal)",
    "intoxication": "blood alcohol (%)", "work_done": "work done (productive half-hours)",
}  # fmt: skip
_NUM_BINS = 10
_BAND = 1.96  # standard deviations
_MARGINS = {"left": 0.07, "right": 0.97, "top": 0.86, "bottom": 0.085, "hspace": 0.5, "wspace": 0.12}


@arguments.typed()
def draw_fit(
    trace: Trace,
    params: EnvParams,
    observation_noise: ObservationNoise,
    title: str = "Seen and expected, one row ahead",
) -> style.Figure:
    """A figure: for each quantity the rows seen on the 95 % band expected of them, and beside it their quantiles.

    The band at a row is what the rows before it let expect. The quantiles of what was seen among what was expected form
    a flat histogram where the model fits: a hump is a band too wide, two horns one too narrow, a slope a bias.

    Args:
      trace: one whose heart attacks are known.
      params, observation_noise: as fitted.
      title: a headline.

    Raises:
      ValueError, TypeError: as `identification.diagnosing.residuals`; ValueError if nothing was seen.
      ImportError: on importing this module without matplotlib.
    """
    params = style.scalar_params(params)
    found = residuals(trace, params, observation_noise)
    seen = [name for name in OBSERVED if np.isfinite(np.asarray(getattr(trace, name))).any()]
    if not seen:
        raise ValueError("a trace to draw must show something, got one in which every value is missing")
    figure = style.new_figure(style.SLIDE)
    grid = figure.add_gridspec(len(seen), 2, width_ratios=[4.0, 1.0], **_MARGINS)
    for row, name in enumerate(seen):
        left, right = figure.add_subplot(grid[row, 0]), figure.add_subplot(grid[row, 1])
        for axes in (left, right):
            style.clean(axes)
        _draw_course(left, trace, found, name)
        _draw_quantiles(right, found.quantiles[name])
        if row == 0:
            right.set_title("quantiles", loc="left", fontsize=style.TEXT_SIZE, color=style.INK, pad=3)
        last = row == len(seen) - 1
        for axes in (left, right):
            axes.tick_params(axis="x", labelbottom=last)
        if last:
            left.set_xlabel("decisions", fontsize=style.TEXT_SIZE, color=style.GREY)
    num_attacks, expected = int(np.sum(trace.heart_attacks)), float(np.sum(found.heart_attack_risks))
    figure.text(_MARGINS["left"], 0.935, style.plain(title), fontsize=style.TITLE_SIZE, color=style.INK)
    figure.text(
        _MARGINS["right"], 0.935, f"heart attacks: {num_attacks} seen, {expected:.1f} expected",
        fontsize=style.TEXT_SIZE, color=style.GREY, horizontalalignment="right",
    )  # fmt: skip
    return figure


def _draw_course(axes: style.Axes, trace: Trace, found: Residuals, name: str) -> None:
    step = np.arange(len(found.expected[name]))
    middle, reach = found.expected[name], _BAND * found.deviations[name]
    axes.fill_between(step, middle - reach, middle + reach, color=style.SKY, alpha=0.35, linewidth=0)
    axes.plot(step, middle, color=style.BLUE, linewidth=1.2)
    axes.plot(step, np.asarray(getattr(trace, name)), ".", color=style.INK, markersize=5)
    axes.set_xlim(0, step[-1])
    axes.yaxis.set_major_locator(style.MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes.set_title(_LABELS[name], loc="left", fontsize=style.TEXT_SIZE, color=style.INK, pad=3, bbox=style.OVER_LINES)


def _draw_quantiles(axes: style.Axes, quantiles: np.ndarray) -> None:
    """A histogram with the band that 95 % of its bars keep to where the model fits."""
    quantiles = quantiles[np.isfinite(quantiles)]
    axes.hist(quantiles, bins=_NUM_BINS, range=(0.0, 1.0), color=style.SKY, edgecolor="white", linewidth=1.0)
    mean = len(quantiles) / _NUM_BINS
    spread = _BAND * np.sqrt(mean * (1 - 1 / _NUM_BINS))
    axes.axhspan(max(mean - spread, 0.0), mean + spread, color=style.PALE, alpha=0.4, linewidth=0, zorder=0)
    axes.axhline(mean, color=style.GREY, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1])
    axes.yaxis.set_major_locator(style.MaxNLocator(3, integer=True))
