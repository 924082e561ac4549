"""What a run saves of its network: see `heartpole_jax.policies.saved_policy`, which loads it without this package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.runs import algorithms
from heartpole_jax.envs import registry
from heartpole_jax.policies import policy_files


def save_policy(folder: Path | str, weights: Any, config: Any, env_name: str, provenance: Mapping[str, Any]) -> None:
    """Writes the policy of flat `weights` into `folder`, each of its two files whole or not at all.

    Args:
      folder: exists.
      weights: flat, see `Algorithm.policy_of`.
      config: of the network.
      env_name: as `registry.make` knows it.
      provenance: whatever JSON can hold.

    Raises:
      ValueError: for weights that are not finite.
      OSError: where the files cannot be written.
    """
    env = registry.make(env_name)
    description = {
        "env": env_name,
        "obs_shape": list(env.obs_shape),
        "num_actions": env.num_actions,
        "hidden_sizes": list(config.hidden_sizes),
        "transform": config.transform,
        "dueling": getattr(config, "dueling", False),
        "layer_norm": getattr(config, "layer_norm", False),
        "provenance": provenance,
        "menu": registry.digest(env_name),
    }
    policy_files.write(folder, algorithms.of(config).layers(weights, config, env), description)
