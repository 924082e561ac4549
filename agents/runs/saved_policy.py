"""A trained policy in two files: `policy.safetensors`, the weights by name, and `policy.json`, what they are.

    save(folder, weights, config, env_name, provenance)
    policy = load(folder)
    policy.act(obs)  # NumPy alone: JAX is imported for `save` and `as_policy` only

Nothing is unpickled. Either file carries its checksum (in policy.json), so that an altered one is refused.
"""

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from agents.dqn.transforms import TRANSFORMS

SCHEMA_VERSION = 1
WEIGHTS, DESCRIPTION = "policy.safetensors", "policy.json"
_FIELDS = ("env", "obs_shape", "num_actions", "hidden_sizes", "transform", "dueling", "shapes", "weights_sha256",
           "provenance")  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class SavedPolicy:
    """A Q-network that runs in NumPy, with its transform: it takes raw observations."""

    env: str  # as `environments.make` knows it
    obs_shape: tuple[int, ...]
    num_actions: int
    hidden_sizes: tuple[int, ...]
    transform: str  # one of `transforms.TRANSFORMS`
    dueling: bool
    weights: Mapping[str, np.ndarray]  # by their path in the tree of flax, as "params/Dense_0/kernel"
    provenance: Mapping[str, Any]  # seed, steps, versions, hyperparameters
    menu: str | None = None  # the digest of the menu's file, see `environments.menu_digest`; None where there is none

    def q_values(self, obs: Any) -> np.ndarray:
        """The values of all actions, as `networks.q_values`: raw observations (..., *obs_shape) to (..., num_actions).

        Raises:
          ValueError: for observations of another shape.
        """
        flat, leading = self._flat(obs)
        scale = TRANSFORMS[self.transform].value_scale(flat, np)
        return (scale[:, None] * self._output(flat)).reshape(*leading, self.num_actions)

    def act(self, obs: Any) -> np.ndarray:
        """The best action, (..., *obs_shape) to (...). Raises as `q_values`."""
        flat, leading = self._flat(obs)
        return np.argmax(self._output(flat), axis=-1).reshape(leading)

    def as_policy(self) -> Any:
        """The same as a `heartpole_jax.Policy`, for `rollout` and `evaluate`.

        Raises:
          ValueError: where HeartPole-v1's menu is another now than when the policy was saved.
        """
        from agents.dqn import networks
        from agents.dqn.config import DQNConfig
        from agents.runs import environments
        from heartpole_jax import menu

        env = environments.make(self.env)
        environments.check_menu(self.env, self.menu, "this policy was trained")
        if math.prod(self.obs_shape) != math.prod(env.obs_shape):
            raise ValueError(
                f"this policy takes observations of shape {self.obs_shape}, and {self.env} has {env.obs_shape}; "
                "train again"
            )
        if self.num_actions != env.num_actions and self.env.partition(":")[0] != "HeartPole-v1":
            raise ValueError(
                f"this policy has {self.num_actions} actions, and {self.env} has {env.num_actions}; train again"
            )
        if self.env.partition(":")[0] == "HeartPole-v1":
            menu.check_trained(env.default_params.menu, self.num_actions, "this policy")
        config = DQNConfig(hidden_sizes=self.hidden_sizes, transform=self.transform, dueling=self.dueling)
        flat = np.concatenate([self.weights[name].ravel() for name in sorted(self.weights)])
        return networks.greedy(flat, config, env)

    def _flat(self, obs: Any) -> tuple[np.ndarray, tuple[int, ...]]:
        try:
            obs = np.asarray(obs, self.weights["params/Dense_0/kernel"].dtype)
        except (TypeError, ValueError) as error:
            raise TypeError(f"obs must be an array of numbers, got a {type(obs).__name__}: {error}") from None
        leading = obs.shape[: obs.ndim - len(self.obs_shape)]
        if obs.shape != (*leading, *self.obs_shape):
            raise ValueError(f"obs must have the shape (..., {', '.join(map(str, self.obs_shape))}), got {obs.shape}")
        return obs.reshape(-1, math.prod(self.obs_shape)), leading

    def _output(self, obs: np.ndarray) -> np.ndarray:
        """The network's output before the value scale, (batch, size) to (batch, num_actions)."""
        x = TRANSFORMS[self.transform].features(obs, np)
        for i in range(len(self.hidden_sizes) + 1):
            x = x @ self.weights[f"params/Dense_{i}/kernel"] + self.weights[f"params/Dense_{i}/bias"]
            if i < len(self.hidden_sizes):
                x = np.maximum(x, 0)
        if not self.dueling:
            return x
        value, advantages = x[:, :1], x[:, 1:]
        return value + advantages - advantages.mean(axis=1, keepdims=True)


