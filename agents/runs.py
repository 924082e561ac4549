"""The folder of a training run: what was run, what happened, and what came of it.

config.json           everything to repeat it
metrics.jsonl         a line for every chunk
events.out.tfevents.* the same for TensorBoard
policy.safetensors, policy.json     see `saved_policy`
learning_curve.png, evaluation.json
"""

import json
import platform
import warnings
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import jax

from agents import files
from agents.recipes import slug

ROOT = Path("runs")
CONFIG, METRICS, EVALUATION, CURVE = "config.json", "metrics.jsonl", "evaluation.json", "learning_curve.png"
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


class Run:
    """A run's folder while the run is going on; a context manager, which closes its files.

    Raises:
      ValueError: if `folder` is there and not empty, or a file, or cannot be made.
      OSError: where it cannot be written.
      ImportError: without tensorboardX.
    """

    def __init__(self, folder: Path | str, config: Mapping[str, Any]):
        self.folder = Path(folder)
        summary_writer = _summary_writer()
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise ValueError(
                f"{self.folder} is there already, and not empty; name another folder with --out, or move that one away"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"cannot make the run folder {self.folder}: {error.strerror}; see --out") from error
        self.write(CONFIG, json.dumps(config, indent=2) + "\n")
        self._metrics = (self.folder / METRICS).open("x", encoding="utf-8")
        with _silence():
            self._events = summary_writer(str(self.folder), flush_secs=5)

    def record(self, record: Mapping[str, float | None]) -> None:
        """Appends a line to the metrics, and the same to TensorBoard's events."""
        self._metrics.write(json.dumps(record) + "\n")
        self._metrics.flush()
        step = int(record["env_steps"] or 0)
        with _silence():
            for name, value in record.items():
                if value is not None and name != "env_steps":
                    self._events.add_scalar(name, value, step)

    def write(self, name: str, text: str) -> None:
        """Writes a file into the folder."""
        files.write_whole(self.folder / name, text.encode())

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._metrics.close()
        with _silence():
            self._events.close()


def read_metrics(folder: Path | str) -> list[dict[str, float | None]]:
    """The records of a run, one a chunk."""
    return [json.loads(line) for line in (Path(folder) / METRICS).read_text(encoding="utf-8").splitlines()]


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
