"""HeartPole-v1's decisions on a grid of states: the values of actions, as products of small matrices.

`optimum.heartpole_v1` describes the method. Values have axes in the order (h, s, w, x, m, k): hypertension, half-hours
awake, wakefulness, blood alcohol, impairment, stimulation. Wakefulness w = alertness + the fatigue of the day so far:
only sleep and doses of alertness change it, so that for other actions nothing is interpolated along it.

The points follow the menu. They are dense where a patient works well, and stretch from there as far as the menu's
doses can lead within an episode, so that hardly a patient leaves the grid; a variable that no action changes has one
point. Between the points values are interpolated by cubic polynomials, at the two ends linearly; blood alcohol, whose
Ballmer peak is narrow, linearly.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax.envs import physiology
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.envs.menu import Row

AXES = ("hypertension", "wakefulness", "intoxication", "impairment", "stimulation")  # but for half-hours awake
UNIFORMS = (np.arange(16) + 0.5) / 16  # the midpoint rule over each uniform
_STEP = 0.25  # between points of stimulation where a patient works well, at resolution 1; of the others twice that
_MOST_POINTS = 48  # of stimulation where patients are, at resolution 1: strong stimulants lead far
_GROWTH = 1.3  # of the distance from point to point outside
_NUM_TENSION = 14  # points of hypertension up to 8, denser near 0: the highest times (i / last)^2
_DEADLY = 2.0  # units above the threshold beyond which more hypertension hardly changes the risk
_AWAKE_LONGER = 6  # half-hours that a grid has more than are visited
_DOSES = 20  # of alertness a day, as a first guess
_TIRED = 0.99  # of the fatigue of the last half-hour of an episode: beyond, a patient tires no faster
_USELESS = 7.0  # units of alertness above the threshold of anxiety at which no work is done


class Grid(NamedTuple):
    """Increasing points of each variable, and how a patient tires."""

    hypertension: np.ndarray
    wakefulness: np.ndarray
    intoxication: np.ndarray
    impairment: np.ndarray
    stimulation: np.ndarray
    tiredness: np.ndarray  # (s,) alertness lost in the half-hour after s = 0, 1, ... half-hours awake, then as the last

    @property
    def fatigue(self) -> np.ndarray:
        """Alertness lost since waking up, (s,)."""
        return np.concatenate([[0.0], np.cumsum(self.tiredness[:-1])])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of values."""
        return len(self.hypertension), len(self.tiredness), *map(len, self[1:5])


class Visited(NamedTuple):
    """Where patients of a policy are nearly always."""

    wakefulness: tuple[float, float]
    stimulation: tuple[float, float]
    awake: int  # half-hours, the most


