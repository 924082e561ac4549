"""`python -m agents evaluate` and `leaderboard`: what saved policies are worth."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from agents import env_params, environments, judging, saved_policy
from heartpole_jax import Environment, evaluation, evaluation_v1, tables

Episodes = Annotated[
    int | None,
    tyro.conf.arg(
        metavar="INT",
        help_behavior_hint=f"(default: {evaluation.NUM_EPISODES:,} on HeartPole-v0, "
        f"{evaluation_v1.NUM_EPISODES:,} on HeartPole-v1, {judging.OTHER_EPISODES} elsewhere)",
    ),
]


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """What a saved policy is worth: its expected return, regret and their parts, and what it does."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """a folder that `train` has written"""
    episodes: Episodes = None
    """whole episodes"""
    seed: int = 0
    """of the noise tape"""


@dataclasses.dataclass(frozen=True)
class Leaderboard:
    """The scripted policies of a HeartPole and saved ones on one noise tape, best first."""

    runs: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[RUN ...]", help_behavior_hint="")
    ] = ()
    """folders that `train` has written, all for one environment"""
    episodes: Episodes = None
    """for each policy"""
    seed: int = 0
    """of the noise tape"""
    format: Literal["table", "json", "csv", "markdown"] = "table"
    """of what is printed"""
    out: Annotated[str | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: nowhere)")] = None
    """also write leaderboard.md, .json and .csv there"""


def evaluate(options: Evaluate) -> int:
    """Runs the command; returns the exit status. Raises ValueError for a policy that cannot be loaded."""
    check(options.episodes, options.seed)
    saved = saved_policy.load(options.run)
    env = environments.make(saved.env)
    name = _name(options.run)
    seed, steps = saved.provenance.get("seed", "?"), saved.provenance.get("num_steps", 0)
    print(f"{name}: {saved.env}, trained for {steps:,} steps, seed {seed}")
    changes = saved.provenance.get("params")
    params = env_params.replaced(env, changes) if changes else None
    if not judging.has_regret(env, params):
        episodes = options.episodes or judging.num_episodes(env)
        value = judging.mean_return(saved.as_policy(), env, num_episodes=episodes, seed=options.seed, params=params)
        print(f"mean return {tables.format_estimate(value)}, {episodes:,} episodes; ± is one standard error")
        return 0
    episodes = options.episodes or judging.num_episodes(env)
    result = judging.evaluate(
        saved.as_policy(), env, num_episodes=episodes, seed=options.seed, name=name, params=params
    )
    for label, text in tables.summary(result).items():
        print(f"{label:<22}{text}")
    print(f"{episodes:,} episodes; ± is one standard error")
    return 0


def leaderboard(options: Leaderboard) -> int:
    """Runs the command; returns the exit status.

    Raises:
      ValueError: for a policy that cannot be loaded, or is of another environment, or two of one name.
      OSError: where the tables cannot be written.
    """
    check(options.episodes, options.seed)
    agents, names = {}, []
    for run in options.runs:
        saved = saved_policy.load(run)
        if not judging.has_regret(environments.make(saved.env)):
            raise ValueError(f"the leaderboard is of HeartPoles, got {run} for {saved.env}; see `evaluate {run}`")
        names.append(saved.env)
        if saved.env != names[0]:
            raise ValueError(f"the runs must be for one environment, got {names[0]} and, in {run}, {saved.env}")
        if _name(run) in agents:
            raise ValueError(f"two of the runs are called {_name(run)!r}: rename a folder")
        agents[_name(run)] = saved.as_policy()
    folder = Path(options.out) if options.out else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    env = environments.make(names[0] if names else "HeartPole-v0")
    episodes = options.episodes or judging.num_episodes(env)
    rows = judging.leaderboard(agents, env, num_episodes=episodes, seed=options.seed, progress=_announce)
    params = env.default_params
    texts = {
        "table": tables.as_text(rows, params) + "\n",
        "json": tables.as_json(rows, params, options.seed) + "\n",
        "csv": tables.as_csv(rows),
        "markdown": tables.as_markdown(rows, params, options.seed),
    }
    print(texts[options.format], end="")
    if folder:
        for kind, suffix in (("json", "json"), ("csv", "csv"), ("markdown", "md")):
            (folder / f"leaderboard.{suffix}").write_text(texts[kind])
        print(f"\nwritten: {folder}/leaderboard.md, .json, .csv", file=sys.stderr)
    return 0


def judge(folder: Path, env: Environment, episodes: int | None, params: Any = None) -> str:
    """Prints what the policy saved in `folder` is worth, beside the scripted ones where there are such; JSON of it.

    `params` are the environment's, its defaults where None.
    """
    policy = saved_policy.load(folder).as_policy()
    if judging.has_regret(env, params):
        rows = judging.leaderboard(
            {_name(folder): policy}, env, num_episodes=episodes or judging.num_episodes(env), seed=0,
            progress=_announce, params=params,
        )  # fmt: skip
        params = env.default_params if params is None else params
        print(tables.as_text(rows, params))
        return tables.as_json(rows, params, seed=0) + "\n"
    episodes = episodes or judging.num_episodes(env)
    value = judging.mean_return(policy, env, num_episodes=episodes, seed=0, params=params)
    print(f"mean return {tables.format_estimate(value)}, {episodes:,} episodes; ± is one standard error")
    report = {"env": env.name, "episodes": episodes, "seed": 0, "mean_return": value.mean,
              "mean_return_standard_error": value.standard_error}  # fmt: skip
    return json.dumps(report, indent=2) + "\n"


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
    print(f"evaluating {name} ...", file=sys.stderr)
