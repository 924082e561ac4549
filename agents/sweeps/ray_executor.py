"""Slices on a Ray cluster: each is a Ray task, which Ray trains again where its worker or its node is lost.

What a slice needs travels with it, this project's code included, and its result comes back through Ray: nodes need no
common file system, only the same Python packages. Where the sweep's folder is common all the same, slices can be
checkpointed in it.
"""

import functools
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

import agents
import heartpole_jax
from agents.runs import trees
from agents.runs.checkpoint_timer import CheckpointTimer
from agents.sweeps import slices, study_folder
from agents.sweeps.executors import OnChunk, Start
from agents.sweeps.slice_training import Checkpoints, SliceSpec, Trained, train_slice

try:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported
    import ray
except ImportError as error:
    raise ImportError("--ray needs Ray: pip install '.[ray]' in the clone") from error

_MOST_RETRIES = 100  # of a slice whose worker or node was lost
_ANSWERS_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.2  # for a signal
_QUEUED = 2  # slices handed to Ray for each that it trains: nodes that join find some


class Share(NamedTuple):
    """What a slice takes of a node."""

    cpus: float = 1.0
    gpus: float = 0.0


class Common(NamedTuple):
    """A sweep's folder that all nodes have, where slices are checkpointed."""

    folder: Path
    checkpoint_every: int | None
    skip_damaged: bool


class RayExecutor:
    """Trains slices on the Ray cluster at `address`; see `executors.Executor`. `close` disconnects.

    Args:
      address: "auto" for the one that Ray finds, or HOST:PORT.
      share: of a node, for each slice.
      common: None: a slice that is lost is trained again from its start.
      stop_requested: whether slices are to stop.

    Raises:
      ValueError: where there is no cluster, one of another version of Ray or Python, or no node that is large enough.
    """

    saving_s = 0.0  # is spent on the nodes

    def __init__(
        self,
        address: str,
        share: Share,
        common: Common | None = None,
        stop_requested: Callable[[], bool] = lambda: False,
    ):
        self.name, self.on_compiled = f"Ray at {address}", lambda: None
        self._share, self._common, self._stop_requested = share, common, stop_requested
        _connect(address)
        try:
            self._check_nodes(address)
        except BaseException:
            ray.shutdown()
            raise
        self._versions = study_folder.versions()
        train = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, max_retries=_MOST_RETRIES)
        self._train = train(_train)
        self._tasks: dict[Any, str] = {}  # by what Ray promised

    @property
    def num_workers(self) -> int:
        """Slices that the nodes of this moment train at a time."""
        return max(1, sum(_fitting(node, self._share) for node in _alive()))

    def has_room(self, under_way: int) -> bool:
        return under_way < _QUEUED * self.num_workers

    def submit(self, spec: SliceSpec, start: Start | None, on_chunk: OnChunk) -> None:
        """Begins a slice; `on_chunk` is not called."""
        state = trees.as_arrays(start()) if start else None
        self._tasks[self._train.remote(spec, state, self._common, self._versions)] = spec.task

    def wait(self) -> tuple[str, Trained | None]:
        """As `Executor.wait`. Raises OSError where Ray has given a slice up."""
        while not (ready := ray.wait(list(self._tasks), num_returns=1, timeout=_LOOK_EVERY_S)[0]):
            if self._stop_requested():
                promise, task = self._tasks.popitem()
                ray.cancel(promise, force=True)
                return task, None
        task = self._tasks.pop(ready[0])
        try:
            return task, ray.get(ready[0])
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, ValueError | OSError | ImportError):
                raise type(cause)(str(cause)) from error
            raise OSError(f"{task} failed on a node of the Ray cluster: {type(cause).__name__}: {cause}") from error
        except ray.exceptions.RayError as error:
            raise OSError(f"Ray has given {task} up: {str(error).strip().splitlines()[0]}") from error

    def stop(self) -> None:
        """Cancels all slices under way; they go on from their last checkpoints, where they have any."""
        for promise in self._tasks:
            ray.cancel(promise, force=True)
        self._tasks.clear()

    def close(self) -> None:
        """Disconnects from the cluster."""
        ray.shutdown()

    def _check_nodes(self, address: str) -> None:
        if not any(_fitting(node, self._share) for node in _alive()):
            most = {name: max((node["Resources"].get(name, 0) for node in _alive()), default=0) for name in _NAMES}
            raise ValueError(
                f"no node of the Ray cluster at {address} has {self._share.cpus:g} CPUs and {self._share.gpus:g} GPUs, "
                f"the largest {most['CPU']:g} and {most['GPU']:g}: see --ray-cpus and --ray-gpus"
            )


_NAMES = ("CPU", "GPU")


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _fitting(node: dict[str, Any], share: Share) -> int:
    """Slices that a node trains at a time."""
    most = [node["Resources"].get(name, 0) / part for name, part in zip(_NAMES, share, strict=True) if part]
    return int(min(most))


def _connect(address: str) -> None:
    """Joins the cluster as a driver. Raises ValueError where that cannot be."""
    if address != "auto":
        _check_answers(address)
    environment = {name: value for name, value in os.environ.items() if name.startswith(("JAX_", "XLA_"))}
    environment.pop("JAX_NUM_CPU_DEVICES", None)  # of this machine; a slice takes one
    packages = [str(Path(package.__file__).parent) for package in (agents, heartpole_jax)]  # type: ignore[arg-type]
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.CRITICAL,
            runtime_env={"py_modules": packages, "env_vars": environment, "excludes": ["**/__pycache__"]},
        )  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"cannot join a Ray cluster at {address}: {reason}; `ray start --head` begins one") from error


def _check_answers(address: str) -> None:
    """Raises ValueError where nothing listens at HOST:PORT, which Ray itself would wait for for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError(f"--ray must be auto or HOST:PORT, as 10.0.0.1:6379, got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWERS_WITHIN_S).close()
    except OSError as error:
        raise ValueError(
            f"nothing answers at {address} ({error.strerror or error}); `ray start --head` prints a cluster's address"
        ) from error


def _train(
    spec: SliceSpec, state: dict[str, Any] | None, common: Common | None, versions: dict[str, str]
) -> Trained:  # fmt: skip
    """Trains a slice, on a node."""
    for name, here in study_folder.versions().items():
        if name in study_folder.SAME and versions.get(name) != here:
            raise ValueError(
                f"the node {ray.util.get_node_ip_address()} of the Ray cluster has {name} {here}, and this machine "
                f"{versions.get(name)}: results would not be the same to the bit"
            )
    programs = _programs(_Hashed(spec.setup))
    start = (lambda: trees.from_arrays(state, programs.forms.state)) if state is not None else None
    checkpoints = None
    if common is not None:
        checkpoints = Checkpoints(common.folder, CheckpointTimer(common.checkpoint_every), common.skip_damaged)
    return train_slice(spec, programs, start=start, checkpoints=checkpoints)


class _Hashed:
    """A set-up as the key of a cache."""

    def __init__(self, setup: slices.Setup):
        self.setup = setup

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and repr(self.setup) == repr(other.setup)

    def __hash__(self) -> int:
        return hash(repr(self.setup))


@functools.lru_cache(maxsize=8)
def _programs(hashed: _Hashed) -> slices.Programs:
    """Compiled once for each set-up in a worker, which Ray uses for one slice after the other."""
    return slices.build(hashed.setup, jax.local_devices()[0])
