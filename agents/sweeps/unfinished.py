"""What an unfinished sweep has found so far: the trials of the slices that are done, read from its folder.

Nothing is written, and nothing is locked: the sweep may be going on meanwhile.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from agents.runs import checkpoints
from agents.sweeps import slice_files, slice_training, study_file, study_folder, sweep
from agents.sweeps import study as studies
from agents.sweeps.results import STOPPED, Summary, TrialResult
from agents.sweeps.slice_files import Result
from agents.sweeps.study import Study
from agents.sweeps.tasks import RungSlice, survivors


class UnderWay(NamedTuple):
    """A slice that has begun."""

    task: str
    chunks: int  # done at its last checkpoint
    num_chunks: int  # of a trial that is trained to the end


class Unfinished(NamedTuple):
    """Where a sweep is."""

    trials: list[TrialResult]  # those of configurations that have all of their seeds
    summary: Summary
    num_configurations: int  # of the whole study
    num_begun: int  # configurations of whose seeds some are done, and not all
    waiting: frozenset[int]  # configurations that may go on to another rung: they are not stopped yet
    slices_done: int
    slices_known: int  # all there are to do, but for those of batches that a search has not proposed yet
    batches_left: int  # not proposed yet
    under_way: list[UnderWay]


def read(folder: Path) -> Unfinished:
    """Where the sweep in `folder` is.

    Raises:
      ValueError: for a folder that is no sweep's, and for damaged files: it names them.
    """
    record = study_folder.read(folder, to_go_on=False)
    study, digest = record.study, study_file.digest(record.study)
    trials: list[TrialResult] = []
    waiting: set[int] = set()
    tasks: list[RungSlice] = []
    done: dict[str, Result] = {}
    known = 0
    for batch in range(sweep.count_batches(study)):
        if not (path := sweep.batch_file(folder, batch)).exists():
            break
        known += 1
        configurations = sweep.read_batch(path, batch, study)
        first = batch * studies.batch_size(study)
        settings = {first + i: studies.resolve(study, values) for i, values in enumerate(configurations)}
        own = [task for group in sweep.groups(batch, settings, study, record.slice_size) for task in group.tasks]
        found = {
            task.name: slice_files.read(folder, task.name, digest)
            for task in own
            if slice_files.path_of(folder, task.name).exists()
        }
        trained = [(task, found[task.name]) for task in own if task.name in found]
        trials += sweep.trial_results(trained, dict(zip(settings, configurations, strict=True)), settings, study)
        waiting |= set(_waiting(own, found, study))
        tasks += own
        done |= found
    whole = _whole(trials, len(study.seeds))
    return Unfinished(
        trials=whole,
        summary=sweep.summary(study, {"command": record.command, "begun": record.begun, "versions": record.versions}),
        num_configurations=studies.count(study),
        num_begun=len({trial.configuration for trial in trials}) - len({trial.configuration for trial in whole}),
        waiting=frozenset(waiting & {trial.configuration for trial in whole if trial.status == STOPPED}),
        slices_done=len(done),
        slices_known=len(tasks),
        batches_left=sweep.count_batches(study) - known,
        under_way=_under_way(folder, [task for task in tasks if task.name not in done], study),
    )


def _whole(trials: Sequence[TrialResult], num_seeds: int) -> list[TrialResult]:
    """The trials of the configurations that have all of their seeds: others would be compared by fewer."""
    seeds: dict[int, int] = {}
    for trial in trials:
        seeds[trial.configuration] = seeds.get(trial.configuration, 0) + 1
    return [trial for trial in trials if seeds[trial.configuration] == num_seeds]


def _waiting(tasks: Sequence[RungSlice], done: dict[str, Result], study: Study) -> Iterator[int]:
    """The configurations of done slices whose successor is not done, but for those that it does not train on."""
    for task in tasks:
        if not task.parents or task.name in done:
            continue
        parents = {name: done[name] for name in task.parents if name in done}
        if study.halving and len(parents) == len(task.parents):
            chosen = survivors(
                {name: result.trials for name, result in parents.items()},
                {name: result.objective for name, result in parents.items()},
                study.halving.keep_one_in,
            )
            yield from (survivor.trial.configuration for survivor in chosen)
        else:
            yield from (trial.configuration for result in parents.values() for trial in result.trials)


def _under_way(folder: Path, tasks: Sequence[RungSlice], study: Study) -> list[UnderWay]:
    """Those of the tasks that have a checkpoint."""
    found = []
    for task in tasks:
        chunks = None
        with contextlib.suppress(FileNotFoundError):  # the sweep may remove it meanwhile
            chunks = checkpoints.newest_step(slice_training.folder_of(folder, task.name))
        if chunks is not None:
            found.append(UnderWay(task.name, chunks, study.num_evaluations))
    return found
