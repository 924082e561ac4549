"""The folder of a training run: what was run, what happened, and what came of it.

config.json           everything to repeat it, and to go on with it
metrics.jsonl         a line for every chunk
checkpoints/          while it is unfinished, see `checkpoints`
events.out.tfevents.* the same for TensorBoard
policy.safetensors, policy.json     see `saved_policy`
learning_curve.png, evaluation.json
"""

import contextlib
import fcntl
import json
import os
import platform
import socket
import warnings
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import jax

from agents import files
from agents.recipes import slug

ROOT = Path("runs")
CONFIG, METRICS, EVALUATION, CURVE = "config.json", "metrics.jsonl", "evaluation.json", "learning_curve.png"
CHECKPOINTS = "checkpoints"
_LOCK = ".lock"
_PACKAGES = ("heartpole-jax", "jax", "jaxlib", "flax", "optax", "numpy")


def default_folder(env: str, recipe: str, seed: int) -> Path:
    """runs/<environment>-<recipe>-seed-<seed>, where the recipe is called otherwise than the environment."""
    parts = [slug(env), slug(recipe), f"seed-{seed}"]
    return ROOT / "-".join(parts[1:] if parts[0] == parts[1] else parts)


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


@contextlib.contextmanager
def lock(folder: Path | str) -> Iterator[None]:
    """Holds the folder, which is there, for this process alone. The kernel frees it when the process dies, however.

    Raises:
      ValueError: where another process holds it, or nothing can be written there.
    """
    path = Path(folder) / _LOCK
    handle = _locked(path)
    try:
        os.truncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {socket.gethostname()}".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _locked(path: Path) -> int:
    """The open lock file, locked."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ValueError(f"cannot write in the run folder {path.parent}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
            os.close(handle)  # its holder has just removed it
        except BlockingIOError:
            holder = os.pread(handle, 300, 0).decode(errors="replace").split()
            os.close(handle)
            told = f"process {holder[0]} on {holder[1]}" if len(holder) == 2 else "another process"
            raise ValueError(
                f"{path.parent} is in use by {told}; wait for it, stop it, or name another folder"
            ) from None


def is_unfinished(folder: Path | str) -> bool:
    """Whether the folder holds a training run that `resume` can go on with."""
    return (Path(folder) / CONFIG).is_file() and not (Path(folder) / EVALUATION).exists()


class Run:
    """A run's folder while the run is going on; a context manager, which closes its files.

    Args:
      folder: new or empty, and held by this run; with `resume` one that the caller holds, see `lock`.
      config: for config.json; with `resume` that stays as it is.
      resume: how many records of the metrics stay, those of the checkpoint that the run goes on from.

    Raises:
      ValueError: if `folder` is there and not empty, or a file, or in use, or cannot be made, or holds fewer records.
      OSError: where it cannot be written.
      ImportError: without tensorboardX.
    """

    def __init__(self, folder: Path | str, config: Mapping[str, Any], resume: int | None = None):
        self.folder = Path(folder)
        summary_writer = _summary_writer()
        with contextlib.ExitStack() as stack:
            if resume is None:
                _make(self.folder)
                stack.enter_context(lock(self.folder))
                _check_empty(self.folder)
            files.remove_leftovers(self.folder)
            if resume is None:
                self.write(CONFIG, json.dumps(config, indent=2) + "\n")
                self.write(METRICS, "")
                step = None
            else:
                step = self._cut_metrics(resume)
            self._metrics = stack.enter_context((self.folder / METRICS).open("a", encoding="utf-8"))
            with _silence():
                self._events = summary_writer(
                    str(self.folder), flush_secs=5, purge_step=None if step is None else step + 1
                )
            self._closing = stack.pop_all()

    def _cut_metrics(self, count: int) -> int:
        """Leaves the first `count` records alone; returns the step of the last. A line that a crash tore is cut too."""
        path = self.folder / METRICS
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        if len(lines) < count or not all(line.endswith(b"\n") for line in lines[:count]):
            raise ValueError(
                f"{path} has fewer records than the {count} of the checkpoint: put it back, or train "
                "again in another folder"
            )
        files.write_whole(path, b"".join(lines[:count]))
        return int(json.loads(lines[count - 1])["env_steps"]) if count else 0

    def record(self, record: Mapping[str, float | None]) -> None:
        """Appends a line to the metrics, and the same to TensorBoard's events."""
        self._metrics.write(json.dumps(record) + "\n")
        self._metrics.flush()
        step = int(record["env_steps"] or 0)
        with _silence():
            for name, value in record.items():
                if value is not None and name != "env_steps":
                    self._events.add_scalar(name, value, step)

    def sync(self) -> None:
        """Makes sure that the metrics so far are on the disk: a checkpoint counts on them."""
        os.fsync(self._metrics.fileno())

    def write(self, name: str, text: str) -> None:
        """Writes a file into the folder."""
        files.write_whole(self.folder / name, text.encode())

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._closing, _silence():
            self._events.close()


def read_metrics(folder: Path | str) -> list[dict[str, float | None]]:
    """The records of a run, one a chunk."""
    return [json.loads(line) for line in (Path(folder) / METRICS).read_text(encoding="utf-8").splitlines()]


def _make(folder: Path) -> None:
    """Makes the folder; where it is there, and nobody holds it, it must be empty."""
    if folder.exists() and not (folder / _LOCK).exists():
        _check_empty(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make the run folder {folder}: {error.strerror}; see --out") from error


def _check_empty(folder: Path) -> None:
    if not folder.is_dir() or any(path.name != _LOCK and not files.is_leftover(path) for path in folder.iterdir()):
        resume = f"go on with `python -m agents resume {folder}`, " if is_unfinished(folder) else ""
        raise ValueError(
            f"{folder} is there already, and not empty; {resume}name another folder with --out, or move that one away"
        )


def _summary_writer() -> Any:
    try:
        with _silence():
            from tensorboardX import SummaryWriter  # here, since it is an extra
    except ImportError as error:
        raise ImportError("training needs tensorboardX: pip install 'heartpole-jax[train]'") from error
    return SummaryWriter


def _silence() -> warnings.catch_warnings:
    """tensorboardX warns of NumPy's and protobuf's future, which is none of the user's business."""
    return warnings.catch_warnings(action="ignore")
