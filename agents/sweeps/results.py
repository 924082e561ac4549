"""What came of a sweep: its members, and its configurations ranked.

Nothing is dropped in silence. A member that diverged counts as infinitely bad, whatever its policy was worth before:
its row keeps the regret of the policy that is left, with the status "diverged", and the numbers over seeds take it as
infinite. Configurations are ranked by the interquartile mean of regret over their seeds, those whose every seed was
trained to the end first, then those that halving stopped, the longest trained first, then those with a seed that
diverged. Where the best return is unknown, be it of a single member, the same is done with the mean return, the higher
the better: a regret and a return cannot be compared.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from agents.sweeps import statistics
from agents.sweeps.statistics import Interval
from heartpole_jax import arguments
from heartpole_jax.arguments import shown

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

    def __post_init__(self) -> None:
        arguments.check_fields(self)


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

    def __post_init__(self) -> None:
        arguments.check_fields(self)


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


@arguments.typed()
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


@arguments.typed()
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


@arguments.typed()
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


@arguments.typed()
def count_line(members: Iterable[Member]) -> str:
    """How many members finished, were stopped, and diverged, in words."""
    counts = Counter(member.status for member in members)
    told = {FINISHED: "finished", STOPPED: "stopped early by halving", DIVERGED: "diverged"}
    return ", ".join(f"{counts[status]:,} {told[status]}" for status in STATUSES)


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
            raise ValueError(f"a member's status must be one of {', '.join(STATUSES)}, got {shown(member.status)}")
    (lane, times), *_ = Counter((member.configuration, member.seed) for member in members).most_common(1)
    if times > 1:
        raise ValueError(f"configuration {lane[0]} with seed {lane[1]} must be there once, got {times} such members")
