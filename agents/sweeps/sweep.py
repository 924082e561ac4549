"""A study trained: configurations x seeds as members of slices, batch after batch, whatever interrupts it.

    outcome = train(study, folder, LocalExecutor(jax.devices(), folder), slice_lanes=16)

Configurations with one static configuration (`Config`) share a program, compiled once. Grid and random search are
one batch; an adaptive search is told what came of a batch before it is asked for the next.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.common import env_params
from agents.common.algorithm import Config
from agents.runs import loop, scoring
from agents.sweeps import objectives, results, schedule, search, slices, space, study_checks, study_file
from agents.sweeps import study as studies
from agents.sweeps.executors import Executor
from agents.sweeps.results import Member
from agents.sweeps.slice_files import Result
from agents.sweeps.study import Setting, Study
from agents.sweeps.tasks import Lane, Task, plan, score
from heartpole_jax import documents, registry


class Outcome(NamedTuple):
    """What came of a study."""

    members: list[Member]
    weights: dict[Lane, np.ndarray]  # of each member's kept policy


@dataclasses.dataclass(frozen=True, eq=False)
class Means:
    """What a study is trained with; none of it but `slice_lanes` changes a result."""

    folder: Path
    slice_lanes: int
    executor: Executor
    stop_requested: Callable[[], int | None] = lambda: None
    skip_damaged: bool = False
    watch: Callable[[schedule.Progress], None] = lambda progress: None  # what is left is that of all batches


def train(study: Study, means: Means) -> Outcome:
    """Trains what is left of the study, and returns all of it.

    Raises:
      schedule.Stopped, ValueError, OSError: as `schedule.run`.
    """
    digest, metric = study_file.digest(study), objectives.metric(study)
    outcome = Outcome([], {})
    num_batches = count_batches(study)
    with search.opened(study, means.folder) as searcher:
        for batch in range(num_batches):
            configurations = _batch(batch, study, means.folder, searcher)
            first = batch * studies.batch_size(study)
            settings = {first + i: studies.resolve(study, values) for i, values in enumerate(configurations)}
            groups = _groups(batch, settings, study, means.slice_lanes)
            trained = _train_groups(groups, settings, study, digest, metric, num_batches - batch - 1, means)
            values = dict(zip(settings, configurations, strict=True))
            members = _members(trained, values, settings, study)
            searcher.tell(batch, configurations, [_objective(i, members, metric) for i in settings])
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
    iterations = loop.iterations_a_chunk(study.num_steps, study.num_evaluations, config)
    return study.num_evaluations * iterations * config.env_steps_per_iteration


def _batch(batch: int, study: Study, folder: Path, searcher: search.Searcher) -> list[dict[str, Any]]:
    """The configurations of a batch: as the folder has them, or asked for and put there."""
    path = folder / "batches" / f"{batch:04}.json"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        content = {"study": study_file.digest(study), "batch": batch, "configurations": searcher.ask(batch)}
        documents.write(path, content)
    return _read_batch(path, batch, study)


def _read_batch(path: Path, batch: int, study: Study) -> list[dict[str, Any]]:
    """The configurations in a batch's file. Raises ValueError where it is damaged, or of another study or batch."""
    try:
        written = documents.read(path)
    except ValueError as error:
        raise ValueError(f"{error}; {_RESTORE}") from error
    found = written.get("configurations")
    number = min(studies.batch_size(study), studies.count(study) - batch * studies.batch_size(study))
    if (
        written.get("study") != study_file.digest(study)
        or written.get("batch") != batch
        or not isinstance(found, list)
        or len(found) != number
        or not all(_is_of(study, values) for values in found)
    ):
        raise ValueError(f"{path} is not what was written for this study; {_RESTORE}")
    return found


def _is_of(study: Study, values: Any) -> bool:
    """Whether it is a configuration of the study, values by name."""
    return (
        isinstance(values, dict)
        and values.keys() == study.space.keys()
        and all(space.contains(study.space[name], value) for name, value in values.items())
    )


_RESTORE = "restore it from a backup, or begin the study again in another folder"


@dataclasses.dataclass(frozen=True)
class _Group:
    """Members that share a program, and what there is to do for them."""

    config: Config
    tasks: list[Task]


def _groups(batch: int, settings: Mapping[int, Setting], study: Study, slice_lanes: int) -> list[_Group]:
    members: dict[Config, list[Lane]] = {}
    for i, setting in settings.items():
        members.setdefault(setting.config, []).extend(Lane(i, seed) for seed in study.seeds)
    return [
        _Group(config, _plan(f"batch-{batch:04}-program-{g:02}", lanes, study, slice_lanes))
        for g, (config, lanes) in enumerate(members.items())
    ]


