"""Datasets for offline reinforcement learning in Minari's format, with the exact values of policies in their metadata.

    write_dataset("reference-v0", policies.reference(), jax.random.key(0), num_episodes=1000, epsilon=0.1)
    dataset = minari.MinariDataset("reference-v0/data")
    dataset.storage.metadata["heartpole"]["targets"]

An episode of T decisions has T + 1 observations, T actions and raw rewards, and infos of T + 1 entries:

    action_probabilities     (T + 1, num_actions)  the behaviour policy's, at each observation
    behaviour_probability    (T + 1,)              of the action taken there; 1 at the last, where none is
    expected_reward          (T + 1,)              with the probability of a heart attack in the place of the attack
    cost                     (T + 1,)              1 at a heart attack
    heart_attack_risk        (T + 1,)              its probability

The last three are of the step that led to the observation, as Gymnasium's infos are, and 0 at the first. Nothing is
downloaded, and no folder of Minari's is touched.
"""

import copy
import dataclasses
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import PRNGKey

from heartpole_jax import arguments, disk, threefry, validation
from heartpole_jax.envs import registry
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.evaluation import tables
from heartpole_jax.evaluation.estimates import format_estimate
from heartpole_jax.evaluation.targets import TargetValue, target_values
from heartpole_jax.interop import checks
from heartpole_jax.policies import epsilon_soft, scripted
from heartpole_jax.policies.epsilon_soft import action_probabilities, check_deterministic
from heartpole_jax.policy import Policy, as_policy
from heartpole_jax.rollout import Transition, rollout
from heartpole_jax.version import __version__

try:
    import gymnasium
    import h5py  # noqa: F401  (which Minari writes with)
    import minari
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage
except ImportError as error:
    raise ImportError("datasets need Minari: pip install '.[minari]' in the clone") from error

KEY = "heartpole"  # of what this package adds to the metadata


@arguments.checked(
    folder=arguments.check_path, key=validation.check_key, env=Environment, num_episodes=validation.check_size,
    epsilon=validation.check_share, name=str,
)  # fmt: skip
def write_dataset(
    folder: Path | str,
    policy: Policy | Callable[..., Any],
    key: PRNGKey,
    params: Any = None,
    *,
    env: Environment = HEARTPOLE_V0,
    num_episodes: int,
    epsilon: float = 0.1,
    name: str = "policy",
    targets: Sequence[tuple[str, float]] | None = None,
    devices: Any = None,
    progress: Callable[[str], None] = lambda name: None,
) -> list[TargetValue]:
    """Writes episodes of `epsilon_soft(policy, epsilon)` into `folder`, and returns the values in the metadata.

    Args:
      folder: to be made, NAME-v0: its name is the dataset's, so `minari.load_dataset` finds it in MINARI_DATASETS_PATH.
      policy: one that decides without random numbers, or the uniformly random one.
      params: of the environment, plain numbers.
      epsilon: the probability of a uniformly drawn action. With 0 a deterministic policy has no support for any other.
      name: the policy's, for the metadata.
      targets: (name, epsilon) of the policies whose exact values are wanted, see `evaluation.target_values`.
      devices, progress: as for `leaderboard`.

    Raises:
      ValueError: for a folder that is there or has no name of a dataset, a policy whose probabilities are unknown, an
        environment whose steps have no risk of a heart attack.
      OSError: where it cannot be written; then nothing is left there.
    """
    folder = disk.as_path(folder)
    check_new(folder)
    policy, params = as_policy(policy), env.params_or_default(params)
    if not scripted.is_uniformly_random(policy):
        check_deterministic(policy, jax.ShapeDtypeStruct(env.obs_shape, jnp.result_type(float)))
    if not hasattr(params, "heart_attack_penalty"):
        raise ValueError(f"a dataset has the costs of heart attacks, which {env.name} has not; give a HeartPole")
    if params.expected_penalty != 0:
        raise ValueError("a dataset has raw rewards and expected ones; leave expected_penalty at 0")
    values_key, episodes_key = (threefry.derived_key(key, purpose) for purpose in (0, 1))
    soft = epsilon_soft(policy, float(epsilon), env.num_actions)
    values = target_values(
        values_key, params, env=env, own={name: policy}, targets=targets, devices=devices, progress=progress
    )
    episodes = _episodes(soft, policy, epsilon, episodes_key, params, env, num_episodes)
    described = {
        "version": __version__,
        "env": env.name,
        "params": {name: float(value) for name, value in vars(params).items() if isinstance(value, int | float)},
        "behaviour": {"policy": name, "epsilon": float(epsilon)},
        "targets": [_as_metadata(value) for value in values],
    }
    _write(folder, env, params, episodes, described)
    return values


def check_new(folder: Path) -> None:
    """Raises ValueError where a dataset cannot be written into `folder`."""
    if folder.exists() or folder.is_symlink():
        raise ValueError(f"{folder} is there already; name a folder that is not")
    if not re.fullmatch(r"[-_\w]+-v\d+", folder.absolute().name):
        raise ValueError(f"the folder of a dataset must be called NAME-v0, as reference-v0, got {folder.name!r}")
    validation.check_folder(folder.parent)


