"""A study trained: configurations x seeds as members of slices, batch after batch, whatever interrupts it.

    outcome = train(study, folder, slice_lanes=16, fleet=Fleet(), ...)

Configurations with one static configuration (`DQNConfig`) share a program, compiled once. Grid and random search are
one batch; an adaptive search is told what came of a batch before it is asked for the next.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents import cluster, env_params, environments, files, judging, schedule, search, slices, study_checks
from agents import study as studies
from agents.config import DQNConfig
from agents.fleet import Fleet
from agents.pacing import Pacing
from agents.results import Member
from agents.slice_files import Result
from agents.study import Setting, Study
from agents.tasks import Lane, Task, plan, score

_BLOCK = 16  # iterations whose dice are drawn together: what a chunk should be a multiple of


class Outcome(NamedTuple):
    """What came of a study."""

    members: list[Member]
    weights: dict[Lane, np.ndarray]  # of each member's kept policy


class Left(NamedTuple):
    """How far a study is."""

    chunks: int  # done in the last round, on all devices
    chunks_left: int
    tasks_left: int
    best: float  # objective, infinite where none is known


@dataclasses.dataclass(frozen=True, eq=False)
class Means:
    """What a study is trained with; none of it but `slice_lanes` changes a result."""

    folder: Path
    slice_lanes: int
    fleet: Fleet
    pacing: Pacing
    stop_requested: Callable[[], int | None] = lambda: None
    skip_damaged: bool = False
    watch: Callable[[Left], None] = lambda left: None
    compiled: Callable[[], None] = lambda: None  # is called when a program is ready


def train(study: Study, means: Means) -> Outcome:
    """Trains what is left of the study, and returns all of it.

    Raises:
      schedule.Stopped, ValueError, OSError, cluster.Lost: as `schedule.run`.
    """
    digest = studies.digest(study)
    programs = functools.cache(functools.partial(_programs, study, means))
    outcome = Outcome([], {})
    num_batches = count_batches(study)
    with _searcher(study, means.folder) as searcher:
        for batch in range(num_batches):
            configurations = _batch(batch, study, means.folder, searcher)
            first = batch * studies.batch_size(study)
            settings = {first + i: studies.resolve(study, values) for i, values in enumerate(configurations)}
            groups = _groups(batch, settings, study, means.slice_lanes)
            later = (num_batches - batch - 1) * _count(groups)
            trained = _train_groups(groups, settings, study, digest, programs, later, means)
            values = dict(zip(settings, configurations, strict=True))
            members = _members(trained, values, settings, study)
            if cluster.is_first():
                searcher.tell(batch, configurations, [_objective(i, members) for i in settings])
            outcome.members.extend(members)
            for _, result in trained:  # a later rung's weights take the place of an earlier's
                outcome.weights.update(zip(result.lanes, result.weights, strict=True))
    return outcome


def count_batches(study: Study) -> int:
    """Batches of configurations that are trained one after the other."""
    return math.ceil(studies.count(study) / studies.batch_size(study))


def num_steps(study: Study) -> int:
    """Of a member, in whole chunks; of the first configuration, where static choices round otherwise."""
    config = study_checks.configs(study)[0]
    return study.num_evaluations * iterations_a_chunk(study, config) * config.env_steps_per_iteration


def iterations_a_chunk(study: Study, config: DQNConfig) -> int:
    """Iterations between two evaluations: the study's steps over its evaluations, in whole blocks of 16.

    Raises:
      ValueError: where that is less than one, or all together pass int32.
    """
    steps = study.num_steps / study.num_evaluations
    iterations = max(1, round(steps / config.env_steps_per_iteration / _BLOCK)) * _BLOCK
    if steps < _BLOCK * config.env_steps_per_iteration / 2:
        least = study.num_evaluations * _BLOCK * config.env_steps_per_iteration
        raise ValueError(
            f"num_steps must be at least {study.num_evaluations} evaluations of {_BLOCK} iterations of "
            f"{config.env_steps_per_iteration:,} steps = {least:,}, got {study.num_steps:,}"
        )
    if iterations * config.env_steps_per_iteration * study.num_evaluations >= 2**31:
        raise ValueError(f"num_steps must be below 2^31, got {study.num_steps:,}")
    return iterations


def _searcher(study: Study, folder: Path) -> contextlib.AbstractContextManager:
    """The search, which process 0 alone has."""
    return search.opened(study, folder) if cluster.is_first() else contextlib.nullcontext()


def _batch(batch: int, study: Study, folder: Path, searcher: search.Searcher | None) -> list[dict[str, Any]]:
    """The configurations of a batch: as the folder has them, or asked for and put there, by process 0 for all."""
    path = folder / "batches" / f"{batch:04}.json"
    if searcher is not None and not path.exists():
        path.parent.mkdir(exist_ok=True)
        content = {"study": studies.digest(study), "batch": batch, "configurations": searcher.ask(batch)}
        files.write_whole(path, (json.dumps(content | {"sha256": _digest(content)}, indent=1) + "\n").encode())
    cluster.gather(np.int32(batch))
    try:
        content = json.loads(path.read_bytes())
        intact = content.pop("sha256") == _digest(content)
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is damaged, {type(error).__name__}: {error}; {_RESTORE}") from error
    if not intact or content["study"] != studies.digest(study) or content["batch"] != batch:
        raise ValueError(f"{path} is not what was written for this study; {_RESTORE}")
    return content["configurations"]


_RESTORE = "restore it from a backup, or begin the study again in another folder"


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class _Group:
    """Members that share a program, and what there is to do for them."""

    config: DQNConfig
    tasks: list[Task]


def _groups(batch: int, settings: Mapping[int, Setting], study: Study, slice_lanes: int) -> list[_Group]:
    members: dict[DQNConfig, list[Lane]] = {}
    for i, setting in settings.items():
        members.setdefault(setting.config, []).extend(Lane(i, seed) for seed in study.seeds)
    return [
        _Group(config, _plan(f"batch-{batch:04}-program-{g:02}", lanes, study, slice_lanes))
        for g, (config, lanes) in enumerate(members.items())
    ]


def _plan(prefix: str, lanes: Sequence[Lane], study: Study, slice_lanes: int) -> list[Task]:
    return plan(prefix, lanes, slice_lanes, study.num_evaluations, study.halving, len(study.seeds))


def _count(groups: Sequence[_Group]) -> int:
    return sum(task.num_chunks for group in groups for task in group.tasks)


def _setup(study: Study, config: DQNConfig, slice_lanes: int) -> slices.Setup:
    return slices.Setup(
        config=config,
        env=environments.make(study.env),
        slice_lanes=slice_lanes,
        iterations=iterations_a_chunk(study, config),
        evaluation_episodes=study.evaluation_episodes,
        final_episodes=study.final_episodes,
        keep=study.keep,
        params=study.params,
        swept_params=studies.swept_params(study),
    )


def _programs(study: Study, means: Means, config: DQNConfig) -> slices.Programs:
    programs = slices.build(_setup(study, config, means.slice_lanes), means.fleet)
    means.compiled()
    return programs


def _train_groups(
    groups: Sequence[_Group],
    settings: Mapping[int, Setting],
    study: Study,
    digest: str,
    programs: Callable[[DQNConfig], slices.Programs],
    later: int,
    means: Means,
) -> list[tuple[Task, Result]]:
    """All tasks of the groups with what came of them. `later` chunks are to be done after these groups."""
    env = environments.make(study.env)
    trained = []
    for g, group in enumerate(groups):
        after = later + _count(groups[g + 1 :])
        tasks_after = sum(len(group.tasks) for group in groups[g + 1 :])

        def watch(happened: schedule.Happened, after=after, tasks_after=tasks_after) -> None:
            means.watch(
                Left(happened.chunks, happened.chunks_left + after, happened.tasks_left + tasks_after, happened.best)
            )

        def inputs(lanes: Sequence[Lane]) -> slices.Inputs:
            chosen = [settings[lane.configuration] for lane in lanes]
            return slices.inputs_of(
                [lane.seed for lane in lanes],
                [setting.hyperparams for setting in chosen],
                [{name: setting.params[name] for name in studies.swept_params(study)} for setting in chosen],
            )

        def objective(lane: Lane, mean_return: float) -> float:
            regret = judging.regret(env, mean_return, _env_params(env, settings[lane.configuration]))
            return -mean_return if regret is None else regret

        job = schedule.Job(
            folder=means.folder,
            study=digest,
            keep_one_in=study.halving.keep_one_in if study.halving else 1,
            inputs=inputs,
            objective=objective,
            fleet=means.fleet,
            pacing=means.pacing,
            stop_requested=means.stop_requested,
            skip_damaged=means.skip_damaged,
            watch=watch,
            setup=_setup(study, group.config, means.slice_lanes),
            programs=functools.partial(programs, group.config),
        )
        results = schedule.run(group.tasks, job)
        trained += [(task, results[task.name]) for task in group.tasks]
    return trained


def _env_params(env, setting: Setting) -> Any:
    return env_params.replaced(env, setting.params)


def _members(
    trained: Sequence[tuple[Task, Result]], values: Mapping[int, Mapping], settings: Mapping[int, Setting], study: Study
) -> list[Member]:
    """The members in the order of configurations and seeds, each with its whole curve."""
    env = environments.make(study.env)
    stages: dict[Lane, list[tuple[Task, Result, int]]] = {}
    for task, result in trained:  # parents come before children
        for index, lane in enumerate(result.lanes):
            stages.setdefault(lane, []).append((task, result, index))
    members = []
    for lane in sorted(stages):
        task, result, index = stages[lane][-1]
        curve = {
            name: np.concatenate([result.curves[name][i] for _, result, i in stages[lane]]) for name in result.curves
        }
        params = _env_params(env, settings[lane.configuration])
        regret = functools.partial(judging.regret, env, params=params)
        curve["regret"] = np.array([np.nan if (r := regret(value)) is None else r for value in curve["mean_return"]])
        diverged_at = int(result.diverged_at[index])
        finished = task.last_chunk == study.num_evaluations
        members.append(
            Member(
                configuration=lane.configuration,
                seed=lane.seed,
                values=values[lane.configuration],
                status="diverged" if diverged_at >= 0 else "finished" if finished else "stopped",
                env_steps=int(curve["env_steps"][-1]),
                mean_return=float(result.mean_return[index]),
                standard_error=float(result.standard_error[index]),
                regret=regret(float(result.mean_return[index])),
                diverged_at=diverged_at if diverged_at >= 0 else None,
                curve=curve,
            )
        )
    return members


def _objective(configuration: int, members: Sequence[Member]) -> float | None:
    """What an adaptive search is told of a configuration; None where a member diverged."""
    own = [member for member in members if member.configuration == configuration]
    if any(member.status == "diverged" for member in own):
        return None
    return score([-member.mean_return if member.regret is None else member.regret for member in own])
