"""What came of a slice: one safetensors file that carries its checksum, whole or not there, never unpickled.

slices/<task>.safetensors
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from agents.sweeps.tasks import Lane
from heartpole_jax import disk, documents

SCHEMA_VERSION = 1
CURVES = ("env_steps", "mean_return", "loss", "q_value", "grad_norm", "episode_return")


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """A slice's members after a rung. Arrays of shape (num_lanes, ...), `curves` (num_lanes, num_chunks)."""

    lanes: tuple[Lane, ...]
    objective: np.ndarray  # float64, the lower the better: regret, or what is known instead; infinite if diverged
    mean_return: np.ndarray  # of the kept policy
    standard_error: np.ndarray
    diverged_at: np.ndarray  # int64, decisions after which it was frozen; -1 if it was not
    weights: np.ndarray  # of the kept policy
    curves: Mapping[str, np.ndarray]  # float64, of this rung, see `CURVES`


def path_of(folder: Path, task: str) -> Path:
    """Where the result of `task` lies in a run folder."""
    return folder / "slices" / f"{task}.safetensors"


def write(folder: Path, task: str, study: str, result: Result) -> None:
    """Writes the result of `task` of the study with the digest `study`. Raises OSError where it cannot."""
    arrays = {
        "lanes": np.asarray(result.lanes, np.int64),
        **{name: getattr(result, name) for name in _ARRAYS},
        **{f"curves/{name}": result.curves[name] for name in CURVES},
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    description = {"schema_version": SCHEMA_VERSION, "study": study, "task": task}
    # One entry: the format puts several in no certain order, and the same result should be the same file.
    metadata = {"manifest": json.dumps({"description": description, "sha256": _digest(arrays, description)})}
    path = path_of(folder, task)
    path.parent.mkdir(exist_ok=True)
    disk.write_atomic(path, safetensors.numpy.save(arrays, metadata))


def read(folder: Path, task: str, study: str) -> Result:
    """The result of `task`.

    Raises:
      ValueError: if the file is damaged, or of another schema version, study or task.
      FileNotFoundError: if there is none.
    """
    path = path_of(folder, task)
    again = f"remove it and resume: the slice is trained again ({path})"
    try:
        content = disk.read_bytes(path, first=_told_size(path) + 1)
        arrays = safetensors.numpy.load(content)
        manifest = documents.parse_json(_metadata(content)["manifest"].encode())
        description = manifest["description"]
        intact = manifest["sha256"] == _digest(arrays, description)
    except (ValueError, KeyError, TypeError, AttributeError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path.name} is no result of a slice, {type(error).__name__}: {error}; {again}") from error
    if not intact:
        raise ValueError(f"{path.name} is not what was saved, its checksum is another; {again}")
    expected = {"schema_version": SCHEMA_VERSION, "study": study, "task": task}
    for name, value in expected.items():
        if description[name] != value:
            raise ValueError(f"{path} has {name} {description[name]!r}, expected {value!r}: it is of another run")
    return Result(
        lanes=tuple(Lane(int(configuration), int(seed)) for configuration, seed in arrays["lanes"]),
        curves={name: arrays[f"curves/{name}"] for name in CURVES},
        **{name: arrays[name] for name in _ARRAYS},
    )


_ARRAYS = ("objective", "mean_return", "standard_error", "diverged_at", "weights")


def _told_size(path: Path) -> int:
    """The size of a safetensors file by its header: of a larger one not all is read."""
    end = 8 + int.from_bytes(disk.read_bytes(path, first=8), "little")
    header = documents.parse_json(disk.read_bytes(path, first=min(end, 2**20))[8:])
    return end + max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")


def _metadata(content: bytes) -> dict[str, str]:
    """The metadata in the header of a safetensors file, whose length is its first eight bytes."""
    length = int.from_bytes(content[:8], "little")
    return documents.parse_json(content[8 : 8 + length])["__metadata__"]


def _digest(arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> str:
    """Of names, types, shapes and bytes, and the description."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