def target_probabilities(
    episodes: Iterable[Any], policy: Policy | Callable[..., Any], epsilon: float = 0.0
) -> list[np.ndarray]:
    """The probabilities of all actions under a target policy at each decision of each episode, (T, num_actions).

    Args:
      episodes: of a dataset that `write_dataset` wrote: a `minari.MinariDataset`, or what it yields.
      policy, epsilon: the target, as for `policies.action_probabilities`.

    Raises:
      ValueError: for a policy whose probabilities cannot be had from the observations, and for one that takes actions
        which the behaviour policy of the dataset never does.
    """
    observed = [(np.asarray(each.observations)[:-1], each.infos["action_probabilities"][:-1]) for each in episodes]
    longest, num_actions = max(len(obs) for obs, _ in observed), observed[0][1].shape[1]
    padded = np.stack([np.pad(obs, ((0, longest - len(obs)), (0, 0)), mode="edge") for obs, _ in observed])
    of_episode = jax.jit(jax.vmap(lambda obs: action_probabilities(policy, obs, epsilon, num_actions)))
    target = [one[: len(obs)] for one, (obs, _) in zip(np.asarray(of_episode(padded), float), observed, strict=True)]
    num_steps = sum(map(len, target))
    unsupported = sum(
        int(np.any((one > 0) & (behaviour == 0), axis=1).sum())
        for one, (_, behaviour) in zip(target, observed, strict=True)
    )
    if unsupported:
        raise ValueError(
            f"the target policy takes actions that the dataset's policy never does, at {unsupported:,} of "
            f"{num_steps:,} decisions: its value cannot be estimated from them; write a dataset with a larger --epsilon"
        )
    return target


def as_text(targets: Sequence[TargetValue]) -> str:
    """A table of target policies and their exact values."""
    cells = [("target policy", "epsilon", "expected return", "episodes")]
    for target in targets:
        value = format_estimate(target.expected_return)
        cells.append((target.policy, f"{target.epsilon:g}", value, f"{target.num_episodes:,}"))
    return "\n".join(tables.aligned(cells))


def _episodes(
    soft: Policy, policy: Policy, epsilon: float, key: PRNGKey, params: Any, env: Environment, num_episodes: int
) -> list[EpisodeBuffer]:
    """Simulated episodes of the soft policy."""
    records = rollout(soft, key, params, env=env, num_envs=num_episodes, total=None, record=_record).records
    records = {name: np.swapaxes(np.asarray(values), 0, 1) for name, values in records.items()}
    obs = np.concatenate([records["obs"], records["next_obs"][:, -1:]], axis=1)
    of_episode = jax.jit(jax.vmap(lambda obs: action_probabilities(policy, obs, epsilon, env.num_actions)))
    probabilities = np.asarray(of_episode(obs), np.float64)
    buffers = []
    for i, lengths in enumerate(records["done"].argmax(axis=1) + 1):
        one = {name: values[i, :lengths] for name, values in records.items()}
        taken = probabilities[i, np.arange(lengths), one["action"]]
        if not np.all(taken > 0):
            raise RuntimeError("the behaviour policy took an action of probability 0; please report it")
        excess = one["heart_attack"] - one["heart_attack_risk"].astype(np.float64)
        expected = one["reward"] + float(params.heart_attack_penalty) * excess
        buffers.append(
            EpisodeBuffer(
                id=i,
                observations=np.concatenate([one["obs"], one["next_obs"][-1:]]),
                actions=one["action"].astype(np.int64),
                rewards=one["reward"].astype(np.float64),
                terminations=one["terminated"],
                truncations=one["done"] & ~one["terminated"],
                infos={
                    "action_probabilities": probabilities[i, : lengths + 1],
                    "behaviour_probability": np.append(taken, 1.0),
                    "expected_reward": np.append(0.0, expected),
                    "cost": np.append(0.0, one["heart_attack"]),
                    "heart_attack_risk": np.append(0.0, one["heart_attack_risk"]),
                },
            )
        )
    return buffers


def _record(transition: Transition) -> dict[str, Any]:
    kept = {name: getattr(transition, name) for name in ("obs", "next_obs", "action", "reward", "done", "terminated")}
    return kept | {name: getattr(transition.info, name) for name in ("heart_attack", "heart_attack_risk")}


def _as_metadata(target: TargetValue) -> dict[str, Any]:
    mean, error = target.expected_return
    return {
        "name": f"{target.policy}, epsilon {target.epsilon:g}",
        "policy": target.policy,
        "epsilon": target.epsilon,
        "expected_return": mean,
        "standard_error": error,
        "num_episodes": target.num_episodes,
    }


def _write(folder: Path, env: Environment, params: Any, episodes: list[EpisodeBuffer], described: dict) -> None:
    """Writes the dataset beside the folder and renames it."""
    folder = folder.absolute()  # Minari's get_size fails on a relative path
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        beside.mkdir()
        storage = MinariStorage.new(
            beside / "data",
            observation_space=checks.observation_space(env, params),
            action_space=checks.action_space(env),
            env_spec=_spec(env, params),
            data_format="hdf5",
        )
        storage.update_metadata(
            {
                "dataset_id": folder.name,
                "minari_version": minari.__version__,
                "algorithm_name": "{policy}, epsilon {epsilon:g}".format(**described["behaviour"]),
                "description": f"{len(episodes):,} episodes of {env.name}, with the exact values of target policies",
                KEY: described,
            }
        )
        storage.update_episodes(episodes)
        check_new(folder)
        beside.rename(folder)
        disk.sync(folder.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _spec(env: Environment, params: Any) -> Any:
    """What Gymnasium makes the environment by; None where it knows none of that name."""
    spec = gymnasium.registry.get(registry.family(env.name))
    if spec is None:
        return None
    defaults = vars(env.default_params)
    numbers = {name: value for name, value in vars(params).items() if type(value) in (int, float)}
    changed = {name: value for name, value in numbers.items() if value != defaults[name]}
    return dataclasses.replace(copy.deepcopy(spec), kwargs={**spec.kwargs, "env": env.name, **changed})
