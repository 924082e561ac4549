"""The figures of a sweep: what each swept name does, the curves of the best configurations, and all of them in order.

Each is small, so that it can be read on a phone; a page sets several of them side by side.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from agents.reports import sweep_axes, value_axis
from agents.sweeps import result_text, results, statistics
from agents.sweeps.results import Configuration, Summary, TrialResult
from heartpole_jax.drawing.charts import style
from heartpole_jax.evaluation import interquartile_mean

PANEL = (4.6, 3.3)  # inches
COLOURS = {"stopped": style.SKY, "went on": style.BLUE, "end": style.VERMILLION, "diverged": style.GREY}
_LOWEST_IN_CURVE = 1e-3  # what a few episodes can distinguish from 0
_MOST_NUMBERS = 8  # different numbers that have a median each; a window moves over more
_MOST_VECTORS = 300  # dots or lines, beyond which they are pixels


def is_halved(ranked: Sequence[Configuration]) -> bool:
    """Whether some were stopped early."""
    return any(configuration.counts[results.STOPPED] for configuration in ranked)


def common_evaluations(ranked: Sequence[Configuration]) -> int:
    """The evaluations that all configurations but diverged ones went through: the first rung's, with halving."""
    sizes = {c.num_evaluations for c in ranked if c.status != results.DIVERGED}
    return min(sizes or {c.num_evaluations for c in ranked})


def common_steps(ranked: Sequence[Configuration]) -> int:
    """The steps that these evaluations took."""
    evaluations = common_evaluations(ranked)
    return max((c.env_steps for c in ranked if c.num_evaluations == evaluations), default=0)


def marginals(trials: Sequence[TrialResult], summary: Summary) -> dict[str, style.Figure]:
    """For each swept name, score against value: every configuration a point.

    With halving all of them are shown as they were after the steps that every one was trained for, those that went on
    in other colours: what a few came to after sixteen times the steps does not hold for the others.
    """
    ranked = results.rank(trials)
    early = at_budget(trials, ranked)
    short = result_text.short_names(summary.swept)
    return {name: _marginal(ranked, early, name, short[name], name in summary.log_scaled) for name in summary.swept}


def curves(trials: Sequence[TrialResult], num_best: int = 4) -> dict[int, style.Figure]:
    """For each of the best configurations its score over training: quantiles over seeds, others' medians behind."""
    ranked = results.rank(trials)
    stacked = {index: _stacked(own, ranked[0].metric) for index, own in _grouped(trials).items()}
    middles = {index: (steps, _quantiles(values, [0.5])[0]) for index, (steps, values) in stacked.items()}
    return {
        configuration.index: _curve(place, configuration, *stacked[configuration.index], middles)
        for place, configuration in enumerate(ranked[:num_best], start=1)
    }


def overview(trials: Sequence[TrialResult], most: int = 30) -> style.Figure:
    """The best configurations in order: interquartile mean, its interval, and the worst seed.

    Those stopped early, after fewer steps, are left out where three or more were trained to the end.
    """
    ranked = results.rank(trials)
    finished = [configuration for configuration in ranked if configuration.status == results.FINISHED]
    shown = (finished if len(finished) >= 3 else ranked)[:most]
    figure = style.new_figure((5.6, 1.3 + 0.24 * max(len(shown), 3)))
    axes = figure.add_axes(sweep_axes.inside(figure, left=0.7, right=0.35, top=0.5, bottom=0.65))
    style.clean(axes)
    log = is_log(ranked[0], [configuration.interquartile_mean.value for configuration in shown])
    ends = [b for c in shown for b in (*c.interquartile_mean, c.worst.value) if np.isfinite(b)]
    axes.set_xlim(*sweep_axes.limits(ends, log))
    low, high = axes.get_xlim()
    for place, configuration in enumerate(shown, start=1):
        numbers = [*configuration.interquartile_mean, configuration.worst.value]
        value, left, right, worst = (float(np.clip(_drawn(number, log), low, high)) for number in numbers)
        colour = _status_colour(configuration, first=place == 1)
        axes.plot([left, right], [place, place], color=colour, linewidth=2.5, alpha=0.55, solid_capstyle="round")
        axes.plot([worst], [place], "|", color=style.GREY, markersize=9, clip_on=False)
        if np.isfinite(numbers[0]):
            axes.plot([value], [place], "o", color=colour, markersize=6.5, clip_on=False, zorder=4)
        else:
            axes.plot([low if ranked[0].metric == "return" else high], [place], "x", color=colour, clip_on=False)
    axes.set_ylim(len(shown) + 0.7, 0.3)
    axes.set_yticks(sorted({1, *range(5, len(shown) + 1, 5)}))
    axes.set_ylabel("rank", fontsize=style.TEXT_SIZE, color=style.GREY)
    sweep_axes.scale(axes, "x", log)
    name = results.metric_name(ranked[0].metric)
    axes.set_xlabel(f"{name} over seeds", fontsize=style.TEXT_SIZE, color=style.GREY)
    axes.grid(axis="x", color=style.PALE, linewidth=0.5, alpha=0.7)
    axes.set_axisbelow(True)
    mean = statistics.mean_name(len({trial.seed for trial in trials}))
    axes.set_title(
        f"{mean.capitalize()}, 95 % interval, worst seed", loc="left", fontsize=style.TEXT_SIZE, color=style.INK
    )
    return figure