def grid_of(params: EnvParams, rows: Sequence[Row], resolution: float, visited: Visited | None = None) -> Grid:
    """As many points as the menu's `rows` need, evenly spaced where `visited`; distances fall with `resolution`."""
    horizon, step = int(params.max_half_hours), _STEP / resolution
    growth, best = _GROWTH ** (1.0 / resolution), best_alertness(params)
    stimulation = _reach(rows, "stimulation", params.stimulation_decay, horizon)
    impairment = _reach(rows, "impairment", params.impairment_decay, horizon)
    deadly = max(float(params.heart_attack_threshold), 0.0) + _DEADLY
    tension = min(_reach(rows, "hypertension", params.hypertension_decay, horizon)[1], deadly)
    num_tension = max(math.ceil(_NUM_TENSION * resolution * math.sqrt(tension / 8.0)), 5) if tension > 0 else 1

    # Wakefulness: of waking up, and what doses of alertness make of it.
    bedtime = [params.bedtime_stimulation_cost * level for level in stimulation]
    woken = params.wake_up_alertness_low - max(bedtime), params.wake_up_alertness_high - min(bedtime)
    doses = [(row.alertness, row.half_hours + 1) for row in rows if row.alertness is not None]
    gained = max((max(low + high, 0.0) / 2 / time for (low, high), time in doses), default=0.0)
    lost = min((min(low + high, 0.0) / 2 / time for (low, high), time in doses), default=0.0)
    means = [0.5 * sum(row.stimulation) for row in rows if row.stimulation is not None]
    steady = max([0.0, *means]) / max(1.0 - params.stimulation_decay, 1.0 / horizon)  # of a dose each half-hour
    tiredness = _tiredness(params, woken[1] - impairment[0] + steady, gained)
    most_tired = float(np.sum(tiredness[:-1]))
    idle_below, idle_above = impairment[0] - stimulation[1], params.anxiety_threshold + _USELESS + most_tired
    lowest = woken[0] + lost * horizon - (most_tired if horizon > len(tiredness) else 0.0)
    lowest = min(max(lowest, idle_below), woken[0])
    highest = max(min(woken[1] + gained * horizon, idle_above - stimulation[0] + impairment[1]), woken[1])
    if visited is None:
        visited = Visited(
            wakefulness=(
                params.wake_up_alertness_low - abs(params.bedtime_stimulation_cost) * min(steady, best),
                woken[1] + min(_DOSES * gained, best + most_tired),
            ),
            stimulation=(-1.0, best + min(steady, float(np.sum(tiredness[tiredness <= 0.5])))),
            awake=len(tiredness),
        )
    widest = (visited.stimulation[1] - visited.stimulation[0]) / (_MOST_POINTS * resolution)
    return Grid(
        hypertension=tension * np.linspace(0.0, 1.0, num_tension) ** 2 if tension > 0 else np.zeros(1),
        wakefulness=_stretched(lowest, highest, *visited.wakefulness, 2.0 * step, growth**3),
        intoxication=_alcohol(params, rows, resolution),
        impairment=_stretched(*impairment, 0.0, best, 2.0 * step, growth),
        stimulation=_stretched(*stimulation, *visited.stimulation, max(step, widest), growth**1.5),
        tiredness=tiredness[: max(visited.awake + _AWAKE_LONGER, 2)],
    )


def _reach(rows: Sequence[Row], channel: str, decay: float, horizon: int) -> tuple[float, float]:
    """The lowest and highest level that doses can lead to, from 0 and with 0."""
    doses = [getattr(row, channel) for row in rows if getattr(row, channel) is not None]
    lowest, highest = (extreme([0.0, *(dose[end] for dose in doses)]) for end, extreme in enumerate((min, max)))
    kept = decay * (horizon if decay == 1 else (1.0 - decay**horizon) / (1.0 - decay))
    return float(lowest * kept), float(highest * kept)


def _tiredness(params: EnvParams, rested: float, gained: float) -> np.ndarray:
    """Fatigue by half-hours awake: until a patient who began with `rested` and `gained` as much each half-hour cannot
    work any more, or tires as fast as ever, or the end."""
    awake = np.arange(int(params.max_half_hours) + 1)
    tiredness = np.array(physiology.alertness_decay(awake, params.fatigue_onset, params.fatigue_width), float)
    fatigue = np.concatenate([[0.0], np.cumsum(tiredness[:-1])])
    over = (fatigue >= rested + gained * awake) | (tiredness >= _TIRED * tiredness[-1])
    return tiredness[: max(int(np.argmax(over)) + 1, 2)]


def _stretched(low: float, high: float, first: float, last: float, step: float, growth: float) -> np.ndarray:
    """Points of [low, high], evenly spaced in [first, last] and ever sparser outside."""
    if high <= low:
        return np.array([low])
    first, last = min(max(first, low), high), max(min(last, high), low)
    step = min(step, (high - low) / 3.0)
    inner = (
        np.linspace(first, last, max(math.ceil((last - first) / step), 1) + 1) if last > first else np.array([first])
    )
    return np.concatenate(
        [first - _steps(first - low, step, growth)[::-1], inner, last + _steps(high - last, step, growth)]
    )


