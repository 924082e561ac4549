"""What came of a sweep: its members, its configurations ranked, and the files that people read.

results.parquet, .csv          one row a member: a configuration and a seed
configurations.parquet, .csv   one row a configuration, best first
curves.parquet                 one row a member, evaluation and name of a curve
manifest.json                  the checksums of these

Nothing is dropped in silence. A member that diverged counts as infinitely bad, whatever its policy was worth before:
its row keeps the regret of the policy that is left, with the status "diverged", and the numbers over seeds take it as
infinite. Configurations are ranked by the interquartile mean of regret over their seeds, those whose every seed was
trained to the end first, then those that halving stopped, the longest trained first, then those with a seed that
diverged. Where the best return is unknown, be it of a single member, the same is done with the mean return, the higher
the better: a regret and a return cannot be compared.
"""

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.sweeps import statistics
from agents.sweeps.statistics import Interval

FINISHED, STOPPED, DIVERGED = "finished", "stopped", "diverged"
STATUSES = (FINISHED, STOPPED, DIVERGED)
CURVES = ("mean_return", "regret", "loss", "episode_return", "q_value", "grad_norm")


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
    """One configuration trained with one seed."""

    configuration: int  # 0, 1, ...
    seed: int
    values: Mapping[str, Any]  # of the swept names: numbers, bools, texts, or lists of whole numbers
    status: str  # "finished", "stopped" by halving, or "diverged"
    env_steps: int  # decisions that it was trained for
    mean_return: float  # of the kept policy; not a number where it diverged before there was any
    standard_error: float
    regret: float | None  # best known expected return - mean_return; None where that is unknown
    diverged_at: int | None  # env_steps at which it was frozen
    curve: Mapping[
        str, np.ndarray
    ]  # "env_steps" and `CURVES`, float64 of shape (evaluations,), nan where there is none


