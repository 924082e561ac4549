"""Two episodes one above the other, on one axis of time: two policies on the same noise.

first, second = (rollout(policy, key, num_envs=1, record=everything).records for policy in policies)
figure = draw_versus(first, second, titles=("reference", "optimal"))
"""

from typing import Any

from heartpole_jax import arguments
from heartpole_jax.drawing.charts import strip_chart, style
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.rollout import Transition


@arguments.checked(env=Environment)
def draw_versus(
    first: Transition,
    second: Transition,
    params: Any = None,
    titles: tuple[str, str] = ("first", "second"),
    *,
    env: Environment = HEARTPOLE_V0,
) -> style.Figure:
    """A figure of two episodes of one environment, `first` above `second`, each as `draw_episode` shows it.

    Both have one axis of time, and each strip has one scale in both.

    Args:
      first, second: the records, as for `draw_episode`: of rollouts with one key, and so on the same noise.
      params: those of both rollouts.
      titles: a headline each.
      env: the environment.

    Raises:
      TypeError, ValueError, ImportError: as `draw_episode`.
    """
    episodes = _on_one_scale([strip_chart.of(records, params, env) for records in (first, second)])
    size = (style.SLIDE[0], episodes[0].height)
    figure = style.new_figure((size[0], 2 * size[1]))
    until = max(float(episode.days[-1]) for episode in episodes)
    parts: Any = figure.subfigures(2, 1)
    for part, episode, title in zip(parts, episodes, titles, strict=True):
        part.set_facecolor("white")
        strip_chart.draw_into(part, size, episode, title, until)
    return figure


def _on_one_scale(episodes: list[strip_chart.Episode]) -> list[strip_chart.Episode]:
    """The same episodes; what a strip always shows is what it shows in any of them."""
    strips = []
    for same in zip(*(episode.strips for episode in episodes), strict=True):
        low = min(min(float(strip.values.min()), strip.shown[0]) for strip in same)
        high = max(max(float(strip.values.max()), strip.shown[1]) for strip in same)
        strips.append([strip._replace(shown=(low, high)) for strip in same])
    return [
        episode._replace(strips=tuple(own)) for episode, own in zip(episodes, zip(*strips, strict=True), strict=True)
    ]
