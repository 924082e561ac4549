"""Slices in their order: each is trained when its parents are done and a worker is free.

A slice that was interrupted goes on from its checkpoint, one that is done is not done again. Who trains a slice, and
when, changes no result.
"""

import dataclasses
import functools
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.sweeps import slice_files, slice_training, slices
from agents.sweeps.executors import Executor
from agents.sweeps.slice_files import Result
from agents.sweeps.slice_training import SliceSpec, Trained
from agents.sweeps.tasks import RungSlice, Survivor, Trial, survivors


class Stopped(Exception):
    """Stopped by this signal; everything is saved."""

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class Progress(NamedTuple):
    """What has just been done, and what is left."""

    chunks: int  # done
    slices: int  # likewise: 1 where one has ended
    seconds: float  # that a worker took for it
    chunks_left: int
    slices_left: int
    best: float  # the lowest objective of a trial whose slice has ended, infinite before


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """What the slices have in common."""

    folder: Path
    study: str  # its digest
    setup: slices.Setup
    executor: Executor
    keep_one_in: int  # configurations of a rung; 1 without halving
    inputs: Callable[[Sequence[Trial]], slices.Inputs]  # of so many trials as a slice has
    objective: Callable[[Trial, float], float]  # of a trial's mean return, the lower the better
    stop_requested: Callable[[], int | None]  # the signal
    skip_damaged: bool = False
    on_progress: Callable[[Progress], None] = lambda progress: None


def run(tasks: Sequence[RungSlice], job: Job) -> dict[str, Result]:
    """The results of all tasks, by name, those that were there before included.

    Raises:
      Stopped: after saving, where `stop_requested` returned a signal.
      ValueError: for a damaged file, or one of another study.
      OSError: where a file cannot be written.
    """
    done = {
        task.name: slice_files.read(job.folder, task.name, job.study)
        for task in tasks
        if slice_files.path_of(job.folder, task.name).exists()
    }
    _tidy(tasks, done, job)
    count = _Count(tasks, done, job.on_progress)
    continued = {parent for task in tasks for parent in task.parents}
    under_way: dict[str, SliceSpec] = {}
    trials: dict[str, tuple[Trial, ...]] = {}
    stopped_by = None
    try:
        while len(done) < len(tasks) and not (stopped_by and not under_way):
            for task in [] if stopped_by else _ready(tasks, done.keys(), under_way.keys()):
                if not job.executor.has_room(len(under_way)):
                    break
                chosen = _survivors(task, done, job) if task.parents else []
                trials[task.name] = task.trials or tuple(survivor.trial for survivor in chosen)
                under_way[task.name] = spec = _spec(task, trials[task.name], task.name in continued, job)
                start = functools.partial(_merged, task, chosen, job) if chosen else None
                job.executor.submit(spec, start, functools.partial(count.chunk, task.name))
            name, trained = job.executor.wait()
            spec = under_way.pop(name)
            if trained is not None:
                if trained.state is not None:
                    slice_training.save(job.folder, spec, spec.last_chunk, trained.state)
                slice_files.write(job.folder, name, job.study, _result(trials[name], trained, job))
                done[name] = slice_files.read(job.folder, name, job.study)
                _tidy(tasks, done, job)
                count.ended(name, float(done[name].objective.min()), trained)
            stopped_by = stopped_by or job.stop_requested()
    except BaseException:
        job.executor.stop()  # what the others have is saved
        raise
    if stopped_by:
        raise Stopped(stopped_by)
    return done


class _Count:
    """Chunks and slices done and left, reported to `on_progress`, by one thread at a time."""

    def __init__(self, tasks: Sequence[RungSlice], done: Mapping[str, Result], on_progress: Callable[[Progress], None]):
        self._watch = on_progress
        self._last_chunk = {task.name: task.last_chunk for task in tasks}
        self._left = {task.name: task.num_chunks for task in tasks if task.name not in done}
        self._best = min((float(result.objective.min()) for result in done.values()), default=np.inf)
        self._lock = threading.Lock()

    def chunk(self, name: str, chunk: int, seconds: float) -> None:
        """A slice has done so many chunks, and took `seconds` for the last."""
        with self._lock:
            self._left[name] = self._last_chunk[name] - chunk
            self._report(1, 0, seconds)

    def ended(self, name: str, best: float, trained: Trained) -> None:
        """A slice is done; `best` is the lowest of its objectives."""
        with self._lock:
            self._best = min(self._best, best)
            chunks = min(self._left.pop(name), trained.chunks)
            self._report(chunks, 1, trained.seconds)

    def _report(self, chunks: int, slices: int, seconds: float) -> None:
        left = sum(self._left.values())
        self._watch(Progress(chunks, slices, seconds, left, len(self._left), self._best))


