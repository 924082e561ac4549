"""Adaptive search by Optuna's TPE (Bergstra et al. 2011): a batch is proposed, trained, reported.

Suggestions depend on the study, the batch's number and the results of the batches before it, and on nothing else:
each batch comes from a fresh sampler that is shown a fresh copy of the history. The file optuna.db, for
`optuna-dashboard sqlite:///.../optuna.db`, is written and never read from: where it is lost or damaged it is written
anew while the batches are reported again.
"""

import contextlib
import json
import math
import sqlite3
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.sweeps import objectives, results, space, study_file
from agents.sweeps import study as studies
from agents.sweeps.space import LogUniform, Range, Uniform
from agents.sweeps.study import Study

try:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy.exc import SQLAlchemyError  # Optuna's own database layer
except ImportError as error:
    raise ImportError("search = 'optuna' needs Optuna: pip install '.[optuna]' in the clone") from error

DATABASE = "optuna.db"


@contextlib.contextmanager
def opened(study: Study, folder: Path) -> Iterator["Searcher"]:
    """The search of a study in its run's `folder`, which keeps its database. One process opens it.

    Raises:
      ValueError: if the database is another study's.
      OSError: if it cannot be opened or written.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _database(study, folder / DATABASE) as shown:
        yield Searcher(study, shown)


class Searcher:
    """See `search.Searcher`."""

    def __init__(self, study: Study, shown: optuna.Study):
        self._study = study
        self._shown = shown
        self._distributions = {name: _distribution(swept) for name, swept in study.space.items()}
        self._reported: list[list[FrozenTrial]] = []  # of each batch, as the sampler sees them

    def ask(self, batch: int) -> list[dict[str, Any]]:
        """The configurations of a batch.

        Raises:
          ValueError: unless all batches before it were reported, or where there is none of that number.
          OSError: if the database cannot be written.
        """
        size = studies.batch_size(self._study)
        number = min(size, studies.count(self._study) - batch * size)
        if batch < 0 or number < 1:
            raise ValueError(f"there is no batch {batch} of {size} among {studies.count(self._study)} configurations")
        self._check_order(batch)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=int(np.random.SeedSequence((self._study.search_seed, batch)).generate_state(1)[0]),
                n_startup_trials=size,  # the first batch is random
                multivariate=True,
                constant_liar=True,  # who is being trained counts as bad: a batch spreads out
            )
        history = optuna.create_study(direction="minimize", sampler=sampler)
        history.add_trials([trial for trials in self._reported[:batch] for trial in trials])
        proposed = [history.ask(self._distributions).params for _ in range(number)]
        self._show(batch, proposed, [None] * number, TrialState.RUNNING)
        return [{name: _value(params[name]) for name in self._study.space} for params in proposed]

    def tell(self, batch: int, configurations: Sequence[Mapping[str, Any]], objectives: Sequence[float | None]) -> None:
        """Takes what came of a batch, also a second time: the lower the better, None or not finite for divergence.

        Raises:
          ValueError: unless all batches before it were reported, for values out of their ranges, or where other results
            of it were reported before.
          OSError: if the database cannot be written.
        """
        self._check_order(batch)
        if len(objectives) != len(configurations):
            raise ValueError(f"{len(configurations)} configurations need as many objectives, got {len(objectives)}")
        values = [value if value is not None and math.isfinite(value) else None for value in objectives]
        params = [{name: _param(value) for name, value in values.items()} for values in configurations]
        # The sampler learns from those that diverged as from the worst. It would take no notice of failed ones.
        trials = [
            self._trial(batch, i, params, value, TrialState.PRUNED if value is None else TrialState.COMPLETE)
            for i, (params, value) in enumerate(zip(params, values, strict=True))
        ]
        if batch < len(self._reported):
            if [_reported(trial) for trial in trials] != [_reported(trial) for trial in self._reported[batch]]:
                raise ValueError(f"batch {batch} was reported before, and otherwise; begin the search again")
        else:
            self._reported.append(trials)
        self._show(batch, params, values, TrialState.COMPLETE)

    def _check_order(self, batch: int) -> None:
        if batch > len(self._reported):
            raise ValueError(
                f"batch {batch} comes after batch {len(self._reported)} is reported; report all batches in order"
            )

    def _trial(self, batch: int, index: int, params: dict, value: float | None, state: TrialState) -> FrozenTrial:
        configuration = batch * studies.batch_size(self._study) + index
        return optuna.trial.create_trial(
            state=state, value=value, params=params, distributions=self._distributions,
            user_attrs={"batch": batch, "configuration": configuration},
        )  # fmt: skip

    def _show(self, batch: int, params: Sequence[dict], values: Sequence[float | None], state: TrialState) -> None:
        """Brings the database to where these trials are: RUNNING, or over, and failed where there is no value."""
        with _writing():
            known = {trial.user_attrs.get("configuration"): trial for trial in self._shown.get_trials(deepcopy=False)}
            sign = 1.0 if self._shown.direction == optuna.study.StudyDirection.MINIMIZE else -1.0
            for i, (chosen, value) in enumerate(zip(params, values, strict=True)):
                value = None if value is None else sign * value
                ended = TrialState.FAIL if value is None else state
                trial = self._trial(batch, i, chosen, value, state if state == TrialState.RUNNING else ended)
                there = known.get(trial.user_attrs["configuration"])
                if there is None:
                    self._shown.add_trial(trial)
                elif there.params != chosen or (there.state.is_finished() and not _same_end(there, trial)):
                    raise ValueError(
                        f"{DATABASE} has another trial {there.number} than this study; move the file away, and it is "
                        "written anew"
                    )
                elif there.state != trial.state and not there.state.is_finished():
                    self._shown.tell(there.number, value, state=ended)


def _same_end(there: FrozenTrial, trial: FrozenTrial) -> bool:
    """Whether a finished trial is the one to be written; one that is being trained again has ended before."""
    return trial.state == TrialState.RUNNING or _reported(there) == _reported(trial)


def _reported(trial: FrozenTrial) -> tuple:
    return trial.params, trial.state, trial.value


def _distribution(swept: Range) -> BaseDistribution:
    if isinstance(swept, Uniform | LogUniform):
        return FloatDistribution(swept.low, swept.high, log=isinstance(swept, LogUniform))
    return CategoricalDistribution([_param(value) for value in space.listed(swept.values)])


def _param(value: Any) -> Any:
    """The value as Optuna's database takes it: a list as text."""
    return json.dumps(value) if isinstance(value, list) else value


