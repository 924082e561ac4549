"""Who trains the slices of a sweep, several at a time: by default the devices of this process."""

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import jax

from agents.runs.checkpoint_timer import CheckpointTimer
from agents.sweeps import slices
from agents.sweeps.slice_training import Checkpoints, Interrupted, SliceSpec, Trained, train_slice

Start = Callable[[], slices.SliceState]
OnChunk = Callable[[int, float], None]


class Executor(Protocol):
    """Trains slices elsewhere: in threads, processes, or on other machines."""

    name: str  # as "this machine"
    on_compiled: Callable[[], None]  # is called when programs are ready, if it can be known

    @property
    def num_workers(self) -> int:
        """Slices trained at a time, at most."""
        ...

    @property
    def saving_s(self) -> float:
        """Seconds spent on checkpoints."""
        ...

    def has_room(self, under_way: int) -> bool:
        """Whether it takes another slice beside so many."""
        ...

    def submit(self, spec: SliceSpec, start: Start | None, on_chunk: OnChunk) -> None:
        """Begins a slice, where there is room. `start` and `on_chunk` are as for `train_slice`."""
        ...

    def wait(self) -> tuple[str, Trained | None]:
        """(task, what came of it) of a slice that has ended, None where it was interrupted. Raises what it raised."""
        ...

    def stop(self) -> None:
        """Ends all slices under way, and returns when they have saved where they are, if they can."""
        ...


def local_workers() -> list[jax.Device]:
    """Where this process can train slices at a time: its devices, or as often its first CPU.

    A CPU runs programs of several threads side by side, so all of its workers share what is compiled for one device.
    """
    devices = jax.local_devices()
    return devices[:1] * len(devices) if devices[0].platform == "cpu" else devices


class LocalExecutor:
    """Trains a slice at a time with each worker of this process, in a thread of its own.

    Args:
      workers: the device of each: `local_workers()`.
      folder: the sweep's, where slices are checkpointed.
      checkpoint_every: chunks; None: as many as it takes for saving to cost 2 % of the time.
      skip_damaged: go on from the newest checkpoints that are whole.
      stop_requested: whether slices are to stop.
    """

    def __init__(
        self,
        workers: Sequence[jax.Device],
        folder: Path,
        *,
        checkpoint_every: int | None = None,
        skip_damaged: bool = False,
        stop_requested: Callable[[], bool] = lambda: False,
    ):
        self.name, self.on_compiled = "this machine", lambda: None
        self._num_workers = len(workers)
        self._free = [
            (device, Checkpoints(folder, CheckpointTimer(checkpoint_every), skip_damaged)) for device in workers
        ]
        self._all_checkpoints = [checkpoints for _, checkpoints in self._free]
        self._stop_requested = stop_requested
        self._stopping = threading.Event()
        self._programs: dict[tuple[str, jax.Device], slices.Programs] = {}
        self._compiling = {device: threading.Lock() for device in workers}
        self._ended: queue.SimpleQueue[tuple[str, _Worker, Trained | BaseException]] = queue.SimpleQueue()
        self._under_way = 0

    @property
    def num_workers(self) -> int:
        return self._num_workers

    def has_room(self, under_way: int) -> bool:
        return under_way < self._num_workers

    @property
    def saving_s(self) -> float:
        return sum(checkpoints.timer.saved_s for checkpoints in self._all_checkpoints)

    def submit(self, spec: SliceSpec, start: Start | None, on_chunk: OnChunk) -> None:
        worker = self._free.pop(0)
        self._under_way += 1
        # A daemon: a second Ctrl-C ends the process, whatever its devices do.
        threading.Thread(target=self._work, args=(spec, start, on_chunk, worker), daemon=True).start()

    def wait(self) -> tuple[str, Trained | None]:
        task, worker, ended = self._ended.get()
        self._free.insert(0, worker)
        self._under_way -= 1
        if isinstance(ended, Interrupted):
            return task, None
        if isinstance(ended, BaseException):
            raise ended
        return task, ended

    def stop(self) -> None:
        self._stopping.set()
        while self._under_way:
            self._ended.get()
            self._under_way -= 1

    def _work(self, spec: SliceSpec, start: Start | None, on_chunk: OnChunk, worker: "_Worker") -> None:
        device, checkpoints = worker
        ended: Trained | BaseException
        try:
            ended = train_slice(
                spec, self._compiled(spec.setup, device), start=start, checkpoints=checkpoints,
                stop_requested=lambda: self._stopping.is_set() or self._stop_requested(), on_chunk=on_chunk,
            )  # fmt: skip
        except BaseException as error:  # of whatever kind: the main thread raises it
            ended = error
        self._ended.put((spec.task, worker, ended))

    def _compiled(self, setup: slices.Setup, device: jax.Device) -> slices.Programs:
        key = repr(setup), device
        with self._compiling[device]:
            if key not in self._programs:
                self._programs[key] = slices.build(setup, device)
                self.on_compiled()
            return self._programs[key]


_Worker = tuple[jax.Device, Checkpoints]
