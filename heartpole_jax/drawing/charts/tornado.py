"""What an outcome depends on, as a tornado: a bar for each parameter that matters, the longest on top.

figure = draw_tornado(sensitivity(policies.make("reference"), key), title="reference")
figure.savefig("sensitivity.png")
"""

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.drawing.charts import style
from heartpole_jax.gradients.sensitivity import NEGLIGIBLE, OutcomeSensitivity, Sensitivity

_MOST_BARS = 10
_WHISKER = 2.0  # standard errors
_TITLES = {"score": "score", "heart_attacks": "heart attacks an episode", "return": "return"}
_LABEL_SIZE = 11  # points
_MARGINS = {"left": 0.135, "right": 0.945, "top": 0.8, "bottom": 0.185, "wspace": 1.6}


@arguments.checked(title=str)
def draw_tornado(found: Sensitivity, title: str = "Sensitivity") -> style.Figure:
    """A figure with a panel for each outcome: its ten greatest elasticities as bars, whiskers of two standard errors.

    A bar to the right is an outcome that rises with the parameter, to the left one that falls. Under each panel stands
    how many parameters have no bar: those whose bar would be smaller, those that are 0, and those that do nothing.

    Args:
      found: from `sensitivity`.
      title: a headline.

    Raises:
      TypeError: if `found` is not a `Sensitivity`.
      ImportError: on importing this module without matplotlib.
    """
    arguments.check_type("found", found, Sensitivity, "`sensitivity` makes one")
    figure = style.new_figure((16.0, 7.5))
    grid = figure.add_gridspec(1, len(found.outcomes), **_MARGINS)
    for i, (name, outcome) in enumerate(found.outcomes.items()):
        _draw_outcome(figure.add_subplot(grid[i]), name, outcome)
    figure.text(0.02, 0.93, style.plain(title), fontsize=style.TITLE_SIZE, color=style.INK)
    how = f"{found.estimator}: {found.promise}; {found.num_episodes:,} episodes of {found.num_steps:,} decisions"
    figure.text(0.02, 0.885, how, fontsize=style.TICK_SIZE, color=style.GREY)
    return figure


def _draw_outcome(axes: style.Axes, name: str, outcome: OutcomeSensitivity) -> None:
    elasticity = {parameter: influence.elasticity for parameter, influence in outcome.influences.items()}
    matter = [parameter for parameter in outcome.ranked() if abs(elasticity[parameter].mean) >= NEGLIGIBLE]
    shown = matter[:_MOST_BARS]
    means = np.array([elasticity[parameter].mean for parameter in shown])
    errors = _WHISKER * np.array([elasticity[parameter].standard_error for parameter in shown])
    rows = np.arange(len(shown))
    style.clean(axes)
    axes.spines["left"].set_visible(False)
    axes.barh(rows, means, height=0.7, color=[style.BLUE if mean > 0 else style.VERMILLION for mean in means])
    axes.errorbar(means, rows, xerr=errors, fmt="none", ecolor=style.INK, elinewidth=1.2, capsize=3)
    for row, mean in zip(rows, means, strict=True):
        axes.annotate(
            style.number(mean), (1.32, row), xycoords=("axes fraction", "data"), fontsize=_LABEL_SIZE, color=style.GREY,
            horizontalalignment="right", verticalalignment="center_baseline",
        )  # fmt: skip
    axes.axvline(0.0, color=style.GREY, linewidth=1.0)
    axes.set_yticks(rows, [parameter.replace("_", " ") for parameter in shown], fontsize=_LABEL_SIZE)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(_MOST_BARS - 0.4, -0.6)  # the greatest on top, bars of one width in all panels
    axes.xaxis.set_major_locator(style.MaxNLocator(3))
    text = f"{_TITLES[name]}: {style.number(outcome.value.mean)}"
    axes.set_title(text, loc="left", fontsize=style.TEXT_SIZE, color=style.INK)
    axes.set_xlabel("% for 1 % of the parameter", fontsize=style.TICK_SIZE, color=style.GREY)
    rest = _rest(outcome, len(matter) - len(shown), len(outcome.ranked()) - len(matter))
    axes.text(
        -0.3, -0.16, rest, transform=axes.transAxes, fontsize=style.TICK_SIZE, color=style.GREY, verticalalignment="top"
    )


def _rest(outcome: OutcomeSensitivity, num_smaller: int, num_at_zero: int) -> str:
    """A line on those without a bar, as the table counts them."""
    if outcome.value.mean == 0:
        return "it is 0, which has no percent"
    others = len(outcome.influences) - len(outcome.ranked())
    return "\n".join(filter(None, (
        f"{num_smaller} smaller" if num_smaller else "",
        f"{num_at_zero} at 0, of which there is no percent" if num_at_zero else "",
        f"{others} other{'s' if others > 1 else ''}: less than {NEGLIGIBLE:g} %" if others else "",
    )))  # fmt: skip
