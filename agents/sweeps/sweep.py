"""A study trained: configurations x seeds as trials of slices, batch after batch, whatever interrupts it.

    outcome = train(study, folder, LocalExecutor(jax.devices(), folder), slice_size=16)

Configurations with one static configuration (`Config`) share a program, compiled once. Grid and random search are
one batch; an adaptive search gets the results of a batch before it proposes the next.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.common.algorithm import Config
from agents.runs import loop, scoring
from agents.sweeps import objectives, results, schedule, search, slices, space, study_checks, study_file
from agents.sweeps import study as studies
from agents.sweeps.executors import Executor
from agents.sweeps.results import TrialResult
from agents.sweeps.slice_files import Result
from agents.sweeps.study import ResolvedConfig, Study
from agents.sweeps.tasks import RungSlice, Trial, plan, score
from heartpole_jax import documents
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs import registry


class SweepResult(NamedTuple):
    """What came of a study."""

    trials: list[TrialResult]
    weights: dict[Trial, np.ndarray]  # of each trial's kept policy


@dataclasses.dataclass(frozen=True, eq=False)
class Runtime:
    """What a study is trained with; none of it but `slice_size` changes a result."""

    folder: Path
    slice_size: int
    executor: Executor
    stop_requested: Callable[[], int | None] = lambda: None
    skip_damaged: bool = False
    on_progress: Callable[[schedule.Progress], None] = lambda progress: None  # what is left is that of all batches


def train(study: Study, runtime: Runtime) -> SweepResult:
    """Trains what is left of the study, and returns all of it.

    Raises:
      schedule.Stopped, ValueError, OSError: as `schedule.run`.
    """
    digest, metric = study_file.digest(study), objectives.metric(study)
    outcome = SweepResult([], {})
    num_batches = count_batches(study)
    with search.opened(study, runtime.folder) as searcher:
        for batch in range(num_batches):
            configurations = _batch(batch, study, runtime.folder, searcher)
            first = batch * studies.batch_size(study)
            settings = {first + i: studies.resolve(study, values) for i, values in enumerate(configurations)}
            own = groups(batch, settings, study, runtime.slice_size)
            trained = _train_groups(own, settings, study, digest, metric, num_batches - batch - 1, runtime)
            values = dict(zip(settings, configurations, strict=True))
            trials = trial_results(trained, values, settings, study)
            searcher.tell(batch, configurations, [_objective(i, trials, metric) for i in settings])
            outcome.trials.extend(trials)
            for _, result in trained:  # a later rung's weights take the place of an earlier's
                outcome.weights.update(zip(result.trials, result.weights, strict=True))
    return outcome


def count_batches(study: Study) -> int:
    """Batches of configurations that are trained one after the other."""
    return math.ceil(studies.count(study) / studies.batch_size(study))


def num_steps(study: Study) -> int:
    """Of a trial, in whole chunks; of the first configuration, where static choices round otherwise."""
    config = study_checks.configs(study)[0]
    iterations = loop.iterations_a_chunk(study.num_steps, study.num_evaluations, config)
    return study.num_evaluations * iterations * config.env_steps_per_iteration


def summary(study: Study, info: Mapping[str, Any]) -> results.Summary:
    """What was swept, with `info` for the report."""
    return results.Summary(
        name=study.name, env=study.env, num_steps=num_steps(study), seeds=study.seeds, swept=tuple(study.space),
        log_scaled=studies.log_scaled(study), keep=study.keep, info=info,
    )  # fmt: skip


def batch_file(folder: Path, batch: int) -> Path:
    """Where the configurations of a batch lie in a run folder."""
    return folder / "batches" / f"{batch:04}.json"


def _batch(batch: int, study: Study, folder: Path, searcher: search.Searcher) -> list[dict[str, Any]]:
    """The configurations of a batch: as the folder has them, or proposed by the search, and written there."""
    path = batch_file(folder, batch)
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        content = {"study": study_file.digest(study), "batch": batch, "configurations": searcher.ask(batch)}
        documents.write(path, content)
    return read_batch(path, batch, study)


def read_batch(path: Path, batch: int, study: Study) -> list[dict[str, Any]]:
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
class Group:
    """Trials that share a program, and what there is to do for them."""

    config: Config
    tasks: list[RungSlice]


def groups(batch: int, settings: Mapping[int, ResolvedConfig], study: Study, slice_size: int) -> list[Group]:
    """What there is to do for the configurations of a batch, by their index: a group for each program."""
    trials: dict[Config, list[Trial]] = {}
    for i, setting in settings.items():
        trials.setdefault(setting.config, []).extend(Trial(i, seed) for seed in study.seeds)
    return [
        Group(config, _plan(f"batch-{batch:04}-program-{g:02}", trials, study, slice_size))
        for g, (config, trials) in enumerate(trials.items())
    ]


def _plan(prefix: str, trials: Sequence[Trial], study: Study, slice_size: int) -> list[RungSlice]:
    return plan(prefix, trials, slice_size, study.num_evaluations, study.halving, len(study.seeds))


def _setup(study: Study, config: Config, slice_size: int) -> slices.Setup:
    return slices.Setup(
        config=config,
        env=registry.make(study.env),
        slice_size=slice_size,
        iterations=loop.iterations_a_chunk(study.num_steps, study.num_evaluations, config),
        evaluation_episodes=study.evaluation_episodes,
        final_episodes=study.final_episodes,
        keep=study.keep,
        params=study.params,
        swept_params=studies.swept_params(study),
    )


def _train_groups(
    groups: Sequence[Group],
    settings: Mapping[int, ResolvedConfig],
    study: Study,
    digest: str,
    metric: str,
    batches_left: int,
    runtime: Runtime,
) -> list[tuple[RungSlice, Result]]:
    """All tasks of the groups with what came of them. After them come `batches_left` batches, about as large."""
    env = registry.make(study.env)
    own = [task for group in groups for task in group.tasks]
    trained: list[tuple[RungSlice, Result]] = []
    for group in groups:
        after = own[len(trained) + len(group.tasks) :] + batches_left * own
        chunks_after, tasks_after = sum(task.num_chunks for task in after), len(after)

        def on_progress(progress: schedule.Progress, chunks_after=chunks_after, tasks_after=tasks_after) -> None:
            runtime.on_progress(
                progress._replace(
                    chunks_left=progress.chunks_left + chunks_after, slices_left=progress.slices_left + tasks_after
                )
            )

        def inputs(trials: Sequence[Trial]) -> slices.Inputs:
            chosen = [settings[trial.configuration] for trial in trials]
            return slices.inputs_of(
                [trial.seed for trial in trials],
                [setting.hyperparams for setting in chosen],
                [{name: setting.params[name] for name in studies.swept_params(study)} for setting in chosen],
            )

        def objective(trial: Trial, mean_return: float) -> float:
            return objectives.loss(mean_return, metric, env, _env_params(env, settings[trial.configuration]))

        job = schedule.Job(
            folder=runtime.folder,
            study=digest,
            keep_one_in=study.halving.keep_one_in if study.halving else 1,
            inputs=inputs,
            objective=objective,
            executor=runtime.executor,
            stop_requested=runtime.stop_requested,
            skip_damaged=runtime.skip_damaged,
            on_progress=on_progress,
            setup=_setup(study, group.config, runtime.slice_size),
        )
        results = schedule.run(group.tasks, job)
        trained += [(task, results[task.name]) for task in group.tasks]
    return trained


def _env_params(env, setting: ResolvedConfig) -> Any:
    return env_params.replaced(env, setting.params)


def trial_results(
    trained: Sequence[tuple[RungSlice, Result]],
    values: Mapping[int, Mapping],
    settings: Mapping[int, ResolvedConfig],
    study: Study,
) -> list[TrialResult]:
    """The trials in the order of configurations and seeds, each with its whole curve.

    A trial that has diverged may be in later rungs as well, frozen: it diverged in the first that has it so.
    """
    env = registry.make(study.env)
    stages: dict[Trial, list[tuple[RungSlice, Result, int]]] = {}
    for task, result in trained:  # parents come before children
        for index, trial in enumerate(result.trials):
            stages.setdefault(trial, []).append((task, result, index))
    trials = []
    for trial in sorted(stages):
        task, result, index = stages[trial][-1]
        curve = {
            name: np.concatenate([result.curves[name][i] for _, result, i in stages[trial]]) for name in result.curves
        }
        params = _env_params(env, settings[trial.configuration])
        regret = functools.partial(scoring.regret, env, params=params)
        curve["regret"] = np.array([np.nan if (r := regret(value)) is None else r for value in curve["mean_return"]])
        diverged_at = next((at for _, result, i in stages[trial] if (at := int(result.diverged_at[i])) >= 0), None)
        finished = task.last_chunk == study.num_evaluations
        trials.append(
            TrialResult(
                configuration=trial.configuration,
                seed=trial.seed,
                values=values[trial.configuration],
                status="diverged" if diverged_at is not None else "finished" if finished else "stopped",
                env_steps=int(curve["env_steps"][-1]),
                mean_return=float(result.mean_return[index]),
                standard_error=float(result.standard_error[index]),
                regret=regret(float(result.mean_return[index])),
                certified=scoring.metric(env, params) == "regret",
                diverged_at=diverged_at,
                curve=curve,
            )
        )
    return trials


def _objective(configuration: int, trials: Sequence[TrialResult], metric: str) -> float | None:
    """What an adaptive search gets for a configuration; None where a trial diverged."""
    own = [trial for trial in trials if trial.configuration == configuration]
    if any(trial.status == "diverged" for trial in own):
        return None
    return score([results.loss(trial, metric) for trial in own])  # infinite, and so the worst, without a regret
