"""`python -m agents sweep`: a study from its file or flags to its ranked configurations, here or on a Ray cluster."""

import contextlib
import dataclasses
import math
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import tyro

from agents.commands import installed, sweep_output, workers
from agents.commands.sweep_progress import SweepProgress
from agents.commands.workers import RayFlags
from agents.common import memory
from agents.runs import algorithms, recipes, run_folder, stop_signals
from agents.runs.display import Display
from agents.runs.stop_signals import StopSignals
from agents.sweeps import objectives, schedule, slices, space, study_checks, study_file, study_folder, sweep
from agents.sweeps import study as studies
from agents.sweeps.executors import Executor
from agents.sweeps.study import Study
from agents.sweeps.study_folder import SweepRecord
from agents.sweeps.tasks import rung_ends
from heartpole_jax import disk, evaluation, validation
from heartpole_jax.envs import registry

_SHARE_OF_MEMORY = 0.8


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Trains a study: configurations x seeds. Flags override its file. An unfinished one goes on."""

    study: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[STUDY.toml]")] = None
    """see agents/studies; without a file the flags describe all of it"""
    out: Annotated[str | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: by name in runs/)")] = None
    """the run's folder: new, or of the same study"""
    space: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NAME=RANGE ...]")] = ()
    """what is swept, as learning_rate=log_uniform:1e-4,1e-2 or discount=0.9,0.99"""
    env: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """as for train"""
    recipe: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None
    """what is not swept is as there"""
    algorithm: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """as for train"""
    num_steps: int | None = None
    """of a trial"""
    seeds: Annotated[str | None, tyro.conf.arg(metavar="N|FIRST-LAST")] = None
    """trials for each configuration: N of them, from 0 on, or these"""
    search: Literal["grid", "random", "optuna"] | None = None
    """where configurations come from"""
    num_configurations: int | None = None
    """of a search that is no grid"""
    num_evaluations: int | None = None
    """of a trial while it is trained, evenly"""
    halving: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="KEEP_ONE_IN RUNGS")] = None
    """after each rung but the last, one configuration in so many goes on"""
    slice_size: int | None = None
    """trials trained together; it sets how results round, the number of devices does not"""
    checkpoint_every: Annotated[Literal["auto"] | int, tyro.conf.arg(metavar="auto|INT")] = "auto"
    """chunks; auto: as many as it takes for saving to cost 2 % of the time"""
    skip_damaged: bool = False
    """go on from the newest checkpoints that are whole"""
    ray_flags: Annotated[RayFlags, tyro.conf.OmitArgPrefixes] = dataclasses.field(default_factory=RayFlags)


def run(options: Sweep, arguments: Sequence[str] = ()) -> int:
    """Runs the command, whose command line is `arguments`; returns the exit status.

    Raises:
      ValueError: for a study that cannot be, a folder of another one or in use, a damaged file, a Ray
        cluster that will not do.
      ImportError: where something that the sweep needs is not installed.
      OSError: where the folder cannot be written.
    """
    workers.check(options.ray_flags)
    study = study_of(options)
    installed.check_sweep(study.search)
    folder = disk.as_path(options.out) if options.out else run_folder.ROOT / recipes.slug(study.name)
    every = None if options.checkpoint_every == "auto" else options.checkpoint_every
    for name, size in (("checkpoint_every", every), ("slice_size", options.slice_size)):
        if size is not None:
            validation.check_size(name, size)
    command = shlex.join(["python", "-m", "agents", *arguments])
    signals = _stop_signals(folder)
    with _held(folder), workers.opened(folder, options.ray_flags, every, options.skip_damaged, signals) as executor:
        at_a_time = workers.at_a_time_here(options.ray_flags)
        trials = options.slice_size or default_slice_size(study, at_a_time)
        _check_memory(study, trials, at_a_time)
        record = study_folder.prepare(folder, study, command, trials, every)
        if options.slice_size not in (None, record.slice_size):
            raise ValueError(f"{folder} was begun with --slice-size {record.slice_size}, got {options.slice_size}")
        return _go_on(folder, record, executor, signals, options.skip_damaged)


