"""`python -m agents resume`: a run that was stopped or killed goes on, as if it had not been."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents.commands import installed
from agents.commands import sweep as sweep_command
from agents.commands import train as train_command
from agents.commands.train import RunSpec
from agents.commands.workers import RayFlags
from agents.runs import checkpoints, files, records, run_folder, trees
from agents.runs.checkpoints import Checkpoint
from agents.runs.records import Record
from agents.sweeps import study_folder
from heartpole_jax import disk, documents
from heartpole_jax.envs import registry
from heartpole_jax.policies import policy_files, saved_policy


@dataclasses.dataclass(frozen=True)
class Resume:
    """Goes on with a run that is unfinished, from its newest checkpoint. The result is as if it had not been left."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """a folder that `train` or `sweep` has begun"""
    skip_damaged: bool = False
    """go on from the newest checkpoint that is whole"""
    ray_flags: Annotated[RayFlags, tyro.conf.OmitArgPrefixes] = dataclasses.field(default_factory=RayFlags)


def resume(options: Resume) -> int:
    """Runs the command; returns the exit status.

    Raises:
      ValueError: for a folder that is no run or in use, a checkpoint that is damaged or another run's.
      OSError: where the folder cannot be written.
      loop.DivergedError: where the loss is not finite.
    """
    folder = disk.as_path(options.run)
    if study_folder.is_sweep(folder):
        return sweep_command.resume(folder, options.ray_flags, options.skip_damaged)
    installed.check_train()
    config = read_config(folder)
    if options.ray_flags != RayFlags():
        raise ValueError(f"--ray is for sweeps, and {folder} is a single run; leave it out")
    with run_folder.lock(folder):
        files.remove_leftovers(folder, run_folder.FILES)
        if not run_folder.is_unfinished(folder):
            checkpoints.remove(folder / run_folder.CHECKPOINTS)  # where it was killed between the two
            _check_finished(folder, config)
            print(f"{folder} is finished; its policy is evaluated in {folder / run_folder.EVALUATION}")
            return 0
        try:
            registry.check_digest(config["env"], config.get("menu"), "the run was begun")
            spec = train_command.spec_of(train_command.options_from(config, folder))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(f"{folder / run_folder.CONFIG}: {_message(error)}") from error
        if (known := _records_of_trained(folder, spec, options.skip_damaged)) is not None:
            print(f"{folder} is trained, and is now evaluated\n", flush=True)
            with run_folder.Run(folder, config, known) as run:
                return train_command.finish(run, spec)
        found = checkpoints.restore(
            folder / run_folder.CHECKPOINTS, spec.described, skip_damaged=options.skip_damaged
        )  # fmt: skip
        if found is None:
            print(f"{folder} has no checkpoint: from the beginning", file=sys.stderr)
            known = []
        else:
            known = _records_of(found, folder, options.skip_damaged)
            print(f"{folder} goes on after {found.step:,} of {spec.plan.num_steps:,} steps", flush=True)
        with run_folder.Run(folder, config, known) as run:
            return train_command.go_on(run, spec, found)


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a run. Raises ValueError where there is none."""
    path = folder / run_folder.CONFIG
    try:
        return documents.read(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"{folder} is no run: {run_folder.CONFIG} is missing; name a folder that `python -m agents train` has begun"
        ) from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{error}; copy it again, or train again") from error


def _check_finished(folder: Path, config: dict[str, Any]) -> None:
    """Raises ValueError where a file of a finished run is not what was written, or another run's."""
    provenance = saved_policy.load(folder).provenance
    others = [name for name in provenance if name != "versions" and provenance[name] != config.get(name)]
    if others:
        raise ValueError(
            f"{folder / policy_files.DESCRIPTION} is another run's: its {others[0]} is {provenance[others[0]]!r:.200}, "
            f"and {run_folder.CONFIG} has {config.get(others[0])!r:.200}; put it back, or train again"
        )
    run_folder.read_evaluation(folder)
    run_folder.read_metrics(folder)


def _records_of(checkpoint: Checkpoint, folder: Path, skip_damaged: bool) -> list[Record]:
    """The records that the checkpoint was saved with. The run's own must be the same, or be skipped."""
    known: list[Record] = [*records.from_arrays(trees.below(checkpoint.arrays, "records"))]
    path = folder / run_folder.METRICS
    try:
        there = run_folder.read_metrics(folder)[: len(known)]
        if len(there) < len(known):
            raise ValueError(f"{path} has {len(there)} records, fewer than the {len(known)} of the checkpoint")
        for number, (record, expected) in enumerate(zip(there, known, strict=True), 1):
            if record != expected:
                raise ValueError(f"{path} is of another run: line {number} is another than the checkpoint's")
    except (ValueError, OSError) as error:
        if not skip_damaged:
            raise ValueError(
                f"{_message(error)}; put it back, or go on from the checkpoint's records with "
                f"{checkpoints.SKIP_DAMAGED}"
            ) from error
        print(f"skipped, and written anew from the checkpoint: {_message(error)}", file=sys.stderr)
    return known


def _records_of_trained(folder: Path, spec: RunSpec, skip_damaged: bool) -> list[Record] | None:
    """All records of a run that is trained to its end and only not evaluated; None where some training is left."""
    if not _is_trained(folder, spec):
        return None
    path = folder / run_folder.METRICS
    try:
        known: list[Record] = [*run_folder.read_metrics(folder)]
        if len(known) != spec.plan.num_chunks:
            raise ValueError(f"{path} has {len(known)} records of {spec.plan.num_chunks}")
    except (ValueError, OSError) as error:
        if not skip_damaged:
            raise ValueError(
                f"{_message(error)}; put it back, or train again what comes after the newest checkpoint with "
                f"{checkpoints.SKIP_DAMAGED}"
            ) from error
        return None
    return known


def _message(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot read {error.filename}: {error.strerror}"
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing; the run was begun with another version of this project: train again"
    return str(error)


def _is_trained(folder: Path, spec: RunSpec) -> bool:
    """Whether the policy of the whole run is there, and only its evaluation is not."""
    try:
        provenance = saved_policy.load(folder).provenance
    except ValueError:  # none yet, or damaged: the checkpoint is what counts
        return False
    whole = checkpoints.as_json(train_command.provenance(spec, spec.plan.num_steps))
    return {**provenance, "versions": None} == {**whole, "versions": None}
