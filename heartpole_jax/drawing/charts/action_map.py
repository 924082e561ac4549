"""What a policy does over alertness and hypertension, the other numbers of the observation held at stated values.

saved = saved_policy.load(folder)
found = action_map(saved.act, obs=(1.0, 0.0, 0.0, 4, 100, 30.0))
figure = draw_action_map(found)
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from heartpole_jax import arguments, validation
from heartpole_jax.drawing.charts import style
from heartpole_jax.drawing.charts.strip_chart import action_colours
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0

X, Y = "alertness", "hypertension"
SIZE = (4.6, 3.3)  # inches


class ActionMap(NamedTuple):
    """The actions at the points of a grid."""

    alertness: np.ndarray  # (columns,), rising
    hypertension: np.ndarray  # (rows,), rising
    action: np.ndarray  # (rows, columns) int
    others: Mapping[str, float]  # the numbers of the observation that were held


@arguments.checked(act=Callable, env=Environment, num_points=validation.check_size)
def action_map(
    act: Callable[[np.ndarray], Any],
    obs: Any,
    *,
    env: Environment = HEARTPOLE_V0,
    visited: Any = None,
    num_points: int = 81,
) -> ActionMap:
    """The actions over alertness and hypertension, where a patient has been and half as far again.

    Args:
      act: observations, floats of shape (n, *env.obs_shape), to actions (n,); as `SavedPolicy.act`.
      obs: one observation of `env`: its other numbers are held.
      env: the environment.
      visited: observations (n, *env.obs_shape) that the ranges hold, beside what charts always show; None for none.
      num_points: of either axis.

    Raises:
      ValueError: for an environment without alertness or hypertension, observations of another shape or not finite,
        and actions that are none of the environment's.
    """
    if missing := [name for name in (X, Y) if name not in env.obs_names]:
        raise ValueError(f"an action map is over {X} and {Y}, and {env.name} has no {' and no '.join(missing)}")
    size = len(env.obs_names)
    obs = _numbers("obs", obs, (size,))
    seen = np.concatenate(
        [obs[None], np.zeros((0, size)) if visited is None else _numbers("visited", visited, (size,))]
    )
    places = [env.obs_names.index(name) for name in (X, Y)]
    shown = {gauge.field: gauge.chart for gauge in env.gauges}
    lowest = env.observation_space().low
    x, y = (
        _axis(shown.get(env.obs_names[place], (0.0, 1.0)), seen[:, place], float(lowest[place]), num_points)
        for place in places
    )
    grid = np.tile(obs, (num_points, num_points, 1))
    grid[..., places[0]], grid[..., places[1]] = x[None, :], y[:, None]
    action = np.asarray(act(grid.reshape(-1, size)))
    if action.shape != (num_points**2,) or np.setdiff1d(action, np.arange(env.num_actions)).size:
        raise ValueError(
            f"act must return an action of {env.name} for each observation, got {arguments.described(action)}"
        )
    others = {name: float(value) for name, value in zip(env.obs_names, obs, strict=True) if name not in (X, Y)}
    return ActionMap(x, y, action.reshape(num_points, num_points).astype(int), others)


@arguments.checked(found=ActionMap, title=str, env=Environment)
def draw_action_map(
    found: ActionMap, title: str = "", *, env: Environment = HEARTPOLE_V0, visited: Any = None
) -> style.Figure:
    """A figure of the map, each action in its colour of strip charts; `visited` observations (n, ...) are dots.

    Raises:
      ValueError: for observations of another shape or not finite.
      ImportError: on importing this module without matplotlib.
    """
    figure = style.new_figure(SIZE)
    width, height = SIZE
    axes = figure.add_axes((0.75 / width, 0.62 / height, 1 - 0.95 / width, 1 - 1.04 / height))
    style.clean(axes)
    colours = np.array([_rgb(colour) for colour in action_colours(env)])
    step_x, step_y = (0.5 * (values[1] - values[0]) for values in (found.alertness, found.hypertension))
    left, right, low, high = *found.alertness[[0, -1]], *found.hypertension[[0, -1]]
    axes.imshow(
        colours[found.action], origin="lower", aspect="auto", interpolation="nearest",
        extent=(left - step_x, right + step_x, low - step_y, high + step_y),
    )  # fmt: skip
    if visited is not None:
        seen = _numbers("visited", visited, (len(env.obs_names),))
        x, y = (seen[:, env.obs_names.index(name)] for name in (X, Y))
        axes.plot(
            x, y, "o", color=style.INK, markersize=2.6, alpha=0.7, markeredgewidth=0.3, markeredgecolor="white",
            clip_on=False, rasterized=len(x) > 200,
        )  # fmt: skip
    labels = {gauge.field: gauge.label for gauge in env.gauges}
    axes.set_xlabel(labels.get(X, X), fontsize=style.TICK_SIZE, color=style.GREY)
    axes.set_ylabel(labels.get(Y, Y), fontsize=style.TICK_SIZE, color=style.GREY)
    axes.xaxis.set_major_locator(style.MaxNLocator(6))
    axes.yaxis.set_major_locator(style.MaxNLocator(5))
    axes.set_title(style.plain(title), loc="left", fontsize=style.TEXT_SIZE + 1, color=style.INK, pad=8)
    return figure


def _axis(shown: tuple[float, float], seen: np.ndarray, lowest: float, num_points: int) -> np.ndarray:
    """Numbers over what is shown and seen, and half as far again on either side, from `lowest` on."""
    low, high = min(shown[0], float(seen.min())), max(shown[1], float(seen.max()))
    room = 0.5 * (high - low)
    return np.linspace(max(low - room, lowest), high + room, num_points)


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def _numbers(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The values as float64 of shape (..., *shape). Raises ValueError for others."""
    found = np.asarray(values, np.float64)
    if found.shape[-1:] != shape or not np.all(np.isfinite(found)):
        raise ValueError(f"{name} must be finite numbers of shape (..., {shape[0]}), got {arguments.described(found)}")
    return found
