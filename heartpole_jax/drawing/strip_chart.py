"""One episode as a strip chart: what the developer did, and what the body made of it.

    records = rollout(policy, key, num_envs=1, record=everything).records
    figure = draw_episode(records)
    figure.savefig("episode.png")

Actions lie in lanes at the top, the body below them, the score and the return at the bottom.
"""

from typing import NamedTuple

import jax
import numpy as np

from heartpole_jax import physiology
from heartpole_jax.drawing import style
from heartpole_jax.heartpole_v0 import SLEEP_HALF_HOURS, Action, EnvParams
from heartpole_jax.rollout import Transition

_HALF_HOURS_A_DAY = 48
_HEART, _HEART_FONT = "♥", "DejaVu Sans"  # the font that comes with matplotlib, whatever the user's default
_SHORT = 2.0  # days; below this the axis counts hours, and single half-hours can be told apart
_RECORD_IT = "take rollout(policy, key, num_envs=1, record=everything).records"
_MARGINS = {"left": 0.08, "right": 0.93, "top": 0.875, "bottom": 0.085, "hspace": 0.42}

# From the bottom lane up: what happens most often, and says least, lies lowest.
_LANES = {
    Action.NOTHING: ("nothing", style.PALE, 0.35),
    Action.SLEEP: ("sleep", style.SKY, 0.8),
    Action.BEER: ("beer", style.ORANGE, 0.8),
    Action.COFFEE: ("coffee", style.INK, 0.8),
}


class _Strip(NamedTuple):
    name: str
    values: np.ndarray  # (num_steps + 1,), at every decision and at the end
    shown: tuple[float, float]  # always within the vertical limits
    line: tuple[float, str] | None = None  # a level worth knowing, drawn where the values come near it
    steps: bool = False  # whether the value jumps at the end of a step, rather than drifting there


def draw_episode(
    records: Transition, params: EnvParams | None = None, title: str = "HeartPole-v0: one episode"
) -> style.Figure:
    """A figure of one episode of one patient: actions, alertness, hypertension, blood alcohol, score and return.

    Time runs in days, and in episodes of under two days the ticks count hours. Nights are shaded, heart attacks are
    vertical marks through every strip. Between two decisions the lines are straight, also through sleep.

    Args:
      records: whole transitions of HeartPole-v0, leaves of shape (num_steps, 1, ...), as
        `rollout(policy, key, num_envs=1, record=everything).records`.
      params: those of the rollout, for the levels drawn beside the curves.
      title: a headline.

    Raises:
      TypeError: if `records` is not a `Transition`, or `params` not an `EnvParams`.
      ValueError: if `records` are of several patients or several episodes, empty, not of HeartPole-v0, or not finite.
      ImportError: on importing this module without matplotlib.
    """
    params = style.scalar_params(params)
    records = _one_patient(records)
    days = _course(records, "time_elapsed") / _HALF_HOURS_A_DAY
    short = days[-1] - days[0] < _SHORT
    strips = _strips(records, params)

    figure = style.new_figure(style.SLIDE)
    grid = figure.add_gridspec(1 + len(strips), 1, height_ratios=[1.4] + [1.0] * len(strips), **_MARGINS)
    # Nights and heart attacks go through all strips, so they are drawn once, behind them.
    backdrop = figure.add_subplot(grid[:, 0], zorder=-1)
    backdrop.set_axis_off()
    backdrop.set_xlim(days[0], days[-1])
    all_axes = [figure.add_subplot(grid[i], sharex=backdrop, facecolor="none") for i in range(1 + len(strips))]
    for axes in all_axes:
        style.clean(axes)
        axes.tick_params(axis="x", bottom=False, labelbottom=False)
    _draw_actions(all_axes[0], backdrop, records.action, days[:-1], short)
    for axes, strip in zip(all_axes[1:], strips, strict=True):
        _draw_strip(axes, strip, days)
    _draw_heart_attacks(backdrop, days[1:][records.info.heart_attack])
    _draw_clock(all_axes[-1], days[-1] - days[0], short)
    num_attacks = int(np.sum(records.info.heart_attack))
    figure.text(_MARGINS["left"], 0.945, title, fontsize=style.TITLE_SIZE, color=style.INK)
    figure.text(
        _MARGINS["right"], 0.945, _summary(len(records.action), days[-1] - days[0], num_attacks, short),
        fontsize=style.TEXT_SIZE, fontfamily=_HEART_FONT, color=style.VERMILLION if num_attacks else style.GREY,
        horizontalalignment="right",
    )  # fmt: skip
    return figure


