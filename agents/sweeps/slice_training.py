"""One slice trained: from its start, or where it was left, to its end. It needs no other slice and one device.

    trained = train_slice(spec, programs, start=None, checkpoints=None)

What comes out depends on `spec` and `start` alone, wherever it runs and however often it is interrupted.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from chex import ArrayTree

from agents.runs import checkpoints, trees
from agents.runs.checkpoint_timer import CheckpointTimer
from agents.sweeps import slices


@dataclasses.dataclass(frozen=True)
class SliceSpec:
    """All that a worker must know of a slice; can be pickled."""

    task: str  # its name
    study: str  # the study's digest
    setup: slices.Setup
    inputs: slices.Inputs  # NumPy arrays
    first_chunk: int  # chunks done before it
    last_chunk: int  # chunks done after it
    is_continued: bool  # a later rung trains on its state


class Trained(NamedTuple):
    """What came of a slice, NumPy arrays."""

    evaluation: slices.Evaluation
    history: slices.Record  # leaves of shape (chunks, slice_size)
    state: dict[str, np.ndarray] | None  # of a slice that is continued, unless its checkpoint holds it
    chunks: int  # trained now: fewer than there are where a checkpoint had some
    seconds: float  # since the last chunk was reported


class Interrupted(Exception):
    """It was stopped, and has saved where it is."""


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """Where slices are checkpointed, and when."""

    folder: Path  # the sweep's
    timer: CheckpointTimer
    skip_damaged: bool = False

    def save(self, spec: SliceSpec, chunk: int, state: slices.SliceState, history: list[slices.Record]) -> None:
        """Raises OSError where it cannot be written."""
        if history:  # else it has only begun
            self.timer.save(lambda: save(self.folder, spec, chunk, _arrays(state, history)))

    def restore(self, spec: SliceSpec, forms: slices.Forms) -> "tuple[int, Any, list[slices.Record]] | None":
        """(chunks done, state, history); None where there is none. Raises ValueError for a damaged one."""
        found = checkpoints.restore(
            folder_of(self.folder, spec.task), _described(spec.study, spec.task), skip_damaged=self.skip_damaged
        )
        if found is None:
            return None
        done = found.step - spec.first_chunk
        form = jax.tree.map(lambda x: jax.ShapeDtypeStruct((done, *x.shape), x.dtype), forms.record)
        saved = trees.from_arrays(found.arrays, {"state": forms.state, "history": form})
        records = [jax.tree.map(lambda x, k=k: x[k], saved["history"]) for k in range(done)]
        return found.step, saved["state"], records


def train_slice(
    spec: SliceSpec,
    programs: slices.Programs,
    *,
    start: Callable[[], slices.SliceState] | None = None,
    checkpoints: Checkpoints | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
    on_chunk: Callable[[int, float], None] = lambda chunk, seconds: None,
) -> Trained:
    """The slice, trained and evaluated.

    Args:
      programs: of `spec.setup`.
      start: makes the state to begin with, NumPy arrays; by default a fresh one.
      checkpoints: where it goes on from, and is saved; None: nowhere.
      stop_requested: is called after each chunk.
      on_chunk: is given the chunks done and the seconds that the last took, but for the last chunk of all.

    Raises:
      Interrupted: where `stop_requested` returned True before the last chunk.
      ValueError: for a damaged checkpoint. OSError: where one cannot be written.
    """
    inputs = programs.put(spec.inputs)
    saved = checkpoints.restore(spec, programs.forms) if checkpoints else None
    if saved is not None:
        chunk, state, history = saved
        state = programs.put(state)
    else:
        chunk, history = spec.first_chunk, []
        state = programs.put(start()) if start else programs.init(inputs)
    chunks_before = chunk
    began = time.perf_counter()
    while chunk < spec.last_chunk:
        began = time.perf_counter()
        state, record = programs.chunk(state, inputs)
        history.append(jax.tree.map(np.array, record))  # waits for the device
        chunk += 1
        if chunk == spec.last_chunk:
            break
        seconds = time.perf_counter() - began
        on_chunk(chunk, seconds)
        stop = stop_requested()
        if checkpoints:
            checkpoints.timer.worked(seconds)
            if stop or checkpoints.timer.due():
                checkpoints.save(spec, chunk, state, history)
        if stop:
            raise Interrupted
    evaluation = jax.tree.map(np.array, programs.evaluate(state, inputs))
    kept = None
    if spec.is_continued and checkpoints:
        if saved is None or chunk > chunks_before:
            checkpoints.save(spec, chunk, state, history)
    elif spec.is_continued:
        kept = _arrays(state, history)
    return Trained(
        evaluation=evaluation,
        history=_stacked(history),
        state=kept,
        chunks=chunk - chunks_before,
        seconds=time.perf_counter() - began,
    )


def save(folder: Path, spec: SliceSpec, chunk: int, arrays: dict[str, np.ndarray]) -> None:
    """Saves a slice's state and history of so many chunks, as `Trained.state` has them. Raises OSError."""
    checkpoints.save(folder_of(folder, spec.task), chunk, arrays, _described(spec.study, spec.task), keep=1)


def final_state(folder: Path, study: str, task: str, last_chunk: int, form: ArrayTree, skip_damaged: bool) -> Any:
    """The state that a slice ended with; None where it is gone. Raises ValueError where it is damaged."""
    found = checkpoints.restore(folder_of(folder, task), _described(study, task), skip_damaged=skip_damaged)
    if found is None or found.step != last_chunk:
        return None
    return trees.from_arrays(trees.below(found.arrays, "state"), form)


def remove(folder: Path, task: str) -> None:
    """Removes a slice's checkpoints. Raises OSError where that cannot be."""
    checkpoints.remove(folder_of(folder, task))


def folder_of(folder: Path, task: str) -> Path:
    """Where a slice's checkpoints lie in a sweep's folder."""
    return folder / "slices" / task


def _described(study: str, task: str) -> dict[str, str]:
    return {"study": study, "task": task}


def _arrays(state: slices.SliceState, history: list[slices.Record]) -> dict[str, np.ndarray]:
    return trees.as_arrays({"state": state, "history": _stacked(history)})


def _stacked(history: list[slices.Record]) -> slices.Record:
    return jax.tree.map(lambda *x: np.stack(x), *history)
