"""Checkpoints: where a run that is stopped, or killed, goes on from.

    save(folder, step, arrays, description)
    checkpoint = restore(folder, description)
    checkpoint.step, checkpoint.arrays

    folder/step-000000012288/arrays/        Orbax's files
    folder/step-000000012288/manifest.json  what they are, to the byte: see `manifests`

A checkpoint is built beside its place and renamed into it: it is there whole, or not at all. Before Orbax opens
anything every byte has been compared with the manifest, and the manifest with its own checksum. Nothing is unpickled.
"""

import contextlib
import logging
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from chex import ArrayTree

from agents.runs import files, manifests
from agents.runs.manifests import Damaged, Mismatch

SKIP_DAMAGED = "--skip-damaged"  # the command line's name for `skip_damaged`
_ARRAYS = "arrays"
_STEP = re.compile(r"step-(\d{12,})(?:-(\d+))?")  # the second number where the step was saved before
_DTYPES = ("float32", "float64", "int32", "int64", "uint32", "bool")
_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Checkpoint(NamedTuple):
    """What was saved."""

    step: int
    arrays: dict[str, Any]  # nested dicts of NumPy arrays
    path: Path


def save(folder: Path, step: int, arrays: ArrayTree, description: Mapping[str, Any], keep: int = 2) -> Path:
    """The new checkpoint's folder in `folder`, which is made; older ones than the newest `keep` are removed.

    Args:
      folder: of this run's checkpoints alone. Processes of one computation have a folder each.
      step: at least 0; of several checkpoints of one step the last saved is the newest.
      arrays: nested dicts of NumPy or JAX arrays whose data are in this process; see `trees` for others.
      description: JSON, what must be equal for a restore.
      keep: at least 1.

    Raises:
      ValueError, TypeError: for arrays or a description that cannot be saved.
      OSError: where it cannot be written, as on a full disk; the checkpoints of before stay.
      ImportError: without Orbax.
    """
    folder = Path(folder)
    if step < 0 or keep < 1:
        raise ValueError(f"step must be at least 0 and keep at least 1, got {step} and {keep}")
    host, described = _on_host(arrays, ()), manifests.as_json(description)
    orbax = _orbax()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        path = _free_name(folder / f"step-{step:012}")
        partial = folder / f".{path.name}.partial"
        try:
            partial.mkdir()
            _save_arrays(orbax, partial / _ARRAYS, _without_empty(host))
            manifests.write(partial, step, described, forms(host))
            os.rename(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        manifests.sync(folder)
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())[:300]
        raise OSError(f"cannot save a checkpoint in {folder}: {reason.strip()}; those before it are kept") from error
    for old in _found(folder)[keep:]:
        _remove(old)
    return path


def restore(folder: Path, description: Mapping[str, Any], *, skip_damaged: bool = False) -> Checkpoint | None:
    """The newest checkpoint in `folder`, None where there is none.

    Args:
      folder: as for `save`, or one that is not there.
      description: as it was saved.
      skip_damaged: take the newest that is whole; damaged ones are renamed, "damaged-...", and named on stderr.

    Raises:
      Damaged: where the newest is truncated, altered, or has a file too few or too many; with `skip_damaged` never.
      Mismatch: where it was saved with another description, schema, or version of JAX.
      OSError: where it cannot be read.
    """
    folder = Path(folder)
    wanted = manifests.as_json(description)
    for path in _found(folder):
        try:
            manifest = manifests.verify(path, wanted)
            return Checkpoint(manifest["step"], _load(path / _ARRAYS, manifest["tree"]), path)
        except Damaged as error:
            if not skip_damaged:
                raise Damaged(f"{error}; {_way_out(path, folder, wanted)}") from None
            renamed = _free_name(folder / f"damaged-{path.name}")
            os.rename(path, renamed)
            print(f"skipped, and renamed {renamed.name}: {error}", file=sys.stderr)
    return None