def _marginal(
    ranked: Sequence[Configuration], early: Mapping[int, float], name: str, title: str, log_scaled: bool
) -> style.Figure:
    known = [configuration for configuration in ranked if configuration.values.get(name) is not None]
    halved = is_halved(ranked)
    log = is_log(ranked[0], list(early.values()))
    figure = style.new_figure(PANEL)
    axes = figure.add_axes(sweep_axes.inside(figure, left=1.05, right=0.2, top=0.42, bottom=0.42))
    style.clean(axes)
    along = value_axis.of([configuration.values[name] for configuration in known], log_scaled)
    _set_up(axes, along)
    y = np.array([_drawn(early[configuration.index], log) for configuration in known])
    spread = 0.0 if along.ordered else 0.22  # so that dots of one choice lie beside one another
    x = along.places + np.random.default_rng(0).uniform(-spread, spread, len(y))
    finite = np.isfinite(y)
    axes.set_ylim(*sweep_axes.limits(y, log))
    for kind, chosen in _kinds(known, common_evaluations(ranked), halved).items():
        best = kind == "end"
        axes.plot(
            x[finite & chosen], y[finite & chosen], "o", color=COLOURS[kind], alpha=1.0 if best else 0.6,
            markersize=6.5 if best else 4.5, markeredgewidth=0.6 if best else 0, markeredgecolor="white",
            rasterized=len(known) > _MOST_VECTORS, zorder=5 if best else 2,
        )  # fmt: skip
    edge = 0.015 if ranked[0].metric == "return" else 0.985
    axes.plot(x[~finite], np.full(int((~finite).sum()), edge), "x", color=COLOURS["diverged"], markersize=5,
              transform=axes.get_xaxis_transform(), clip_on=False)  # fmt: skip
    _draw_medians(axes, x, y, along)
    sweep_axes.scale(axes, "y", log)
    axes.grid(axis="y", color=style.PALE, linewidth=0.5, alpha=0.7)
    axes.set_axisbelow(True)
    axes.set_title(style.plain(title), loc="left", fontsize=style.TEXT_SIZE + 1, color=style.INK, pad=8)
    score = ranked[0].metric if halved else results.metric_name(ranked[0].metric)
    after = f"\nafter {sweep_axes.short_steps(common_steps(ranked))} steps" if halved else ""
    axes.set_ylabel(f"{score}{after}", fontsize=style.TICK_SIZE, color=style.GREY)
    return figure


def _kinds(known: Sequence[Configuration], evaluations: int, halved: bool) -> dict[str, np.ndarray]:
    """Which configurations are drawn in which colour. Where all were trained as long, the best alone stands out."""
    if not halved:
        first = np.arange(len(known)) == 0
        return {"went on": ~first, "end": first}
    finished = np.array([configuration.status == results.FINISHED for configuration in known], bool)
    longer = np.array([configuration.num_evaluations > evaluations for configuration in known], bool)
    return {"stopped": ~longer & ~finished, "went on": longer & ~finished, "end": finished}


