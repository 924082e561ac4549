"""What a sweep leaves at its end: tables, the best configuration and its policies, and what is printed."""

import shlex
import sys
from pathlib import Path

from agents.commands.sweep_progress import SweepProgress
from agents.runs import recipes
from agents.runs.display import clock
from agents.runs.save_policy import save_policy
from agents.sweeps import result_text, results, study_folder, sweep
from agents.sweeps import study as studies
from agents.sweeps.study import Study
from agents.sweeps.tasks import Lane
from heartpole_jax import disk


def write(
    study: Study,
    folder: Path,
    outcome: sweep.Outcome,
    kept: study_folder.Kept,
    seconds: float,
    progress: SweepProgress,
    checkpoint_s: float,
) -> None:
    """The tables, the best configuration and its policies, and what is printed."""
    from agents.sweeps import result_files  # here, since pyarrow is slow to import

    info = {
        "command": kept.command,
        "versions": kept.versions,
        "begun": kept.begun,
        "seconds": round(seconds, 1),
        "estimated_seconds": progress.estimate_s and round(progress.estimate_s, 1),
        "compiling_seconds": round(progress.compiling_s, 1),
        "checkpoint_seconds": round(checkpoint_s, 1),
        "slice_lanes": kept.slice_lanes,
    }
    summary = results.Summary(
        name=study.name, env=study.env, num_steps=sweep.num_steps(study), seeds=study.seeds, swept=tuple(study.space),
        log_scaled=studies.log_scaled(study), keep=study.keep, info=info,
    )  # fmt: skip
    result_files.write(folder, outcome.members, summary)
    said = f", estimated {clock(progress.estimate_s)}" if progress.estimate_s else ""
    print(
        f"trained in {clock(seconds)}{said}; compiling took {progress.compiling_s:.1f} s, "
        f"checkpoints {checkpoint_s:.1f} s\n"
    )
    print(f"{result_text.as_text(outcome.members, summary)}\n")
    written = ["results.parquet, .csv", "configurations.parquet, .csv", "curves.parquet"]
    try:
        best = results.best(outcome.members)
    except ValueError as error:
        print(f"no best configuration: {error}", file=sys.stderr)
    else:
        write_best(study, folder, outcome, best, kept)
        written += ["best.toml", "best/"]
    print(f"written: {folder}/{{{', '.join(written)}}}")
    print(f"a page of it: python -m agents report {shlex.quote(str(folder))}")


def write_best(study: Study, folder: Path, outcome: sweep.Outcome, best: int, kept: study_folder.Kept) -> None:
    """The configuration `best` as a recipe, best.toml, and its policies, best/seed-<seed>/."""
    members = [member for member in outcome.members if member.configuration == best]
    setting = studies.resolve(study, members[0].values)
    recipe = recipes.Recipe(
        name="best", env=study.env, num_steps=study.num_steps, config=setting.config, hyperparams=setting.hyperparams,
        keep=study.keep, evaluation_episodes=study.evaluation_episodes, params=setting.params,
    )  # fmt: skip
    disk.write_atomic(folder / "best.toml", recipes.as_toml(recipe).encode())
    for member in members:
        own = folder / "best" / f"seed-{member.seed}"
        own.mkdir(parents=True, exist_ok=True)
        provenance = {
            "study": study.name, "configuration": best, "seed": member.seed, "num_steps": member.env_steps,
            "hyperparams": dict(vars(setting.hyperparams)), "params": setting.params, "versions": kept.versions,
        }  # fmt: skip
        save_policy(own, outcome.weights[Lane(best, member.seed)], setting.config, study.env, provenance)
