"""What the proof of the upper bound assumes of parameters, menu and lattice."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax.envs import physiology
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.envs.menu import Row
from heartpole_jax.optimum.heartpole_v1.bound.actions import Body, dose_of
from heartpole_jax.optimum.heartpole_v1.bound.body import Risk, sigmoid
from heartpole_jax.optimum.heartpole_v1.bound.lattice import Lattice
from heartpole_jax.optimum.heartpole_v1.solver import most_gained


class NoBound(ValueError):
    """Parameters or a menu that the proof does not cover."""


class NeverPays(NamedTuple):
    """A row that is not on the lattice, since idling for as long is better: see `idling_is_better`."""

    name: str
    gained: float  # the most work that its impairment gains
    extra: np.ndarray  # (h,) by how much a heart attack is likelier at the points
    twice: np.ndarray  # (h,) at most the heart attacks that idling has after its first


def never_paying(rows: Sequence[Row], params: EnvParams, body: Body) -> tuple[NeverPays, ...]:
    """The `rows` that are not on it. Raises `NoBound` where their extra risk falls somewhere on the lattice."""
    found, h = [], body.lattice.hypertension
    lowest, highest = (float(risk) for risk in body.proclivity * sigmoid(h[[0, -1]] - body.threshold))
    for row in rows:
        hazards = 1.0, min(float(row.hazard), 1.0 / highest)  # less, where a heart attack would be certain
        idle, risky = (
            Risk(row.half_hours + 1, body.proclivity * hazard, body.threshold, body.tension_decay) for hazard in hazards
        )
        between = np.linspace(0.0, h[-1], int(h[-1] / 0.002) + 2)
        if np.min(np.diff(risky.value(between) - idle.value(between))) < 0:
            raise NoBound(f"{row.name} is not more dangerous the higher the hypertension; leave it out")
        again = row.half_hours * lowest
        found.append(
            NeverPays(row.name, most_gained(row, params), risky.value(h) - idle.value(h), again * idle.value(h))
        )
    return tuple(found)


def idling_is_better(row: NeverPays, hypertension_cost: np.ndarray, penalty: float) -> bool:
    """Whether idling for as long beats a row at every hypertension of the lattice, each cell taken at its worse end.

    A heart attack costs the penalty, and gains what hypertension costs, at most `hypertension_cost` (h,) by the values
    afterwards. Idling is several decisions and can have a second heart attack, at no hypertension.
    """
    cost = row.extra[:-1] * (penalty - hypertension_cost[1:]) - penalty * row.twice[1:]
    return bool(np.min(cost) >= row.gained)


def check(params: EnvParams, rows: Sequence[Row], grid: Lattice) -> None:
    """Raises `NoBound` with the first assumption that fails."""
    tired = float(physiology.alertness_decay(grid.tired, params.fatigue_onset, params.fatigue_width))
    asleep = [row for row in rows if row.wakes_up]
    if len(asleep) != 1 or any(getattr(asleep[0], name) for name in ("hypertension", "stimulation", "impairment")):
        raise NoBound("the menu must have one action that wakes up, and it no doses")
    for row in rows:
        alertness, stimulation = dose_of(row.alertness), dose_of(row.stimulation)
        if row.impairment is not None or float(row.hazard) != 1.0:
            raise NoBound(f"{row.name} impairs or changes the hazard, which is not covered; leave it out")
        if stimulation[0] < 0 or alertness[0] < 0:
            raise NoBound(f"{row.name} makes drowsy, which is not covered; leave it out")
        if row.alertness is not None and (row.stimulation is not None or row.half_hours == 0 or tired < alertness[1]):
            raise NoBound(f"{row.name} has a dose of alertness that is not covered; leave it out")
        if np.max(np.diff(grid.wakefulness)) > (row.half_hours + 1) * tired - alertness[1] + 1e-9:
            raise NoBound("the lattice of wakefulness is too coarse for how tired patients are at its end of the day")
    if not 0 < params.hypertension_decay < 1 or not 0 < params.stimulation_decay < 1:
        raise NoBound("hypertension_decay and stimulation_decay must be below 1 and above 0")
    if params.bedtime_stimulation_cost < 0:
        raise NoBound("bedtime_stimulation_cost must not be negative")
    _check_ends(params, rows, grid)


def _check_ends(params: EnvParams, rows: Sequence[Row], grid: Lattice) -> None:
    """That no patient leaves the lattice where its values are not held."""
    dose = max(dose_of(row.stimulation)[1] for row in rows)
    if grid.stimulation[0] != 0 or grid.hypertension[0] != 0 or grid.stimulation[-1] < most_stimulation(params, dose):
        raise NoBound("the lattice of hypertension and of stimulation must begin at 0, and hold all stimulation")
    naps = [(dose_of(row.alertness)[1], row.half_hours + 1) for row in rows if row.alertness is not None]
    gained = max((dose * ((grid.tired - 1) // time) for dose, time in naps), default=0.0)
    dose = max((dose for dose, _ in naps), default=0.0)
    w = grid.wakefulness
    last = np.searchsorted(w, params.wake_up_alertness_high + gained - 1e-9)
    if last >= len(w) or w[last] + dose > w[-1] + 1e-9 or w[0] > params.wake_up_alertness_low:
        raise NoBound("the lattice of wakefulness must hold all naps of a day")
    if w[1] - w[0] < dose or any(np.min(np.diff(points)) <= 0 for points in (w, grid.stimulation, grid.hypertension)):
        raise NoBound("the points of the lattice must increase, those of wakefulness by a dose of it at first")


def within_reach(params: EnvParams, rows: Sequence[Row], grid: Lattice) -> np.ndarray:
    """(s, w): whether a patient may be in one of the cells beside a point, by the naps that a day has had time for."""
    naps = [(dose_of(row.alertness)[1], row.half_hours + 1) for row in rows if row.alertness is not None]
    awake = np.minimum(np.arange(grid.awake + 1), grid.tired + 1)
    most = params.wake_up_alertness_high + max(
        (dose * (awake // time) for dose, time in naps), default=0.0 * awake, key=max
    )
    below = np.append(-np.inf, grid.wakefulness[:-1])
    return below <= most[:, None] + 1e-9


def most_stimulation(params: EnvParams, dose: float) -> float:
    """The level that doses of at most `dose` keep below, before each."""
    decay = float(params.stimulation_decay)
    return dose * decay / (1.0 - decay)


def late_returns(params: EnvParams, rows: Sequence[Row], body: Body) -> tuple[Array, ...]:
    """At most what `rows` earn with 1, 2, .. half-hours left, as long as their breaks outlast the episode: (h,) each.

    Such a row never pays where idling has as many half-hours. With fewer left it works later than idling could: at the
    best productivity, at the risk of its hypertension.
    """
    h, found = body.lattice.hypertension, []
    highest = float(body.work.value(np.array(body.work.best)))
    for left in range(1, 1 + max((row.half_hours for row in rows), default=0)):
        costs = []
        for row in rows:
            if row.half_hours >= left:
                hazard = min(body.proclivity * float(row.hazard), 1.0)
                risk = Risk(row.half_hours + 1, hazard, body.threshold, body.tension_decay)
                lacking = np.diff(h) ** 2 / 8.0 * risk.most_curved(h[1:])
                lacking = np.maximum(np.append(lacking, 0.0), np.append(0.0, lacking))
                costs.append(risk.value(h) - lacking)
        found.append(jnp.asarray(highest - body.penalty * np.min(costs, axis=0)))
    return tuple(found)
