"""HeartPole-v1's decisions on a grid of states: the values of actions, as products of small matrices.

`optimum_v1` tells the idea. Axes come in the order (s, a, h, k, x): half-hours awake, alertness, hypertension,
stimulation, blood alcohol. Between the points values are interpolated linearly, beyond the ends they are constant.
"""

import functools
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax.envs import physiology
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.envs.menu import Row

AXES = ("alertness", "hypertension", "stimulation", "intoxication")
UNIFORMS = (np.arange(16) + 0.5) / 16  # the midpoint rule over each uniform
_NUM_POINTS = (24, 22, 17)  # of the first three axes at resolution 1
_TENSION_BEND = 1.5  # points of hypertension are denser near 0: the top times (i / last)^1.5
_POINTS_A_HALF_HOUR = 3  # of blood alcohol


class Grid(NamedTuple):
    """Increasing points of each variable, and the half-hours awake, 0 .. longest_day - 1."""

    alertness: np.ndarray
    hypertension: np.ndarray
    stimulation: np.ndarray
    intoxication: np.ndarray
    longest_day: int

    @property
    def axes(self) -> tuple[np.ndarray, ...]:
        """The points in the order of `AXES`."""
        return self.alertness, self.hypertension, self.stimulation, self.intoxication


def grid_of(params: EnvParams, resolution: float, drunk: bool) -> Grid:
    """Points as far as a sensible patient gets; beyond them values are those of the last."""
    num_alertness, num_tension, num_stimulation = (math.ceil(resolution * num) for num in _NUM_POINTS)
    most = _best_alertness(params) + 0.7
    least = min(-most, float(params.wake_up_alertness_low) - 1.0)
    tension = max(float(params.heart_attack_threshold), 0.0) + 2.0
    step = (params.intoxication_elimination or params.ballmer_peak_width) / _POINTS_A_HALF_HOUR
    top = params.ballmer_peak + 5.0 * params.ballmer_peak_width
    return Grid(
        alertness=np.linspace(least, params.wake_up_alertness_high + 0.3, num_alertness),
        hypertension=tension * np.linspace(0.0, 1.0, num_tension) ** _TENSION_BEND,
        stimulation=np.linspace(0.0, most, num_stimulation),
        intoxication=step * np.arange(math.ceil(top / step) + 1) if drunk else np.zeros(1),
        longest_day=max(math.ceil(params.fatigue_onset + 0.8 * params.fatigue_width), 2),
    )


def finer(grid: Grid) -> Grid:
    """The same with the middles between the points."""
    a, h, k, x = (np.sort(np.concatenate([points, 0.5 * (points[1:] + points[:-1])])) for points in grid.axes)
    return Grid(a, h, k, x, grid.longest_day)