def _value(param: Any) -> Any:
    """The value that `_param` made this of: no text of ours begins with a bracket but a list's."""
    return json.loads(param) if isinstance(param, str) and param.startswith("[") else param


@contextlib.contextmanager
def _database(study: Study, path: Path) -> Iterator[optuna.Study]:
    """The study in the database at `path`, which is made where there is none, or a damaged one."""
    if path.exists() and not _is_intact(path):
        aside = path.with_name(f"damaged-{path.name}")
        path.replace(aside)
        print(f"{path} is damaged: moved to {aside.name}, and written anew from the batches", file=sys.stderr)
    metric = objectives.metric(study)
    with _storage(path) as storage:
        with _writing():
            shown = optuna.create_study(
                storage=storage,
                study_name=study.name,
                direction="maximize" if metric == "return" else "minimize",
                load_if_exists=True,
            )
            digest = study_file.digest(study)
            if shown.user_attrs.get("digest", digest) != digest:
                raise ValueError(f"{path} is of another study of this name; move it away, or take a new folder")
            shown.set_user_attr("digest", digest)
            shown.set_user_attr("objective", results.metric_name(metric))
        yield shown


@contextlib.contextmanager
def _storage(path: Path) -> Iterator[optuna.storages.RDBStorage]:
    with _writing():
        storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _is_intact(path: Path) -> bool:
    """Whether all that is in the database can be read. Raises OSError where that is the disk's fault."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            if connection.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
                return False
        with _storage(path) as storage:
            for there in optuna.get_all_study_summaries(storage):
                optuna.load_study(study_name=there.study_name, storage=storage).get_trials(deepcopy=False)
    except Exception as error:  # of SQLite, SQLAlchemy, Alembic or Optuna: whatever they make of altered bytes
        if (cause := _of_the_disk(error)) is not None:
            raise OSError(f"cannot open {path}: {cause}") from error
        return False
    return True


def _of_the_disk(error: BaseException | None) -> sqlite3.OperationalError | None:
    """The error's cause where SQLite could not read or write, and what it has read is not the reason."""
    while error is not None:
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            return error
        error = error.__cause__ or error.__context__
    return None


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Turns the database's errors into OSError."""
    try:
        yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ or error
        raise OSError(f"cannot write {DATABASE}: {getattr(cause, 'orig', None) or cause}") from error
