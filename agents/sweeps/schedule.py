"""The devices work through tasks: each holds one slice at a time, and takes the next when it is done.

All devices do one chunk at a time, together. Between chunks slices that are finished are judged and written down, free
devices take the next task, states are checkpointed, and it can be stopped. A slice that was interrupted goes on from
its checkpoint, one that is done is not done again. Which device has a slice, and what the others do, changes no result.
"""

import dataclasses
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from agents.runs import checkpoints, files, trees
from agents.runs.checkpoint_timer import Pacing
from agents.sweeps import cluster, slice_files, slices
from agents.sweeps.fleet import Fleet, on_host
from agents.sweeps.slice_files import Result
from agents.sweeps.tasks import Lane, Survivor, Task, survivors


class Stopped(Exception):
    """Somebody asked to stop, with this signal; everything is saved."""

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class Happened(NamedTuple):
    """What is told of every round of chunks, of all processes together."""

    chunks: int  # done in it
    tasks: int  # likewise
    chunks_left: int  # of all tasks
    tasks_left: int
    best: float  # the lowest objective of a member that has finished a task, infinite before


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """What the tasks have in common."""

    folder: Path
    study: str  # its digest
    setup: slices.Setup
    programs: Callable[[], slices.Programs]  # compiled when there is something to do
    fleet: Fleet
    keep_one_in: int  # configurations of a rung; 1 without halving
    inputs: Callable[[Sequence[Lane]], slices.Inputs]  # of so many lanes as a slice has
    objective: Callable[[Lane, float], float]  # of a member's mean return, the lower the better
    pacing: Pacing
    stop_requested: Callable[[], int | None]  # the signal
    skip_damaged: bool = False
    watch: Callable[[Happened], None] = lambda happened: None


@dataclasses.dataclass
class _Slot:
    """A device's slice."""

    task: Task
    lanes: tuple[Lane, ...]
    inputs: slices.Inputs
    chunk: int  # done, since the members' beginning
    history: list[slices.Record] = dataclasses.field(default_factory=list)  # of this task, on the host


def run(tasks: Sequence[Task], job: Job) -> dict[str, Result]:
    """The results of all tasks, by name, those that were there before included.

    Raises:
      Stopped: after saving, where that was asked for.
      ValueError: for a damaged file, or one of another study.
      OSError: where a file cannot be written.
      cluster.Lost: where another process is gone.
    """
    done = {
        task.name: slice_files.read(job.folder, task.name, job.study)
        for task in tasks
        if slice_files.path_of(job.folder, task.name).exists()
    }
    if cluster.is_first():
        _tidy(tasks, done, job)
    if len(done) == len(tasks):
        return done
    slots: dict[int, _Slot] = {}
    state = job.fleet.zeros(job.programs().state_form)
    inputs: Any = None
    while True:
        fresh = _take(slots, tasks, done, job)
        if not slots:
            return done
        if fresh:
            state, inputs = _load(fresh, slots, state, job)
        began = time.perf_counter()
        chunks = 0
        if not _complete(slots):  # one may come complete from its checkpoint
            state, record = jax.block_until_ready(job.programs().chunk(state, inputs))
            chunks = len(slots)
            _note(record, slots, job)
        finished = _complete(slots)
        if finished:
            _finish(finished, slots, state, inputs, tasks, job)
        wanted = int(cluster.gather(np.int32(job.stop_requested() or 0)).max())  # a barrier: results are on the disk
        for i in finished:
            name = slots.pop(i).task.name
            done[name] = slice_files.read(job.folder, name, job.study)
        if finished and cluster.is_first():
            _tidy(tasks, done, job)
        seconds = time.perf_counter() - began
        best = min((float(result.objective.min()) for result in done.values()), default=np.inf)
        left = [task for task in tasks if task.name not in done]
        under_way = sum(slot.chunk - slot.task.first_chunk for slot in slots.values())
        chunks_left = sum(task.num_chunks for task in left) - under_way
        job.watch(Happened(chunks, len(finished), chunks_left, len(left), best))
        job.pacing.worked(seconds)
        if wanted or job.pacing.due():
            job.pacing.save(lambda: _save(slots, state, job))  # noqa: B023
        if wanted:
            raise Stopped(wanted)