def resume(folder: Path, ray_flags: RayFlags, skip_damaged: bool) -> int:
    """Goes on with the sweep in `folder`; returns the exit status. Raises as `run`."""
    workers.check(ray_flags)
    signals = _stop_signals(folder)
    with _held(folder):
        record = study_folder.read(folder)
        _check_memory(record.study, record.slice_size, workers.at_a_time_here(ray_flags))
        with workers.opened(folder, ray_flags, record.checkpoint_every, skip_damaged, signals) as executor:
            return _go_on(folder, record, executor, signals, skip_damaged)


def study_of(options: Sweep) -> Study:
    """The study that the file and the flags describe. Raises ValueError for one that cannot be."""
    names = ("algorithm", "env", "recipe", "num_steps", "search", "num_configurations", "num_evaluations")
    flags: dict[str, Any] = {name: value for name in names if (value := getattr(options, name)) is not None}
    if options.seeds is not None:
        flags["seeds"] = _read_seeds(options.seeds)
    if options.halving:
        flags["halving"] = dict(zip(("keep_one_in", "rungs"), options.halving, strict=True))
    if options.space:
        flags["space"] = _read_space(options.space)
    if options.study is None and not flags:
        raise ValueError("name a study file, as agents/studies/heartpole-v0.toml, or describe with flags what to sweep")
    content = study_file.content(options.study) if options.study else {"env": "HeartPole-v0"}
    if "recipe" in flags and "env" not in flags and not options.study:
        del content["env"]
    name = Path(options.study).stem if options.study else "sweep"
    try:
        return study_file.read(study_file.merge(content, flags), name)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{options.study}: {error}" if options.study else str(error)) from error


def _go_on(folder: Path, record: SweepRecord, executor: Executor, signals: StopSignals, skip_damaged: bool) -> int:
    """Trains what is left of the study in `folder`; returns the exit status."""
    study = record.study
    study_folder.tidy(folder, study)
    _announce(study, folder, record.slice_size, executor)
    display = Display()
    measure = objectives.metric(study)
    progress = SweepProgress(_steps_a_chunk(study, record.slice_size), measure, display, executor.num_workers)
    executor.on_compiled = progress.compiled
    began = time.monotonic()
    runtime = sweep.Runtime(
        folder=folder, slice_size=record.slice_size, executor=executor, stop_requested=lambda: signals.requested,
        skip_damaged=skip_damaged, on_progress=progress.update,
    )  # fmt: skip
    try:
        with signals, display:
            outcome = sweep.train(study, runtime)
    except schedule.Stopped as stopped:
        print(f"{stopped}; all is saved in {folder}: go on with `{resume_command(folder)}`", file=sys.stderr)
        return stop_signals.status(stopped.signal_number)
    sweep_output.write(study, folder, outcome, record, time.monotonic() - began, progress, executor.saving_s)
    return 0


def _stop_signals(folder: Path) -> StopSignals:
    return StopSignals("stopping after these chunks", resume_command(folder))


def resume_command(folder: Path) -> str:
    """What goes on with the sweep."""
    return shlex.join(["python", "-m", "agents", "resume", str(folder)])


