"""The grid of HeartPole-v1's solver, and interpolation on it.

Values have axes in the order (h, s, w, x, m, k): hypertension, half-hours awake, wakefulness, blood alcohol,
impairment, stimulation. Wakefulness w = alertness + the fatigue of the day so far: only sleep and doses of alertness
change it, so that for other actions nothing is interpolated along it.

The points follow the menu. They are dense where a patient works well, and stretch from there as far as the menu's
doses can lead within an episode, so that hardly a patient leaves the grid; a variable that no action changes has one
point. Between the points values are interpolated by cubic polynomials, at the two ends linearly; blood alcohol, whose
Ballmer peak is narrow, linearly.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax.envs import physiology
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.envs.menu import Row
from heartpole_jax.optimum.heartpole_v1.productivity import best_alertness

AXES = ("hypertension", "wakefulness", "intoxication", "impairment", "stimulation")  # but for half-hours awake
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


def corners(points: Array, x: Array) -> list[tuple[Array, Array]]:
    """The points on either side of `x` as (weight, index), for linear interpolation, constant beyond the ends."""
    if len(points) == 1:
        return [(jnp.ones(()), jnp.zeros((), jnp.int32))]
    cell = jnp.clip(jnp.sum(points <= x) - 1, 0, len(points) - 2)
    share = jnp.clip((x - points[cell]) / (points[cell + 1] - points[cell]), 0.0, 1.0)
    return [(1.0 - share, cell), (share, cell + 1)]
