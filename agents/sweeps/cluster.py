"""Several processes as one: `jax.distributed`, and how they agree.

Every process runs the same program and makes the same decisions; what it must know of the others goes through
`gather`, which is a barrier as well. Files in the run folder are the other way: the folder must be shared.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

import jax
import numpy as np
from numpy.typing import ArrayLike

HEARTBEAT_TIMEOUT_S = 100  # without a sign of life a process is taken for dead

_LONGEST_TIMEOUT_S = 1_000_000


def start(coordinator: str | None, num_processes: int | None, process_id: int | None, timeout_s: float = 300.0) -> None:
    """Joins the processes; before JAX is used. What is None, the cluster tells: SLURM, Kubernetes, Open MPI, TPUs.

    Raises:
      ValueError: for a coordinator that is no HOST:PORT, numbers or a timeout that cannot be, a cluster that is not
        detected, or a coordinator that does not answer within `timeout_s`.
    """
    if not 1 <= timeout_s <= _LONGEST_TIMEOUT_S:
        raise ValueError(f"--timeout must be seconds, from 1 to {_LONGEST_TIMEOUT_S:,}, got {timeout_s:g}")
    given = {"--coordinator": coordinator, "--num-processes": num_processes, "--process-id": process_id}
    missing = [flag for flag, value in given.items() if value is None]
    if missing and len(missing) < len(given):
        raise ValueError(f"{', '.join(missing)} missing: give all of {', '.join(given)}, or none where a cluster tells")
    if not missing:
        assert coordinator is not None
        assert num_processes is not None
        assert process_id is not None
        _check(coordinator, num_processes, process_id)
        if process_id > 0:
            _wait_for(coordinator, timeout_s)
    # JAX ends the process where the others do not come, with a stack trace: a message first.
    who = f"of {num_processes} processes" if num_processes else "of the processes"
    message = f"error: not all {who} have come to the coordinator {coordinator or ''} within {timeout_s:g} s"
    with _deadline(timeout_s, message):
        try:
            jax.distributed.initialize(
                coordinator, num_processes, process_id, initialization_timeout=int(timeout_s) + 60,
                heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT_S,
            )  # fmt: skip
        except (ValueError, RuntimeError) as error:
            found_none = "--distributed alone needs SLURM, Kubernetes, Open MPI or a TPU pod, and none was found"
            raise ValueError(
                f"{found_none if missing else f'cannot join the processes at {coordinator}'}: {error}"
            ) from error


def gather(values: ArrayLike) -> np.ndarray:
    """Everybody's `values`, (num_processes, ...), in the order of processes. A barrier. Raises Lost."""
    values = np.asarray(values)
    if jax.process_count() == 1:
        return values[None]
    from jax.experimental import multihost_utils  # here, since one process alone needs none of it

    try:
        return np.asarray(multihost_utils.process_allgather(values))
    except (jax.errors.JaxRuntimeError, ValueError) as error:  # of which kind depends on where JAX was waiting
        raise Lost(str(error).splitlines()[0]) from error


def check_same(digest: str, what: str) -> None:
    """Raises ValueError, in every process, where `digest`, a text in hexadecimal, is not everybody's."""
    everybody = gather(np.frombuffer(bytes.fromhex(digest), np.uint8))
    others = [i for i, row in enumerate(everybody) if not np.array_equal(row, everybody[0])]
    if others:
        raise ValueError(
            f"the processes must have the same {what}: process {', '.join(map(str, others))} has another than "
            f"process 0 (this is process {jax.process_index()})"
        )


class Lost(RuntimeError):
    """Another process is gone."""


def is_joined() -> bool:
    """Whether this process has joined others."""
    return jax.distributed.is_initialized()


def leave(status: int) -> None:
    """Ends this process where others are lost: the ordinary way out would wait for them."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def is_first() -> bool:
    """Whether this is process 0, which writes what only one may write."""
    return jax.process_index() == 0


def _check(coordinator: str, num_processes: int, process_id: int) -> None:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError(f"--coordinator must be HOST:PORT, as 10.0.0.1:1234, got {coordinator!r}")
    if num_processes < 1:
        raise ValueError(f"--num-processes must be at least 1, got {num_processes}")
    if not 0 <= process_id < num_processes:
        raise ValueError(f"--process-id must be in 0 .. {num_processes - 1}, got {process_id}")


def _wait_for(coordinator: str, timeout_s: float) -> None:
    """Returns when somebody listens at the coordinator's address. Raises ValueError after `timeout_s`."""
    host, _, port = coordinator.rpartition(":")
    until = time.monotonic() + timeout_s
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=max(0.1, min(5.0, until - time.monotonic()))):
                return
        except OSError as error:
            if time.monotonic() > until:
                raise ValueError(
                    f"the coordinator {coordinator} did not answer within {timeout_s:g} s ({error}): is process 0 "
                    "running, and is this its address?"
                ) from error
        time.sleep(0.2)


@contextlib.contextmanager
def _deadline(seconds: float, message: str) -> Iterator[None]:
    """Ends the process with a message if the block takes longer."""

    def end() -> None:
        print(message, file=sys.stderr)
        leave(2)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
