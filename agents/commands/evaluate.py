"""`python -m agents evaluate` and `leaderboard`: saved policies: expected return, regret."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from agents.runs import scoring
from heartpole_jax import Environment, Policy, disk, validation
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs import registry
from heartpole_jax.evaluation import tables
from heartpole_jax.policies import saved_policy
from heartpole_jax.policies.saved_policy import SavedPolicy
from heartpole_jax.terminal import printable

Episodes = Annotated[
    int | None,
    tyro.conf.arg(
        metavar="INT",
        help_behavior_hint="(default: 65,536 on HeartPole-v0, 16,384 on HeartPole-v1, 1,024 elsewhere)",
    ),
]


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """A saved policy: its expected return, regret and their parts, and what it does."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """a folder that `train` has written"""
    episodes: Episodes = None
    """whole episodes"""
    seed: int = 0
    """of the noise"""


@dataclasses.dataclass(frozen=True)
class Leaderboard:
    """The scripted policies of an environment and saved ones on the same noise, best first."""

    runs: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[RUN ...]", help_behavior_hint="")
    ] = ()
    """folders that `train` has written, all for one environment and its same parameters"""
    episodes: Episodes = None
    """for each policy"""
    seed: int = 0
    """of the noise"""
    format: Literal["table", "json", "csv", "markdown"] = "table"
    """of what is printed"""
    out: Annotated[str | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: nowhere)")] = None
    """also write leaderboard.md, .json and .csv there"""


def evaluate(options: Evaluate) -> int:
    """Runs the command; returns the exit status. Raises ValueError for a policy that cannot be loaded."""
    check(options.episodes, options.seed)
    folder = disk.as_path(options.run)
    saved = saved_policy.load(folder)
    env, policy, name = registry.make(saved.env), saved.as_policy(), _name(folder)
    seed, steps = saved.provenance.get("seed", "?"), saved.provenance.get("num_steps", 0)
    print(printable(f"{name}: {saved.env}") + f", trained for {steps:,} steps, seed {seed}")
    result = scoring.evaluate(
        policy, env, num_episodes=options.episodes, seed=options.seed, name=name, params=_params(saved, env)
    )
    print("\n".join(str(result).splitlines()[1:]))
    return 0


def leaderboard(options: Leaderboard) -> int:
    """Runs the command; returns the exit status.

    Raises:
      ValueError: for a policy that cannot be loaded, or is of another environment or other parameters than the first,
        or two of one name.
      OSError: where the tables cannot be written.
    """
    check(options.episodes, options.seed)
    env, params, agents = _policies_of([disk.as_path(run) for run in options.runs])
    folder = disk.as_path(options.out) if options.out else None
    if folder:
        validation.check_folder(folder)
    board = scoring.leaderboard(
        agents, env, num_episodes=options.episodes, seed=options.seed, progress=_announce, params=params
    )
    print(printable(tables.as_format(board, options.format, options.seed)), end="")
    if folder:
        tables.save(board, folder, options.seed)
        print(f"\nwritten: {folder}/leaderboard.md, .json, .csv", file=sys.stderr)
    return 0


def _policies_of(folders: Sequence[Path]) -> tuple[Environment, Any, dict[str, Policy]]:
    """The environment of all these runs, HeartPole-v0 for none, its parameters in them, and their policies by name."""
    if not folders:
        env = registry.make("HeartPole-v0")
        return env, env.default_params, {}
    saved = [saved_policy.load(folder) for folder in folders]
    first, env = saved[0], registry.make(saved[0].env)
    agents: dict[str, Policy] = {}
    for folder, other in zip(folders, saved, strict=True):
        if other.env != first.env:
            raise ValueError(f"the runs must be for one environment, got {first.env} and, in {folder}, {other.env}")
        if _params(other, env) != _params(first, env):
            raise ValueError(
                f"the runs must be for the same parameters, got {_described(first)} and, in {folder}, "
                f"{_described(other)}"
            )
        if _name(folder) in agents:
            raise ValueError(f"two of the runs are called {_name(folder)!r}: rename a folder")
        agents[_name(folder)] = other.as_policy()
    return env, _params(first, env), agents


def evaluate_saved(folder: Path, env: Environment, episodes: int | None, params: Any = None) -> dict[str, Any]:
    """Prints what the policy saved in `folder` comes to, beside the scripted ones where there are such; a report of it.

    `params` are the environment's, its defaults where None.
    """
    policy = saved_policy.load(folder).as_policy()
    board = scoring.leaderboard(
        {_name(folder): policy}, env, num_episodes=episodes, seed=0, progress=_announce, params=params
    )
    print(printable(str(board)))
    return {"evaluated": _name(folder), **json.loads(tables.as_json(board, seed=0))}


def _params(saved: SavedPolicy, env: Environment) -> Any:
    """The environment's parameters that the policy was trained with. Raises ValueError for what are none of its."""
    return env_params.replaced(env, env_params.read(env, saved.provenance.get("params") or {}))


def _described(saved: SavedPolicy) -> str:
    """The same for a message: those that are not the environment's own."""
    values = saved.provenance.get("params") or {}
    return ", ".join(f"{name}={value!r}" for name, value in values.items()) or "the defaults"


def check(episodes: int | None, seed: int) -> None:
    """Raises ValueError for a number of episodes that has no standard error, or a seed that is none."""
    if episodes is not None and not 4 <= episodes < 2**31:
        raise ValueError(f"episodes must be at least 4 and below 2^31, got {episodes}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be in 0 .. 2^32 - 1, got {seed}")


def _name(run: Path | str) -> str:
    """What a run is called in a table: its folder."""
    return Path(run).resolve().name


def _announce(name: str) -> None:
    print(printable(f"evaluating {name} ..."), file=sys.stderr)
