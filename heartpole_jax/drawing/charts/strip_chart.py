"""One episode as a strip chart: what the developer did, and what the body made of it.

    records = rollout(policy, key, num_envs=1, record=everything).records
    figure = draw_episode(records)
    figure.savefig("episode.png")

Actions lie in rows at the top, the gauges of the environment below them, the score and the return at the bottom.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from heartpole_jax import arguments
from heartpole_jax.drawing.charts import style
from heartpole_jax.envs import physiology
from heartpole_jax.envs.display import ActionInfo, Gauge
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.rollout import Transition

_HALF_HOURS_A_DAY = 48
_HEART, _HEART_FONT = "♥", "DejaVu Sans"  # the font that comes with matplotlib, whatever the user's default
_SHORT = 2.0  # days; below this the axis counts hours, and single half-hours can be distinguished
_RECORD_IT = "take rollout(policy, key, num_envs=1, record=everything).records"
_LEFT, _RIGHT, _TOP, _BOTTOM = 1.0664, 0.9331, 0.9375, 0.6375  # margins, in inches
_HEADING, _BELOW_HEADING = 0.4125, 0.72  # of the two texts at the top, inches from it
_EDGE = 0.15  # inches, of texts that begin at the edge of a narrow figure
_BETWEEN = 0.42  # strips, that of one being 1
# Of what is neither sleep nor idling, in the order of the menu.
_COLOURS = (style.INK, style.ORANGE, style.GREEN, style.BLUE, style.PURPLE, style.GREY)
_LETTER = 0.0973  # width of a letter of a row's name, in inches
_LABEL = 1.246  # inches that "heart attack" takes
_ROW = 0.35  # height of a row, that of a strip being 1
_SLIDE_HOLDS = 4 * _ROW + 5  # HeartPole-v0's rows and strips
_ONE_LINE = 9.0  # inches; in a narrower figure the two texts at the top have a line each


class _Strip(NamedTuple):
    name: str
    values: np.ndarray  # (num_steps + 1,), at every decision and at the end
    shown: tuple[float, float]  # always within the vertical limits
    line: tuple[float, str] | None = None  # a level of interest, drawn where the values come near it
    steps: bool = False  # whether the value jumps at the end of a step, rather than drifting there


class _Row(NamedTuple):
    number: int  # of the action
    action: ActionInfo
    colour: str
    height: float  # of its blocks


class Episode(NamedTuple):
    """What a strip chart shows of one episode."""

    name: str  # of the environment
    rows: list[_Row]
    strips: tuple[_Strip, ...]
    action: np.ndarray  # (num_steps,)
    days: np.ndarray  # (num_steps + 1,), at every decision and at the end
    heart_attack: np.ndarray  # (num_steps,) bool

    @property
    def height(self) -> float:
        """Of its figure, in inches: a slide's where that holds the environment's rows and strips."""
        return style.SLIDE[1] * max((_ROW * len(self.rows) + len(self.strips)) / _SLIDE_HOLDS, 1.0)


@arguments.checked(title=str, env=Environment, width=(int, float))
def draw_episode(
    records: Transition,
    params: Any = None,
    title: str | None = None,
    *,
    env: Environment = HEARTPOLE_V0,
    width: float = style.SLIDE[0],
) -> style.Figure:
    """A figure of one episode of one patient: actions, the gauges of the environment, score and return.

    Time runs in days, and in episodes of under two days the ticks count hours. Nights are shaded, heart attacks are
    vertical marks through every strip. Between two decisions the lines are straight, also through sleep.

    Args:
      records: whole transitions of `env`, leaves of shape (num_steps, 1, ...), as
        `rollout(policy, key, num_envs=1, record=everything).records`.
      params: those of the rollout, for the levels drawn beside the curves; the environment's defaults for None.
      title: a headline.
      env: the environment.
      width: of the figure, in inches; a phone shows one of 5 so that it can be read.

    Raises:
      TypeError: if `records` is not a `Transition`, or `params` are another environment's.
      ValueError: if `records` are of several patients or several episodes, empty, of another environment, or not
        finite, if an action is unknown, if the environment has no gauges, or for a width outside of 4 to 40.
      ImportError: on importing this module without matplotlib.
    """
    if not 4 <= width <= 40:
        raise ValueError(f"width must be from 4 to 40 inches, got {arguments.shown(width)}")
    episode = of(records, params, env)
    figure = style.new_figure((width, episode.height))
    draw_into(figure, (width, episode.height), episode, f"{env.name}: one episode" if title is None else title)
    return figure


def of(records: Transition, params: Any, env: Environment) -> Episode:
    """What there is to draw of an episode. Arguments and errors as for `draw_episode`."""
    params = style.scalar_params(params, env)
    if not env.gauges or not env.actions:
        raise ValueError(f"a strip chart shows gauges and actions, and {env.name!r} has none; give it some")
    records = _one_patient(records, params, env)
    return Episode(
        name=env.name,
        rows=_rows(env.actions),
        strips=_strips(records, params, env),
        action=records.action,
        days=_course(records, "time_elapsed") / _HALF_HOURS_A_DAY,
        heart_attack=records.info.heart_attack,
    )


def draw_into(
    figure: style.Figure, size: tuple[float, float], episode: Episode, title: str, until: float | None = None
) -> None:
    """Draws the episode into an empty figure, or a part of one, of `size` inches.

    Args:
      until: the day that the axis of time ends with, for two episodes on one; by default that of the episode.
    """
    width, height = size
    days, rows, strips = episode.days, episode.rows, episode.strips
    short = (days[-1] if until is None else until) - days[0] < _SHORT
    in_one_line = width >= _ONE_LINE
    left = max(_LEFT, _LETTER * (2 + max(len(row.action.label) for row in rows)))
    top = _TOP if in_one_line else _TOP + _BELOW_HEADING - _HEADING
    grid = figure.add_gridspec(
        1 + len(strips), 1, height_ratios=[_ROW * len(rows)] + [1.0] * len(strips), left=left / width,
        right=1 - _RIGHT / width, top=1 - top / height, bottom=_BOTTOM / height, hspace=_BETWEEN,
    )  # fmt: skip
    # Nights and heart attacks go through all strips, so they are drawn once, behind them.
    backdrop = figure.add_subplot(grid[:, 0], zorder=-1)
    backdrop.set_axis_off()
    backdrop.set_xlim(days[0], days[-1] if until is None else until)
    all_axes = [figure.add_subplot(grid[i], sharex=backdrop, facecolor="none") for i in range(1 + len(strips))]
    for axes in all_axes:
        style.clean(axes)
        axes.tick_params(axis="x", bottom=False, labelbottom=False)
    _draw_actions(all_axes[0], backdrop, rows, episode.action, days[:-1], short)
    for axes, strip in zip(all_axes[1:], strips, strict=True):
        _draw_strip(axes, strip, days)
    _draw_heart_attacks(backdrop, days[1:][episode.heart_attack], room=_LABEL / (width - left - _RIGHT))
    _draw_clock(all_axes[-1], backdrop.get_xlim()[1] - days[0], short, most=10 if in_one_line else 5)
    num_attacks = int(np.sum(episode.heart_attack))
    summary = _summary(len(episode.action), days[-1] - days[0], num_attacks, short)
    colour = style.VERMILLION if num_attacks else style.GREY
    if in_one_line:
        heading, below, beside, aligned = left, _HEADING, width - _RIGHT, "right"
    else:  # from the edge on, where the longest summary fits
        heading, below, beside, aligned = _EDGE, _BELOW_HEADING, _EDGE, "left"
    figure.text(heading / width, 1 - _HEADING / height, style.plain(title), fontsize=style.TITLE_SIZE, color=style.INK)
    figure.text(
        beside / width, 1 - below / height, summary, fontsize=style.TEXT_SIZE, fontfamily=_HEART_FONT, color=colour,
        horizontalalignment=aligned,
    )  # fmt: skip


def action_colours(env: Environment) -> tuple[str, ...]:
    """The colour of each action, by its number, in strips and in maps of actions."""
    return tuple(row.colour for row in sorted(_rows(env.actions), key=lambda row: row.number))


def _course(records: Transition, name: str) -> np.ndarray:
    """The state's `name` at every decision and at the end, of shape (num_steps + 1,)."""
    states = (getattr(records.state, name)[:1], getattr(records.next_state, name))
    return np.concatenate(states).astype(np.float64)