def _steps(distance: float, step: float, growth: float) -> np.ndarray:
    """Increasing distances that grow and end at `distance`; none where it is 0."""
    if distance <= 1e-9:
        return np.zeros(0)
    number = max(math.ceil(math.log1p(distance / step * (growth - 1.0) / growth) / math.log(growth)), 1)
    steps = growth ** np.arange(1, number + 1)
    return distance * np.cumsum(steps) / np.sum(steps)


def _alcohol(params: EnvParams, rows: Sequence[Row], resolution: float) -> np.ndarray:
    """Points of blood alcohol, evenly spaced so that what is eliminated in a half-hour leads from point to point."""
    doses = [row.intoxication for row in rows if row.intoxication is not None]
    if not doses:
        return np.zeros(1)
    wanted = 0.5 * params.ballmer_peak_width / resolution
    elimination = params.intoxication_elimination
    step = elimination / math.ceil(elimination / wanted) if elimination > 0.2 * wanted else wanted
    top = max(
        params.ballmer_peak + 5.0 * params.ballmer_peak_width,
        params.ballmer_limit + 6.0 / max(params.ballmer_steepness, 1.0),
    )
    top = max(min(top, int(params.max_half_hours) * max(dose[1] for dose in doses)), 0.0)
    return step * np.arange(math.ceil(top / step) + 1)


def interpolation(grid: np.ndarray, x: np.ndarray, cubic: bool = True) -> np.ndarray:
    """The weights, (..., len(grid)), by which values on `grid` give those at `x`: constant beyond the ends."""
    weights = np.zeros((*x.shape, len(grid)))
    if len(grid) == 1:
        return weights + 1.0
    x = np.clip(x, grid[0], grid[-1])
    cell = np.clip(np.searchsorted(grid, x, side="right") - 1, 0, len(grid) - 2)
    share = (x - grid[cell]) / (grid[cell + 1] - grid[cell])
    inner = (cell > 0) & (cell < len(grid) - 2) & cubic
    for offset in (-1, 0, 1, 2):
        index = np.clip(cell + offset, 0, len(grid) - 1)
        linear = (1.0 - share) if offset == 0 else share if offset == 1 else np.zeros_like(share)
        lagrange = np.ones_like(share)
        for other in {-1, 0, 1, 2} - {offset}:
            beside = np.clip(cell + other, 0, len(grid) - 1)
            gap = np.where(inner, grid[index] - grid[beside], 1.0)
            lagrange = lagrange * (x - grid[beside]) / gap
        added = np.where(inner, lagrange, linear)[..., None]
        np.put_along_axis(weights, index[..., None], np.take_along_axis(weights, index[..., None], -1) + added, axis=-1)
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


def best_alertness(params: EnvParams) -> float:
    """The effective alertness at which most work is done."""
    alertness = np.linspace(0.0, max(float(params.anxiety_threshold), 0.0) + 2.0, 10_001)
    return float(alertness[np.argmax(_work(alertness, params))])


def steepest_fall(params: EnvParams, drunk: bool) -> float:
    """The most work that half an hour loses for one unit of alertness more, at the blood alcohol of most work."""
    alcohol = np.append(np.linspace(0.0, 1.0, 10_001), params.ballmer_peak) if drunk else np.zeros(1)
    alertness = np.linspace(0.0, max(float(params.anxiety_threshold), 0.0) + 20.0, 10_001)
    steepest = np.max(-np.diff(_work(alertness, params)) / np.diff(alertness))
    return float(np.max(_ballmer(alcohol, params)) * max(steepest, 0.0))


def _work(alertness: np.ndarray, params: EnvParams) -> np.ndarray:
    """Work done in half an hour, sober, by the effective alertness (before it is cut at 0)."""
    return np.asarray(physiology.productivity(np.maximum(alertness, 0.0), 1.0, params.anxiety_threshold), float)