def _set_up(axes: style.Axes, along: value_axis.ValueAxis) -> None:
    """The axis along x, for the values that it was made for."""
    axes.set_xlim(*along.limits)
    if along.ticks is None:
        sweep_axes.scale(axes, "x", along.log)
        return
    if along.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(style.NullLocator())
    crowded = sum(map(len, along.labels)) > 36
    axes.set_xticks(
        along.ticks, map(style.plain, along.labels), rotation=20 if crowded else 0, ha="right" if crowded else "center"
    )


def _draw_medians(axes: style.Axes, x: np.ndarray, y: np.ndarray, along: value_axis.ValueAxis) -> None:
    """A line of medians over numbers; a median and the middle half for each of several choices."""
    y = np.where(np.isnan(y), np.inf, y)
    if not along.ordered:
        for choice in np.unique(np.round(x)):
            low, middle, high = np.quantile(y[np.round(x) == choice], [0.25, 0.5, 0.75], method="inverted_cdf")
            top = axes.get_ylim()[1]
            axes.plot([choice, choice], [min(low, top), min(high, top)], color=style.INK, linewidth=1.5)
            if np.isfinite(middle):
                axes.plot([choice - 0.3, choice + 0.3], [middle, middle], color=style.INK, linewidth=2.5)
        return
    different = np.unique(x)
    if len(different) <= _MOST_NUMBERS and len(x) >= 2 * len(different):
        at, middle = different, np.array([_median(y[x == value]) for value in different])
    elif len(x) >= 12:
        order, width = np.argsort(x), max(7, len(x) // 5)
        windows = [order[i : i + width] for i in np.unique(np.linspace(0, len(x) - width, 15).astype(int))]
        at = np.array([np.mean(np.log(x[window]) if along.log else x[window]) for window in windows])
        at, middle = np.exp(at) if along.log else at, np.array([_median(y[window]) for window in windows])
    else:
        return
    axes.plot(at, np.where(np.isfinite(middle), middle, np.nan), color=style.INK, linewidth=2.2, solid_capstyle="round")


def _curve(
    place: int,
    configuration: Configuration,
    steps: np.ndarray,
    values: np.ndarray,
    middles: Mapping[int, tuple[np.ndarray, np.ndarray]],
) -> style.Figure:
    log = is_log(configuration, [float(v) for _, middle in middles.values() for v in middle])
    figure = style.new_figure(PANEL)
    axes = figure.add_axes(sweep_axes.inside(figure, left=0.95, right=0.3, top=0.42, bottom=0.62))
    style.clean(axes)
    pixels = len(middles) > _MOST_VECTORS // 10
    for index, (others, middle) in middles.items():
        if index != configuration.index:
            drawn = _drawn_curve(middle, log)
            mark = "." if len(others) == 1 else None
            axes.plot(
                others, drawn, color=style.GREY, linewidth=0.6, alpha=0.3, rasterized=pixels, marker=mark, markersize=3
            )
    bands = [_drawn_curve(band, log) for band in _quantiles(values, [0.05, 0.25, 0.5, 0.75, 0.95])]
    for low, high, alpha in ((bands[0], bands[4], 0.2), (bands[1], bands[3], 0.35)):
        axes.fill_between(steps, low, high, color=style.BLUE, alpha=alpha, linewidth=0, zorder=3)
    axes.plot(steps, bands[2], color=style.BLUE, linewidth=2.2, zorder=4, marker="o" if len(steps) < 3 else None)
    longest = max((float(own[-1]) for own, _ in middles.values() if len(own)), default=1.0)
    axes.set_xlim(0, longest)
    axes.xaxis.set_major_locator(style.MaxNLocator(5))
    axes.xaxis.set_major_formatter(style.FuncFormatter(lambda value, _: sweep_axes.short_steps(value)))
    everything = [*(v for _, middle in middles.values() for v in _drawn_curve(middle, log)), *bands[0], *bands[4]]
    axes.set_ylim(*sweep_axes.limits([float(v) for v in everything if np.isfinite(v)], log))
    sweep_axes.scale(axes, "y", log)
    axes.grid(axis="y", color=style.PALE, linewidth=0.5, alpha=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel("steps, of all environments together", fontsize=style.TICK_SIZE, color=style.GREY)
    name = results.metric_name(configuration.metric)
    axes.set_ylabel(name, fontsize=style.TICK_SIZE, color=style.GREY)
    diverged = configuration.counts[results.DIVERGED]
    note = f", {diverged} of {configuration.num_seeds} seeds diverged" if diverged else ""
    axes.set_title(f"rank {place}{note}", loc="left", fontsize=style.TEXT_SIZE + 1, color=style.INK, pad=8)
    return figure


def at_budget(trials: Sequence[TrialResult], ranked: Sequence[Configuration]) -> dict[int, float]:
    """The interquartile mean of each configuration after the budget that all have; the final one where all are as long.

    Infinite (minus infinity for returns) where so many seeds had diverged by then that it is.
    """
    if not is_halved(ranked):
        return {configuration.index: configuration.interquartile_mean.value for configuration in ranked}
    evaluations, metric = common_evaluations(ranked), ranked[0].metric
    sign = -1.0 if metric == "return" else 1.0
    found = {}
    for index, own in _grouped(trials).items():
        losses = np.array([sign * _value_at(trial, evaluations, metric) for trial in own])
        found[index] = sign * float(interquartile_mean(np.where(np.isnan(losses), np.inf, losses)))
    return found


def _value_at(trial: TrialResult, evaluations: int, metric: str) -> float:
    """The curve after so many evaluations; not a number where the trial had diverged by then."""
    steps = np.asarray(trial.curve["env_steps"])
    if len(steps) < evaluations or (trial.diverged_at is not None and trial.diverged_at <= steps[evaluations - 1]):
        return np.nan
    return float(np.asarray(trial.curve["mean_return" if metric == "return" else "regret"])[evaluations - 1])


def _grouped(trials: Iterable[TrialResult]) -> dict[int, list[TrialResult]]:
    grouped: dict[int, list[TrialResult]] = {}
    for trial in trials:
        grouped.setdefault(trial.configuration, []).append(trial)
    return grouped


def _stacked(own: Sequence[TrialResult], metric: str) -> tuple[np.ndarray, np.ndarray]:
    """(evaluations,) steps of the longest curve and (seeds, evaluations) values, not numbers after a shorter's end."""
    longest = max(own, key=lambda trial: len(trial.curve["env_steps"]))
    steps = np.asarray(longest.curve["env_steps"], np.float64)
    values = np.full((len(own), len(steps)), np.nan)
    for row, trial in zip(values, own, strict=True):
        curve = np.asarray(trial.curve["mean_return" if metric == "return" else "regret"])
        row[: len(curve)] = curve
    return steps, values


def _quantiles(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(levels, evaluations), over the seeds that have a number; none where no seed has."""
    found = np.full((len(levels), values.shape[1]), np.nan)
    some = np.any(np.isfinite(values), axis=0)
    found[:, some] = np.nanquantile(values[:, some], levels, axis=0)
    return found


def _median(values: np.ndarray) -> float:
    """The lower median: between a finite and an infinite number there is none."""
    return float(np.quantile(values, 0.5, method="inverted_cdf"))


def is_log(configuration: Configuration, values: Sequence[float]) -> bool:
    """Whether a logarithmic axis fits: regrets that spread over more than a factor of ten."""
    finite = [value for value in values if np.isfinite(value)]
    return configuration.metric != "return" and bool(finite) and max(finite) > 10 * max(min(finite), sweep_axes.LOWEST)


def _drawn(value: float, log: bool) -> float:
    """Where a number is drawn; not a number where it is infinite."""
    if not np.isfinite(value):
        return np.nan if not np.isinf(value) else np.inf * np.sign(value)
    return max(value, sweep_axes.LOWEST) if log else value


def _drawn_curve(values: np.ndarray, log: bool) -> np.ndarray:
    return np.where(np.isfinite(values), np.maximum(values, _LOWEST_IN_CURVE), np.nan) if log else values


def _status_colour(configuration: Configuration, first: bool) -> str:
    if configuration.status == results.FINISHED:
        return COLOURS["end"] if first else COLOURS["went on"]
    return COLOURS["stopped"] if configuration.status == results.STOPPED else COLOURS["diverged"]
