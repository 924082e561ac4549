"""The manifest of a folder: what is in it, to the byte, and what it is of.

    manifests.write(folder, step, description, arrays)
    manifest = manifests.verify(folder, description)

The manifest carries its own checksum, and is refused where a single byte of it is another than was written.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from heartpole_jax import disk, documents

SCHEMA_VERSION = 2
FILE = "manifest.json"
_KINDS = {"step": int, "description": dict, "versions": dict, "tree": dict, "files": dict}
_FIELDS = tuple(_KINDS)
_NOTHING = object()


class Damaged(ValueError):
    """Something is not what was saved."""


class Mismatch(ValueError):
    """It is whole, and another run's, or of another version."""


def write(folder: Path, step: int, description: Mapping[str, Any], tree: Mapping[str, Any]) -> None:
    """Writes the manifest of all that is in `folder`, and makes sure that it is all on the disk.

    Args:
      step: the checkpoint's.
      description: JSON, what must be equal for `verify`.
      tree: JSON, the forms of the arrays.

    Raises:
      OSError: where it cannot be written.
    """
    files = {name: _measured(folder / name, sync=True) for name in _listed(folder)}
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "step": step,
        "description": as_json(description),
        "versions": _versions(),
        "tree": dict(tree),
        "files": files,
    }
    manifest["manifest_sha256"] = _checksum(manifest)
    with open(disk.open_new(folder / FILE), "wb") as file:
        file.write(_serialized(manifest))
        file.flush()
        os.fsync(file.fileno())
    for path in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        sync(path)


def verify(path: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """The manifest of the folder `path`, after every byte in it has been compared.

    Args:
      wanted: the description, as of `as_json`.

    Raises:
      Damaged: where it is truncated, altered, or has a file too few or too many.
      Mismatch: where the description, the schema or the version of JAX is another.
      OSError: where it cannot be read.
    """
    manifest = _read_manifest(path)
    if manifest["schema_version"] != SCHEMA_VERSION:
        raise Mismatch(
            f"{path} has schema version {manifest['schema_version']!r}, and this code reads {SCHEMA_VERSION}; go on "
            "with the version of this project that wrote it"
        )
    missing = [name for name in _FIELDS if name not in manifest]
    if missing:
        raise Damaged(f"{path / FILE} lacks {', '.join(missing)}")
    wrong = [name for name, kind in _KINDS.items() if not isinstance(manifest[name], kind)]
    if wrong or not all(
        isinstance(saved, dict) and saved.keys() == {"size", "sha256"} for saved in manifest["files"].values()
    ):
        raise Damaged(f"{path / FILE} is no manifest: {', '.join(wrong) or 'files'} are of another kind")
    differences = _differences(manifest["description"], wanted)
    if differences:
        raise Mismatch(f"{path} is another run's: {'; '.join(differences)}; name that run's folder, or a new one")
    for package, version in _versions().items():
        if manifest["versions"].get(package) != version:
            raise Mismatch(
                f"{path} was saved with {package} {manifest['versions'].get(package)}, and this is {version}: its "
                "numbers could be others; go on with that version, or start anew in another folder"
            )
    _check_files(path, manifest["files"])
    return manifest


def sync(directory: Path) -> None:
    """Makes sure that the names in it are on the disk."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def as_json(description: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes back from JSON. Raises ValueError or TypeError for what JSON cannot hold."""
    return json.loads(json.dumps(dict(description), allow_nan=False))


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        content = disk.read_bytes(path / FILE)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise Damaged(f"{path} is damaged: {FILE} is missing") from None
    try:
        manifest = documents.parse_json(content)
        whole = _serialized(manifest) == content and manifest["manifest_sha256"] == _checksum(manifest)
        manifest["schema_version"]
    except (ValueError, TypeError, KeyError):
        whole = False
    if not whole:
        raise Damaged(f"{path} is damaged: {FILE} is not what was saved ({len(content):,} bytes)")
    return manifest


def _check_files(path: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    there = _listed(path)
    missing, added = sorted(files.keys() - set(there)), sorted(set(there) - files.keys())
    if missing or added:
        told = f"{missing[0]} is missing" if missing else f"{added[0]} was not saved with it"
        raise Damaged(f"{path} is damaged: {told}")
    for name, saved in files.items():
        if (path / name).is_symlink() or not (path / name).is_file():
            raise Damaged(f"{path} is damaged: {name} is no file")
        size = (path / name).stat().st_size
        if size != saved["size"]:
            raise Damaged(f"{path} is damaged: {name} has {size:,} bytes, and {saved['size']:,} were saved")
        if _measured(path / name)["sha256"] != saved["sha256"]:
            raise Damaged(f"{path} is damaged: {name} is not what was saved, its checksum is another")


def _differences(saved: Any, wanted: Any, name: str = "") -> list[str]:
    """What is told of each entry in which two descriptions differ."""
    if isinstance(saved, dict) and isinstance(wanted, dict):
        found = []
        for key in sorted(saved.keys() | wanted.keys()):
            place = f"{name}.{key}" if name else key
            found += _differences(saved.get(key, _NOTHING), wanted.get(key, _NOTHING), place)
        return found
    same = saved == wanted and type(saved) is type(wanted)
    return [] if same else [f"{name} was {_told(saved)} and is {_told(wanted)}"]


def _told(value: Any) -> str:
    return "nothing" if value is _NOTHING else json.dumps(value)


def _serialized(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=2) + "\n").encode()


def _checksum(manifest: Mapping[str, Any]) -> str:
    return documents.checksum({name: value for name, value in manifest.items() if name != "manifest_sha256"})


def _listed(path: Path) -> list[str]:
    """All that is below the path and no folder, but the manifest."""
    names = (str(found.relative_to(path)) for found in path.rglob("*") if found.is_symlink() or not found.is_dir())
    return sorted(name for name in names if name != FILE)


def _measured(path: Path, sync: bool = False) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if sync:
            os.fsync(file.fileno())
        return {"size": os.fstat(file.fileno()).st_size, "sha256": digest}


def _versions() -> dict[str, str]:
    return {package: metadata.version(package) for package in ("jax", "jaxlib")}