def _course(records: Transition, name: str) -> np.ndarray:
    """The state's `name` at every decision and at the end, of shape (num_steps + 1,)."""
    states = (getattr(records.state, name)[:1], getattr(records.next_state, name))
    return np.concatenate(states).astype(np.float64)


def _strips(records: Transition, params: EnvParams) -> tuple[_Strip, ...]:
    half_risk = float(params.heart_attack_threshold), "half the highest risk"
    ballmer_peak = float(params.ballmer_peak), "Ballmer peak"
    score = np.asarray(physiology.score(_course(records, "work_done"), _course(records, "time_elapsed")))
    returned = np.concatenate([[0.0], np.cumsum(records.reward, dtype=np.float64)])
    return (
        _Strip("alertness (1 = rested)", _course(records, "alertness"), (0.0, 1.0)),
        _Strip("hypertension (0 = normal)", _course(records, "hypertension"), (0.0, 1.0), half_risk),
        _Strip("blood alcohol (%)", _course(records, "intoxication"), (0.0, 0.02), ballmer_peak),
        _Strip("score: productive half-hours a half-hour", score, (0.0, 0.5)),
        _Strip("return: rewards so far", returned, (0.0, 1.0), steps=True),
    )


def _one_patient(records: Transition) -> Transition:
    """`records` as NumPy arrays without the axis of patients. Raises as `draw_episode`."""
    if not isinstance(records, Transition):
        raise TypeError(f"records must be a Transition, got {type(records).__name__}; {_RECORD_IT}")
    for part, names in {
        "state": ("alertness", "hypertension", "intoxication", "time_elapsed", "work_done"),
        "info": ("heart_attack",),
    }.items():
        missing = [name for name in names if not hasattr(getattr(records, part), name)]
        if missing:
            raise ValueError(
                f"records.{part} must be HeartPole-v0's, got one without {', '.join(missing)}; {_RECORD_IT}"
            )
    shapes = {np.shape(leaf)[:2] for leaf in jax.tree.leaves(records)}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 2 or 0 in shape:
        got = sorted({np.shape(leaf) for leaf in jax.tree.leaves(records)})
        raise ValueError(f"records must have leaves of shape (num_steps, 1, ...), got {got}; {_RECORD_IT}")
    if shape[1] != 1:
        raise ValueError(
            f"an episode is one patient's, got records of {shape[1]}; "
            "pick patient i with jax.tree.map(lambda x: x[:, i : i + 1], records)"
        )
    records = jax.tree.map(lambda leaf: np.asarray(leaf)[:, 0], records)
    for leaf in jax.tree.leaves(records):
        if not np.all(np.isfinite(leaf)):
            raise ValueError(f"records must be finite, got {leaf[~np.isfinite(leaf)][0]}; a strip chart cannot show it")
    unknown = np.setdiff1d(records.action, list(_LANES))
    if unknown.size:
        raise ValueError(f"actions must be in 0 .. {len(_LANES) - 1}, got {unknown.tolist()}")
    torn = records.state.time_elapsed[1:] != records.next_state.time_elapsed[:-1]
    ends = 1 + np.flatnonzero(records.done[:-1] | torn)
    if ends.size:
        raise ValueError(
            f"records must be of one episode, got {len(records.done)} steps of which the first ends after {ends[0]}; "
            f"cut them with jax.tree.map(lambda x: x[:{ends[0]}], records)"
        )
    return records


def _draw_actions(axes: style.Axes, backdrop: style.Axes, action: np.ndarray, days: np.ndarray, short: bool) -> None:
    """A lane of blocks for each action, begun at `days`; sleep shades the strips below as well."""
    for lane, (kind, (_, colour, height)) in enumerate(_LANES.items()):
        duration = (SLEEP_HALF_HOURS if kind == Action.SLEEP else 1) / _HALF_HOURS_A_DAY
        blocks = [(start, duration) for start in days[action == kind]]
        # In a long episode a half-hour is narrower than a pixel, and its outline is what keeps it visible.
        edge, width = ("white", 1.5) if short else (colour, 0.6 if kind != Action.NOTHING else 0.0)
        axes.broken_barh(blocks, (lane - height / 2, height), facecolor=colour, edgecolor=edge, linewidth=width)
        if kind == Action.SLEEP:
            backdrop.broken_barh(
                blocks, (0, 1), transform=backdrop.get_xaxis_transform(), facecolor=colour, alpha=0.13, linewidth=0,
                snap=False,  # to whole pixels, which would make stripes of many nights
            )  # fmt: skip
    axes.set_ylim(-0.5, len(_LANES) - 0.5)
    axes.set_yticks(range(len(_LANES)), [name for name, _, _ in _LANES.values()])
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    for lane, kind in enumerate(_LANES):
        count = int(np.sum(action == kind))
        style.beside(axes, lane, f"{count:,} \N{MULTIPLICATION SIGN}", style.GREY if count else style.PALE)


