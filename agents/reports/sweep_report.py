"""The page about a sweep: the answer first, then what it rests on. Of an unfinished one, where it is."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.reports import curve_table, html_page, importance, parallel_coordinates, sweep_axes, sweep_figures
from agents.reports.sweep_axes import short_steps
from agents.sweeps import result_files, result_text, results, statistics, study_folder, unfinished
from agents.sweeps.results import Configuration, Summary, TrialResult
from agents.sweeps.unfinished import Unfinished

_ROWS = 20  # of the table of configurations, and of that of trials that diverged
_CURVES = 4  # of the best configurations
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
    return study_folder.is_sweep(folder) or (folder / "results.parquet").is_file()


def is_finished(folder: Path) -> bool:
    """Whether the sweep has written its tables: the manifest is the last of them."""
    return (folder / result_files.MANIFEST).is_file() or not study_folder.is_sweep(folder)


def build(folder: Path, beside: Path, refresh: int | None = None) -> str:
    """The page, whose links lead from the folder `beside` to files in `folder`.

    Args:
      refresh: seconds after which a browser loads the page again; None: never.

    Raises:
      ValueError: where the folder's files are damaged, or no sweep's.
    """
    if is_finished(folder):
        trials, summary = result_files.read(folder)
        so_far = None
    else:
        so_far = unfinished.read(folder)
        trials, summary = so_far.trials, so_far.summary
    page: dict[str, Any] = {
        "folder": folder, "refresh": refresh, "summary": summary, "so_far": so_far, "trials": trials,
        "links": html_page.links(folder, beside, _FILES),
        "facts": _facts(trials, summary),
    }  # fmt: skip
    if not trials:
        return html_page.render("sweep_begun.html", **page)
    return html_page.render("sweep.html", **page, **_content(folder, trials, summary, so_far))


def _facts(trials: Sequence[TrialResult], summary: Summary) -> dict[str, object]:
    known = {
        "environment": summary.env,
        "policy kept": summary.keep,
        "seeds": ", ".join(map(str, summary.seeds)),
        "steps trained": f"{sum(trial.env_steps for trial in trials):,}, of all trials together",
    }
    return known | html_page.flattened(summary.info)


def _content(
    folder: Path, trials: Sequence[TrialResult], summary: Summary, so_far: Unfinished | None
) -> dict[str, Any]:
    """What the template shows of the trials, of which there are some."""
    ranked = results.rank(trials)
    names = result_text.short_names(summary.swept)
    diverged = [trial for trial in trials if trial.status == results.DIVERGED]
    waiting = frozenset() if so_far is None else so_far.waiting

    def values(of: Configuration | TrialResult) -> dict[str, str]:
        return {short: result_text.value_text(of.values.get(name)) for name, short in names.items()}

    shown = [configuration.index for configuration in ranked[:_CURVES]]
    return {
        "ranked": ranked,
        "diverged": diverged,
        "values": values,
        "names": list(names.values()),
        "most_rows": _ROWS,
        "rows": [_row(place, of, values(of), of.index in waiting) for place, of in enumerate(ranked[:_ROWS], start=1)],
        "diverged_rows": [_diverged_row(trial, values(trial)) for trial in diverged[:_ROWS]],
        "counts": _counts(trials, waiting),
        "num_finished": sum(configuration.status == results.FINISHED for configuration in ranked),
        "mean": statistics.mean_name(ranked[0].num_seeds),
        "optimum": _optimum(trials, ranked[0]),
        "overlaps": _overlaps(ranked),
        "lines": _commands(folder),
        "colours": sweep_figures.COLOURS,
        "halved": sweep_figures.is_halved(ranked),
        "common": sweep_figures.common_steps(ranked),
        "overview": sweep_figures.overview(trials),
        "marginals": {names[name]: figure for name, figure in sweep_figures.marginals(trials, summary).items()},
        "curves": list(zip(ranked, sweep_figures.curves(trials, _CURVES).values(), strict=False)),
        "csv": curve_table.of_trials(trial for trial in trials if trial.configuration in shown),
        **_together(trials, ranked, summary, names),
    }


def _together(
    trials: Sequence[TrialResult], ranked: Sequence[Configuration], summary: Summary, short: Mapping[str, str]
) -> dict[str, Any]:
    """Parallel coordinates, and the importance of each name: its shares and figure, or why there is none."""
    found: dict[str, Any] = {"parallel": None, "importance": None, "shares": {}, "no_importance": "", "log": False}
    early = sweep_figures.at_budget(trials, ranked)
    complete = [one for one in ranked if all(one.values.get(name) is not None for name in summary.swept)]
    if len(summary.swept) < 2 or len(complete) < 2:
        return found
    log = found["log"] = sweep_figures.is_log(ranked[0], list(early.values()))
    after = f" after {short_steps(sweep_figures.common_steps(ranked))} steps" if sweep_figures.is_halved(ranked) else ""
    score = f"{results.metric_name(ranked[0].metric)}{after}"
    found["parallel"] = parallel_coordinates.draw(complete, early, summary, short, score, log)
    try:
        shares = importance.shares(ranked, early, summary, log, sweep_axes.LOWEST)
    except (ImportError, ValueError) as error:
        found["no_importance"] = str(error)
    else:
        found["shares"] = {short[name]: f"{100 * share:.0f} %" for name, share in shares.items()}
        found["importance"] = importance.figure(shares, short)
    return found


def _counts(trials: Sequence[TrialResult], waiting: frozenset[int]) -> str:
    """How many trials finished, were stopped, and diverged, and wait for the next rung, in words."""
    over = [trial for trial in trials if trial.configuration not in waiting or trial.status != results.STOPPED]
    rest = f", {len(trials) - len(over):,} between rungs" if len(over) < len(trials) else ""
    return results.count_line(over) + rest


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


def _row(place: int, of: Configuration, values: Mapping[str, str], waits: bool) -> list[object]:
    return [
        place,
        result_text.interval_text(of.interquartile_mean, of.metric),
        result_text.number_text(of.median.value, of.metric),
        result_text.number_text(of.worst.value, of.metric),
        *values.values(),
        f"{of.num_seeds} between rungs" if waits else result_text.seeds_text(of),
        short_steps(of.env_steps),
    ]


def _diverged_row(trial: TrialResult, values: Mapping[str, str]) -> list[object]:
    step = "" if trial.diverged_at is None else f"{trial.diverged_at:,}"
    return [trial.configuration, trial.seed, step, *values.values()]
