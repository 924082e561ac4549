"""`python -m agents train`: a run from its recipe to its saved, evaluated policy."""

import dataclasses
import functools
import math
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
import numpy as np
import tyro

from agents.commands import evaluate as evaluate_command
from agents.commands import installed
from agents.common import memory
from agents.common.algorithm import Algorithm
from agents.runs import algorithms, checkpoints, loop, recipes, records, run_folder, stop_signals, trees
from agents.runs.checkpoint_timer import CheckpointTimer
from agents.runs.checkpoints import Checkpoint
from agents.runs.display import Display
from agents.runs.progress import Progress
from agents.runs.save_policy import save_policy
from agents.runs.stop_signals import StopSignals
from heartpole_jax import Environment, disk, validation
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs import registry

_HYPERPARAMS = "Numbers. Steps are decisions of all environments together."
INTERRUPTED = stop_signals.status(stop_signals.signal.SIGINT)


def _read_params(words: Sequence[str]) -> dict[str, int | float]:
    """NAME=NUMBER of each. Raises ValueError for what is not that."""
    values: dict[str, int | float] = {}
    for word in words:
        name, _, number = word.partition("=")
        if name in values:
            raise ValueError(f"must name a parameter once, got {name} twice: {' '.join(words)}")
        try:
            values[name] = int(number) if re.fullmatch(r"[+-]?\d+", number) else float(number)
        except ValueError:
            raise ValueError(f"must be NAME=NUMBER, got {word!r}") from None
    return values


PARAMS = tyro.constructors.PrimitiveConstructorSpec[Mapping[str, int | float]](
    nargs="*",
    metavar="[NAME=NUMBER ...]",
    instance_from_str=_read_params,
    is_instance=lambda value: isinstance(value, Mapping),
    str_from_instance=lambda values: [f"{name}={value!r}" for name, value in values.items()],
)


@dataclasses.dataclass(frozen=True)
class Train:
    """Trains an agent and evaluates it. Flags override the recipe, whose values are the defaults shown here."""

    recipe: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")]
    """a recipe in agents/recipes, or a TOML file; by default the one for --env"""
    env: Annotated[str, tyro.conf.arg(metavar="NAME")]
    """HeartPole-v0, HeartPole-v1, HeartPole-v1:MENU.toml, or gymnax:NAME for one of gymnax's with discrete actions"""
    num_steps: int
    """decisions of all environments together, rounded to whole chunks"""
    config: Any
    hyperparams: Any
    algorithm: Annotated[str, tyro.conf.arg(metavar="NAME")] = "dqn"
    """dqn or pqn; by default the recipe's"""
    seed: int = 0
    """everything random comes from it"""
    out: Annotated[str | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: by name in runs/)")] = None
    """the run's folder, which must be new or empty"""
    num_evaluations: int = 50
    """about so many times the policy is evaluated and a line of metrics written"""
    keep: Literal["last", "best"] = "last"
    """the policy at the end, or that of the chunk whose greedy policy did best"""
    evaluation_episodes: int = 16
    """of the greedy policy after every chunk"""
    episodes: evaluate_command.Episodes = None
    """in the final evaluation"""
    params: Annotated[Mapping[str, int | float], PARAMS] = dataclasses.field(default_factory=dict)
    """parameters of the environment other than its defaults, all of them in the place of the recipe's"""
    checkpoint_every: Annotated[Literal["auto"] | int, tyro.conf.arg(metavar="auto|INT")] = "auto"
    """chunks; auto: as many as it takes for saving to cost 2 % of the time"""
    keep_checkpoints: int = 2
    """the newest ones, while the run is unfinished"""

    @staticmethod
    def of(recipe: recipes.Recipe, called: str) -> "Train":
        """The command with the recipe's values, and `called` for its name."""
        algorithm = algorithms.of(recipe.config)
        return options_of(algorithm)(
            called, recipe.env, recipe.num_steps, recipe.config, recipe.hyperparams,
            algorithm=algorithm.name, num_evaluations=recipe.num_evaluations, keep=recipe.keep,  # type: ignore[arg-type]
            evaluation_episodes=recipe.evaluation_episodes,
            params=recipe.params,
        )  # fmt: skip


@functools.cache
def options_of(algorithm: Algorithm) -> type[Train]:
    """`Train` with the fields of this algorithm's configuration and hyperparameters, of which tyro makes flags."""
    fields: list[Any] = [
        ("config", Annotated[algorithm.config, tyro.conf.arg(help="What sets shapes and the program.")]),
        ("hyperparams", Annotated[algorithm.hyperparams, tyro.conf.arg(help=_HYPERPARAMS)]),
    ]
    namespace = {"__doc__": Train.__doc__, "__module__": __name__}
    return dataclasses.make_dataclass("Train", fields, bases=(Train,), namespace=namespace, frozen=True)


