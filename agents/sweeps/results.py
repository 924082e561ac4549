"""What came of a sweep: its trials, and its configurations ranked.

Nothing is dropped in silence. A trial that diverged counts as infinitely bad, whatever its policy's value was before:
its row keeps the regret of the policy that is left, with the status "diverged", and the numbers over seeds take it as
infinite. Configurations are ranked by the interquartile mean of regret over their seeds, those whose every seed was
trained to the end first, then those that halving stopped, the longest trained first, then those with a seed that
diverged. Where the best return is unknown, be it of a single trial, the same is done with the mean return, the higher
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
from heartpole_jax.evaluation import gap_name

FINISHED, STOPPED, DIVERGED = "finished", "stopped", "diverged"
STATUSES = (FINISHED, STOPPED, DIVERGED)
METRICS = ("regret", "behind best known", "return")  # what is compared; of the first two less is better
CURVES = ("mean_return", "regret", "loss", "episode_return", "q_value", "grad_norm")


@dataclasses.dataclass(frozen=True, eq=False)
class TrialResult:
    """One configuration trained with one seed."""

    configuration: int  # 0, 1, ...
    seed: int
    values: Mapping[str, Any]  # of the swept names: numbers, bools, texts, or lists of whole numbers
    status: str  # "finished", "stopped" by halving, or "diverged"
    env_steps: int  # decisions that it was trained for
    mean_return: float  # of the kept policy; not a number where it diverged before there was any
    standard_error: float
    regret: float | None  # best known expected return - mean_return; None where that is unknown
    certified: bool  # whether that is regret: no policy has more than the best known one
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
    num_steps: int  # of a trial that is trained to the end
    seeds: tuple[int, ...]
    swept: tuple[str, ...]  # names, in order
    log_scaled: frozenset[str]  # those of them that were drawn or spaced evenly in their logarithm
    keep: str  # which policy a trial ends with: "last" or "best"
    info: Mapping[str, Any]  # JSON: versions, command, duration, ... for the report

    def __post_init__(self) -> None:
        arguments.check_fields(self)


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A configuration over its seeds. The three numbers are regrets, or mean returns, as `metric` is."""

    index: int
    values: Mapping[str, Any]
    metric: str  # of METRICS
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
def metric_of(trials: Iterable[TrialResult]) -> str:
    """ "regret" where the optimum is known for every trial that has not diverged, "behind best known" where a policy is
    that may not be it, "return" where none is."""
    trials = list(trials)
    compared = [trial for trial in trials if trial.status != DIVERGED] or trials
    if any(trial.regret is None for trial in compared):
        return "return"
    return gap_name(all(trial.certified for trial in compared))


def metric_name(metric: str) -> str:
    """What is written at an axis or a number."""
    return "mean return" if metric == "return" else metric


def loss(trial: TrialResult, metric: str) -> float:
    """What a trial counts as in the numbers over seeds, the lower the better: infinite where it diverged.

    Likewise where it is compared by regret, and that is unknown.
    """
    value = -trial.mean_return if metric == "return" else trial.regret
    return math.inf if trial.status == DIVERGED or value is None or math.isnan(value) else value


@arguments.typed()
def rank(trials: Sequence[TrialResult]) -> list[Configuration]:
    """The configurations, best first, see above.

    Raises:
      ValueError: for no trials, an unknown status, or two trials of one configuration and seed.
    """
    _check(trials)
    grouped: dict[int, list[TrialResult]] = {}
    for trial in sorted(trials, key=lambda trial: (trial.configuration, trial.seed)):
        grouped.setdefault(trial.configuration, []).append(trial)
    by_size: dict[int, list[int]] = {}
    for index, own in grouped.items():
        by_size.setdefault(len(own), []).append(index)
    metric = metric_of(trials)
    found = []
    for indices in by_size.values():
        losses = np.array([[loss(trial, metric) for trial in grouped[index]] for index in indices])
        for index, numbers in zip(indices, statistics.over_seeds(losses), strict=True):
            own = grouped[index]
            counts = Counter(trial.status for trial in own)
            found.append(
                Configuration(
                    index=index,
                    values=own[0].values,
                    metric=metric,
                    status=next(status for status in reversed(STATUSES) if counts[status]),
                    counts={status: counts[status] for status in STATUSES},
                    env_steps=max(trial.env_steps for trial in own),
                    num_evaluations=max(len(trial.curve["env_steps"]) for trial in own),
                    **{
                        name: _negative(number) if metric == "return" else number
                        for name, number in numbers._asdict().items()
                    },
                )
            )
    return sorted(found, key=_place)


@arguments.typed()
def best(trials: Sequence[TrialResult]) -> int:
    """The index of the best configuration: by the interquartile mean, of those whose every seed was trained to the end.

    Raises:
      ValueError: where there is none such.
    """
    first = rank(trials)[0]
    if first.status != FINISHED:
        raise ValueError(
            f"no configuration was trained to the end without a seed that diverged: of {len(trials):,} trials, "
            f"{count_line(trials)}; narrow the ranges of the study, lower learning rates first"
        )
    return first.index


@arguments.typed()
def count_line(trials: Iterable[TrialResult]) -> str:
    """How many trials finished, were stopped, and diverged, in words."""
    counts = Counter(trial.status for trial in trials)
    words = {FINISHED: "finished", STOPPED: "stopped early by halving", DIVERGED: "diverged"}
    return ", ".join(f"{counts[status]:,} {words[status]}" for status in STATUSES)


def _place(configuration: Configuration) -> tuple:
    value = configuration.interquartile_mean.value
    stage = STATUSES.index(configuration.status)
    trained = -configuration.num_evaluations if stage == 1 else 0
    return stage, trained, -value if configuration.metric == "return" else value, configuration.index


def _negative(interval: Interval) -> Interval:
    """Of a loss, the return."""
    return Interval(-interval.value, -interval.high, -interval.low)


def _check(trials: Sequence[TrialResult]) -> None:
    if not trials:
        raise ValueError("results need at least one trial, got none")
    for trial in trials:
        if trial.status not in STATUSES:
            raise ValueError(f"a trial's status must be one of {', '.join(STATUSES)}, got {shown(trial.status)}")
    (pair, times), *_ = Counter((trial.configuration, trial.seed) for trial in trials).most_common(1)
    if times > 1:
        raise ValueError(f"configuration {pair[0]} with seed {pair[1]} must be there once, got {times} such trials")