class Operator(NamedTuple):
    """An action's value: reward, and matrices from the values after it, see the top of the file."""

    reward: Array  # (s, w, x, m, k)
    penalty: Array  # (h,)
    hypertension: Array  # (h, h')
    intoxication: Array | None  # (x, x')
    overtired: Array | None  # (j, w, w'): 1, 2, ... half-hours awake more than the last of the grid; None: wakes up
    terms: tuple[tuple[Array | None, ...], ...]  # sums of products, w, m, k: None is no change


def operator_of(row: Row, params: EnvParams, grid: Grid) -> Operator:
    """The action `row` on `grid`."""
    breaks, last = row.half_hours, len(grid.tiredness) - 1
    uniforms = UNIFORMS
    # (uniform, points): what there is after the dose, when work begins, and what is left after it.
    dosed = grid.stimulation + _doses(row.stimulation, uniforms)[:, None]
    stimulation = dosed * params.stimulation_decay**breaks
    impairment = (grid.impairment + _doses(row.impairment, uniforms)[:, None]) * params.impairment_decay**breaks
    worn_stimulation = interpolation(grid.stimulation, stimulation * params.stimulation_decay)
    worn_impairment = interpolation(grid.impairment, impairment * params.impairment_decay)
    if row.wakes_up:
        rested = physiology.uniform_between(params.wake_up_alertness_low, params.wake_up_alertness_high, uniforms)
        woken = np.asarray(rested)[:, None] - params.bedtime_stimulation_cost * dosed  # (uniform, k)
        effective = (woken + stimulation)[:, None, None, None, :]  # (uniform, s, w, m, k)
        after = interpolation(grid.wakefulness, woken)
        after = np.einsum("ukb,ukl->ukbl", after, worn_stimulation)
        overtired = None
    else:
        wakefulness = grid.wakefulness + _doses(row.alertness, uniforms)[:, None]  # (uniform, w)
        awake = np.arange(last + 1) + breaks
        fatigue = grid.fatigue[np.minimum(awake, last)] + np.maximum(awake - last, 0) * grid.tiredness[last]
        alertness = wakefulness[:, None, :] - fatigue[:, None]  # (uniform, s, w)
        effective = alertness[..., None, None] + stimulation[:, None, None, None, :]
        after = interpolation(grid.wakefulness, wakefulness)
        later = np.arange(1, min(breaks + 1, last + 1) + 1) + max(breaks - last, 0)
        overtired = interpolation(grid.wakefulness, grid.wakefulness - grid.tiredness[last] * later[:, None])
    effective = effective - impairment[:, None, None, :, None]
    work = np.zeros(effective.shape[1:])
    for of_uniform in effective:
        work = work + _work(of_uniform, params) / len(uniforms)

    alcohol = _eliminated(grid.intoxication + _doses(row.intoxication, uniforms)[:, None], breaks, params)
    multiplier = np.mean(_ballmer(alcohol, params), axis=0)
    sober = interpolation(grid.intoxication, _eliminated(alcohol, 1, params), cubic=False).mean(axis=0)

    tension = np.maximum(grid.hypertension + _doses(row.hypertension, uniforms)[:, None], 0.0)
    risk = np.zeros_like(tension)
    for _ in range(breaks + 1):
        tension = tension * params.hypertension_decay
        plain = np.asarray(
            physiology.heart_attack_risk(tension, params.heart_attack_proclivity, params.heart_attack_threshold)
        )
        risk = risk + (1.0 - risk) * np.minimum(float(row.hazard) * plain, 1.0)
    kept = ((1.0 - risk)[..., None] * interpolation(grid.hypertension, tension)).mean(axis=0)
    kept[:, 0] += risk.mean(axis=0)

    changes = [
        after if row.wakes_up or row.alertness is not None else None,
        worn_impairment if len(grid.impairment) > 1 else None,
        None if row.wakes_up or len(grid.stimulation) == 1 else worn_stimulation,
    ]
    varies = [row.wakes_up or row.alertness is not None, row.impairment is not None, row.stimulation is not None]
    return Operator(
        reward=jnp.asarray(work[:, :, None] * multiplier[:, None, None]),
        penalty=jnp.asarray(params.heart_attack_penalty * risk.mean(axis=0)),
        hypertension=jnp.asarray(kept),
        intoxication=jnp.asarray(sober) if len(grid.intoxication) > 1 else None,
        overtired=None if overtired is None else jnp.asarray(overtired),
        terms=_terms(changes, varies),
    )


