"""What the options of `python -m heartpole_jax` name: an environment, its parameters, a policy, a picture's file."""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from heartpole_jax import command_line, disk, policies, validation
from heartpole_jax.envs import environment, registry
from heartpole_jax.envs import params as env_params
from heartpole_jax.policies import saved_policy


def environment_of(options: argparse.Namespace) -> environment.Environment:
    """The environment that is asked for, with its menu. Raises ValueError where there is none, or it takes no menu."""
    return registry.make(options.env) if options.menu is None else registry.make(options.env, menu=options.menu)


def policies_of(
    options: argparse.Namespace, *given: str | None
) -> tuple[environment.Environment, Any, list[tuple[str, Any]]]:
    """The environment, its parameters, and each policy given, (name, policy): a scripted one, or that of a folder.

    A saved policy brings the environment and the parameters that it was trained in; None stands for the policy that is
    shown where none is named.

    Raises:
      ValueError: where there is no such policy, or none for this environment, or two of different environments.
    """
    saved = [_saved(name) for name in given]
    loaded = [(str(name), policy) for name, policy in zip(given, saved, strict=True) if policy]
    for folder, own in loaded:
        _check_environment(folder, own, options)
    if loaded:
        env = registry.make(loaded[0][1].env)
    else:
        options.env = options.env or "HeartPole-v0"
        env = environment_of(options)
    asked = env_params.read(env, command_line.numbers(options.params, "--params"))
    params = env_params.replaced(env, _trained_params(loaded, asked) | asked)
    chosen = []
    for name, policy in zip(given, saved, strict=True):
        if policy:
            chosen.append((disk.as_path(str(name)).absolute().name, policy.as_policy()))
        else:
            shown = name or env.shown_policy or next(iter(policies.of(env)))
            chosen.append((shown, policies.make(shown, params, env)))
    return env, params, chosen


def _saved(name: str | None) -> saved_policy.SavedPolicy | None:
    """The policy of a folder, None for a scripted one. Raises ValueError for a path that leads to no folder."""
    if name is None:
        return None
    if disk.as_path(name).is_dir():
        return saved_policy.load(disk.as_path(name))
    if os.sep in name:
        raise ValueError(f"{name} is no folder; name one that `python -m agents train` has written, or a policy")
    return None


def _check_environment(name: str, saved: saved_policy.SavedPolicy, options: argparse.Namespace) -> None:
    """Raises ValueError where another environment than the policy's is asked for."""
    if options.env not in (None, saved.env, registry.family(saved.env)):
        raise ValueError(f"{name} is a policy for {saved.env}, got --env {options.env}; leave --env out")
    if options.menu is not None:
        raise ValueError(f"{name} is a policy for {saved.env}, whose menu it needs; leave --menu out")


def _trained_params(
    loaded: Sequence[tuple[str, saved_policy.SavedPolicy]], asked: Mapping[str, float]
) -> dict[str, float]:
    """The parameters that the policies were trained with. Raises ValueError where two differ and nothing is asked."""
    found: dict[str, float] = {}
    for place, (name, policy) in enumerate(loaded):
        first, before = loaded[0]
        if policy.env != before.env:
            raise ValueError(
                f"{first} is a policy for {before.env}, and {name} for {policy.env}; two episodes are shown in one"
            )
        trained = policy.provenance.get("params") or {}
        differ = [key for key in {**found, **trained} if found.get(key) != trained.get(key) and key not in asked]
        if place and differ:
            raise ValueError(
                f"{first} and {name} were trained with different {', '.join(sorted(differ))}; two episodes are shown "
                f"in one environment: give --params {sorted(differ)[0]}=VALUE"
            )
        found = found | trained
    return found


def picture_of(out: str) -> Path:
    """The path of a picture to be drawn. Raises ValueError where none can be written there, before it is drawn."""
    from heartpole_jax.drawing.charts import style  # here, since matplotlib is an extra

    path = disk.as_path(out)
    style.check_kind(path)
    if path.is_dir():
        raise ValueError(f"--out must be a file, and {out!r} is a folder; name a file in it, as {path / 'a.png'}")
    if path.exists() and not path.is_file():
        raise ValueError(f"--out must be a file, and {out!r} is a device; name another")
    validation.check_folder(path.parent)
    return path
