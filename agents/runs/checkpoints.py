"""Checkpoints: where a run that is stopped, or killed, goes on from.

save(folder, step, arrays, description)
checkpoint = restore(folder, description)
checkpoint.step, checkpoint.arrays

folder/step-000000012288.safetensors    see `array_files`
"""

import contextlib
import itertools
import json
import os
import re
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from chex import Array

from agents.runs import array_files, files
from heartpole_jax import disk

SCHEMA_VERSION = 3
SKIP_DAMAGED = "--skip-damaged"  # the command line's name for `skip_damaged`
FILES = "step-[0-9]*.safetensors"  # as a pattern of the shell
_STEP = re.compile(r"step-(\d{12,})\.safetensors")
_NOTHING = object()


class DamagedError(ValueError):
    """Something is not what was saved."""


class MismatchError(ValueError):
    """It is whole, and another run's, or of another version."""


class Checkpoint(NamedTuple):
    """What was saved."""

    step: int
    arrays: dict[str, np.ndarray]
    path: Path


def save(
    folder: Path, step: int, arrays: Mapping[str, np.ndarray | Array], description: Mapping[str, Any], keep: int = 2
) -> Path:
    """The new checkpoint's file in `folder`, which is made; older ones than the newest `keep` are removed.

    Args:
      folder: of this run's checkpoints alone.
      step: at least 0. Another checkpoint of the step is replaced.
      arrays: by name, see `trees` for others.
      description: JSON, what must be equal for a restore.
      keep: at least 1.

    Raises:
      ValueError, TypeError: for arrays or a description that cannot be saved.
      OSError: where it cannot be written, as on a full disk; the checkpoints of before stay.
    """
    folder = Path(folder)
    if step < 0 or keep < 1:
        raise ValueError(f"step must be at least 0 and keep at least 1, got {step} and {keep}")
    path = folder / f"step-{step:012}.safetensors"
    described = {
        "schema_version": SCHEMA_VERSION,
        "step": step,
        "description": as_json(description),
        "versions": _versions(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        array_files.write(path, arrays, described)
        disk.sync(folder)
    except OSError as error:
        raise OSError(f"cannot save a checkpoint in {folder}: {error.strerror}; those before it are kept") from error
    for old in _found(folder)[keep:]:
        old.unlink()
    return path


def restore(folder: Path, description: Mapping[str, Any], *, skip_damaged: bool = False) -> Checkpoint | None:
    """The newest checkpoint in `folder`, None where there is none.

    Args:
      folder: as for `save`, or one that is not there.
      description: as it was saved.
      skip_damaged: take the newest that is whole; damaged ones are renamed, "damaged-...", and named on stderr.

    Raises:
      DamagedError: where the newest is truncated or altered; with `skip_damaged` never.
      MismatchError: where it was saved with another description, schema, or version of JAX.
      OSError: where it cannot be read.
    """
    folder = Path(folder)
    expected = as_json(description)
    for path in _found(folder):
        try:
            return _read(path, expected)
        except DamagedError as error:
            if not skip_damaged:
                raise DamagedError(f"{error}; {_way_out(path, folder, expected)}") from None
            renamed = _free_name(folder / f"damaged-{path.name}")
            os.rename(path, renamed)
            print(f"skipped, and renamed {renamed.name}: {error}", file=sys.stderr)
    return None


def newest_step(folder: Path) -> int | None:
    """The step of the newest checkpoint in `folder`, None where there is none. Nothing of it is opened."""
    return next((_step(path) for path in _found(folder)), None)


def remove(folder: Path) -> None:
    """Removes `folder` with all its checkpoints, damaged ones too. Raises OSError where that cannot be."""
    files.remove_tree(Path(folder))


def as_json(description: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes back from JSON. Raises ValueError or TypeError for what JSON cannot hold."""
    return json.loads(json.dumps(dict(description), allow_nan=False))


def _read(path: Path, expected: dict[str, Any]) -> Checkpoint:
    """The checkpoint in a file, which is compared with its checksum. Raises as `restore`."""
    if path.is_symlink() or not path.is_file():
        raise DamagedError(f"{path} is damaged: it is no file")
    try:
        found, arrays = array_files.read(path)
        version, saved, step, versions = (found[key] for key in ("schema_version", "description", "step", "versions"))
    except KeyError as error:
        raise DamagedError(f"{path} is damaged: it lacks {error}") from error
    except ValueError as error:
        raise DamagedError(f"{path} is damaged: {error}") from error
    if version != SCHEMA_VERSION:
        raise MismatchError(
            f"{path} has schema version {version!r}, and this code reads {SCHEMA_VERSION}; go on with the version of "
            "this project that wrote it"
        )
    if step != _step(path):
        raise DamagedError(f"{path} is damaged: it is of step {step!r:.200}")
    if differences := _differences(saved, expected):
        raise MismatchError(f"{path} is another run's: {'; '.join(differences)}; name that run's folder, or a new one")
    if differences := _differences(versions, _versions()):
        raise MismatchError(
            f"{path} was saved with other versions, its numbers could be others: {'; '.join(differences)}; go on with "
            "those that it was saved with, or start anew in another folder"
        )
    return Checkpoint(step, arrays, path)


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-").removesuffix(".safetensors"))


def _found(folder: Path) -> list[Path]:
    """The checkpoints in the folder, the newest first. Raises OSError where it is there and no folder."""
    there = folder.iterdir() if folder.exists() else ()
    return sorted((path for path in there if _STEP.fullmatch(path.name)), key=_step, reverse=True)


def _free_name(path: Path) -> Path:
    """The path, or where something is there, with the first free number behind it."""
    names = itertools.chain([path], (path.with_name(f"{path.name}-{i}") for i in itertools.count(1)))
    return next(name for name in names if not name.exists())


def _way_out(damaged: Path, folder: Path, expected: dict[str, Any]) -> str:
    for path in _found(folder):
        if path != damaged:
            with contextlib.suppress(DamagedError, MismatchError):
                _read(path, expected)
                return f"the newest good one is {path.name}: {SKIP_DAMAGED} goes on from it"
    return f"there is no other good one: {SKIP_DAMAGED} starts from the beginning"


def _differences(saved: Any, expected: Any, name: str = "") -> list[str]:
    """Each entry in which two descriptions differ."""
    if isinstance(saved, dict) and isinstance(expected, dict):
        found = []
        for key in sorted(saved.keys() | expected.keys()):
            place = f"{name}.{key}" if name else key
            found += _differences(saved.get(key, _NOTHING), expected.get(key, _NOTHING), place)
        return found
    same = saved == expected and type(saved) is type(expected)
    return [] if same else [f"{name} was {_written(saved)} and is {_written(expected)}"]


def _written(value: Any) -> str:
    return "nothing" if value is _NOTHING else json.dumps(value)


def _versions() -> dict[str, str]:
    return {package: metadata.version(package) for package in ("jax", "jaxlib")}