def save(folder: Path | str, weights: Any, config: Any, env_name: str, provenance: Mapping[str, Any]) -> None:
    """Writes the two files into `folder`, each of them whole or not at all.

    Args:
      folder: exists.
      weights: flat, of a train state its `average_params`.
      config: the `DQNConfig` of the network.
      env_name: as `environments.make` knows it.
      provenance: whatever JSON can hold.

    Raises:
      ValueError: for weights that are not finite.
      OSError: where the files cannot be written.
    """
    import jax

    from agents.dqn import networks
    from agents.runs import environments
    from heartpole_jax import disk

    env = environments.make(env_name)
    tree = networks.weights_as_tree(np.asarray(weights), config, env)
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    arrays = {"/".join(key.key for key in path): np.ascontiguousarray(leaf) for path, leaf in paths}
    _check_finite(arrays, "weights")
    content = safetensors.numpy.save(arrays)
    description = {
        "schema_version": SCHEMA_VERSION,
        "env": env_name,
        "obs_shape": list(env.obs_shape),
        "num_actions": env.num_actions,
        "hidden_sizes": list(config.hidden_sizes),
        "transform": config.transform,
        "dueling": config.dueling,
        "shapes": {name: list(array.shape) for name, array in arrays.items()},
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "provenance": dict(provenance),
    }
    if (menu := environments.menu_digest(env_name)) is not None:
        description["menu"] = menu
    description["description_sha256"] = _checksum(description)
    disk.write_atomic(Path(folder) / WEIGHTS, content)
    disk.write_atomic(Path(folder) / DESCRIPTION, (json.dumps(description, indent=2) + "\n").encode())


def load(folder: Path | str) -> SavedPolicy:
    """The policy saved in `folder`.

    Raises:
      ValueError: for a missing file, an altered one, another schema version, an unknown transform, shapes other than
        the description says, or weights that are not finite; it names the file.
    """
    if not isinstance(folder, str | Path):
        raise TypeError(f"folder must be a str or a Path, got {type(folder).__name__}")
    folder = Path(folder)
    path = folder / DESCRIPTION
    description = _read_description(path)
    shapes = _network_shapes(description)
    described = {name: tuple(shape) for name, shape in description["shapes"].items()}
    _check_shapes(described, shapes, f"{path}: the shapes")
    weights = _read_weights(folder / WEIGHTS, description["weights_sha256"], shapes)
    return SavedPolicy(
        env=description["env"],
        obs_shape=tuple(description["obs_shape"]),
        num_actions=description["num_actions"],
        hidden_sizes=tuple(description["hidden_sizes"]),
        transform=description["transform"],
        dueling=description["dueling"],
        weights=weights,
        provenance=description["provenance"],
        menu=description.get("menu"),
    )


def _read(path: Path, most: int) -> bytes:
    """What is in the file. Not by `heartpole_jax.disk`, with which JAX would come."""
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
    _check_shapes({name: array.shape for name, array in weights.items()}, shapes, str(path))
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
# What each entry must be, and whether it is. Whoever made a file also made its checksum.
_REQUIREMENTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "env": ("a name", lambda value: isinstance(value, str)),
    "obs_shape": (f"a list of sizes up to {_LARGEST_SIZE:,}", _are_sizes),
    "num_actions": (f"a number of actions up to {_LARGEST_SIZE:,}", _is_size),
    "hidden_sizes": (f"a list of sizes up to {_LARGEST_SIZE:,}", _are_sizes),
    "dueling": ("true or false", lambda value: isinstance(value, bool)),
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


def _network_shapes(description: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of `networks.QNetwork` for this policy. Raises ValueError for observations that are not its own."""
    size, transform = math.prod(description["obs_shape"]), TRANSFORMS[description["transform"]]
    if transform.obs_size is not None and size != transform.obs_size:
        raise ValueError(
            f"transform {description['transform']!r} takes observations of {transform.obs_size} numbers, got obs_shape "
            f"{description['obs_shape']}; train again"
        )
    features = size
    if transform.obs_size is not None:
        features = transform.features(np.zeros((1, size), np.float32), np).shape[1]
    sizes = [features, *description["hidden_sizes"], description["num_actions"] + bool(description["dueling"])]
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        shapes |= {f"params/Dense_{i}/kernel": (inputs, outputs), f"params/Dense_{i}/bias": (outputs,)}
    return shapes


def _check_shapes(got: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], where: str) -> None:
    for name in sorted({*got, *expected}):
        if got.get(name) != expected.get(name):
            raise ValueError(
                f"{where}: {name} should have the shape {expected.get(name, 'of nothing')}, "
                f"got {got.get(name, 'nothing')}"
            )


def _check_finite(arrays: Mapping[str, np.ndarray], where: str) -> None:
    for name, array in arrays.items():
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{where}: {name} holds {np.sum(~np.isfinite(array)):,} numbers that are not finite")