def interpolation(grid: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The weights, (..., len(grid)), by which values on `grid` give those at `x`: linear, constant beyond the ends."""
    weights = np.zeros((*x.shape, len(grid)))
    if len(grid) == 1:
        return weights + 1.0
    x = np.clip(x, grid[0], grid[-1])
    cell = np.clip(np.searchsorted(grid, x, side="right") - 1, 0, len(grid) - 2)
    share = (x - grid[cell]) / (grid[cell + 1] - grid[cell])
    np.put_along_axis(weights, cell[..., None], (1.0 - share)[..., None], axis=-1)
    np.put_along_axis(weights, cell[..., None] + 1, share[..., None], axis=-1)
    return weights


def _doses(dose: Any, uniforms: np.ndarray) -> np.ndarray:
    """A dose at each of the uniforms; zeros where there is none."""
    return np.zeros(len(uniforms)) if dose is None else dose[0] + (dose[1] - dose[0]) * uniforms


def _ballmer(intoxication: np.ndarray, params: EnvParams) -> np.ndarray:
    return np.asarray(
        physiology.ballmer_function(
            intoxication, params.ballmer_limit, params.ballmer_steepness, params.ballmer_peak,
            params.ballmer_peak_width, params.ballmer_peak_height,
        ),
        float,
    )  # fmt: skip


def _best_alertness(params: EnvParams) -> float:
    """The effective alertness at which most work is done."""
    alertness = np.linspace(0.0, max(float(params.anxiety_threshold), 0.0) + 2.0, 10_001)
    return float(alertness[np.argmax(_work(alertness, params))])


def _most_work(effective: np.ndarray, params: EnvParams) -> np.ndarray:
    """Work done sober by somebody as alert as that or, where it is more, less so."""
    return _work(np.clip(effective, 0.0, _best_alertness(params)), params)


def _work(alertness: np.ndarray, params: EnvParams) -> np.ndarray:
    return np.asarray(physiology.productivity(alertness, 1.0, params.anxiety_threshold), float)


class Operator(NamedTuple):
    """An action's value: `reward`, and matrices from the next state's values, see the top of the file."""

    reward: Array  # (s, a, 1, k, x)
    penalty: Array  # (h,)
    alertness: Array  # (terms, s, a, a'), or where it wakes up (k, a', k')
    hypertension: Array  # (h, h')
    stimulation: Array | None  # (terms, k, k'), None where it wakes up
    intoxication: Array  # (x, x')


def operator_of(row: Row, params: EnvParams, grid: Grid, at: Grid) -> Operator:
    """The action `row` at the points `at`, from values on `grid`."""
    uniforms, breaks = UNIFORMS, row.half_hours
    awake = np.arange(grid.longest_day)
    tiredness = np.array(physiology.alertness_decay(awake, params.fatigue_onset, params.fatigue_width), float)
    lost = sum((tiredness[np.minimum(awake + i, awake[-1])] for i in range(breaks)), np.zeros(len(awake)))
    worn = params.stimulation_decay

    # (uniform, ...) each: what there is when work begins.
    dosed = at.stimulation + _doses(row.stimulation, uniforms)[:, None]
    stimulation = dosed * worn**breaks
    if row.wakes_up:
        rested = physiology.uniform_between(params.wake_up_alertness_low, params.wake_up_alertness_high, uniforms)
        alertness = rested[:, None] - params.bedtime_stimulation_cost * dosed  # (uniform, k)
        effective = alertness[:, None, None] + stimulation[:, None, None]
        after = interpolation(grid.alertness, alertness - tiredness[0])
        stimulated = interpolation(grid.stimulation, stimulation * worn)
        after, separate = np.einsum("ukb,ukl->kbl", after, stimulated) / len(uniforms), False
    else:
        alertness = at.alertness - lost[:, None] + _doses(row.alertness, uniforms)[:, None, None]  # (uniform, s, a)
        effective = alertness[..., None] + stimulation[:, None, None]
        tired = tiredness[np.minimum(awake + breaks, awake[-1])]
        after = interpolation(grid.alertness, alertness - tired[:, None])
        stimulated = interpolation(grid.stimulation, stimulation * worn)
        if row.alertness is None or row.stimulation is None:  # independent: one mean of each
            after, stimulated = after.mean(axis=0, keepdims=True), stimulated.mean(axis=0, keepdims=True)
        after, separate = after / len(after), True

    alcohol = np.maximum(at.intoxication + _doses(row.intoxication, uniforms)[:, None], 0.0)
    alcohol = np.maximum(alcohol - breaks * params.intoxication_elimination, 0.0)
    multiplier = np.mean(_ballmer(alcohol, params), axis=0)
    reward = np.mean(_most_work(effective, params), axis=0)[:, :, None, :, None] * multiplier
    sober = np.maximum(alcohol - params.intoxication_elimination, 0.0)

    tension = np.maximum(at.hypertension + _doses(row.hypertension, uniforms)[:, None], 0.0)
    risk = np.zeros_like(tension)
    for _ in range(breaks + 1):
        tension = tension * params.hypertension_decay
        plain = np.asarray(
            physiology.heart_attack_risk(tension, params.heart_attack_proclivity, params.heart_attack_threshold)
        )
        risk = risk + (1.0 - risk) * np.minimum(float(row.hazard) * plain, 1.0)
    kept = ((1.0 - risk)[..., None] * interpolation(grid.hypertension, tension)).mean(axis=0)
    kept[:, 0] += risk.mean(axis=0)
    return Operator(
        reward=jnp.asarray(reward),
        penalty=jnp.asarray(params.heart_attack_penalty * risk.mean(axis=0)),
        alertness=jnp.asarray(after),
        hypertension=jnp.asarray(kept),
        stimulation=jnp.asarray(stimulated) if separate else None,
        intoxication=jnp.asarray(interpolation(grid.intoxication, sober).mean(axis=0)),
    )


def action_value(operator: Operator, values: Array, decision: int) -> Array:
    """The value of an action that takes `decision` half-hours, from the `values` (s, a, h, k, x) after it."""
    one_night = operator.stimulation is None
    awake = values[1:2] if one_night else values[np.minimum(np.arange(len(values)) + decision, len(values) - 1)]
    if len(operator.intoxication) > 1:
        awake = jnp.einsum("xy,sahky->sahkx", operator.intoxication, awake)
    awake = jnp.einsum("hg,sagkx->sahkx", operator.hypertension, awake)
    if one_night:
        after = jnp.einsum("kbl,sbhlx->shkx", operator.alertness, awake)[:, None]
    else:
        terms = zip(operator.alertness, operator.stimulation, strict=True)  # type: ignore[arg-type]
        mixed = [jnp.einsum("sab,sbhlx,kl->sahkx", alert, awake, stimulated) for alert, stimulated in terms]
        after = functools.reduce(jnp.add, mixed)
    return operator.reward + after - operator.penalty[None, None, :, None, None]


def corners(points: Array, x: Array) -> list[tuple[Array, Array]]:
    """The points on either side of `x` as (weight, index)."""
    if len(points) == 1:
        return [(jnp.ones(()), jnp.zeros((), jnp.int32))]
    cell = jnp.clip(jnp.sum(points <= x) - 1, 0, len(points) - 2)
    share = jnp.clip((x - points[cell]) / (points[cell + 1] - points[cell]), 0.0, 1.0)
    return [(1.0 - share, cell), (share, cell + 1)]