@dataclasses.dataclass(frozen=True)
class Summary:
    """What was swept."""

    name: str
    env: str
    num_steps: int  # of a member that is trained to the end
    seeds: tuple[int, ...]
    swept: tuple[str, ...]  # names, in order
    log_scaled: frozenset[str]  # those of them that were drawn or spaced evenly in their logarithm
    keep: str  # which policy a member ends with: "last" or "best"
    info: Mapping[str, Any]  # JSON: versions, command, duration, ... for the report


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A configuration over its seeds. The three numbers are regrets, or mean returns where `metric` says so."""

    index: int
    values: Mapping[str, Any]
    metric: str  # "regret", the lower the better, or "return", the higher the better
    status: str  # "diverged" where any seed did, else "stopped" where any was, else "finished"
    counts: Mapping[str, int]  # of seeds, by status
    env_steps: int  # of the seed that was trained longest
    num_evaluations: int  # likewise; unlike steps, which are rounded to whole chunks, equal for all of a rung
    median: Interval
    interquartile_mean: Interval
    worst: Interval

    @property
    def num_seeds(self) -> int:
        """Of all statuses."""
        return sum(self.counts.values())


def metric_of(members: Iterable[Member]) -> str:
    """ "regret" where the best expected return is known for every member that has not diverged, "return" elsewhere."""
    members = list(members)
    compared = [member for member in members if member.status != DIVERGED] or members
    return "regret" if all(member.regret is not None for member in compared) else "return"


def loss(member: Member, metric: str) -> float:
    """What a member counts as in the numbers over seeds, the lower the better: infinite where it diverged.

    Likewise where its regret is wanted, and unknown.
    """
    value = member.regret if metric == "regret" else -member.mean_return
    return math.inf if member.status == DIVERGED or value is None or math.isnan(value) else value


def rank(members: Sequence[Member]) -> list[Configuration]:
    """The configurations, best first, see above.

    Raises:
      ValueError: for no members, an unknown status, or two members of one configuration and seed.
    """
    _check(members)
    grouped: dict[int, list[Member]] = {}
    for member in sorted(members, key=lambda member: (member.configuration, member.seed)):
        grouped.setdefault(member.configuration, []).append(member)
    by_size: dict[int, list[int]] = {}
    for index, own in grouped.items():
        by_size.setdefault(len(own), []).append(index)
    metric = metric_of(members)
    found = []
    for indices in by_size.values():
        losses = np.array([[loss(member, metric) for member in grouped[index]] for index in indices])
        for index, numbers in zip(indices, statistics.over_seeds(losses), strict=True):
            own = grouped[index]
            counts = Counter(member.status for member in own)
            found.append(
                Configuration(
                    index=index,
                    values=own[0].values,
                    metric=metric,
                    status=next(status for status in reversed(STATUSES) if counts[status]),
                    counts={status: counts[status] for status in STATUSES},
                    env_steps=max(member.env_steps for member in own),
                    num_evaluations=max(len(member.curve["env_steps"]) for member in own),
                    **{
                        name: number if metric == "regret" else _negative(number)
                        for name, number in numbers._asdict().items()
                    },
                )
            )
    return sorted(found, key=_place)


def best(members: Sequence[Member]) -> int:
    """The index of the best configuration: by the interquartile mean, of those whose every seed was trained to the end.

    Raises:
      ValueError: where there is none such.
    """
    first = rank(members)[0]
    if first.status != FINISHED:
        raise ValueError(
            f"no configuration was trained to the end without a seed that diverged: of {len(members):,} members, "
            f"{count_line(members)}; narrow the ranges of the study, lower learning rates first"
        )
    return first.index


def count_line(members: Iterable[Member]) -> str:
    """How many members finished, were stopped, and diverged, in words."""
    counts = Counter(member.status for member in members)
    told = {FINISHED: "finished", STOPPED: "stopped early by halving", DIVERGED: "diverged"}
    return ", ".join(f"{counts[status]:,} {told[status]}" for status in STATUSES)


def write(folder: Path | str, members: Sequence[Member], summary: Summary) -> None:
    """Writes the six files into the folder, each whole or not at all.

    Raises:
      ValueError: as `rank`, or where a swept name is that of another column.
      OSError: where they cannot be written.
      ImportError: without pyarrow.
    """
    from agents.sweeps import result_files  # here, since pyarrow is slow to import

    ordered = sorted(members, key=lambda member: (member.configuration, member.seed))
    result_files.write(Path(folder), ordered, rank(ordered), summary)


def read(folder: Path | str) -> tuple[list[Member], Summary]:
    """What `write` has written into the folder, the curves included.

    Raises:
      ValueError: where the files are missing or damaged.
      ImportError: without pyarrow.
    """
    from agents.sweeps import result_files

    return result_files.read(Path(folder))


def as_text(members: Sequence[Member], summary: Summary) -> str:
    """The ten best configurations, in at most 120 columns, and how many members finished, were stopped, diverged."""
    ranked = rank(members)
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
        lines.append("Regret is what a policy's expected return lacks of the best known one: 0 is optimal.")
    lines.append(f"{len(members):,} members: {count_line(members)}.")
    return "\n".join(lines)


def short_names(swept: Sequence[str]) -> dict[str, str]:
    """The names without what stands before their last dot, where that tells them apart."""
    last = Counter(name.rpartition(".")[2] for name in swept)
    return {name: short if last[short := name.rpartition(".")[2]] == 1 else name for name in swept}


def value_text(value: Any) -> str:
    """A swept value for people: floats to four digits, near 1 as far as what they lack of it tells, lists in brackets.

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
    """The lines of a table; where it is too wide, columns of swept values from the right are left out, and told."""
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


def _place(configuration: Configuration) -> tuple:
    value = configuration.interquartile_mean.value
    stage = STATUSES.index(configuration.status)
    trained = -configuration.num_evaluations if stage == 1 else 0
    return stage, trained, value if configuration.metric == "regret" else -value, configuration.index


def _negative(interval: Interval) -> Interval:
    """Of a loss, the return."""
    return Interval(-interval.value, -interval.high, -interval.low)


def _check(members: Sequence[Member]) -> None:
    if not members:
        raise ValueError("results need at least one member, got none")
    for member in members:
        if member.status not in STATUSES:
            raise ValueError(f"a member's status must be one of {', '.join(STATUSES)}, got {member.status!r}")
    (lane, times), *_ = Counter((member.configuration, member.seed) for member in members).most_common(1)
    if times > 1:
        raise ValueError(f"configuration {lane[0]} with seed {lane[1]} must be there once, got {times} such members")
