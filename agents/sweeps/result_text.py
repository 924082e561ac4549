"""What a sweep found, in words: the table that is printed, and numbers for people."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from agents.sweeps import statistics
from agents.sweeps.results import FINISHED, STATUSES, Configuration, Summary, TrialResult, count_line, rank
from agents.sweeps.statistics import Interval
from heartpole_jax import arguments


@arguments.typed()
def as_text(trials: Sequence[TrialResult], summary: Summary) -> str:
    """The ten best configurations, in at most 120 columns, and how many trials finished, were stopped, diverged."""
    ranked = rank(trials)
    metric = ranked[0].metric
    names = short_names(summary.swept)
    header = ["rank", *names.values(), "seeds", "median", f"{statistics.mean_name(len(summary.seeds))} [95 %]", "worst"]
    rows = [
        [
            str(place),
            *(value_text(configuration.values.get(name)) for name in summary.swept),
            seeds_text(configuration),
            number_text(configuration.median.value, metric),
            interval_text(configuration.interquartile_mean, metric),
            number_text(configuration.worst.value, metric),
        ]
        for place, configuration in enumerate(ranked[:10], start=1)
    ]
    title = f"{summary.env}: {len(ranked):,} configurations, {metric} over seeds"
    best_of = f", the best {len(rows)} of them" if len(ranked) > len(rows) else ""
    lines = [f"{title}{best_of}", "", *_aligned([header, *rows]), ""]
    if metric == "regret":
        lines.append("Regret is what a policy's expected return lacks of the optimum's: 0 is optimal.")
    elif metric != "return":
        lines.append("The best known policy may not be the best of all: who is better is behind by less than 0.")
    lines.append(f"{len(trials):,} trials: {count_line(trials)}.")
    return "\n".join(lines)


def short_names(swept: Sequence[str]) -> dict[str, str]:
    """The names without what stands before their last dot, where that keeps them apart."""
    last = Counter(name.rpartition(".")[2] for name in swept)
    return {name: short if last[short := name.rpartition(".")[2]] == 1 else name for name in swept}


def value_text(value: Any) -> str:
    """A swept value for people: floats to four digits, near 1 four digits of 1 minus it, lists in brackets.

    Nothing for None.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value):
        if 0.9 < value < 1:  # a discount, or a decay
            return f"{value:.{2 - math.floor(math.log10(1 - value))}f}".rstrip("0")
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return json.dumps(list(value)) if isinstance(value, list | tuple) else str(value)


def number_text(value: float, metric: str = "regret") -> str:
    """A regret or return for people: of a regret about three digits, of a return two decimals."""
    if not math.isfinite(value):
        return "diverged" if math.isinf(value) else ""
    size = abs(value)
    if metric == "return":
        return f"{value:,.2f}" if size < 1000 else f"{value:,.0f}"
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.1 else 4
    return f"{value:,.{decimals}f}"


def interval_text(interval: Interval, metric: str = "regret") -> str:
    """The number and its interval in brackets, where there is one."""
    value, low, high = (number_text(number, metric) for number in interval)
    return f"{value} [{low}, {high}]" if low else value


def seeds_text(configuration: Configuration) -> str:
    """The number of seeds; where not all of them finished, how many did what."""
    counts = configuration.counts
    if counts[FINISHED] == configuration.num_seeds:
        return str(configuration.num_seeds)
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])


def _aligned(cells: Sequence[Sequence[str]], most: int = 120) -> list[str]:
    """The lines of a table; where it is too wide, columns of swept values from the right are left out, and named."""
    rows = [list(row) for row in cells]
    left_out: list[str] = []
    while True:
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        if sum(widths) + 2 * (len(widths) - 1) <= most or len(widths) <= 5:
            break
        left_out.insert(0, rows[0][-5])
        rows = [row[:-5] + row[-4:] for row in rows]
    lines = ["  ".join(map(str.rjust, row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    if left_out:
        lines.append(f"(no room for {', '.join(left_out)}: see configurations.csv)")
    return lines
