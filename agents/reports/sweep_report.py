"""The page about a sweep: the answer first, then what it rests on."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from agents.reports import html_page, sweep_figures
from agents.reports.sweep_axes import short_steps
from agents.sweeps import result_files, result_text, results, statistics
from agents.sweeps.results import Configuration, TrialResult

_ROWS = 20  # of the table of configurations, and of that of trials that diverged
_FILES = {
    "study.toml": "the study, to run again with `python -m agents sweep`",
    "best.toml": "the best configuration, as a recipe",
    "best": "its policies",
    "configurations.csv": "all configurations, best first",
    "results.csv": "all trials",
    "configurations.parquet": "the same",
    "results.parquet": "the same",
    "curves.parquet": "all learning curves",
}


def is_sweep(folder: Path) -> bool:
    """Whether the folder is a sweep's."""
    return (folder / "study.json").is_file() or (folder / "results.parquet").is_file()


def build(folder: Path, beside: Path) -> str:
    """The page, whose links lead from the folder `beside` to files in `folder`.

    Raises:
      ValueError: where there are no results yet, or they are damaged.
    """
    trials, summary = result_files.read(folder)
    ranked = results.rank(trials)
    names = result_text.short_names(summary.swept)
    diverged = [trial for trial in trials if trial.status == results.DIVERGED]

    def values(of: Configuration | TrialResult) -> dict[str, str]:
        return {short: result_text.value_text(of.values.get(name)) for name, short in names.items()}

    facts = {
        "environment": summary.env,
        "policy kept": summary.keep,
        "seeds": ", ".join(map(str, summary.seeds)),
        "steps trained": f"{sum(trial.env_steps for trial in trials):,}, of all trials together",
    }
    return html_page.render(
        "sweep.html",
        summary=summary,
        trials=trials,
        ranked=ranked,
        diverged=diverged,
        values=values,
        names=list(names.values()),
        most_rows=_ROWS,
        rows=[_row(place, of, values(of)) for place, of in enumerate(ranked[:_ROWS], start=1)],
        diverged_rows=[_diverged_row(trial, values(trial)) for trial in diverged[:_ROWS]],
        counts=results.count_line(trials),
        num_finished=sum(configuration.status == results.FINISHED for configuration in ranked),
        mean=statistics.mean_name(ranked[0].num_seeds),
        optimum=_optimum(trials, ranked[0]),
        overlaps=_overlaps(ranked),
        lines=_commands(folder),
        colours=sweep_figures.COLOURS,
        halved=sweep_figures.is_halved(ranked),
        common=sweep_figures.common_steps(ranked),
        overview=sweep_figures.overview(trials),
        marginals={names[name]: figure for name, figure in sweep_figures.marginals(trials, summary).items()},
        curves=list(zip(ranked, sweep_figures.curves(trials).values(), strict=False)),
        facts=facts | html_page.flattened(summary.info),
        links=html_page.links(folder, beside, _FILES),
    )


def _optimum(trials: Sequence[TrialResult], best: Configuration) -> float:
    """The expected return of the best known policy; NaN where none is known."""
    trial = next(trial for trial in trials if trial.configuration == best.index)
    return math.nan if trial.regret is None else trial.mean_return + trial.regret


def _overlaps(ranked: Sequence[Configuration]) -> bool | None:
    """Whether the interval of the second best overlaps with that of the best; None where one of them is unknown."""
    if len(ranked) < 2 or ranked[1].status != results.FINISHED or math.isnan(ranked[0].interquartile_mean.low):
        return None
    first, second = (configuration.interquartile_mean for configuration in ranked[:2])
    return not (first.high < second.low or second.high < first.low)


def _commands(folder: Path) -> list[list[str]]:
    """Those that train the best configuration again, and evaluate its first policy."""
    recipe, policies = folder / "best.toml", sorted(path for path in (folder / "best").glob("seed-*") if path.is_dir())
    train = [["python", "-m", "agents", "train", "--recipe", str(recipe)]] if recipe.is_file() else []
    return train + [["python", "-m", "agents", "evaluate", str(path)] for path in policies[:1]]


def _row(place: int, of: Configuration, values: Mapping[str, str]) -> list[object]:
    return [
        place,
        result_text.interval_text(of.interquartile_mean, of.metric),
        result_text.number_text(of.median.value, of.metric),
        result_text.number_text(of.worst.value, of.metric),
        *values.values(),
        result_text.seeds_text(of),
        short_steps(of.env_steps),
    ]


def _diverged_row(trial: TrialResult, values: Mapping[str, str]) -> list[object]:
    step = "" if trial.diverged_at is None else f"{trial.diverged_at:,}"
    return [trial.configuration, trial.seed, step, *values.values()]
