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
from agents.runs import algorithms, recipes, run_folder, scoring, stop_signals
from agents.runs.display import Display
from agents.runs.stop_signals import Stopping
from agents.sweeps import objectives, schedule, slices, space, study_checks, study_file, study_folder, sweep
from agents.sweeps import study as studies
from agents.sweeps.executors import Executor
from agents.sweeps.study import Study
from agents.sweeps.tasks import rung_ends
from heartpole_jax import disk, registry, validation

_SHARE_OF_MEMORY = 0.8


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Trains a study: configurations x seeds, in one program. Flags override its file. An unfinished one goes on."""

    study: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[STUDY.toml]")] = None
    """see agents/studies; without a file the flags say it all"""
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
    """of a member"""
    seeds: Annotated[str | None, tyro.conf.arg(metavar="N|FIRST-LAST")] = None
    """members for each configuration: N of them, from 0 on, or these"""
    search: Literal["grid", "random", "optuna"] | None = None
    """where configurations come from"""
    num_configurations: int | None = None
    """of a search that is no grid"""
    num_evaluations: int | None = None
    """of a member while it is trained, evenly"""
    halving: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="KEEP_ONE_IN RUNGS")] = None
    """after each rung but the last, one configuration in so many goes on"""
    slice_lanes: int | None = None
    """members trained together; it sets how results round, the number of devices does not"""
    checkpoint_every: Annotated[Literal["auto"] | int, tyro.conf.arg(metavar="auto|INT")] = "auto"
    """chunks; auto: as many as it takes for saving to cost 2 % of the time"""
    skip_damaged: bool = False
    """go on from the newest checkpoints that are whole"""
    ray_flags: Annotated[RayFlags, tyro.conf.OmitArgPrefixes] = dataclasses.field(default_factory=RayFlags)


def run(options: Sweep, arguments: Sequence[str] = ()) -> int:
    """Runs the command, which `arguments` asked for; returns the exit status.

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
    for name, size in (("checkpoint_every", every), ("slice_lanes", options.slice_lanes)):
        if size is not None:
            validation.check_size(name, size)
    command = shlex.join(["python", "-m", "agents", *arguments])
    asked = _signals(folder)
    with _held(folder), workers.opened(folder, options.ray_flags, every, options.skip_damaged, asked) as executor:
        at_a_time = workers.at_a_time_here(options.ray_flags)
        lanes = options.slice_lanes or default_slice_lanes(study, at_a_time)
        _check_memory(study, lanes, at_a_time)
        kept = study_folder.prepare(folder, study, command, lanes, every)
        if options.slice_lanes not in (None, kept.slice_lanes):
            raise ValueError(f"{folder} was begun with --slice-lanes {kept.slice_lanes}, got {options.slice_lanes}")
        return _go_on(folder, kept, executor, asked, options.skip_damaged)


def resume(folder: Path, ray_flags: RayFlags, skip_damaged: bool) -> int:
    """Goes on with the sweep in `folder`; returns the exit status. Raises as `run`."""
    workers.check(ray_flags)
    asked = _signals(folder)
    with _held(folder):
        kept = study_folder.read(folder)
        _check_memory(kept.study, kept.slice_lanes, workers.at_a_time_here(ray_flags))
        with workers.opened(folder, ray_flags, kept.checkpoint_every, skip_damaged, asked) as executor:
            return _go_on(folder, kept, executor, asked, skip_damaged)


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
        raise ValueError("name a study file, as agents/studies/heartpole-v0.toml, or say with flags what to sweep")
    content = study_file.content(options.study) if options.study else {"env": "HeartPole-v0"}
    if "recipe" in flags and "env" not in flags and not options.study:
        del content["env"]
    name = Path(options.study).stem if options.study else "sweep"
    try:
        return study_file.read(study_file.merge(content, flags), name)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{options.study}: {error}" if options.study else str(error)) from error


def _go_on(folder: Path, kept: study_folder.Kept, executor: Executor, asked: Stopping, skip_damaged: bool) -> int:
    """Trains what is left of the study in `folder`; returns the exit status."""
    study = kept.study
    study_folder.tidy(folder, study)
    _announce(study, folder, kept.slice_lanes, executor)
    display = Display()
    measure = "regret" if objectives.metric(study) == "regret" else "return"
    progress = SweepProgress(_steps_a_chunk(study, kept.slice_lanes), measure, display, executor.num_workers)
    executor.on_compiled = progress.compiled
    began = time.monotonic()
    means = sweep.Means(
        folder=folder, slice_lanes=kept.slice_lanes, executor=executor, stop_requested=lambda: asked.requested,
        skip_damaged=skip_damaged, watch=progress.update,
    )  # fmt: skip
    try:
        with asked, display:
            outcome = sweep.train(study, means)
    except schedule.Stopped as stopped:
        print(f"{stopped}; all is saved in {folder}: go on with `{resume_command(folder)}`", file=sys.stderr)
        return stop_signals.status(stopped.signal_number)
    sweep_output.write(study, folder, outcome, kept, time.monotonic() - began, progress, executor.saving_s)
    return 0