def _terms(changes: Sequence[np.ndarray | None], varies: Sequence[bool]) -> tuple[tuple[Array | None, ...], ...]:
    """The mean over the uniform of the product of `changes`, (uniform, ...) each, as a sum of products: one, where no
    more than one of them `varies` with the uniform."""
    varying = [change is not None and varied for change, varied in zip(changes, varies, strict=True)]
    means = [None if change is None else jnp.asarray(change.mean(axis=0)) for change in changes]
    if sum(varying) <= 1:
        return (tuple(means),)
    scaled = varying.index(True)  # the one that carries the weight of the uniform
    return tuple(
        tuple(
            means[i]
            if change is None or not varying[i]
            else jnp.asarray(change[u] / (len(UNIFORMS) if i == scaled else 1))
            for i, change in enumerate(changes)
        )
        for u in range(len(UNIFORMS))
    )


def _eliminated(alcohol: np.ndarray, half_hours: int, params: EnvParams) -> np.ndarray:
    """Blood alcohol after some half-hours; the first brings it to 0 at least."""
    return np.maximum(alcohol - half_hours * params.intoxication_elimination, 0.0) if half_hours else alcohol


def action_value(operator: Operator, values: Array, decision: int) -> Array:
    """The value of an action of `decision` half-hours from the `values` after it, of the shape of the grid. Where it
    wakes up, these are of patients half an hour awake, (h, w, x, m, k)."""
    if operator.overtired is None:
        after = values[:, None]
    else:
        beyond = jnp.einsum("jab,hbxmk->hjaxmk", operator.overtired, values[:, -1])
        after = jnp.concatenate([values[:, decision:], beyond], axis=1)
    after = jnp.einsum("hg,gswxmk->hswxmk", operator.hypertension, after)
    if operator.intoxication is not None:
        after = jnp.einsum("xy,hswymk->hswxmk", operator.intoxication, after)
    after = functools.reduce(jnp.add, [_changed(after, *term) for term in operator.terms])
    return operator.reward[None] + after - operator.penalty[:, None, None, None, None, None]


def _changed(values: Array, wakefulness: Array | None, impairment: Array | None, stimulation: Array | None) -> Array:
    """One product of the matrices of a term."""
    if impairment is not None:
        values = jnp.einsum("mn,hswxnk->hswxmk", impairment, values)
    if stimulation is not None:
        values = jnp.einsum("hswxml,kl->hswxmk", values, stimulation)
    if wakefulness is None:
        return values
    if wakefulness.ndim == 2:
        return jnp.einsum("ab,hsbxmk->hsaxmk", wakefulness, values)
    return jnp.einsum("kbl,hsbxml->hsxmk", wakefulness, values)[:, :, None]


def corners(points: Array, x: Array) -> list[tuple[Array, Array]]:
    """The points on either side of `x` as (weight, index), for linear interpolation, constant beyond the ends."""
    if len(points) == 1:
        return [(jnp.ones(()), jnp.zeros((), jnp.int32))]
    cell = jnp.clip(jnp.sum(points <= x) - 1, 0, len(points) - 2)
    share = jnp.clip((x - points[cell]) / (points[cell + 1] - points[cell]), 0.0, 1.0)
    return [(1.0 - share, cell), (share, cell + 1)]