# Options in config.json: all that a result depends on, and those that change no result.
_HOW_SAVED = ("checkpoint_every", "keep_checkpoints")
_DESCRIBED = tuple(field.name for field in dataclasses.fields(Train) if field.name not in ("out", *_HOW_SAVED))


class RunSpec(NamedTuple):
    """What the options come to."""

    options: Train
    env: Environment
    plan: loop.ChunkPlan
    params: Any  # of the environment, None where they are its defaults
    described: dict[str, Any]  # all that it takes to repeat the run: JSON


def train(options: Train, arguments: Sequence[str] = ()) -> int:
    """Runs the command, whose command line is `arguments`; returns the exit status.

    Raises:
      ValueError: for options that cannot be, before anything is written.
      ImportError: where something that training needs is not installed, likewise.
      OSError: where the run's folder cannot be made.
      loop.DivergedError: where the loss is not finite.
    """
    spec = spec_of(options)
    installed.check_train()
    algorithm = algorithms.of(options.config)
    largest = f"{algorithm.size} (now {getattr(options.config, algorithm.size):,})"
    needed = memory.check_fits(algorithm.memory_bytes(options.config, spec.env), largest)
    name = Path(options.recipe).stem
    folder = disk.as_path(options.out) if options.out else run_folder.default_folder(options.env, name, options.seed)
    command = shlex.join(["python", "-m", "agents", *arguments])
    versions = {"versions": run_folder.versions(), "command": command}
    how_saved = {name: getattr(options, name) for name in _HOW_SAVED}
    with run_folder.Run(folder, spec.described | how_saved | versions) as run:
        _announce(spec, needed, folder)
        return go_on(run, spec)


def spec_of(options: Train) -> RunSpec:
    """What the options come to. Raises ValueError for options that cannot be."""
    options = dataclasses.replace(options, env=registry.located(options.env))
    env = registry.make(options.env)
    evaluate_command.check(options.episodes, options.seed)
    plan = loop.plan(options.num_steps, options.config, options.num_evaluations)
    loop.check(options.hyperparams, options.config, env, plan.num_steps)
    if options.keep not in ("last", "best"):
        raise ValueError(f"keep must be 'last' or 'best', got {options.keep!r}")
    validation.check_size("evaluation_episodes", options.evaluation_episodes)
    validation.check_size("keep_checkpoints", options.keep_checkpoints)
    if options.checkpoint_every != "auto":
        validation.check_size("checkpoint_every", options.checkpoint_every)
    values = env_params.read(env, options.params)
    described = {name: getattr(options, name) for name in _DESCRIBED} | {
        "num_steps": plan.num_steps,
        "num_evaluations": plan.num_chunks,
        "config": dataclasses.asdict(options.config),
        "hyperparams": dict(vars(options.hyperparams)),
        "params": values,
    }
    if (menu := registry.digest(options.env)) is not None:
        described["menu"] = menu
    return RunSpec(options, env, plan, env_params.replaced(env, values) if values else None, described)


def options_from(record: Mapping[str, Any], folder: Path) -> Train:
    """The options that the run in `folder` was begun with, of its config.json.

    Raises:
      KeyError, TypeError, ValueError: where those are none.
    """
    algorithm = algorithms.named(record["algorithm"])
    made = {
        "config": algorithm.config(**record["config"]),
        "hyperparams": algorithm.hyperparams(**record["hyperparams"]),
        "out": str(folder),
    }
    return Train(**{name: record[name] for name in (*_DESCRIBED, *_HOW_SAVED)} | made)


def _announce(spec: RunSpec, num_bytes: int, folder: Path) -> None:
    options, plan = spec.options, spec.plan
    rounded = f", {options.num_steps:,} rounded to whole chunks" if plan.num_steps != options.num_steps else ""
    print(f"{options.env}, recipe {options.recipe}, seed {options.seed}")
    print(f"{plan.num_steps:,} steps in {plan.num_chunks} chunks of {plan.env_steps:,}{rounded}")
    size = algorithms.of(options.config).size
    print(f"memory: {num_bytes / 2**20:,.1f} MiB, with {size} {getattr(options.config, size):,}")
    print(f"run folder: {folder}", flush=True)