def _signals(folder: Path) -> Stopping:
    return Stopping("stopping after these chunks", resume_command(folder))


def resume_command(folder: Path) -> str:
    """What goes on with the sweep."""
    return shlex.join(["python", "-m", "agents", "resume", str(folder)])


def default_slice_lanes(study: Study, num_devices: int) -> int:
    """Lanes of a slice: as many as are fast, no more than half of the members, and as fit into memory.

    With halving whole configurations. Raises ValueError where not one member fits.
    """
    seeds = len(study.seeds)
    lanes = min(algorithms.of(study.config).slice_members.here(), math.ceil(studies.batch_size(study) * seeds / 2))
    unit = seeds if study.halving else 1
    lanes = max(1, lanes // unit) * unit
    available = memory.available_bytes()
    if available is None:
        return lanes
    most = int(_SHARE_OF_MEMORY * available / _lane_bytes(study, num_devices))
    if most < unit:
        what = f"one configuration of {seeds} members" if study.halving else "one member"
        size = algorithms.of(study.config).size
        would = unit * _lane_bytes(study, num_devices) / 2**30
        raise ValueError(
            f"{what} on each of {num_devices} devices would hold {would:.1f} GiB, and there are "
            f"{available / 2**30:.1f} GiB: take a smaller {size} (now {getattr(study.config, size):,})"
        )
    return min(lanes, most // unit * unit)


def _check_memory(study: Study, lanes: int, num_devices: int) -> None:
    """Raises ValueError where slices of so many lanes cannot be held."""
    available = memory.available_bytes()
    if available is not None and (needed := lanes * _lane_bytes(study, num_devices)) > available:
        raise ValueError(
            f"slices of {lanes:,} members on {num_devices} devices would hold {needed / 2**30:,.1f} GiB, and "
            f"there are {available / 2**30:.1f} GiB: begin with a smaller --slice-lanes"
        )


def _lane_bytes(study: Study, num_devices: int) -> int:
    """Of a member on each of the devices that share a memory, as CPUs do, at most."""
    sharing = num_devices if jax.default_backend() == "cpu" else 1
    return sharing * max(_member_bytes(study, config) for config in study_checks.configs(study))


def _member_bytes(study: Study, config: Any) -> int:
    return slices.member_bytes(config, registry.make(study.env))


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
    if hyphen and int(last) - int(first) >= study_checks.MOST_MEMBERS:
        raise ValueError(f"--seeds must be at most {study_checks.MOST_MEMBERS:,}, got {text!r}")
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


def _announce(study: Study, folder: Path, lanes: int, executor: Executor) -> None:
    configurations, seeds = studies.count(study), len(study.seeds)
    swept = f"{study.search} search of {', '.join(study.space)}" if study.space else "nothing swept"
    print(f"{study.name}: {study.env}, recipe {study.recipe}, {swept}")
    print(f"{configurations:,} configurations x {seeds:,} seeds = {configurations * seeds:,} members")
    steps = sweep.num_steps(study)
    rounded = (
        f", {study.num_steps:,} rounded to {study.num_evaluations} equal chunks" if steps != study.num_steps else ""
    )
    print(f"{steps:,} steps each{rounded}")
    if study.halving:
        ends = [steps * end // study.num_evaluations for end in rung_ends(study.num_evaluations, study.halving)[:-1]]
        after = " and ".join(f"{end:,}" for end in ends)
        print(f"halving: after {after} steps one configuration in {study.halving.keep_one_in} goes on")
    member = max(_member_bytes(study, config) for config in study_checks.configs(study))
    print(
        f"memory: {member / 2**20:,.1f} MiB a member; slices of {lanes}, {executor.num_workers} at a time "
        f"on {executor.name}: {executor.num_workers * lanes * member / 2**20:,.0f} MiB"
    )
    print(f"run folder: {folder}", flush=True)
    env, solved = registry.make(study.env), len(objectives.environments_of(study))
    if scoring.is_heartpole(env) and solved > 1:
        print(f"regrets: the best returns in {solved:,} environments are computed first", flush=True)


def _steps_a_chunk(study: Study, lanes: int) -> int:
    return lanes * sweep.num_steps(study) // study.num_evaluations