def _rows(actions: Sequence[ActionInfo]) -> list[_Row]:
    """From the bottom row up: what happens most often, and says least, lies lowest; then sleep; the last row of the
    menu before the first."""
    idle: list[_Row] = []
    asleep: list[_Row] = []
    others: list[_Row] = []
    for number, action in enumerate(actions):
        if action.idles:
            idle.append(_Row(number, action, style.PALE, 0.35))
        elif action.wakes_up:
            asleep.append(_Row(number, action, style.SKY, 0.8))
        else:
            others.append(_Row(number, action, _COLOURS[len(others) % len(_COLOURS)], 0.8))
    return idle + asleep + others[::-1]


def _strips(records: Transition, params: Any, env: Environment) -> tuple[_Strip, ...]:
    score = np.asarray(physiology.score(_course(records, "work_done"), _course(records, "time_elapsed")))
    returned = np.concatenate([[0.0], np.cumsum(records.reward, dtype=np.float64)])
    return (
        *(_strip_of(gauge, records, params) for gauge in env.gauges),
        _Strip("score: productive half-hours a half-hour", score, (0.0, 0.5)),
        _Strip("return: rewards so far", returned, (0.0, 1.0), steps=True),
    )


def _strip_of(gauge: Gauge, records: Transition, params: Any) -> _Strip:
    line = None
    if gauge.chart_level is not None:
        at = gauge.chart_level.at
        line = float(getattr(params, at) if isinstance(at, str) else at), gauge.chart_level.name
    return _Strip(gauge.label, _course(records, gauge.field), gauge.chart, line)