def _draw_strip(axes: style.Axes, strip: _Strip, days: np.ndarray) -> None:
    low, high = min(strip.values.min(), strip.shown[0]), max(strip.values.max(), strip.shown[1])
    if strip.line is not None and strip.values.max() > 0.5 * strip.line[0]:
        level, name = strip.line
        high = max(high, level)
        axes.axhline(level, color=style.GREY, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.annotate(
            name, (1, level), xycoords=("axes fraction", "data"), xytext=(-4, 2), textcoords="offset points",
            fontsize=style.TICK_SIZE - 2, color=style.GREY, horizontalalignment="right",
            bbox=style.OVER_LINES,
        )  # fmt: skip
    if low < 0 < high:
        axes.axhline(0.0, color=style.PALE, linewidth=1.0, zorder=0)
    drawstyle = "steps-post" if strip.steps else "default"
    axes.plot(days, strip.values, color=style.BLUE, linewidth=1.8, drawstyle=drawstyle, clip_on=False)
    margin = 0.06 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    axes.yaxis.set_major_locator(style.MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes.set_title(strip.name, loc="left", fontsize=style.TEXT_SIZE, color=style.INK, pad=3, bbox=style.OVER_LINES)
    style.beside(axes, strip.values[-1], style.number(strip.values[-1]), style.BLUE)


def _draw_heart_attacks(backdrop: style.Axes, days: np.ndarray) -> None:
    low, high = backdrop.get_xlim()
    room = 0.11 * (high - low)  # that a label takes
    edges = np.concatenate([[low], days, [high]])
    for day, gap_before, gap_after in zip(days, np.diff(edges)[:-1], np.diff(edges)[1:], strict=True):
        backdrop.axvline(day, color=style.VERMILLION, linewidth=2.0)
        backdrop.annotate(
            _HEART, (day, 1), xycoords=("data", "axes fraction"), xytext=(0, 2), textcoords="offset points",
            fontfamily=_HEART_FONT, fontsize=20, color=style.VERMILLION, horizontalalignment="center",
            annotation_clip=False,
        )  # fmt: skip
        # Where attacks crowd, one label with room speaks for its neighbours: they carry the same heart.
        right = gap_after > room
        if right or gap_before > 2 * room:
            backdrop.annotate(
                "heart attack", (day, 1), xycoords=("data", "axes fraction"), xytext=(9 if right else -9, 4),
                textcoords="offset points", fontsize=style.TEXT_SIZE, color=style.VERMILLION,
                horizontalalignment="left" if right else "right", annotation_clip=False,
            )  # fmt: skip


def _draw_clock(axes: style.Axes, length: float, short: bool) -> None:
    axes.tick_params(axis="x", bottom=True, labelbottom=True)
    if short:
        hours = next(step for step in (0.5, 1, 2, 6) if length * 24 <= 13 * step or step == 6)
        axes.xaxis.set_major_locator(style.MultipleLocator(hours / 24))
        axes.xaxis.set_major_formatter(style.FuncFormatter(lambda day, _: f"{24 * day:g}"))
    else:
        axes.xaxis.set_major_locator(style.MaxNLocator(10, steps=[1, 2, 5, 10]))
    axes.set_xlabel("time (hours)" if short else "time (days)", fontsize=style.TEXT_SIZE, color=style.GREY)


def _summary(num_steps: int, length: float, num_attacks: int, short: bool) -> str:
    decisions = f"{num_steps:,} decision{'s' if num_steps != 1 else ''}"
    lasting = f"{24 * length:g} hours" if short else f"{length:.1f} days"
    attacks = f"{_HEART} {num_attacks:,}" if num_attacks else "no"
    return f"{decisions} in {lasting}, {attacks} heart attack{'s' if num_attacks != 1 else ''}"