def _complete(slots: Mapping[int, _Slot]) -> list[int]:
    """The devices whose slices have done all of their chunks."""
    return [i for i, slot in slots.items() if slot.chunk == slot.task.last_chunk]


def _note(record: slices.Record, slots: Mapping[int, _Slot], job: Job) -> None:
    """Counts a chunk for every slice, and keeps what happened in those of this process."""
    pieces = job.fleet.split(record)
    for i, slot in slots.items():
        slot.chunk += 1
        if i in pieces:
            slot.history.append(on_host(pieces[i], job.programs().record_form))


def _take(slots: dict[int, _Slot], tasks: Sequence[Task], done: Mapping[str, Result], job: Job) -> list[int]:
    """Gives tasks that are ready to the free devices, late rungs first; the devices that took one."""
    taken = {slot.task.name for slot in slots.values()} | done.keys()
    ready = [task for task in tasks if task.name not in taken and all(parent in done for parent in task.parents)]
    ready.sort(key=lambda task: -task.rung)  # stable: else in the order of the plan
    free = [i for i in range(job.fleet.size) if i not in slots]
    for i, task in zip(free, ready, strict=False):
        lanes = task.lanes or tuple(survivor.lane for survivor in _survivors(task, done, job))
        slots[i] = _Slot(task, lanes, job.inputs(_padded(lanes, job)), task.first_chunk)
    return free[: len(ready)]


def _survivors(task: Task, done: Mapping[str, Result], job: Job) -> list[Survivor]:
    parents = {name: done[name] for name in task.parents}
    return survivors(
        {name: result.lanes for name, result in parents.items()},
        {name: result.objective for name, result in parents.items()},
        job.keep_one_in,
    )


def _padded(lanes: Sequence[Any], job: Job) -> list[Any]:
    """As many as a slice has: the last one again where they are fewer."""
    return [*lanes, *[lanes[-1]] * (job.setup.slice_lanes - len(lanes))]


def _load(fresh: list[int], slots: dict[int, _Slot], state: slices.SliceState, job: Job):
    """(state, inputs) with the states of the slices that `fresh` devices have taken, and all devices' inputs."""
    fleet, idle = job.fleet, next(iter(slots.values())).inputs
    inputs = fleet.put({i: slots[i].inputs if i in slots else idle for i in fleet.local})
    begun = fleet.split(job.programs().init(inputs))
    pieces = fleet.split(state)
    chunks = np.zeros(fleet.size, np.int32)
    for i in fresh:
        if i not in fleet.local:
            continue
        slot = slots[i]
        saved = _restore(slot, job) or _merge(slot, job)
        if saved is None:  # what is in the buffer is never read before it is written
            pieces[i] = slices.with_buffer_of(pieces[i], begun[i], job.setup.config)
        else:
            pieces[i] = fleet.place(saved, i)
        chunks[i] = slot.chunk
    chunks = cluster.gather(chunks).max(axis=0)  # each process knows its own
    for i in fresh:
        slots[i].chunk = int(chunks[i])
    return fleet.join(pieces), inputs


def _restore(slot: _Slot, job: Job) -> slices.SliceState | None:
    """The state of the slot's task from its checkpoint, its chunk and history set likewise; None without one."""
    found = checkpoints.restore(
        _checkpoint_folder(job, slot.task.name), _described(slot.task, job), skip_damaged=job.skip_damaged
    )
    if found is None:
        return None
    slot.chunk = found.step
    form = jax.tree.map(lambda x: jax.ShapeDtypeStruct((slot.chunk - slot.task.first_chunk, *x.shape), x.dtype),
                        job.programs().record_form)  # fmt: skip
    history = trees.from_dicts(found.arrays["history"], form)
    slot.history = [jax.tree.map(lambda x: x[k], history) for k in range(slot.chunk - slot.task.first_chunk)]  # noqa: B023
    return trees.from_dicts(found.arrays["state"], job.programs().state_form)