def _ready(tasks: Sequence[RungSlice], done: Any, under_way: Any) -> list[RungSlice]:
    """Tasks that can begin, late rungs first."""
    ready = [task for task in tasks if task.name not in done and task.name not in under_way]
    ready = [task for task in ready if all(parent in done for parent in task.parents)]
    return sorted(ready, key=lambda task: -task.rung)  # stable: else in the order of the plan


def _spec(task: RungSlice, trials: Sequence[Trial], is_continued: bool, job: Job) -> SliceSpec:
    return SliceSpec(
        task=task.name,
        study=job.study,
        setup=job.setup,
        inputs=job.inputs(_padded(trials, job)),
        first_chunk=task.first_chunk,
        last_chunk=task.last_chunk,
        is_continued=is_continued,
    )


def _survivors(task: RungSlice, done: Mapping[str, Result], job: Job) -> list[Survivor]:
    parents = {name: done[name] for name in task.parents}
    return survivors(
        {name: result.trials for name, result in parents.items()},
        {name: result.objective for name, result in parents.items()},
        job.keep_one_in,
    )


def _padded(trials: Sequence[Any], job: Job) -> list[Any]:
    """As many as a slice has: the last one again where they are fewer."""
    return [*trials, *[trials[-1]] * (job.setup.slice_size - len(trials))]


def _merged(task: RungSlice, chosen: Sequence[Survivor], job: Job) -> slices.SliceState:
    """The states of the survivors of the task's parents in one slice. Raises ValueError where one is gone."""
    form = slices.forms(job.setup).state
    states: dict[str, slices.SliceState] = {}
    for name in task.parents:
        states[name] = slice_training.final_state(
            job.folder, job.study, name, task.first_chunk, form, job.skip_damaged
        )  # fmt: skip
        if states[name] is None:
            raise ValueError(
                f"the states of {name} are gone, which its successor {task.name} trains on: remove "
                f"{slice_files.path_of(job.folder, name)} and resume: the slice is trained again"
            )

    def pick(axis: int | None, *parents: np.ndarray) -> np.ndarray:
        if axis is None:  # all trials share it
            return parents[0]
        by_name = dict(zip(states, parents, strict=True))
        return np.stack([by_name[survivor.parent][survivor.place] for survivor in _padded(chosen, job)])

    return slices.map_trials(pick, *states.values())


def _result(trials: tuple[Trial, ...], trained: Trained, job: Job) -> Result:
    num, evaluation, history = len(trials), trained.evaluation, trained.history
    column = lambda values: np.asarray(values)[:, :num].T
    alive = column(history.alive)
    env_steps = column(history.metrics.env_steps).astype(np.float64)
    diverged_at = np.where(alive.all(axis=1), -1, env_steps[np.arange(num), np.argmin(alive, axis=1)])
    objective = [
        job.objective(trial, float(value)) if healthy and np.isfinite(value) else np.inf
        for trial, value, healthy in zip(trials, evaluation.mean_return, alive[:, -1], strict=False)
    ]
    metrics = {
        name: column(getattr(history.metrics, name)) for name in ("loss", "q_value", "grad_norm", "episode_return")
    }  # fmt: skip
    curves = {"env_steps": env_steps, "mean_return": column(history.mean_return), **metrics}
    return Result(
        trials=trials,
        objective=np.asarray(objective, np.float64),
        mean_return=evaluation.mean_return[:num].astype(np.float64),
        standard_error=evaluation.standard_error[:num].astype(np.float64),
        diverged_at=diverged_at.astype(np.int64),
        weights=evaluation.weights[:num],
        curves={name: values.astype(np.float64) for name, values in curves.items()},
    )


def _tidy(tasks: Sequence[RungSlice], done: Mapping[str, Result], job: Job) -> None:
    """Removes the states of finished tasks that no task will train on."""
    needed = {parent for task in tasks if task.name not in done for parent in task.parents}
    for name in done.keys() - needed:
        slice_training.remove(job.folder, name)
