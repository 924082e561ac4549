"""The finished cells as a table and a figure: regret by algorithm and decisions, and regret against compute."""

import collections
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import algorithms_cells
import numpy as np
import report
from algorithms_cells import CONTENDERS, REWARDS, Cell

from heartpole_jax.drawing.charts import style

_TITLES = {"expected": "Expected penalties", "raw": "Raw rewards"}
_COLOURS = {"DQN": style.BLUE, "PQN": style.GREEN, "PPO": style.VERMILLION, "A2C": style.PURPLE, "IQN": style.ORANGE}
_MARKS = {
    "features": ("D", "--"),
    "recipe": ("o", "-"),
    "ours": ("o", "--"),
    "rejax": ("s", ":"),
    "stable_baselines3": ("^", "-."),
}
_REFERENCES = {
    "always asleep": 0.27924,
    "the package's reference": 15.449,
    "always coffee": 2259.83,
}  # docs/evaluation.md
_LEAST = 1e-4  # of a regret in the figure: below it, it is evaluation's noise


class Group(NamedTuple):
    """All seeds of one contender with one kind of rewards and one number of decisions."""

    regret: np.ndarray  # (num_seeds,)
    drinks_a_day: np.ndarray  # (num_seeds,)
    seconds: float  # of training a seed, on one core
    rate: float  # decisions a second, on one core


def groups(cells: Iterable[Cell], folder: Path) -> dict[tuple[str, str, int], Group]:
    """(contender, rewards, decisions) -> what its finished cells measured. Raises ValueError for a damaged file."""
    files: dict[tuple[str, str, int], list[dict[str, Any]]] = collections.defaultdict(list)
    for cell in cells:
        content = algorithms_cells.read(cell, folder)
        if content is not None:
            files[cell.contender, cell.rewards, cell.decisions].append(content)
    return {key: _group(found) for key, found in files.items()}


def _group(found: list[dict[str, Any]]) -> Group:
    regret, drinks = (np.concatenate([each[name] for each in found]) for name in ("regret", "drinks_a_day"))
    seconds = sum(each["seconds"] for each in found)
    decisions = sum(each["decisions"] * len(each["regret"]) for each in found)
    return Group(regret, drinks, seconds / len(regret), decisions / seconds)


def rows(found: Mapping[tuple[str, str, int], Group], rewards: str) -> list[list[str]]:
    """Header and rows for one kind of rewards: a row for each contender, columns for each number of decisions."""
    lengths = sorted({decisions for _, _, decisions in found})
    header = [f"{_TITLES[rewards].lower()}; observations"]
    for length in lengths:
        header += [f"{length:,} decisions: regret", "drink"]
    lines = [[*header, "decisions/s"]]
    for name, contender in CONTENDERS.items():
        mine = [found.get((name, rewards, length)) for length in lengths]
        if any(mine):
            cells = [text for group in mine for text in _texts(group)]
            rate = max(group.rate for group in mine if group)
            title = contender.title if name.endswith("-features") else f"{contender.title}; {contender.observations}"
            lines.append([f"**{title}**" if contender.tuned else title, *cells, report.number(rate)])
    return lines


def _texts(group: Group | None) -> tuple[str, str]:
    """Median and tenth to ninth decile of the regret; how many of the seeds drink."""
    if group is None:
        return "", ""
    low, middle, high = (_regret(value) for value in np.quantile(group.regret, (0.1, 0.5, 0.9)))
    return f"{middle} ({low} to {high})", f"{np.sum(group.drinks_a_day > 0)} of {len(group.regret)}"


def _regret(value: float) -> str:
    """Four decimals below 1, whole numbers from 100 on."""
    size = abs(value)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 4}f}"


def markdown(found: Mapping[tuple[str, str, int], Group]) -> str:
    """Both tables."""
    kinds = [rewards for rewards in REWARDS if any(key[1] == rewards for key in found)]
    return "\n\n".join(report.markdown(rows(found, rewards)) for rewards in kinds)


def draw(found: Mapping[tuple[str, str, int], Group]) -> style.Figure:
    """Regret against the core-seconds of training a seed: medians, and bars from the first to the ninth decile."""
    figure = style.new_figure((14.5, 6.6))
    seconds = [group.seconds for group in found.values()]
    labels: dict[str, Any] = {}
    for i, rewards in enumerate(REWARDS):
        axes = figure.add_axes((0.075 + 0.345 * i, 0.12, 0.325, 0.79))
        _set_axes(axes, rewards, (min(seconds) / 1.6, max(seconds) * 1.6))
        axes.tick_params(labelleft=i == 0)
        if i == 0:
            axes.set_ylabel("regret", fontsize=style.TEXT_SIZE, color=style.GREY)
        for name in CONTENDERS:
            mine = sorted((key[2], group) for key, group in found.items() if key[:2] == (name, rewards))
            if mine:
                labels[CONTENDERS[name].title] = _draw_line(axes, name, [group for _, group in mine])
    figure.legend(
        labels.values(), labels.keys(), loc="center left", bbox_to_anchor=(0.755, 0.5), frameon=False, fontsize=12
    )
    return figure


def _set_axes(axes: style.Axes, rewards: str, limits: tuple[float, float]) -> None:
    """Scales, titles, and the regrets of three policies that are no learner's."""
    style.clean(axes)
    for label, value in _REFERENCES.items():
        axes.axhline(value, color=style.PALE, linewidth=1.0, zorder=0)
        axes.annotate(
            label,
            (1, value),
            xycoords=("axes fraction", "data"),
            fontsize=11,
            bbox=style.OVER_LINES,
            zorder=1,
            color=style.GREY,
            ha="right",
            va="bottom",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(limits)
    axes.set_ylim(_LEAST / 1.3, 5e3)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(style.FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(style.FuncFormatter(lambda value, _: ""))
    axes.set_title(_TITLES[rewards], loc="left", fontsize=style.TITLE_SIZE, color=style.INK)
    axes.set_xlabel("seconds of training a seed, on one core", fontsize=style.TEXT_SIZE, color=style.GREY)


def _draw_line(axes: style.Axes, name: str, mine: list[Group]) -> Any:
    """Draws a contender's medians and bars, and returns the line for the legend."""
    contender = CONTENDERS[name]
    colour = _COLOURS[contender.title.partition(",")[0]]
    kind = "recipe" if contender.tuned else "features" if name.endswith("-features") else contender.library
    marker, dashes = _MARKS[kind]
    low, middle, high = (
        np.maximum([np.quantile(group.regret, share) for group in mine], _LEAST) for share in (0.1, 0.5, 0.9)
    )
    seconds = [group.seconds for group in mine]
    axes.vlines(seconds, low, high, color=colour, linewidth=1.2, alpha=0.6)
    (line,) = axes.plot(
        seconds, middle, dashes, marker=marker, color=colour, markersize=7, linewidth=1.6,
        markerfacecolor=colour if contender.tuned else "white",
    )  # fmt: skip
    return line