def newest_step(folder: Path) -> int | None:
    """The step of the newest checkpoint in `folder`, None where there is none. Nothing of it is opened."""
    return next((int(path.name.split("-")[1]) for path in _found(folder)), None)


def remove(folder: Path) -> None:
    """Removes `folder` with all its checkpoints, damaged ones too. Raises OSError where that cannot be."""
    files.remove_tree(Path(folder))


def forms(tree: Any) -> Any:
    """The nested dicts with [type, shape] in the place of arrays."""
    if isinstance(tree, dict):
        return {key: forms(value) for key, value in tree.items()}
    return [str(tree.dtype), list(tree.shape)]


def _on_host(arrays: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The nested dicts with NumPy arrays. Raises TypeError or ValueError for what is none."""
    place = "/".join(names) or "the tree"
    if not isinstance(arrays, Mapping):
        raise TypeError(f"{place} must be a dict of arrays, got {type(arrays).__name__}")
    host: dict[str, Any] = {}
    for key, value in arrays.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ValueError(f"the keys of {place} must be of letters, digits, _ and -, got {key!r}")
        if isinstance(value, np.ndarray | np.generic | jax.Array):
            if str(value.dtype) not in _DTYPES:
                raise TypeError(f"{key} in {place} must be of one of {', '.join(_DTYPES)}, got {value.dtype}")
            host[key] = np.asarray(value)
        else:
            host[key] = _on_host(value, (*names, key))
    return host


def _without_empty(tree: dict[str, Any]) -> dict[str, Any]:
    """Without empty dicts and arrays, which Orbax refuses: the manifest tells all there is to know of them."""
    kept = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in tree.items()}
    return {key: value for key, value in kept.items() if (value if isinstance(value, dict) else value.size)}


def _found(folder: Path) -> list[Path]:
    """The checkpoints in the folder, the newest first. Raises OSError where it is there and no folder."""
    found = []
    for path in folder.iterdir() if folder.exists() else ():
        match = _STEP.fullmatch(path.name)
        if match:
            found.append((int(match[1]), int(match[2] or 0), path))
    return [path for _, _, path in sorted(found, reverse=True)]


def _free_name(path: Path) -> Path:
    """The path, or where something of that name is there, with the first number behind it that is above all there."""
    numbered = re.compile(re.escape(path.name) + r"(?:-(\d+))?")
    matches = (numbered.fullmatch(there.name) for there in path.parent.iterdir())
    numbers = [int(match[1] or 0) for match in matches if match]
    return path.with_name(f"{path.name}-{max(numbers) + 1}") if numbers else path


def _remove(path: Path) -> None:
    """Renamed first: what a crash leaves of it is no checkpoint."""
    going = path.with_name(f".{path.name}.old")
    os.rename(path, going)
    shutil.rmtree(going)


def _remove_leftovers(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name.startswith(".step-"):  # half written or half removed
            shutil.rmtree(path)


def _way_out(damaged: Path, folder: Path, wanted: dict[str, Any]) -> str:
    for path in _found(folder):
        if path != damaged:
            with contextlib.suppress(Damaged, Mismatch):
                manifests.verify(path, wanted)
                return f"the newest good one is {path.name}: {SKIP_DAMAGED} goes on from it"
    return f"there is no other good one: {SKIP_DAMAGED} starts from the beginning"


def _orbax() -> Any:
    try:
        with _silence():
            import orbax.checkpoint as orbax  # here, since it is an extra and slow to import
    except ImportError as error:
        raise ImportError("checkpoints need orbax-checkpoint: pip install '.[train]' in the clone") from error
    return orbax


def _checkpointer(orbax: Any) -> Any:
    """Of this process alone, without barriers. Plain files, one for each array and not compressed: the fastest."""
    here = jax.process_index()
    alone = orbax.options.MultiprocessingOptions(
        primary_host=here, active_processes={here}, barrier_sync_key_prefix=f"process-{here}"
    )
    handler = orbax.PyTreeCheckpointHandler(
        use_ocdbt=False,
        use_zarr3=True,
        use_compression=False,
        multiprocessing_options=alone,
        type_handler_registry=orbax.type_handlers.create_type_handler_registry((np.ndarray, _writer(orbax))),
    )
    return orbax.Checkpointer(handler, multiprocessing_options=alone)


def _writer(orbax: Any) -> Any:
    """How Orbax writes a NumPy array. Its own way writes in the first process alone, and nothing in the others."""
    import tensorstore

    class Writer(orbax.type_handlers.NumpyHandler):
        async def serialize(self, values, infos, args=None):
            for value, info in zip(values, infos, strict=True):
                if hasattr(info, "await_path_creation"):
                    await info.await_path_creation()
                metadata = {
                    "shape": value.shape,
                    "data_type": value.dtype.name,
                    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": value.shape}},
                }
                spec = {
                    "driver": "zarr3",
                    "kvstore": {"driver": "file", "path": f"{info.parent_dir / info.name}/"},
                    "metadata": metadata,
                    "store_data_equal_to_fill_value": True,
                }
                store = await tensorstore.open(spec, create=True)
                await store.write(value, can_reference_source_data_indefinitely=True)
            return []

    return Writer()


def _save_arrays(orbax: Any, path: Path, arrays: dict[str, Any]) -> None:
    if not arrays:
        return
    with _silence(), contextlib.closing(_checkpointer(orbax)) as checkpointer:
        try:
            checkpointer.save(path.resolve(), args=orbax.args.PyTreeSave(arrays))
        except Exception as error:  # tensorstore makes a ValueError of a full disk
            if isinstance(error, OSError):
                raise
            code = re.search(r"os_error_code='(\d+)'", str(error))
            raise (OSError(int(code[1]), os.strerror(int(code[1]))) if code else OSError(str(error))) from error


def _load(path: Path, tree: dict[str, Any]) -> dict[str, Any]:
    """The arrays of these forms. Raises Damaged where Orbax reads others, or none."""
    loaded: dict[str, Any] = {}
    try:
        expected = _of_forms(tree)
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise Damaged(f"the manifest beside {path} tells of what is no array: {error}") from error
    stored = _without_empty(expected)
    if stored:
        orbax = _orbax()
        as_numpy = jax.tree.map(lambda _: orbax.RestoreArgs(restore_type=np.ndarray), stored)
        with _silence(), contextlib.closing(_checkpointer(orbax)) as checkpointer:
            try:
                loaded = checkpointer.restore(path.resolve(), args=orbax.args.PyTreeRestore(restore_args=as_numpy))
            except Exception as error:
                raise Damaged(f"Orbax cannot read {path}: {' '.join(str(error).split())[:300]}") from error
    arrays = _filled(expected, loaded)
    if forms(arrays) != tree:
        raise Damaged(f"Orbax reads other arrays from {path} than its manifest tells of")
    return arrays


def _of_forms(tree: dict[str, Any]) -> dict[str, Any]:
    """Arrays of these forms, of zeros that take no memory."""
    return {
        key: _of_forms(form) if isinstance(form, dict) else np.broadcast_to(np.zeros((), form[0]), form[1])
        for key, form in tree.items()
    }


def _filled(expected: dict[str, Any], loaded: Mapping[str, Any]) -> dict[str, Any]:
    """`expected` with the loaded arrays in the place of zeros; empty ones are what they were."""
    return {
        key: _filled(value, loaded.get(key, {})) if isinstance(value, dict) else loaded.get(key, value)
        for key, value in expected.items()
    }


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Orbax tells through absl's logger of every step that it takes. One thread at a time is within."""
    logger = logging.getLogger("absl")
    with _ORBAX:
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


_ORBAX = threading.RLock()