def go_on(run: run_folder.Run, spec: RunSpec, checkpoint: Checkpoint | None = None) -> int:
    """Trains from the beginning, or from the checkpoint, to the evaluated policy; returns the exit status."""
    with StopSignals(resume=resume_command(run.folder)) as signals:
        weights, steps = _train(run, spec, checkpoint, signals)
    save_policy(run.folder, weights, spec.options.config, spec.options.env, provenance(spec, steps))
    if signals.requested:
        _draw_learning_curve(run, spec, steps)
        saved = "a checkpoint are" if steps < spec.plan.num_steps else "all records are"
        print(
            f"stopped after {steps:,} of {spec.plan.num_steps:,} steps: the policy so far and {saved} saved in "
            f"{run.folder}; go on with `{resume_command(run.folder)}`",
            file=sys.stderr,
        )
        return stop_signals.status(signals.requested)
    print(f"trained; the policy is saved in {run.folder}\n", flush=True)
    return finish(run, spec)


def finish(run: run_folder.Run, spec: RunSpec) -> int:
    """Draws the learning curve, evaluates the trained policy and tidies up; returns the exit status."""
    _draw_learning_curve(run, spec, spec.plan.num_steps)
    try:
        report = evaluate_command.evaluate_saved(run.folder, spec.env, spec.options.episodes, spec.params)
    except KeyboardInterrupt:
        print(
            f"interrupted, and the policy is trained: evaluate it with `{resume_command(run.folder)}`", file=sys.stderr
        )
        return INTERRUPTED
    run_folder.write_evaluation(run.folder, report)
    checkpoints.remove(run.folder / run_folder.CHECKPOINTS)
    written = sorted(path.name for path in run.folder.iterdir() if not path.name.startswith("."))
    print(f"\nwritten: {run.folder}/{{{','.join(written)}}}", file=sys.stderr)
    return 0


def resume_command(folder: Path) -> str:
    """What goes on with the run."""
    return shlex.join(["python", "-m", "agents", "resume", str(folder)])


def provenance(spec: RunSpec, num_steps: int) -> dict[str, Any]:
    """What a policy is saved with that was trained for so many steps."""
    return spec.described | {"num_steps": num_steps, "versions": run_folder.versions()}


def _train(
    run: run_folder.Run, spec: RunSpec, checkpoint: Checkpoint | None, signals: StopSignals
) -> tuple[np.ndarray, int]:
    """The policy's weights, and the steps done: all of them, or as many as there were when a signal stopped it."""
    options, plan = spec.options, spec.plan
    weights: Any = None  # until the first chunk
    best, steps, start, seconds = -math.inf, 0, None, 0.0
    if checkpoint is not None:
        weights, best = checkpoint.arrays["kept/weights"], float(checkpoint.arrays["kept/value"])
        steps, start = checkpoint.step, trees.below(checkpoint.arrays, "train_state")
        seconds = run.records[-1]["seconds"] or 0.0
    timer = CheckpointTimer(None if options.checkpoint_every == "auto" else options.checkpoint_every)
    key = jax.random.key(options.seed)
    with Display() as display:
        progress = Progress(plan.num_steps, display)
        before = time.perf_counter()
        for record, latest, state in loop.train(
            key, options.hyperparams, options.config, spec.env, plan, options.evaluation_episodes, spec.params,
            start=start, seconds_before=seconds,
        ):  # fmt: skip
            steps, value = int(record["env_steps"] or 0), record["greedy_return"]
            if options.keep == "last" or weights is None or (value is not None and value > best):
                weights, best = latest, value if value is not None else -math.inf
            run.record(record)
            progress.update(record)
            loop.check_finite(record, latest)  # before it is saved: such a state is no checkpoint
            timer.worked(time.perf_counter() - before)
            if steps < plan.num_steps and (signals.requested or timer.due()):
                kept = {"weights": weights, "value": np.float64(best)}
                arrays = {"train_state": state(), "kept": kept, "records": records.as_arrays(run.records)}
                timer.save(lambda: _save(run, spec, steps, arrays))  # noqa: B023
            if signals.requested:
                break
            before = time.perf_counter()
    return weights, steps


def _save(run: run_folder.Run, spec: RunSpec, steps: int, arrays: Mapping[str, Any]) -> None:
    run.sync()
    checkpoints.save(
        run.folder / run_folder.CHECKPOINTS, steps, trees.as_arrays(arrays), spec.described,
        keep=spec.options.keep_checkpoints,
    )  # fmt: skip


def _draw_learning_curve(run: run_folder.Run, spec: RunSpec, steps: int) -> None:
    from agents.reports import learning_curve  # here, since matplotlib is slow to import
    from heartpole_jax.drawing.charts import style

    title = f"{run.folder.name}: {spec.options.env}, {steps:,} steps"
    style.save(learning_curve.draw(run.records, title, spec.options.evaluation_episodes), run.folder / run_folder.CURVE)
