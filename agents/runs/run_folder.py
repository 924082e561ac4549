"""The folder of a training run: what was run, what happened, and what came of it.

config.json           everything to repeat it, and to go on with it
metrics.jsonl         a line for every chunk, see `records`
checkpoints/          while it is unfinished, see `checkpoints`
events.out.tfevents.* the same for TensorBoard, see `events`
policy.safetensors, policy.json     see `saved_policy`
learning_curve.png, evaluation.json
"""

import contextlib
import os
import platform
import socket
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import filelock
import jax

from agents.runs import checkpoints, events, files, records
from agents.runs.recipes import slug
from agents.runs.records import Record
from heartpole_jax import arguments, disk, documents

ROOT = Path("runs")
CONFIG, METRICS, EVALUATION, CURVE = "config.json", "metrics.jsonl", "evaluation.json", "learning_curve.png"
CHECKPOINTS = "checkpoints"
# All that a run writes but TensorBoard's events, as patterns of the shell.
FILES = (CONFIG, METRICS, EVALUATION, CURVE, "policy.json", "policy.safetensors", "report.html", checkpoints.FILES)
LOCK = ".lock"
_PACKAGES = ("heartpole-jax", "jax", "jaxlib", "flax", "optax", "numpy")


@arguments.typed()
def default_folder(env: str, recipe: str, seed: int) -> Path:
    """runs/<environment>-<recipe>-seed-<seed>, without the environment where the recipe's name begins with it."""
    parts = [slug(env), slug(recipe), f"seed-{seed}"]
    return ROOT / "-".join(parts[1:] if f"{parts[1]}-".startswith(f"{parts[0]}-") else parts)


def versions() -> dict[str, str]:
    """What the run was run with."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    devices = jax.devices()
    return found | {"device": f"{len(devices)} x {devices[0].device_kind}"}


@arguments.typed()
@contextlib.contextmanager
def lock(folder: Path | str) -> Iterator[None]:
    """Holds the folder, which is there, for this process alone. The kernel frees it when the process dies, however.

    Raises:
      ValueError: where another process holds it, there are links in it, nothing can be written or locked there.
    """
    folder = Path(folder)
    files.check_no_links(folder)
    held, handle = _locked(folder / LOCK)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()} {socket.gethostname()}".encode())
        yield
    finally:
        with contextlib.suppress(PermissionError):  # on Windows, where `release` removes it
            (folder / LOCK).unlink(missing_ok=True)
        held.release()


def _locked(path: Path) -> tuple[filelock.BaseFileLock, int]:
    """The lock, held, and the handle of its file."""
    while True:
        try:
            os.close(disk.open_own(path, os.O_RDWR | os.O_CREAT))
        except OSError as error:
            raise ValueError(f"cannot write {path.name} in the run folder {path.parent}: {error.strerror}") from error
        handles: list[int] = []
        held = filelock.FileLock(path, blocking=False, fallback_to_soft=False, on_acquired=handles.append)
        try:
            held.acquire()
        except filelock.Timeout:
            if (holder := _holder(path)) is None:
                continue
            raise ValueError(
                f"{path.parent} is in use by {holder}; wait for it, stop it, or name another folder"
            ) from None
        except OSError as error:
            path.unlink(missing_ok=True)
            raise ValueError(
                f"cannot lock {path.parent}, its file system has no locks (flock: {error.strerror}): take a folder on "
                "another one, as in --out /tmp/run, and copy it when the run is finished"
            ) from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handles[0]), os.lstat(path)):
                return held, handles[0]
        held.release()  # another process has just removed the file, or put another in its place


def _holder(path: Path) -> str | None:
    """The process that holds the lock, as its file names it; None where it has just removed the file."""
    try:
        with open(disk.open_own(path, os.O_RDONLY), "rb") as file:
            holder = file.read(300).decode(errors="replace").split()
    except FileNotFoundError:
        return None
    except OSError:  # Windows lets no other process read a locked file
        holder = []
    return f"process {holder[0]} on {holder[1]}" if len(holder) == 2 else "another process"


@arguments.typed()
def is_unfinished(folder: Path | str) -> bool:
    """Whether the folder holds a training run that `resume` can go on with."""
    return (Path(folder) / CONFIG).is_file() and not (Path(folder) / EVALUATION).exists()


class Run:
    """A run's folder while the run is going on; a context manager, which closes its files.

    Args:
      folder: new or empty, and held by this run; with `resume` one that the caller holds, see `lock`.
      config: for config.json; with `resume` that stays as it is.
      resume: the records that stay, those of the checkpoint that the run goes on from.

    Raises:
      ValueError: if `folder` is there and not empty, or a file, or in use, or cannot be made, or has links in it.
      OSError: where it cannot be written.
    """

    def __init__(self, folder: Path | str, config: Mapping[str, Any], resume: Sequence[Record] | None = None):
        self.folder = Path(folder)
        self.records: list[Record] = list(resume or ())
        with contextlib.ExitStack() as stack:
            if resume is None:
                _make(self.folder)
                stack.enter_context(lock(self.folder))
                _check_empty(self.folder)
            files.remove_leftovers(self.folder, FILES)
            if resume is None:
                documents.write(self.folder / CONFIG, config)
            known, self._checksum = records.encode_all(self.records, records.origin(config))
            disk.write_atomic(self.folder / METRICS, known)
            metrics = disk.open_own(self.folder / METRICS, os.O_WRONLY | os.O_APPEND)
            self._metrics: BinaryIO = stack.enter_context(open(metrics, "ab", buffering=0))
            events_file, self._began = events.open_new(self.folder, self.records)
            self._events = stack.enter_context(events_file)
            self._closing = stack.pop_all()

    def record(self, record: Record) -> None:
        """Appends a line to the metrics, and the same to TensorBoard's events. Raises OSError as on a full disk."""
        line, self._checksum = records.encode(record, self._checksum)
        _write_all(self._metrics, line)
        _write_all(self._events, events.encode(record, self._began))
        self.records.append(record)

    def sync(self) -> None:
        """Makes sure that the metrics so far are on the disk: a checkpoint counts on them."""
        os.fsync(self._metrics.fileno())

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()


