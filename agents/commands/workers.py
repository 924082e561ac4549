"""Who trains the slices of a sweep, by the flags: this machine, or a Ray cluster."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import jax
import tyro

from agents.runs.stop_signals import StopSignals
from agents.sweeps.executors import Executor, LocalExecutor, local_workers

_MOST_SHARE = 10_000  # of a node


@dataclasses.dataclass(frozen=True)
class RayFlags:
    """Where slices are trained, if not here."""

    ray: Annotated[str | None, tyro.conf.arg(metavar="auto|HOST:PORT")] = None
    """train on this Ray cluster"""
    ray_cpus: float = 1.0
    """CPUs of a node for each slice"""
    ray_gpus: Annotated[float | None, tyro.conf.arg(help_behavior_hint="(default: 1 where JAX has GPUs)")] = None
    """GPUs of a node for each slice; may be a part of one"""
    ray_checkpoints: bool = False
    """checkpoint slices in the run folder, which all nodes have"""


def check(flags: RayFlags) -> None:
    """Raises ValueError for flags that do not go together, or a share of a node that cannot be."""
    if flags.ray is None and flags != RayFlags():
        raise ValueError("--ray-cpus, --ray-gpus and --ray-checkpoints go with --ray")
    for name, number in (("cpus", flags.ray_cpus), ("gpus", flags.ray_gpus or 0.0)):
        if not 0 <= number <= _MOST_SHARE:
            raise ValueError(f"--ray-{name} must be a number from 0 to {_MOST_SHARE:,}, got {number:g}")
    if flags.ray is not None and not (flags.ray_cpus or flags.ray_gpus):
        raise ValueError("--ray-cpus must be above 0 where a slice takes no GPU, got 0")


def at_a_time_here(flags: RayFlags) -> int:
    """Slices that share this machine's memory; a node of a Ray cluster is taken to have as much for one."""
    return 1 if flags.ray else len(local_workers())


@contextlib.contextmanager
def opened(
    folder: Path, flags: RayFlags, checkpoint_every: int | None, skip_damaged: bool, signals: StopSignals
) -> Iterator[Executor]:
    """Who trains the slices; to be opened before signals are heard, since Ray sets handlers of its own.

    Raises:
      ValueError, ImportError: as `RayExecutor`.
    """
    stop_requested = lambda: signals.requested is not None
    if flags.ray is None:
        yield LocalExecutor(
            local_workers(), folder, checkpoint_every=checkpoint_every, skip_damaged=skip_damaged,
            stop_requested=stop_requested,
        )  # fmt: skip
        return
    from agents.sweeps import ray_executor  # here alone: Ray is an extra

    gpus = flags.ray_gpus if flags.ray_gpus is not None else float(jax.default_backend() == "gpu")
    common = None
    if flags.ray_checkpoints:
        common = ray_executor.Common(folder.absolute(), checkpoint_every, skip_damaged)
    share = ray_executor.Share(flags.ray_cpus, gpus)
    with contextlib.closing(ray_executor.RayExecutor(flags.ray, share, common, stop_requested)) as executor:
        yield executor
