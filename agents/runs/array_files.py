"""Arrays by name in one file, with a description and a checksum of both: safetensors' format, never unpickled.

    array_files.write(path, arrays, description)
    description, arrays = array_files.read(path)

A file is there whole or not at all, and the same content is the same bytes. It is written from the arrays' own memory,
by an open file of ours: the library copies them, or writes a file of another name first, which a crash would leave.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from chex import Array

from heartpole_jax import disk, documents

# The format's names of types, in its order of them within a file.
_TYPES = {"int64": "I64", "float64": "F64", "float32": "F32", "uint32": "U32", "int32": "I32", "bool": "BOOL"}
_MANIFEST = "manifest"


def write(path: Path, arrays: Mapping[str, np.ndarray | Array], description: Mapping[str, Any]) -> None:
    """Writes the file, whole or not at all.

    Args:
      arrays: whose data are in this process; any shapes, of one of the types above.
      description: JSON.

    Raises:
      TypeError: for an array of another type.
      OSError: where it cannot be written.
    """
    found = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in found.items():
        if array.dtype.name not in _TYPES:
            raise TypeError(f"{name} must be of one of the types {', '.join(_TYPES)}, got {array.dtype}")
    manifest = json.dumps({"description": description, "sha256": _digest(found, description)})
    # One entry, with all in it: the format has no certain order of several.
    header: dict[str, Any] = {"__metadata__": {_MANIFEST: manifest}}
    ranks, end = list(_TYPES), 0
    ordered = sorted(found, key=lambda name: (ranks.index(found[name].dtype.name), name))
    for name in ordered:
        array, begin, end = found[name], end, end + found[name].nbytes
        header[name] = {"dtype": _TYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    disk.write_atomic(path, len(text).to_bytes(8, "little"), text, *(_flat(found[name]) for name in ordered))


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(description, arrays), as they were written.

    Raises:
      ValueError: where the file is not what was written.
      OSError: where it cannot be read, or is no regular file.
    """
    disk.read_bytes(path, first=0)  # a pipe would be waited for
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names, manifest = file.keys(), documents.parse_json(file.metadata()[_MANIFEST].encode())
            arrays = {name: file.get_tensor(name) for name in names}
        description, checksum = manifest["description"], manifest["sha256"]
        if not isinstance(description, dict):
            raise ValueError("its description is no table")
    except (ValueError, TypeError, KeyError, AttributeError, MemoryError, safetensors.SafetensorError) as error:
        raise ValueError(f"it is no file of arrays, {type(error).__name__}: {error}") from error
    if checksum != _digest(arrays, description):
        raise ValueError("it is not what was saved, its checksum is another")
    return description, arrays


def _digest(arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> str:
    """Of names, types, shapes and bytes, and the description."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(_flat(array))
    return digest.hexdigest()


def _flat(array: np.ndarray) -> memoryview:
    """The bytes of a contiguous array, where they are."""
    return array.reshape(-1).data
