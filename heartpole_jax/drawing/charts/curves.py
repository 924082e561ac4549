"""The tutorial's figures, drawn from the functions that the environment itself runs.

Each function returns one figure; `draw_figures` returns them all and `save_figures` writes them. All follow `params`,
so the curves of a changed body are one argument away. Source: see `physiology`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.drawing.charts import style
from heartpole_jax.envs import physiology
from heartpole_jax.envs.heartpole_v0 import EnvParams

_NUM_POINTS = 801  # several per pixel column of a slide


def heart_attack_risk_figure(params: EnvParams | None = None) -> style.Figure:
    """A figure of the heart attack risk (probability a step) against hypertension (arbitrary units).

    Raises: as `draw_figures`, and so do the other figures.
    """
    return _figure(_plot_heart_attack_risk, params)


def alertness_decay_figure(params: EnvParams | None = None) -> style.Figure:
    """A figure of the alertness lost in a half-hour against the time since sleep (half-hours)."""
    return _figure(_plot_alertness_decay, params)


def crippling_anxiety_figure(params: EnvParams | None = None) -> style.Figure:
    """A figure of anxiety (share of work lost) and sober productivity (half-hours a half-hour) against alertness."""
    return _figure(_plot_crippling_anxiety, params)


def ballmer_peak_figure(params: EnvParams | None = None) -> style.Figure:
    """A figure of the productivity multiplier of alcohol against blood alcohol content (%)."""
    return _figure(_plot_ballmer_peak, params)


def overview_figure(params: EnvParams | None = None) -> style.Figure:
    """A slide with the four figures on it, two by two."""
    params = style.scalar_params(params)
    figure = style.new_figure(style.SLIDE)
    plots = (_plot_heart_attack_risk, _plot_alertness_decay, _plot_crippling_anxiety, _plot_ballmer_peak)
    grid = figure.add_gridspec(2, 2, left=0.08, right=0.97, top=0.93, bottom=0.1, wspace=0.24, hspace=0.5)
    for i, plot in enumerate(plots):
        plot(figure.add_subplot(grid[i]), params)
    return figure


def draw_figures(params: EnvParams | None = None) -> dict[str, style.Figure]:
    """Every figure by its name: the four curves and their overview.

    Raises:
      TypeError: if `params` is not an `EnvParams`.
      ValueError: if a constant in it is not one number.
      ImportError: on importing this module without matplotlib.
    """
    return {
        "heart_attack_risk": heart_attack_risk_figure(params),
        "alertness_decay": alertness_decay_figure(params),
        "crippling_anxiety": crippling_anxiety_figure(params),
        "ballmer_peak": ballmer_peak_figure(params),
        "overview": overview_figure(params),
    }


@arguments.typed()
def save_figures(folder: Path | str, params: EnvParams | None = None) -> list[Path]:
    """The paths of the PNG files written into `folder` (made if it is not there), one for each of `draw_figures`.

    Raises:
      ValueError: if `folder` is a file, and as `draw_figures`.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"figures are written into a folder, got the file {folder}; name another place")
    figures = draw_figures(params)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        style.save(figure, paths[-1])
    return paths


def _figure(plot: Callable[[style.Axes, EnvParams], None], params: EnvParams | None) -> style.Figure:
    params = style.scalar_params(params)
    figure = style.new_figure(style.HALF_SLIDE)
    plot(figure.add_axes((0.12, 0.16, 0.84, 0.72)), params)
    return figure


def _plot_heart_attack_risk(axes: style.Axes, params: EnvParams) -> None:
    def risk(hypertension):
        return np.asarray(
            physiology.heart_attack_risk(hypertension, params.heart_attack_proclivity, params.heart_attack_threshold)
        )

    threshold = float(params.heart_attack_threshold)
    hypertension = np.linspace(0.0, max(threshold, 0.0) + 6.0, _NUM_POINTS)
    _label(axes, "Heart attack risk", "hypertension (0 = normal)", "probability a step")
    _line(axes, hypertension, risk(hypertension), style.VERMILLION)
    at_rest, half = float(risk(0.0)), float(risk(threshold))
    if at_rest > 0:
        style.mark(axes, 0.0, at_rest, f"at rest {at_rest:.3g},\none step in {1 / at_rest:,.0f}", (10, 34))
        style.mark(axes, threshold, half, f"{half:.3g} at {threshold:g}:\nhalf the highest risk", (14, -8))