def _one_patient(records: Transition, params: Any, env: Environment) -> Transition:
    """`records` as NumPy arrays without the axis of patients. Raises as `draw_episode`."""
    if not isinstance(records, Transition):
        raise TypeError(f"records must be a Transition, got {type(records).__name__}; {_RECORD_IT}")
    fields = (*(gauge.field for gauge in env.gauges), "time_elapsed", "work_done")
    for part, names in {"state": fields, "info": ("heart_attack",)}.items():
        missing = [name for name in names if not hasattr(getattr(records, part), name)]
        if missing:
            raise ValueError(f"records.{part} must be {env.name}'s, got one without {', '.join(missing)}; {_RECORD_IT}")
    own = jax.eval_shape(lambda key: env.reset(key, params)[0], jax.random.key(0))
    arguments.check_type("records.state", records.state, type(own), f"{env.name}'s; or name the environment, env=...")
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
    unknown = np.setdiff1d(records.action, np.arange(env.num_actions))
    if unknown.size:
        raise ValueError(f"actions must be in 0 .. {env.num_actions - 1}, got {unknown.tolist()}")
    torn = records.state.time_elapsed[1:] != records.next_state.time_elapsed[:-1]
    ends = 1 + np.flatnonzero(records.done[:-1] | torn)
    if ends.size:
        raise ValueError(
            f"records must be of one episode, got {len(records.done)} steps of which the first ends after {ends[0]}; "
            f"cut them with jax.tree.map(lambda x: x[:{ends[0]}], records)"
        )
    return records


def _draw_actions(
    axes: style.Axes, backdrop: style.Axes, rows: Sequence[_Row], action: np.ndarray, days: np.ndarray, short: bool
) -> None:
    """A row of blocks for each action, begun at `days`; sleep shades the strips below as well.

    A block is the break, or the half-hour of work where there is none.
    """
    for place, row in enumerate(rows):
        duration = max(row.action.half_hours, 1) / _HALF_HOURS_A_DAY
        blocks = [(start, duration) for start in days[action == row.number]]
        # In a long episode a half-hour is narrower than a pixel, and its outline is what keeps it visible.
        edge, width = ("white", 1.5) if short else (row.colour, 0.0 if row.action.idles else 0.6)
        vertically = (place - row.height / 2, row.height)
        axes.broken_barh(blocks, vertically, facecolor=row.colour, edgecolor=edge, linewidth=width)
        if row.action.wakes_up:
            backdrop.broken_barh(
                blocks, (0, 1), transform=backdrop.get_xaxis_transform(), facecolor=row.colour, alpha=0.13,
                linewidth=0,
                snap=False,  # to whole pixels, which would make stripes of many nights
            )  # fmt: skip
    axes.set_ylim(-0.5, len(rows) - 0.5)
    axes.set_yticks(range(len(rows)), [style.plain(row.action.label) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    for place, row in enumerate(rows):
        count = int(np.sum(action == row.number))
        style.beside(axes, place, f"{count:,} \N{MULTIPLICATION SIGN}", style.GREY if count else style.PALE)


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


def _draw_heart_attacks(backdrop: style.Axes, days: np.ndarray, room: float) -> None:
    """A mark for each; `room` is what a label takes, the width of the axes being 1."""
    low, high = backdrop.get_xlim()
    room *= high - low
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


def _draw_clock(axes: style.Axes, length: float, short: bool, most: int) -> None:
    axes.tick_params(axis="x", bottom=True, labelbottom=True)
    if short:
        hours = next(step for step in (0.5, 1, 2, 6, 12) if length * 24 <= 1.3 * most * step or step == 12)
        axes.xaxis.set_major_locator(style.MultipleLocator(hours / 24))
        axes.xaxis.set_major_formatter(style.FuncFormatter(lambda day, _: f"{24 * day:g}"))
    else:
        axes.xaxis.set_major_locator(style.MaxNLocator(most, steps=[1, 2, 5, 10]))
    axes.set_xlabel("time (hours)" if short else "time (days)", fontsize=style.TEXT_SIZE, color=style.GREY)


def _summary(num_steps: int, length: float, num_attacks: int, short: bool) -> str:
    decisions = f"{num_steps:,} decision{'s' if num_steps != 1 else ''}"
    lasting = f"{24 * length:g} hours" if short else f"{length:.1f} days"
    attacks = f"{_HEART} {num_attacks:,}" if num_attacks else "no"
    return f"{decisions} in {lasting}, {attacks} heart attack{'s' if num_attacks != 1 else ''}"
