"""What a sweep leaves at its end: tables, the best configuration and its policies, and what is printed."""

import shlex
import sys
from pathlib import Path

from agents.commands.sweep_progress import SweepProgress
from agents.runs import recipes
from agents.runs.display import clock
from agents.runs.save_policy import save_policy
from agents.sweeps import result_text, results, sweep
from agents.sweeps import study as studies
from agents.sweeps.study import Study
from agents.sweeps.study_folder import SweepRecord
from agents.sweeps.tasks import Trial
from heartpole_jax import disk


def write(
    study: Study,
    folder: Path,
    outcome: sweep.SweepResult,
    record: SweepRecord,
    seconds: float,
    progress: SweepProgress,
    checkpoint_s: float,
) -> None:
    """The tables, the best configuration and its policies, and what is printed."""
    from agents.sweeps import result_files  # here, since pyarrow is slow to import

    info = {
        "command": record.command,
        "versions": record.versions,
        "begun": record.begun,
        "seconds": round(seconds, 1),
        "estimated_seconds": progress.estimate_s and round(progress.estimate_s, 1),
        "compiling_seconds": round(progress.compiling_s, 1),
        "checkpoint_seconds": round(checkpoint_s, 1),
        "slice_size": record.slice_size,
    }
    summary = sweep.summary(study, info)
    result_files.write(folder, outcome.trials, summary)
    estimated = f", estimated {clock(progress.estimate_s)}" if progress.estimate_s else ""
    print(
        f"trained in {clock(seconds)}{estimated}; compiling took {progress.compiling_s:.1f} s, "
        f"checkpoints {checkpoint_s:.1f} s\n"
    )
    print(f"{result_text.as_text(outcome.trials, summary)}\n")
    written = ["results.parquet, .csv", "configurations.parquet, .csv", "curves.parquet"]
    try:
        best = results.best(outcome.trials)
    except ValueError as error:
        print(f"no best configuration: {error}", file=sys.stderr)
    else:
        write_best(study, folder, outcome, best, record)
        written += ["best.toml", "best/"]
    print(f"written: {folder}/{{{', '.join(written)}}}")
    print(f"a page of it: python -m agents report {shlex.quote(str(folder))}")


def write_best(study: Study, folder: Path, outcome: sweep.SweepResult, best: int, record: SweepRecord) -> None:
    """The configuration `best` as a recipe, best.toml, and its policies, best/seed-<seed>/."""
    trials = [trial for trial in outcome.trials if trial.configuration == best]
    resolved = studies.resolve(study, trials[0].values)
    recipe = recipes.Recipe(
        name="best", env=study.env, num_steps=study.num_steps, config=resolved.config, hyperparams=resolved.hyperparams,
        keep=study.keep, evaluation_episodes=study.evaluation_episodes, params=resolved.params,
    )  # fmt: skip
    disk.write_atomic(folder / "best.toml", recipes.as_toml(recipe).encode())
    for trial in trials:
        own = folder / "best" / f"seed-{trial.seed}"
        own.mkdir(parents=True, exist_ok=True)
        provenance = {
            "study": study.name, "configuration": best, "seed": trial.seed, "num_steps": trial.env_steps,
            "hyperparams": dict(vars(resolved.hyperparams)), "params": resolved.params, "versions": record.versions,
        }  # fmt: skip
        save_policy(own, outcome.weights[Trial(best, trial.seed)], resolved.config, study.env, provenance)