def _plot_alertness_decay(axes: style.Axes, params: EnvParams) -> None:
    def decay(half_hours):
        return np.asarray(physiology.alertness_decay(half_hours, params.fatigue_onset, params.fatigue_width))

    onset, width = float(params.fatigue_onset), float(params.fatigue_width)
    half_hours = np.linspace(0.0, max(2.0 * onset, onset + 4.0 * width, 4.0 * width), _NUM_POINTS)
    _label(axes, "Fatigue", "time since sleep (half-hours)", "alertness lost a half-hour")
    _line(axes, half_hours, decay(half_hours), style.BLUE)
    style.mark(axes, 0.0, float(decay(0.0)), f"just woken up\n{float(decay(0.0)):.2g}", (10, 42))
    text = f"{float(decay(onset)):.2g} a half-hour after\n{onset:g} half-hours = {onset / 2:g} hours"
    style.mark(axes, onset, float(decay(onset)), text, (14, -8))


def _plot_crippling_anxiety(axes: style.Axes, params: EnvParams) -> None:
    ballmer = _ballmer(0.0, params)

    def anxiety(alertness):
        return np.asarray(physiology.crippling_anxiety(alertness, params.anxiety_threshold))

    def productivity(alertness):
        return np.asarray(physiology.productivity(alertness, ballmer, params.anxiety_threshold))

    alertness = np.linspace(-1.0, max(float(params.anxiety_threshold), 0.0) + 5.0, _NUM_POINTS)
    done = productivity(alertness)
    best = int(np.argmax(done))
    _label(axes, "Crippling anxiety", "alertness (1 = rested)", "share, or half-hours")
    axes.margins(y=0.12)
    axes.axhline(0.0, color=style.PALE, linewidth=1.0, zorder=0)
    _line(axes, alertness, anxiety(alertness), style.VERMILLION)
    _line(axes, alertness, done, style.BLUE)
    text = f"most done at {alertness[best]:.1f}: {done[best]:.2f}"
    style.mark(axes, float(alertness[best]), float(done[best]), text, (14, 8), style.BLUE)
    style.mark(axes, 1.0, float(productivity(1.0)), f"rested {float(productivity(1.0)):.2f}", (12, -6), style.BLUE)
    end = float(alertness[-1])
    _name(axes, end, float(anxiety(end)), "anxiety: share lost", 9, style.VERMILLION)
    _name(axes, end, min(float(productivity(end)), 0.0), "sober productivity: half-hours done", -19, style.BLUE)


def _plot_ballmer_peak(axes: style.Axes, params: EnvParams) -> None:
    peak, width = float(params.ballmer_peak), float(params.ballmer_peak_width)
    end = max(0.2, 1.3 * peak, peak + 6.0 * width)
    # Points of its own for the peak, which may be narrower than the spacing of the others.
    around = peak + width * np.linspace(-5.0, 5.0, _NUM_POINTS)
    intoxication = np.unique(
        np.concatenate([np.linspace(0.0, end, _NUM_POINTS), around[(around >= 0) & (around <= end)]])
    )
    axes.xaxis.set_major_locator(style.MaxNLocator(5))
    _label(axes, "The Ballmer peak", "blood alcohol (%)", "productivity multiplier")
    _line(axes, intoxication, _ballmer(intoxication, params), style.BLUE)
    sober, best = float(_ballmer(0.0, params)), float(_ballmer(peak, params))
    style.mark(axes, 0.0, sober, f"sober {sober:.3g}", (10, 10))
    style.mark(axes, peak, best, f"{best:.4g} at {peak:g} %", (-14, 0))


def _ballmer(intoxication, params: EnvParams) -> np.ndarray:
    return np.asarray(
        physiology.ballmer_function(
            intoxication,
            params.ballmer_limit,
            params.ballmer_steepness,
            params.ballmer_peak,
            params.ballmer_peak_width,
            params.ballmer_peak_height,
        )
    )


def _label(axes: style.Axes, title: str, x_label: str, y_label: str) -> None:
    style.clean(axes)
    axes.yaxis.set_major_locator(style.MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_title(title, loc="left", fontsize=style.TITLE_SIZE, color=style.INK)
    axes.set_xlabel(x_label, fontsize=style.TEXT_SIZE, color=style.GREY)
    axes.set_ylabel(y_label, fontsize=style.TEXT_SIZE, color=style.GREY)


def _line(axes: style.Axes, x: np.ndarray, y: np.ndarray, colour: str) -> None:
    axes.plot(x, y, color=colour, linewidth=3.0)
    axes.set_xlim(x[0], x[-1])


def _name(axes: style.Axes, x: float, y: float, text: str, rise: float, colour: str) -> None:
    axes.annotate(
        text, (x, y), xytext=(0, rise), textcoords="offset points", fontsize=style.TEXT_SIZE, color=colour,
        horizontalalignment="right",
    )  # fmt: skip