def default_slice_size(study: Study, num_devices: int) -> int:
    """Trials of a slice: as many as are fast, no more than half of the trials, and as fit into memory.

    With halving whole configurations. Raises ValueError where not one trial fits.
    """
    seeds = len(study.seeds)
    trials = min(algorithms.of(study.config).slice_size.here(), math.ceil(studies.batch_size(study) * seeds / 2))
    unit = seeds if study.halving else 1
    trials = max(1, trials // unit) * unit
    available = memory.available_bytes()
    if available is None:
        return trials
    most = int(_SHARE_OF_MEMORY * available / _bytes_at_a_time(study, num_devices))
    if most < unit:
        what = f"one configuration of {seeds} trials" if study.halving else "one trial"
        size = algorithms.of(study.config).size
        would = unit * _bytes_at_a_time(study, num_devices) / 2**30
        raise ValueError(
            f"{what} on each of {num_devices} devices would hold {would:.1f} GiB, and there are "
            f"{available / 2**30:.1f} GiB: take a smaller {size} (now {getattr(study.config, size):,})"
        )
    return min(trials, most // unit * unit)


def _check_memory(study: Study, trials: int, num_devices: int) -> None:
    """Raises ValueError where slices of so many trials cannot be held."""
    available = memory.available_bytes()
    if available is not None and (needed := trials * _bytes_at_a_time(study, num_devices)) > available:
        raise ValueError(
            f"slices of {trials:,} trials on {num_devices} devices would hold {needed / 2**30:,.1f} GiB, and "
            f"there are {available / 2**30:.1f} GiB: begin with a smaller --slice-size"
        )


def _bytes_at_a_time(study: Study, num_devices: int) -> int:
    """Of a trial on each of the devices that share a memory, as CPUs do, at most."""
    sharing = num_devices if jax.default_backend() == "cpu" else 1
    return sharing * max(_trial_bytes(study, config) for config in study_checks.configs(study))


def _trial_bytes(study: Study, config: Any) -> int:
    return slices.trial_bytes(config, registry.make(study.env))


def _read_space(texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, table in map(space.parse, texts):
        if name in found:
            raise ValueError(f"--space must name what is swept once, got {name} twice: {' '.join(texts)}")
        found[name] = table
    return found


def _read_seeds(text: str) -> int | list[int]:
    first, hyphen, last = text.partition("-")
    if not first.isdigit() or (hyphen and not (last.isdigit() and int(first) <= int(last))):
        raise ValueError(f"--seeds must be how many, or the first and the last as in 100-131, got {text!r}")
    if hyphen and int(last) - int(first) >= study_checks.MOST_TRIALS:
        raise ValueError(f"--seeds must be at most {study_checks.MOST_TRIALS:,}, got {text!r}")
    return list(range(int(first), int(last) + 1)) if hyphen else int(first)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The folder, made and held by this process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make the run folder {folder}: {error.strerror}; see --out") from error
    with run_folder.lock(folder):
        yield


def _announce(study: Study, folder: Path, trials: int, executor: Executor) -> None:
    configurations, seeds = studies.count(study), len(study.seeds)
    swept = f"{study.search} search of {', '.join(study.space)}" if study.space else "nothing swept"
    print(f"{study.name}: {study.env}, recipe {study.recipe}, {swept}")
    print(f"{configurations:,} configurations x {seeds:,} seeds = {configurations * seeds:,} trials")
    steps = sweep.num_steps(study)
    rounded = (
        f", {study.num_steps:,} rounded to {study.num_evaluations} equal chunks" if steps != study.num_steps else ""
    )
    print(f"{steps:,} steps each{rounded}")
    if study.halving:
        ends = [steps * end // study.num_evaluations for end in rung_ends(study.num_evaluations, study.halving)[:-1]]
        after = " and ".join(f"{end:,}" for end in ends)
        print(f"halving: after {after} steps one configuration in {study.halving.keep_one_in} goes on")
    trial = max(_trial_bytes(study, config) for config in study_checks.configs(study))
    print(
        f"memory: {trial / 2**20:,.1f} MiB a trial; slices of {trials}, {executor.num_workers} at a time "
        f"on {executor.name}: {executor.num_workers * trials * trial / 2**20:,.0f} MiB"
    )
    print(f"run folder: {folder}", flush=True)
    env, solved = registry.make(study.env), len(objectives.environments_of(study))
    if evaluation.evaluator_of(env).has_regret and solved > 1:
        print(f"the best returns in {solved:,} environments are computed first", flush=True)


def _steps_a_chunk(study: Study, trials: int) -> int:
    return trials * sweep.num_steps(study) // study.num_evaluations
