"""What a sweep has to do: its trials cut into slices, and with halving, slices of the survivors of slices.

A task is one slice of trials through one rung. Without halving a trial has one task from beginning to end. With it, the
configurations of `keep_one_in` slices compete when their rung is over, and the best of them fill one slice of the next
rung: the trials of those that stopped are used again. It is a tournament: the best configuration of all wins every
group that it is in, and no more than `keep_one_in` slices' states are kept for each rung.

The plan depends on the study and the number of trials alone, never on the devices, and so does every result.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from heartpole_jax import arguments, validation
from heartpole_jax.arguments import shown
from heartpole_jax.evaluation import interquartile_mean


class Trial(NamedTuple):
    """What is trained: a configuration with a seed."""

    configuration: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Halving:
    """After each of `rungs` but the last, one in `keep_one_in` configurations goes on.

    Raises:
      ValueError: for what is no whole number from 2 to 1,000.
    """

    keep_one_in: int
    rungs: int

    def __post_init__(self):
        for name, value in vars(self).items():
            if type(value) is not int or not 2 <= value <= 1000:
                raise ValueError(f"halving: {name} must be a whole number from 2 to 1,000, got {shown(value)}")


@dataclasses.dataclass(frozen=True)
class RungSlice:
    """One slice through one rung."""

    name: str  # of its files
    rung: int
    first_chunk: int  # chunks done before it
    last_chunk: int  # chunks done after it
    trials: tuple[Trial, ...] = ()  # of a first rung; fewer than a slice has where trials ran out
    parents: tuple[str, ...] = ()  # tasks whose survivors it trains on

    @property
    def num_chunks(self) -> int:
        return self.last_chunk - self.first_chunk


class Survivor(NamedTuple):
    """A trial of a parent that goes on."""

    parent: str
    place: int  # of the trial in the parent's slice
    trial: Trial


@arguments.typed(
    trials=Sequence,  # a million of them cost nothing
    slice_size=validation.check_size,
    num_chunks=validation.check_size,
    num_seeds=validation.check_size,
)
def plan(
    prefix: str, trials: Sequence[Trial], slice_size: int, num_chunks: int, halving: Halving | None, num_seeds: int
) -> list[RungSlice]:
    """All tasks, parents before children.

    Args:
      prefix: of the tasks' names.
      trials: the trials, all seeds of a configuration one after the other.
      slice_size: trials of a slice; with halving a multiple of `num_seeds`.
      num_chunks: of a whole run; with halving a multiple of keep_one_in^(rungs - 1).
      num_seeds: of a configuration.

    Raises:
      ValueError: if halving and these numbers do not go together.
    """
    rungs = rung_ends(num_chunks, halving)
    if halving and slice_size % num_seeds:
        raise ValueError(
            f"with halving a slice holds whole configurations: its trials must be a multiple of the {num_seeds} seeds, "
            f"got {slice_size}"
        )
    pieces = [tuple(trials[i : i + slice_size]) for i in range(0, len(trials), slice_size)]
    level = [RungSlice(f"{prefix}-rung-0-slice-{i:04}", 0, 0, rungs[0], piece) for i, piece in enumerate(pieces)]
    tasks = list(level)
    for rung in range(1, len(rungs)):
        assert halving is not None
        groups = [level[i : i + halving.keep_one_in] for i in range(0, len(level), halving.keep_one_in)]
        level = [
            RungSlice(f"{prefix}-rung-{rung}-slice-{i:04}", rung, rungs[rung - 1], rungs[rung],
                 parents=tuple(task.name for task in group))
            for i, group in enumerate(groups)
        ]  # fmt: skip
        tasks += level
    return tasks


@arguments.typed(num_chunks=validation.check_size)
def rung_ends(num_chunks: int, halving: Halving | None) -> list[int]:
    """Chunks done when each rung is over.

    Raises:
      ValueError: if `num_chunks` cannot be divided so.
    """
    if halving is None:
        return [num_chunks]
    share = halving.keep_one_in ** (halving.rungs - 1)
    if num_chunks % share:
        raise ValueError(
            f"with {halving.rungs} rungs that keep one in {halving.keep_one_in}, num_evaluations must be a multiple of "
            f"{share}, got {num_chunks}; give {share * -(-num_chunks // share)}"
        )
    return [num_chunks // halving.keep_one_in**i for i in reversed(range(halving.rungs))]


@arguments.typed(keep_one_in=validation.check_size)
def survivors(
    parents: Mapping[str, Sequence[Trial]], objectives: Mapping[str, np.ndarray], keep_one_in: int
) -> list[Survivor]:
    """Who goes on from these tasks: all trials of the best configurations, the best configuration first.

    Args:
      parents: the trials of each task by its name.
      objectives: likewise, one number a trial, the lower the better; infinite where a trial diverged.
      keep_one_in: of so many configurations one goes on, rounded up.
    """
    found: dict[int, list[Survivor]] = {}
    scores: dict[int, list[float]] = {}
    for name, trials in parents.items():
        if name not in objectives or np.shape(objectives[name]) != (len(trials),):
            raise ValueError(
                f"objectives must be an array for each parent, of one number a trial, got none for {name!r}"
            )
        for index, trial in enumerate(trials):
            found.setdefault(trial.configuration, []).append(Survivor(name, index, trial))
            scores.setdefault(trial.configuration, []).append(float(objectives[name][index]))
    ranked = sorted(found, key=lambda configuration: (score(scores[configuration]), configuration))
    kept = ranked[: math.ceil(len(ranked) / keep_one_in)]
    return [survivor for configuration in kept for survivor in found[configuration]]


@arguments.typed()
def score(objectives: Sequence[float]) -> float:
    """A configuration's score over its seeds, the lower the better: the interquartile mean."""
    return float(interquartile_mean(np.asarray(objectives, np.float64)))