@arguments.typed()
def read_metrics(folder: Path | str) -> list[dict[str, float | None]]:
    """The records of a run, one a chunk; of a finished one all. Raises as `records.read`, likewise for config.json."""
    path, config, unfinished = Path(folder) / METRICS, documents.read(Path(folder) / CONFIG), is_unfinished(folder)
    found = records.read(path, records.origin(config), may_be_torn=unfinished)
    done = found[-1]["env_steps"] if found else 0
    if not unfinished and done != config.get("num_steps"):
        raise ValueError(f"{path} is damaged: records are missing at its end, the last is after {done:,} steps")
    return found


def write_evaluation(folder: Path, evaluation: Mapping[str, Any]) -> None:
    """Writes the evaluation of a run, which is then finished. Raises as `documents.read` and `documents.write`."""
    documents.write(folder / EVALUATION, evaluation, of=documents.checksum(documents.read(folder / CONFIG)))


def read_evaluation(folder: Path) -> dict[str, Any]:
    """What `write_evaluation` has written, beside the same config.json. Raises as `documents.read`."""
    return documents.read(folder / EVALUATION, of=documents.checksum(documents.read(folder / CONFIG)))


def _write_all(file: BinaryIO, content: bytes) -> None:
    """Without a buffer a write may be of a part, as before a disk is full."""
    while content:
        content = content[file.write(content) :]


def _make(folder: Path) -> None:
    """Makes the folder; where it is there, and no process holds it, it must be empty."""
    if folder.exists() and not (folder / LOCK).exists():
        _check_empty(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make the run folder {folder}: {error.strerror}; see --out") from error


def _check_empty(folder: Path) -> None:
    """Empty, but for the lock and what a process left that was killed at the very beginning."""
    if not folder.is_dir() or any(
        path.name != LOCK and not files.is_leftover(path, FILES) for path in folder.iterdir()
    ):
        resume = f"go on with `python -m agents resume {folder}`, " if is_unfinished(folder) else ""
        raise ValueError(
            f"{folder} is there already, and not empty; {resume}name another folder with --out, or move that one away"
        )