def _merge(slot: _Slot, job: Job) -> slices.SliceState | None:
    """The states of the survivors of the task's parents in one slice; None for a task without parents."""
    if not slot.task.parents:
        return None
    form = job.programs().state_form
    states: dict[str, slices.SliceState] = {}
    for name in slot.task.parents:
        folder, last = _checkpoint_folder(job, name), slot.task.first_chunk
        files.wait_until(lambda: checkpoints.newest_step(folder) == last)  # noqa: B023
        found = checkpoints.restore(folder, {"study": job.study, "task": name}, skip_damaged=job.skip_damaged)
        if found is None or found.step != last:
            raise ValueError(
                f"the states of {name} are gone, which its successor {slot.task.name} trains on: remove "
                f"{slice_files.path_of(job.folder, name)} and resume: the slice is trained again"
            )
        states[name] = trees.from_dicts(found.arrays["state"], form)
    done = {name: slice_files.read(job.folder, name, job.study) for name in slot.task.parents}
    chosen = _padded(_survivors(slot.task, done, job), job)

    def pick(axis: int | None, *parents: np.ndarray) -> np.ndarray:
        if axis is None:  # all lanes share it
            return parents[0]
        by_name = dict(zip(states, parents, strict=True))
        return np.stack([by_name[survivor.parent][survivor.place] for survivor in chosen])

    return slices.map_lanes(pick, *states.values())


def _finish(finished: list[int], slots: dict[int, _Slot], state, inputs, tasks: Sequence[Task], job: Job) -> None:
    """Judges and writes down the slices of the devices `finished`; before that, the states that others train on."""
    small = slices.without_buffer(state, job.setup.config)
    judged = job.fleet.split(job.programs().judge(small, inputs))
    needed = {parent for task in tasks for parent in task.parents}
    pieces = job.fleet.split(state)
    for i in finished:
        if i not in job.fleet.local:
            continue
        slot = slots[i]
        if slot.task.name in needed:
            _save_slot(slot, pieces[i], job)
        slice_files.write(
            job.folder, slot.task.name, job.study, _result(slot, on_host(judged[i], job.programs().judgement_form), job)
        )


def _result(slot: _Slot, judged: slices.Judgement, job: Job) -> Result:
    num = len(slot.lanes)
    column = lambda of: np.stack([np.asarray(of(record))[:num] for record in slot.history], axis=1)
    alive = column(lambda record: record.alive)
    env_steps = column(lambda record: record.metrics.env_steps).astype(np.float64)
    diverged_at = np.where(alive.all(axis=1), -1, env_steps[np.arange(num), np.argmin(alive, axis=1)])
    objective = [
        job.objective(lane, float(value)) if healthy and np.isfinite(value) else np.inf
        for lane, value, healthy in zip(slot.lanes, judged.mean_return, alive[:, -1], strict=False)
    ]
    metrics = {name: column(lambda record, name=name: getattr(record.metrics, name)) for name in
               ("loss", "q_value", "grad_norm", "episode_return")}  # fmt: skip
    curves = {"env_steps": env_steps, "mean_return": column(lambda record: record.mean_return), **metrics}
    return Result(
        lanes=slot.lanes,
        objective=np.asarray(objective, np.float64),
        mean_return=judged.mean_return[:num].astype(np.float64),
        standard_error=judged.standard_error[:num].astype(np.float64),
        diverged_at=diverged_at.astype(np.int64),
        weights=judged.weights[:num],
        curves={name: values.astype(np.float64) for name, values in curves.items()},
    )


def _save(slots: dict[int, _Slot], state: slices.SliceState, job: Job) -> None:
    pieces = job.fleet.split(state)
    for i, slot in slots.items():
        if i in job.fleet.local:
            _save_slot(slot, pieces[i], job)


def _save_slot(slot: _Slot, piece: slices.SliceState, job: Job) -> None:
    if not slot.history:  # begun, and not trained yet
        return
    arrays = {
        "state": trees.as_dicts(on_host(piece, job.programs().state_form, copy=False)),
        "history": trees.as_dicts(jax.tree.map(lambda *x: np.stack(x), *slot.history)),
    }
    checkpoints.save(_checkpoint_folder(job, slot.task.name), slot.chunk, arrays, _described(slot.task, job), keep=1)


def _tidy(tasks: Sequence[Task], done: Mapping[str, Result], job: Job) -> None:
    """Removes the states of finished tasks that nobody will train on."""
    needed = {parent for task in tasks if task.name not in done for parent in task.parents}
    for name in done.keys() - needed:
        checkpoints.remove(_checkpoint_folder(job, name))


def _described(task: Task, job: Job) -> dict[str, Any]:
    return {"study": job.study, "task": task.name}


def _checkpoint_folder(job: Job, task: str) -> Path:
    return job.folder / "slices" / task
