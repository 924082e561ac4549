"""`python -m agents train`: a run from its recipe to its saved, judged policy."""

import dataclasses
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import tyro

from agents import chunks, environments, evaluate_command, recipes, runs, saved_policy, training
from agents.config import DQNConfig, Hyperparams
from agents.progress import Progress
from heartpole_jax import Environment, validation

INTERRUPTED = 130  # the shells' status for Ctrl-C


@dataclasses.dataclass(frozen=True)
class Train:
    """Trains a DQN and judges it. Flags override the recipe, whose values are the defaults shown here."""

    recipe: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")]
    """a recipe in agents/recipes, or a TOML file; by default the one for --env"""
    env: Annotated[str, tyro.conf.arg(metavar="NAME")]
    """HeartPole-v0, or gymnax:NAME for one of gymnax's with discrete actions"""
    num_steps: int
    """decisions of all lanes together, rounded to whole chunks"""
    config: Annotated[DQNConfig, tyro.conf.arg(help="What sets shapes and the program.")]
    hyperparams: Annotated[Hyperparams, tyro.conf.arg(help="Numbers. Steps are decisions of all lanes together.")]
    seed: int = 0
    """everything random comes from it"""
    out: Annotated[str | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: by name in runs/)")] = None
    """the run's folder, which must be new or empty"""
    num_chunks: int = 50
    """about so many times the policy is evaluated and a line of metrics written"""
    keep: Literal["last", "best"] = "last"
    """the policy at the end, or that of the chunk whose greedy policy did best"""
    evaluation_episodes: int = 16
    """of the greedy policy after every chunk"""
    episodes: evaluate_command.Episodes = None
    """in the final evaluation"""

    @classmethod
    def of(cls, recipe: recipes.Recipe, called: str) -> "Train":
        """The command with the recipe's values, and `called` for its name."""
        return cls(
            called, recipe.env, recipe.num_steps, recipe.config, recipe.hyperparams,
            keep=recipe.keep, evaluation_episodes=recipe.evaluation_episodes,  # type: ignore[arg-type]
        )  # fmt: skip


def train(options: Train, arguments: Sequence[str] = ()) -> int:
    """Runs the command, which `arguments` asked for; returns the exit status.

    Raises:
      ValueError: for options that cannot be, before anything is written.
      OSError: where the run's folder cannot be made.
      chunks.Diverged: where the loss is not finite.
    """
    env = environments.make(options.env)
    evaluate_command.check(options.episodes, options.seed)
    plan = chunks.plan(options.num_steps, options.config, options.num_chunks)
    chunks.check(options.hyperparams, options.config, env, plan.num_steps)
    if options.keep not in ("last", "best"):
        raise ValueError(f"keep must be 'last' or 'best', got {options.keep!r}")
    validation.check_size("evaluation_episodes", options.evaluation_episodes)
    memory = training.check_fits(options.config, env)
    name = Path(options.recipe).stem
    folder = Path(options.out) if options.out else runs.default_folder(options.env, name, options.seed)
    command = shlex.join(["python", "-m", "agents", *arguments])
    with runs.Run(folder, _described(options, plan.num_steps) | {"command": command}) as run:
        _announce(options, plan, memory, folder)
        return _train_in(run, options, env, plan)


def _announce(options: Train, plan: chunks.Plan, memory: int, folder: Path) -> None:
    rounded = f", {options.num_steps:,} rounded to whole chunks" if plan.num_steps != options.num_steps else ""
    print(f"{options.env}, recipe {options.recipe}, seed {options.seed}")
    print(f"{plan.num_steps:,} steps in {plan.num_chunks} chunks of {plan.env_steps:,}{rounded}")
    print(f"memory: {memory / 2**20:,.1f} MiB, for {options.config.buffer_size:,} transitions and the networks")
    print(f"run folder: {folder}", flush=True)


def _train_in(run: runs.Run, options: Train, env: Environment, plan: chunks.Plan) -> int:
    key = jax.random.key(options.seed)
    weights, steps, best, interrupted = None, 0, -math.inf, False
    episodes = options.evaluation_episodes
    try:
        with Progress(plan.num_steps) as progress:
            for record, latest in chunks.train(key, options.hyperparams, options.config, env, plan, episodes):
                steps, value = int(record["env_steps"] or 0), record["greedy_return"]
                if options.keep == "last" or weights is None or (value is not None and value > best):
                    weights, best = latest, value if value is not None else -math.inf
                run.record(record)
                progress.update(record)
    except KeyboardInterrupt:
        interrupted = True
    if weights is not None:
        saved_policy.save(run.folder, weights, options.config, options.env, _described(options, steps))
        _draw_learning_curve(run.folder, f"{run.folder.name}: {options.env}, {steps:,} steps")
    if interrupted:
        kept = f"the policy so far is saved in {run.folder}" if weights is not None else "there is no policy yet"
        print(f"interrupted after {steps:,} of {plan.num_steps:,} steps: {kept}", file=sys.stderr)
        return INTERRUPTED
    print(f"trained; the policy is saved in {run.folder}\n", flush=True)
    report = evaluate_command.judge(run.folder, env, options.episodes)
    run.write(runs.EVALUATION, report)
    print(
        f"\nwritten: {run.folder}/{{{','.join(sorted(path.name for path in run.folder.iterdir()))}}}", file=sys.stderr
    )
    return 0


def _described(options: Train, num_steps: int) -> dict[str, Any]:
    """All that it takes to repeat the run."""
    return {
        "env": options.env,
        "recipe": options.recipe,
        "seed": options.seed,
        "num_steps": num_steps,
        "keep": options.keep,
        "evaluation_episodes": options.evaluation_episodes,
        "config": dataclasses.asdict(options.config),
        "hyperparams": dict(vars(options.hyperparams)),
        "versions": runs.versions(),
    }


def _draw_learning_curve(folder: Path, title: str) -> None:
    from agents import learning_curve  # here, since matplotlib is slow to import

    learning_curve.draw(runs.read_metrics(folder), title).savefig(folder / runs.CURVE)
