"""`python -m agents resume`: a run that was stopped or killed goes on, as if it had not been."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents import checkpoints, environments, manifests, runs, saved_policy, study_folder, sweep_command, train_command
from agents.config import DQNConfig, Hyperparams
from agents.sweep_command import Processes
from agents.train_command import Task, Train


@dataclasses.dataclass(frozen=True)
class Resume:
    """Goes on with a run that is unfinished, from its newest checkpoint. The result is as if it had not been left."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """a folder that `train` or `sweep` has begun"""
    skip_damaged: bool = False
    """go on from the newest checkpoint that is whole"""
    processes: Annotated[Processes, tyro.conf.OmitArgPrefixes] = dataclasses.field(default_factory=Processes)


def resume(options: Resume) -> int:
    """Runs the command; returns the exit status.

    Raises:
      ValueError: for a folder that is no run or in use, a checkpoint that is damaged or another run's.
      OSError: where the folder cannot be written.
      chunks.Diverged: where the loss is not finite.
    """
    folder = Path(options.run)
    if study_folder.is_sweep(folder):
        return sweep_command.resume(folder, options.processes, options.skip_damaged)
    if options.processes != Processes():
        raise ValueError(f"--distributed is for sweeps, and {folder} is a single run")
    config = read_config(folder)
    with runs.lock(folder):
        if not runs.is_unfinished(folder):
            checkpoints.remove(folder / runs.CHECKPOINTS)  # where it was killed between the two
            print(f"{folder} is finished; its policy is judged in {folder / runs.EVALUATION}")
            return 0
        try:
            environments.check_menu(config["env"], config.get("menu"), "the run was begun")
            task = train_command.task_of(_options(config, folder))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder / runs.CONFIG}: {_told(error)}") from error
        if _is_trained(folder, task):
            print(f"{folder} is trained, and is now judged\n", flush=True)
            with runs.Run(folder, config, resume=task.plan.num_chunks) as run:
                return train_command.finish(run, task)
        found = checkpoints.restore(
            folder / runs.CHECKPOINTS, task.described, skip_damaged=options.skip_damaged
        )  # fmt: skip
        if found is None:
            print(f"{folder} has no checkpoint: from the beginning", file=sys.stderr)
        else:
            print(f"{folder} goes on after {found.step:,} of {task.plan.num_steps:,} steps", flush=True)
        with runs.Run(folder, config, resume=found.step // task.plan.env_steps if found else 0) as run:
            return train_command.go_on(run, task, found)


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a run. Raises ValueError where there is none."""
    path = folder / runs.CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"{folder} is no run: {runs.CONFIG} is missing; name a folder that `python -m agents train` has begun"
        ) from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}; copy it again, or train again") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} must hold an object, got {type(config).__name__}; copy it again, or train again")
    return config


def _options(config: dict[str, Any], folder: Path) -> Train:
    """The options that the run was begun with. Raises KeyError, TypeError, ValueError."""
    return Train(
        recipe=config["recipe"],
        env=config["env"],
        num_steps=config["num_steps"],
        config=DQNConfig(**config["config"]),
        hyperparams=Hyperparams(**config["hyperparams"]),
        seed=config["seed"],
        out=str(folder),
        num_chunks=config["num_chunks"],
        keep=config["keep"],
        evaluation_episodes=config["evaluation_episodes"],
        episodes=config["episodes"],
        params=tuple(f"{name}={value!r}" for name, value in config["params"].items()),
        checkpoint_every=config["checkpoint_every"],
        keep_checkpoints=config["keep_checkpoints"],
    )


def _told(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing; the run was begun with another version of this project: train again"
    return str(error)


def _is_trained(folder: Path, task: Task) -> bool:
    """Whether the policy of the whole run is there, and only its judgement is not."""
    try:
        provenance = saved_policy.load(folder).provenance
    except ValueError:  # none yet, or damaged: the checkpoint is what counts
        return False
    whole = manifests.as_json(train_command.provenance(task, task.plan.num_steps))
    return {**provenance, "versions": None} == {**whole, "versions": None}
