"""A trained policy, as `python -m agents train` saves it: in JAX for `rollout` and `evaluate`, or in NumPy.

policy = hp.load_policy(folder)
hp.rollout(policy, key, num_envs=1024)

policy = saved_policy.load(folder)
policy.act(obs)  # NumPy: no device is touched
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax import arguments, validation
from heartpole_jax.envs import registry
from heartpole_jax.policies import q_network
from heartpole_jax.policies.transforms import TRANSFORMS
from heartpole_jax.policy import Policy


def load_policy(folder: Path | str) -> Policy:
    """The greedy policy saved in `folder`, for `rollout`, `evaluate` and the leaderboard.

    Raises:
      ValueError: as `load`; or where the environment's menu is another now than when the policy was saved.
      ImportError: without safetensors.
    """
    return load(folder).as_policy()


@dataclasses.dataclass(frozen=True, eq=False)
class SavedPolicy:
    """A Q-network that runs in NumPy, with its transform: it takes raw observations.

    Raises:
      TypeError: for a field of another type.
      ValueError: for a size below 1, an unknown transform, or weights that are not this network's.
    """

    env: str  # as `registry.make` knows it
    obs_shape: tuple[int, ...]
    num_actions: int
    hidden_sizes: tuple[int, ...]
    transform: str  # one of `transforms.TRANSFORMS`
    dueling: bool
    weights: Mapping[str, np.ndarray]  # by their path in the tree of flax, as "params/Dense_0/kernel"
    provenance: Mapping[str, Any]  # seed, steps, versions, hyperparameters
    layer_norm: bool = False  # of every hidden layer
    menu: str | None = None  # the digest of the menu's file, see `registry.digest`; None where there is none

    def __post_init__(self):
        arguments.check_fields(self)
        validation.check_size("num_actions", self.num_actions)
        for name in ("obs_shape", "hidden_sizes"):
            for size in getattr(self, name):
                validation.check_size(f"each of {name}", size)
        validation.look_up(TRANSFORMS, self.transform, "transform")
        for name, array in self.weights.items():
            arguments.check_type(f"weights[{name!r}]", array, np.ndarray)
            if array.dtype.kind != "f":
                raise TypeError(f"weights[{name!r}] must be an array of floats, got {arguments.described(array)}")
        network = (self.obs_shape, self.num_actions, self.hidden_sizes, self.transform, self.dueling, self.layer_norm)
        q_network.check_shapes(
            {name: x.shape for name, x in self.weights.items()}, q_network.shapes(*network), "weights"
        )

    def q_values(self, obs: Any) -> np.ndarray:
        """The values of all actions, raw observations (..., *obs_shape) to (..., num_actions).

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

    def as_policy(self) -> Policy:
        """The same in JAX, for `rollout` and `evaluate`.

        Raises:
          ValueError: where the environment's menu is another now than when the policy was saved.
        """
        env = registry.make(self.env)
        registry.check_digest(self.env, self.menu, "this policy was trained")
        if math.prod(self.obs_shape) != math.prod(env.obs_shape):
            raise ValueError(
                f"this policy takes observations of shape {self.obs_shape}, and {self.env} has {env.obs_shape}; "
                "train again"
            )
        if self.num_actions != env.num_actions:
            raise ValueError(
                f"this policy was trained with {self.num_actions} actions, and {self.env} has {env.num_actions} "
                f"({', '.join(env.action_names)}); give the environment that it was trained in, or train again"
            )
        return Policy(
            act=_Greedy(len(self.hidden_sizes), self.transform, self.dueling, self.layer_norm),
            params=dict(self.weights),
        )

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
        features = TRANSFORMS[self.transform].features(obs, np)
        return q_network.output(
            self.weights, features, len(self.hidden_sizes), self.dueling, self.layer_norm, np, np.matmul
        )


@dataclasses.dataclass(frozen=True)
class _Greedy:
    """An `act` of a `Policy`: equal for equal networks, so that jit finds its program again."""

    num_hidden: int
    transform: str
    dueling: bool
    layer_norm: bool

    def __call__(self, weights: Mapping[str, Array], carry: Any, obs: Array, draw: Any) -> tuple[Array, Any]:
        features = TRANSFORMS[self.transform].features(obs.reshape(1, -1), jnp)
        output = q_network.output(
            weights, features, self.num_hidden, self.dueling, self.layer_norm, jnp, q_network.matmul
        )
        return jnp.argmax(output[0]).astype(jnp.int32), carry  # the value scale is positive


def load(folder: Path | str) -> SavedPolicy:
    """The policy saved in `folder`, to run in NumPy.

    Raises:
      ValueError: for a missing file, an altered one, another schema version, an unknown transform, shapes other than
        the description says, or weights that are not finite; it names the file.
      ImportError: without safetensors.
    """
    if not isinstance(folder, str | Path):
        raise TypeError(f"folder must be a str or a Path, got {type(folder).__name__}")
    from heartpole_jax.policies import policy_files  # here, since safetensors is an extra

    description, weights = policy_files.read(folder)
    return SavedPolicy(
        env=description["env"],
        obs_shape=tuple(description["obs_shape"]),
        num_actions=description["num_actions"],
        hidden_sizes=tuple(description["hidden_sizes"]),
        transform=description["transform"],
        dueling=description["dueling"],
        weights=weights,
        provenance=description["provenance"],
        layer_norm=description.get("layer_norm", False),
        menu=description.get("menu"),
    )
