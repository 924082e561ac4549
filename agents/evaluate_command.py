"""`python -m agents evaluate` and `leaderboard`: what saved policies are worth."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from agents import env_params, environments, judging, saved_policy
from heartpole_jax import Environment, tables
from heartpole_jax.evaluation import Estimate
from heartpole_jax.heartpole_v0 import EnvParams

Episodes = Annotated[
    int | None,
    tyro.conf.arg(
        metavar="INT",
        help_behavior_hint=f"(default: {judging.HEARTPOLE_EPISODES:,} on HeartPole-v0, "
        f"{judging.OTHER_EPISODES} elsewhere)",
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
    """The scripted policies and saved ones on one noise tape of HeartPole-v0, best first."""

    runs: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[RUN ...]", help_behavior_hint="")
    ] = ()
    """folders that `train` has written"""
    episodes: int = judging.HEARTPOLE_EPISODES
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
        episodes = options.episodes or judging.OTHER_EPISODES
        value = judging.mean_return(saved.as_policy(), env, num_episodes=episodes, seed=options.seed, params=params)
        print(f"mean return {tables.format_estimate(value)}, {episodes:,} episodes; ± is one standard error")
        return 0
    episodes = options.episodes or judging.HEARTPOLE_EPISODES
    result = judging.evaluate(saved.as_policy(), num_episodes=episodes, seed=options.seed, name=name, params=params)
    asleep = tables.format_estimate(Estimate(*(100 * value for value in result.share_asleep)))
    lines = {
        "expected return": tables.format_estimate(result.expected_return),
        "regret": tables.format_estimate(result.regret),
        "score": tables.format_estimate(result.score),
        "heart attacks": tables.format_estimate(result.heart_attacks),
        "excess heart attacks": tables.format_estimate(result.excess_heart_attacks),
        "drinks a day": tables.format_estimate(result.drinks_a_day),
        "asleep": f"{asleep} % of the time",
    }
    for label, text in lines.items():
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
    agents = {}
    for run in options.runs:
        saved = saved_policy.load(run)
        if not judging.has_regret(environments.make(saved.env)):
            raise ValueError(f"the leaderboard is of HeartPole-v0, got {run} for {saved.env}; see `evaluate {run}`")
        if _name(run) in agents:
            raise ValueError(f"two of the runs are called {_name(run)!r}: rename a folder")
        agents[_name(run)] = saved.as_policy()
    folder = Path(options.out) if options.out else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    rows = judging.leaderboard(agents, num_episodes=options.episodes, seed=options.seed, progress=_announce)
    params = EnvParams()
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
            {_name(folder): policy}, num_episodes=episodes or judging.HEARTPOLE_EPISODES, seed=0, progress=_announce,
            params=params,
        )  # fmt: skip
        params = EnvParams() if params is None else params
        print(tables.as_text(rows, params))
        return tables.as_json(rows, params, seed=0) + "\n"
    episodes = episodes or judging.OTHER_EPISODES
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
