"""The two files of a saved policy: `policy.safetensors`, the weights by name, and `policy.json`, what they are.

Nothing is unpickled. Either file carries its checksum (in policy.json), so that an altered one is refused.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from heartpole_jax import disk
from heartpole_jax.policies import q_network
from heartpole_jax.policies.transforms import TRANSFORMS

try:
    import safetensors.numpy
except ImportError as error:
    raise ImportError(
        "a saved policy needs safetensors: pip install 'heartpole-jax[train] @ git+...', or from a clone '.[train]'"
    ) from error

SCHEMA_VERSION = 1
WEIGHTS, DESCRIPTION = "policy.safetensors", "policy.json"
_FIELDS = ("env", "obs_shape", "num_actions", "hidden_sizes", "transform", "dueling", "shapes", "weights_sha256",
           "provenance")  # fmt: skip


def write(folder: Path | str, weights: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
    """Writes the two files into `folder`, each of them whole or not at all.

    Args:
      folder: exists.
      weights: by their path in the tree of flax, as "params/Dense_0/kernel".
      description: the entries of policy.json but for version, shapes and checksums.

    Raises:
      ValueError: for weights that are not finite.
      OSError: where the files cannot be written.
    """
    _check_finite(weights, "weights")
    content = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in weights.items()})
    whole = {
        "schema_version": SCHEMA_VERSION,
        **{name: description[name] for name in _FIELDS if name in description and name != "provenance"},
        "shapes": {name: list(array.shape) for name, array in weights.items()},
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "provenance": dict(description["provenance"]),
    }
    whole |= {name: description[name] for name in ("layer_norm", "menu") if description.get(name)}
    whole["description_sha256"] = _checksum(whole)
    disk.write_atomic(Path(folder) / WEIGHTS, content)
    disk.write_atomic(Path(folder) / DESCRIPTION, (json.dumps(whole, indent=2) + "\n").encode())


def read(folder: Path | str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description and the weights saved in `folder`.

    Raises:
      ValueError: for a missing file, an altered one, another schema version, an unknown transform, shapes other than
        the description says, or weights that are not finite; it names the file.
    """
    path = Path(folder) / DESCRIPTION
    description = _read_description(path)
    shapes = q_network.shapes(
        description["obs_shape"],
        description["num_actions"],
        description["hidden_sizes"],
        description["transform"],
        description["dueling"],
        description.get("layer_norm", False),
    )
    described = {name: tuple(shape) for name, shape in description["shapes"].items()}
    q_network.check_shapes(described, shapes, f"{path}: the shapes")
    return description, _read_weights(Path(folder) / WEIGHTS, description["weights_sha256"], shapes)


def _read(path: Path, most: int) -> bytes:
    """What is in the file."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ValueError(f"cannot read {path}: it is no file; copy it again, or train again")
        if (size := path.stat().st_size) > most:
            raise ValueError(
                f"{path} has {size:,} bytes, and a policy like this has at most {most:,}; copy it again, or train again"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(
            f"no saved policy in {path.parent}: {path.name} is missing; name a folder that "
            "`python -m agents train` has written"
        ) from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error


def _read_description(path: Path) -> dict[str, Any]:
    """The description, each entry of the type that it must have."""
    content = _read(path, _MOST_DESCRIPTION_BYTES)
    try:
        description = json.loads(content.decode())
        checksum = _checksum(description) if isinstance(description, dict) else None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply; copy it again, or train again") from None
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}; copy it again, or train again") from error
    version = description.get("schema_version") if isinstance(description, dict) else None
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema version {version!r}, and this code reads {SCHEMA_VERSION}; load it with the version of "
            "this project that wrote it"
        )
    missing = [name for name in (*_FIELDS, "description_sha256") if name not in description]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; copy it again, or train again")
    if checksum != description["description_sha256"]:
        raise ValueError(f"{path} is not what was saved, its checksum is another: copy it again, or train again")
    if description["transform"] not in list(TRANSFORMS):
        raise ValueError(
            f"{path}: unknown transform {description['transform']!r}; known: {', '.join(map(repr, TRANSFORMS))}"
        )
    for name, (requirement, holds) in _REQUIREMENTS.items():
        if name in description and not holds(description[name]):
            raise ValueError(f"{path}: {name} must be {requirement}, got {description[name]!r:.200}; train again")
    for name, (requirement, holds) in _OF_PROVENANCE.items():
        if name in (provenance := description["provenance"]) and not holds(provenance[name]):
            raise ValueError(f"{path}: {name} must be {requirement}, got {provenance[name]!r:.200}; train again")
    return description


def _read_weights(path: Path, sha256: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The arrays of these shapes, of one type of floats. Not more is read than they take."""
    content = _read(path, 8 * sum(map(math.prod, shapes.values())) + _MOST_DESCRIPTION_BYTES)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(
            f"{path} is not what was saved, its checksum is another ({len(content):,} bytes): "
            "copy it again, or train again"
        )
    try:
        weights = safetensors.numpy.load(content)
    except Exception as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    q_network.check_shapes({name: array.shape for name, array in weights.items()}, shapes, str(path))
    if {array.dtype.name for array in weights.values()} not in ({"float32"}, {"float64"}):
        raise ValueError(f"{path}: the weights must be all float32 or all float64")
    _check_finite(weights, str(path))
    return weights


def _checksum(description: Mapping[str, Any]) -> str:
    """Of the description without its checksum, whatever its layout."""
    rest = {name: value for name, value in description.items() if name != "description_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _is_size(value: Any) -> bool:
    return type(value) is int and 1 <= value <= _LARGEST_SIZE


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _MOST_SIZES and all(map(_is_size, value))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= _LARGEST_NUMBER


def _are_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


_LARGEST_SIZE, _MOST_SIZES = 2**20, 64
_LARGEST_NUMBER = float(np.finfo(np.float32).max)
_MOST_DESCRIPTION_BYTES = 2**22
# What each entry must be, and whether it is. A file that somebody crafts has a right checksum.
_REQUIREMENTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "env": ("a name", lambda value: isinstance(value, str)),
    "obs_shape": (f"a list of sizes up to {_LARGEST_SIZE:,}", _are_sizes),
    "num_actions": (f"a number of actions up to {_LARGEST_SIZE:,}", _is_size),
    "hidden_sizes": (f"a list of sizes up to {_LARGEST_SIZE:,}", _are_sizes),
    "dueling": ("true or false", lambda value: isinstance(value, bool)),
    "layer_norm": ("true or false", lambda value: isinstance(value, bool)),
    "shapes": (
        "lists of sizes by name",
        lambda value: isinstance(value, dict) and all(map(_are_sizes, value.values())),
    ),
    "weights_sha256": ("a checksum", lambda value: isinstance(value, str)),
    "provenance": ("a table", lambda value: isinstance(value, dict)),
    "menu": ("a checksum", lambda value: value is None or isinstance(value, str)),
}
_OF_PROVENANCE: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "seed": ("a whole number", lambda value: type(value) is int and value >= 0),
    "num_steps": ("a whole number", lambda value: type(value) is int and value >= 0),
    "params": ("numbers by name", lambda value: value is None or _are_numbers(value)),
}


def _check_finite(arrays: Mapping[str, np.ndarray], where: str) -> None:
    for name, array in arrays.items():
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{where}: {name} holds {np.sum(~np.isfinite(array)):,} numbers that are not finite")