def _plan(prefix: str, lanes: Sequence[Lane], study: Study, slice_lanes: int) -> list[Task]:
    return plan(prefix, lanes, slice_lanes, study.num_evaluations, study.halving, len(study.seeds))


def _setup(study: Study, config: Config, slice_lanes: int) -> slices.Setup:
    return slices.Setup(
        config=config,
        env=registry.make(study.env),
        slice_lanes=slice_lanes,
        iterations=loop.iterations_a_chunk(study.num_steps, study.num_evaluations, config),
        evaluation_episodes=study.evaluation_episodes,
        final_episodes=study.final_episodes,
        keep=study.keep,
        params=study.params,
        swept_params=studies.swept_params(study),
    )


def _train_groups(
    groups: Sequence[_Group],
    settings: Mapping[int, Setting],
    study: Study,
    digest: str,
    metric: str,
    batches_left: int,
    means: Means,
) -> list[tuple[Task, Result]]:
    """All tasks of the groups with what came of them. After them come `batches_left` batches, about as large."""
    env = registry.make(study.env)
    own = [task for group in groups for task in group.tasks]
    trained: list[tuple[Task, Result]] = []
    for group in groups:
        after = own[len(trained) + len(group.tasks) :] + batches_left * own
        chunks_after, tasks_after = sum(task.num_chunks for task in after), len(after)

        def watch(progress: schedule.Progress, chunks_after=chunks_after, tasks_after=tasks_after) -> None:
            means.watch(
                progress._replace(
                    chunks_left=progress.chunks_left + chunks_after, slices_left=progress.slices_left + tasks_after
                )
            )

        def inputs(lanes: Sequence[Lane]) -> slices.Inputs:
            chosen = [settings[lane.configuration] for lane in lanes]
            return slices.inputs_of(
                [lane.seed for lane in lanes],
                [setting.hyperparams for setting in chosen],
                [{name: setting.params[name] for name in studies.swept_params(study)} for setting in chosen],
            )

        def objective(lane: Lane, mean_return: float) -> float:
            return objectives.loss(mean_return, metric, env, _env_params(env, settings[lane.configuration]))

        job = schedule.Job(
            folder=means.folder,
            study=digest,
            keep_one_in=study.halving.keep_one_in if study.halving else 1,
            inputs=inputs,
            objective=objective,
            executor=means.executor,
            stop_requested=means.stop_requested,
            skip_damaged=means.skip_damaged,
            watch=watch,
            setup=_setup(study, group.config, means.slice_lanes),
        )
        results = schedule.run(group.tasks, job)
        trained += [(task, results[task.name]) for task in group.tasks]
    return trained


def _env_params(env, setting: Setting) -> Any:
    return env_params.replaced(env, setting.params)


def _members(
    trained: Sequence[tuple[Task, Result]], values: Mapping[int, Mapping], settings: Mapping[int, Setting], study: Study
) -> list[Member]:
    """The members in the order of configurations and seeds, each with its whole curve.

    A member that has diverged may be in later rungs as well, frozen: it diverged in the first that tells of it.
    """
    env = registry.make(study.env)
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
        regret = functools.partial(scoring.regret, env, params=params)
        curve["regret"] = np.array([np.nan if (r := regret(value)) is None else r for value in curve["mean_return"]])
        diverged_at = next((at for _, result, i in stages[lane] if (at := int(result.diverged_at[i])) >= 0), None)
        finished = task.last_chunk == study.num_evaluations
        members.append(
            Member(
                configuration=lane.configuration,
                seed=lane.seed,
                values=values[lane.configuration],
                status="diverged" if diverged_at is not None else "finished" if finished else "stopped",
                env_steps=int(curve["env_steps"][-1]),
                mean_return=float(result.mean_return[index]),
                standard_error=float(result.standard_error[index]),
                regret=regret(float(result.mean_return[index])),
                diverged_at=diverged_at,
                curve=curve,
            )
        )
    return members


def _objective(configuration: int, members: Sequence[Member], metric: str) -> float | None:
    """What an adaptive search is told of a configuration; None where a member diverged."""
    own = [member for member in members if member.configuration == configuration]
    if any(member.status == "diverged" for member in own):
        return None
    return score([results.loss(member, metric) for member in own])  # infinite, and so the worst, without a regret
