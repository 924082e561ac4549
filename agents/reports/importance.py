"""How much of the differences between configurations each swept name explains: Optuna's fANOVA (Hutter et al. 2014).

A random forest is fitted to the scores, and its variance over the ranges is split: a name's share is what it explains
by itself. What is left to 1 is what names do together. The forest's own random numbers are fixed.
"""

import importlib.util
import math
from collections.abc import Mapping, Sequence

import numpy as np

from agents.sweeps import result_text
from agents.sweeps.results import Configuration, Summary
from heartpole_jax.drawing.charts import style

FEWEST = 8  # configurations, below which a forest has nothing to learn from
INSTALL = "pip install '.[optuna]' in the clone"
_SEED = 0
_WIDTH, _ROW = 4.6, 0.5  # inches


def shares(
    ranked: Sequence[Configuration], scores: Mapping[int, float], summary: Summary, log: bool, lowest: float
) -> dict[str, float]:
    """The share of each swept name, the largest first; at most 1, and less than 1 together where names interact.

    Args:
      ranked: the configurations.
      scores: of each by its index; where one is not finite its configuration counts as the worst that is.
      summary: of the sweep: names, and whose range is that of a logarithm.
      log: whether the logarithm of the scores is what differs, those below `lowest` as that.

    Raises:
      ImportError: without Optuna or scikit-learn.
      ValueError: for fewer than `FEWEST` configurations, equal scores, or fewer than two names that vary.
    """
    if any(importlib.util.find_spec(name) is None for name in ("optuna", "sklearn")):  # Optuna's forest is the latter's
        raise ImportError(f"parameter importance needs Optuna and scikit-learn: {INSTALL}")
    import optuna

    known = [one for one in ranked if all(one.values.get(name) is not None for name in summary.swept)]
    names = [name for name in summary.swept if len({str(one.values[name]) for one in known}) > 1]
    if len(known) < FEWEST or len(names) < 2:
        raise ValueError(
            f"parameter importance needs {FEWEST} configurations and two names that vary, got {len(known)} and "
            f"{len(names)}"
        )
    targets = _targets(np.array([scores[one.index] for one in known], np.float64), known[0].metric, log, lowest)
    if np.ptp(targets) == 0:
        raise ValueError("parameter importance needs scores that differ, got equal ones")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {
        name: _distribution([one.values[name] for one in known], name in summary.log_scaled) for name in names
    }
    study = optuna.create_study()
    for one, target in zip(known, targets, strict=True):
        params = {name: _param(one.values[name], distributions[name]) for name in names}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=float(target)))
    found = optuna.importance.FanovaImportanceEvaluator(seed=_SEED).evaluate(study)
    return {name: float(share) for name, share in sorted(found.items(), key=lambda item: -item[1])}


def figure(found: Mapping[str, float], short: Mapping[str, str]) -> style.Figure:
    """A bar for each name, the largest share first."""
    height = 0.35 + _ROW * (len(found) + 1)
    drawn = style.new_figure((_WIDTH, height))
    axes = drawn.add_axes((0.03, 0.08 / height, 0.94, 1 - 0.45 / height))
    axes.set_axis_off()
    left = max(0.0, 1 - sum(found.values()))
    rows = [(short[name], share, style.BLUE) for name, share in found.items()] + [("together", left, style.PALE)]
    for place, (name, share, colour) in enumerate(rows):
        axes.barh(place + 0.3, share, height=0.3, color=colour)
        axes.text(0, place - 0.07, style.plain(name), fontsize=style.TICK_SIZE, color=style.INK, va="center")
        axes.text(
            1, place - 0.07, f"{100 * share:.0f} %", fontsize=style.TICK_SIZE, color=style.GREY, va="center", ha="right"
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(len(rows) - 0.4, -0.45)
    axes.set_title("share of the differences", loc="left", fontsize=style.TEXT_SIZE, color=style.INK, pad=4)
    return drawn


def _targets(scores: np.ndarray, metric: str, log: bool, lowest: float) -> np.ndarray:
    """What the forest is fitted to: the scores, or their logarithms; the worst where one is not finite."""
    finite = np.isfinite(scores)
    if not finite.any():
        return np.zeros(len(scores))
    worst = scores[finite].min() if metric == "return" else scores[finite].max()
    scores = np.where(finite, scores, worst)
    return np.log10(np.maximum(scores, lowest)) if log else scores


def _distribution(values: Sequence, log_scaled: bool):
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if all(isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) for value in values):
        return FloatDistribution(min(values), max(values), log=log_scaled and min(values) > 0)
    return CategoricalDistribution(sorted({result_text.value_text(value) for value in values}))


def _param(value: object, distribution) -> object:
    return result_text.value_text(value) if hasattr(distribution, "choices") else value
