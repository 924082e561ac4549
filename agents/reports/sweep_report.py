"""The page about a sweep: the answer first, then what it rests on."""

import math
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.reports import html_page, sweep_figures
from agents.reports.html_page import Link
from agents.reports.sweep_axes import short_steps
from agents.sweeps import result_files, result_text, results, statistics
from agents.sweeps.results import Configuration, Member, Summary

_ROWS = 20  # of the table of configurations, and of that of members that diverged
_FILES = {
    "study.toml": "the study, to run again with `python -m agents sweep`",
    "best.toml": "the best configuration, as a recipe",
    "best": "its policies",
    "configurations.csv": "all configurations, best first",
    "results.csv": "all members",
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
    members, summary = result_files.read(folder)
    ranked = results.rank(members)
    return html_page.page(f"{summary.name}: a sweep", _body(folder, beside, members, ranked, summary))


def _body(
    folder: Path, beside: Path, members: Sequence[Member], ranked: Sequence[Configuration], summary: Summary
) -> Iterator[str]:
    yield html_page.heading(1, summary.name)
    seeds = ranked[0].num_seeds
    yield html_page.paragraph(
        f"A sweep on {summary.env}: {_count(len(ranked), 'configuration')}, {_count(seeds, 'seed')} each, up to "
        f"{summary.num_steps:,} steps a member."
    )
    yield html_page.card(_answer(folder, members, ranked, summary))
    yield html_page.paragraph(_meaning(ranked[0].metric, seeds), quiet=True)
    yield html_page.heading(2, "The configurations in order")
    yield from _table(ranked, summary)
    yield html_page.narrow(
        html_page.figure(
            sweep_figures.overview(members),
            f"The best configurations in order: the best has {_told(ranked[0])}.",
            f"A dot is a configuration's {statistics.mean_name(seeds)} over its seeds, the bar its 95 % interval, the "
            "stroke the worst seed. " + _how_shown(ranked),
        )
    )
    if summary.swept:
        yield html_page.heading(2, "What each value does")
        yield from _marginals(members, ranked, summary)
    yield html_page.heading(2, "Learning curves")
    yield from _curves(members, ranked, summary)
    yield html_page.heading(2, "Members that diverged or were stopped")
    yield from _losses(members, summary)
    yield html_page.heading(2, "How it was run")
    yield from _provenance(folder, beside, members, summary)


def _answer(
    folder: Path, members: Sequence[Member], ranked: Sequence[Configuration], summary: Summary
) -> Iterator[str]:
    best = ranked[0]
    if best.status != results.FINISHED:
        yield html_page.heading(2, "There is no best configuration")
        yield html_page.warning(
            f"No configuration was trained to the end with every seed. Of {_count(len(members), 'member')}: "
            f"{results.count_line(members)}."
        )
        return
    name = "Regret" if best.metric == "regret" else "Mean return"
    number, low, high = (result_text.number_text(value, best.metric) for value in best.interquartile_mean)
    own = [member for member in members if member.configuration == best.index]
    yield html_page.heading(2, f"The best of {len(ranked):,} is configuration {best.index}")
    numbers = [
        (name, number, f"95 % interval {low} to {high}" if low else "one seed, no interval"),
        ("Median seed", result_text.number_text(best.median.value, best.metric), f"of {best.num_seeds}"),
        ("Worst seed", result_text.number_text(best.worst.value, best.metric), f"of {best.num_seeds}"),
    ]
    yield html_page.headline(numbers)
    if best.metric == "regret":
        optimum = own[0].mean_return + (own[0].regret or 0.0)
        middle = optimum - best.interquartile_mean.value
        yield html_page.paragraph(
            f"That is an expected return of {middle:.3f}; the best known policy has {optimum:.3f}. " + _compared(ranked)
        )
    elif len(ranked) > 1:
        yield html_page.paragraph(_compared(ranked))
    short = result_text.short_names(summary.swept)
    yield html_page.entries(
        "Its values", {short[name]: result_text.value_text(best.values.get(name)) for name in summary.swept}
    )
    lines = []
    if (folder / "best.toml").is_file():
        lines.append(shlex.join(["python", "-m", "agents", "train", "--recipe", str(folder / "best.toml")]))
    policies = sorted(path for path in (folder / "best").glob("seed-*") if path.is_dir())
    if policies:
        lines.append(shlex.join(["python", "-m", "agents", "evaluate", str(policies[0])]))
    if lines:
        yield html_page.paragraph("To train it again" + (", and to evaluate its policy:" if len(lines) > 1 else ":"))
        yield html_page.commands(lines, "Commands for the best configuration")


def _compared(ranked: Sequence[Configuration]) -> str:
    """Whether the second best is told apart from the best."""
    if len(ranked) < 2 or ranked[1].status != results.FINISHED or math.isnan(ranked[0].interquartile_mean.low):
        return ""
    (_, low, high), (_, second_low, second_high) = ranked[0].interquartile_mean, ranked[1].interquartile_mean
    apart = high < second_low or second_high < low
    told = "lies clear of" if apart else "overlaps with"
    second = result_text.interval_text(ranked[1].interquartile_mean, ranked[1].metric)
    return f"Its interval {told} that of the second best, {second}."


def _meaning(metric: str, num_seeds: int) -> str:
    worth = (
        "Regret is what a policy's expected return lacks of the best known one, so 0 is optimal"
        if metric == "regret"
        else "The mean return is of whole episodes of the greedy policy, the higher the better"
    )
    over = "all" if statistics.mean_name(num_seeds) == "mean" else "the middle half"
    return (
        f"{worth}; each number is of a policy's final evaluation. The {statistics.mean_name(num_seeds)} is over {over} "
        "of a configuration's seeds, and its 95 % interval is a percentile bootstrap over the seeds: it tells what "
        "other seeds would give, not what other values would. The best of many is also a little lucky."
    )


def _table(ranked: Sequence[Configuration], summary: Summary) -> Iterator[str]:
    names = result_text.short_names(summary.swept)
    metric = ranked[0].metric
    header = [
        "rank",
        f"{statistics.mean_name(len(summary.seeds))} [95 %]",
        "median",
        "worst",
        *names.values(),
        "seeds",
        "steps",
    ]
    rows = [
        [
            place,
            result_text.interval_text(configuration.interquartile_mean, metric),
            result_text.number_text(configuration.median.value, metric),
            result_text.number_text(configuration.worst.value, metric),
            *(result_text.value_text(configuration.values.get(name)) for name in summary.swept),
            result_text.seeds_text(configuration),
            short_steps(configuration.env_steps),
        ]
        for place, configuration in enumerate(ranked[:_ROWS], start=1)
    ]
    some = f", the best {_ROWS} of {len(ranked):,}; the others are in configurations.csv" if len(ranked) > _ROWS else ""
    yield html_page.table(f"{metric.capitalize()} over seeds{some}", header, rows, marked=0)


def _how_shown(ranked: Sequence[Configuration]) -> str:
    finished = sum(configuration.status == results.FINISHED for configuration in ranked)
    if finished == len(ranked):
        return ""
    if finished >= 3:
        return f"Only the {finished} that were trained to the end with every seed are shown."
    return "Pale ones were stopped early, after fewer steps; grey ones have a seed that diverged."


def _marginals(members: Sequence[Member], ranked: Sequence[Configuration], summary: Summary) -> Iterator[str]:
    colours = sweep_figures.COLOURS
    short = result_text.short_names(summary.swept)
    figures = sweep_figures.marginals(members, summary)
    halved = sweep_figures.is_halved(ranked)
    steps = short_steps(sweep_figures.common_steps(ranked))
    if halved:
        told = (
            f"Every configuration is a point, as it was after {steps} steps: so long were all of them trained. Those "
            "that were stopped there and those that went on are compared at the same age."
        )
        marks = [
            ("●", colours["stopped"], f"stopped after {steps}"),
            ("●", colours["went on"], "went on, and was stopped later"),
            ("●", colours["end"], "was trained to the end"),
        ]
    else:
        mean = statistics.mean_name(len(summary.seeds))
        told = f"Every configuration is a point: its {mean} over its seeds, with all else that was swept."
        marks = [("●", colours["went on"], "a configuration"), ("●", colours["end"], "the best")]
    marks += [("✕", colours["diverged"], "too many seeds diverged for a number"), ("—", "inherit", "median")]
    yield html_page.paragraph(told)
    yield html_page.legend(marks)
    metric = "regret" if ranked[0].metric == "regret" else "mean return"
    after = f" after {steps} steps" if halved else ""
    yield html_page.grid(
        html_page.figure(
            figure,
            f"{metric}{after} against {short[name]}, for {_count(len(ranked), 'configuration')}; the best has "
            f"{result_text.value_text(ranked[0].values.get(name))}.",
        )
        for name, figure in figures.items()
    )


def _curves(members: Sequence[Member], ranked: Sequence[Configuration], summary: Summary) -> Iterator[str]:
    few = statistics.mean_name(len(summary.seeds)) == "mean"
    bands = "and all of them" if few else "the middle half of them, and 5 to 95 % of them"
    yield html_page.paragraph(
        f"The best configurations while they were trained: the median over seeds, {bands}. Grey, the medians of all "
        "others; a dot is one that was evaluated once."
    )
    names = result_text.short_names(summary.swept)
    captions = {
        configuration.index: ", ".join(
            f"{names[name]} {result_text.value_text(configuration.values.get(name))}" for name in summary.swept
        )
        for configuration in ranked
    }
    yield html_page.grid(
        html_page.figure(
            figure,
            f"Learning curve of configuration {index}, over the steps.",
            f"Configuration {index}: {captions[index]}",
        )
        for index, figure in sweep_figures.curves(members).items()
    )


def _losses(members: Sequence[Member], summary: Summary) -> Iterator[str]:
    yield html_page.paragraph(f"Of {_count(len(members), 'member')}: {results.count_line(members)}.")
    diverged = [member for member in members if member.status == results.DIVERGED]
    if not diverged:
        return
    yield html_page.paragraph(
        "A member whose loss is no longer finite is frozen there. It counts as infinitely bad in every number over "
        "seeds, and its configuration comes after all others."
    )
    names = result_text.short_names(summary.swept)
    rows = [
        [
            member.configuration,
            member.seed,
            "" if member.diverged_at is None else f"{member.diverged_at:,}",
            *(result_text.value_text(member.values.get(name)) for name in summary.swept),
        ]
        for member in diverged[:_ROWS]
    ]
    some = f", the first {_ROWS} of {len(diverged):,}; the others are in results.csv" if len(diverged) > _ROWS else ""
    yield html_page.table(f"Members that diverged{some}", ["configuration", "seed", "at step", *names.values()], rows)


def _provenance(folder: Path, beside: Path, members: Sequence[Member], summary: Summary) -> Iterator[str]:
    facts: dict[str, object] = {"environment": summary.env, "policy kept": summary.keep}
    facts["seeds"] = ", ".join(map(str, summary.seeds))
    facts["steps trained"] = f"{sum(member.env_steps for member in members):,}, of all members together"
    yield html_page.entries("The run", facts | flattened(summary.info))
    found = {
        name: Link(os.path.relpath(folder / name, beside), told)
        for name, told in _FILES.items()
        if (folder / name).exists()
    }
    if found:
        yield html_page.entries("Files beside this page", found)


def flattened(info: Mapping[str, Any], before: str = "") -> dict[str, object]:
    """The entries for people; those of mappings within it by both names, empty ones left out."""
    found: dict[str, object] = {}
    for name, value in info.items():
        told = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            found |= flattened(value, "" if name == "versions" else f"{told} ")
        elif isinstance(value, float) and name.endswith("seconds"):
            found[told] = f"{value:,.1f}"
        elif isinstance(value, int) and not isinstance(value, bool) and name != "seed":
            found[told] = f"{value:,}"
        elif value is not None and value != "":
            found[told] = result_text.value_text(value)
    return found


def _told(configuration: Configuration) -> str:
    name = "a regret" if configuration.metric == "regret" else "a mean return"
    return f"{name} of {result_text.interval_text(configuration.interquartile_mean, configuration.metric)}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
