"""An action on the lattice: the matrices of its expectation, and those of what linear interpolation lacks in cells.

The value of an action is r(w, x) + X W (H U + e_h) ..., see `upper_solution`. For each axis:

    matrix      the expectation at the points of the lattice, exact for multilinear U
    excess      an upper bound of f - (its linear interpolation) in each cell, as the largest of a few linear forms of U

where f is the expectation along that axis. With y = v + dose, uniform on an interval of length D, and f the mean of
phi(y), f'' = (phi'(v + high) - phi'(v + low)) / D. So in a cell of width d the excess is at most

    d^2 / 8 (max of phi' near v + low - min of phi' near v + high) / D.

Without a dose f is phi itself: linear but for kinks, by d / 4 times the fall of its slope.
"""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.envs.menu import Row
from heartpole_jax.optimum.heartpole_v1.bound import lattice as lattices
from heartpole_jax.optimum.heartpole_v1.bound.body import Risk, Work, sigmoid
from heartpole_jax.optimum.heartpole_v1.bound.lattice import Lattice

QUARTERS = [np.array(share) for share in (0.25, 0.5, 0.75)]


class Excess(NamedTuple):
    """max(0, max_j (inside U)) + scale * max(0, max_k (most U) - min_l (least U)) + curved U, each plus its constant.

    The matrices are (.., cells, n), of U along the axis, and with constants of (.., cells). What is None is 0.
    """

    inside: Array | None = None  # (j, cells, n) at points within each cell: all kinks, or quarters
    inside_const: Array | None = None
    scale: Array | None = None  # (cells,) between the quarters
    most: Array | None = None  # (k, cells, n) of phi' at the lowest dose
    most_const: Array | None = None
    least: Array | None = None  # (l, cells, n) of phi' at the highest
    least_const: Array | None = None
    curved: Array | None = None  # (cells, n) the risk's curvature where there is no dose
    curved_const: Array | None = None


class Action(NamedTuple):
    """One row of the menu on the lattice. Times are half-hours."""

    reward: Array  # (s, x, w), what it lacks in cells included
    hypertension: Array  # (h, h')
    penalty: Array  # (h,)
    tension_excess: Excess
    stimulation: Array  # (x, x')
    stimulation_excess: Excess
    wakefulness: Array | None  # (w, w'), a nap's
    wakefulness_excess: Excess | None


@dataclasses.dataclass(frozen=True)
class Body:
    """What the actions share."""

    lattice: Lattice
    work: Work
    fatigue: np.ndarray  # (awake + 1,) alertness lost since waking up
    proclivity: float
    threshold: float
    penalty: float
    tension_decay: float
    stimulation_decay: float


def body_of(params: EnvParams, grid: Lattice) -> Body:
    """The patient's constants on a lattice."""
    tiredness = sigmoid((np.arange(grid.awake) - params.fatigue_onset) / params.fatigue_width)
    fatigue = np.concatenate([[0.0], np.cumsum(tiredness)])
    deviation = params.ballmer_peak / params.ballmer_peak_width
    sober = sigmoid(params.ballmer_steepness * params.ballmer_limit)
    reach = 5.0  # beyond the lattice, more than any dose
    return Body(
        lattice=grid,
        work=Work(
            ballmer=float(sober + params.ballmer_peak_height * np.exp(-0.5 * deviation**2)),
            threshold=float(params.anxiety_threshold),
            least=float(grid.wakefulness[0] - fatigue[-1] - reach),
            most=float(grid.wakefulness[-1] + grid.stimulation[-1] + reach),
        ),
        fatigue=fatigue,
        proclivity=float(params.heart_attack_proclivity),
        threshold=float(params.heart_attack_threshold),
        penalty=float(params.heart_attack_penalty),
        tension_decay=float(params.hypertension_decay),
        stimulation_decay=float(params.stimulation_decay),
    )


def dose_of(dose: tuple | None) -> tuple[float, float]:
    """Lowest and highest, (0, 0) where there is none."""
    return (0.0, 0.0) if dose is None else (float(dose[0]), float(dose[1]))


def action_of(row: Row, body: Body) -> Action:
    """A row that does not wake up."""
    grid = body.lattice
    hypertension, penalty, tension_excess = tension_of(row, body)
    low, high = dose_of(row.stimulation)
    rate = body.stimulation_decay ** (row.half_hours + 1)
    x = grid.stimulation
    nap = row.alertness is not None
    return Action(
        reward=jnp.asarray(_reward(row, body)),
        hypertension=hypertension,
        penalty=penalty,
        tension_excess=tension_excess,
        stimulation=jnp.asarray(lattices.average(x, x + low, x + high, rate)),
        stimulation_excess=dosed(x, low, high, rate),
        wakefulness=jnp.asarray(_moved(grid.wakefulness, row)) if nap else None,
        wakefulness_excess=dosed(grid.wakefulness, *dose_of(row.alertness), 1.0) if nap else None,
    )


def _moved(w: np.ndarray, row: Row) -> np.ndarray:
    low, high = dose_of(row.alertness)
    return lattices.average(w, w + low, w + high, 1.0)


def dosed(points: np.ndarray, low: float, high: float, rate: float) -> Excess:
    """The excess of the mean of a function of rate * (v + dose), linear between the points."""
    expectation = lambda v: lattices.average(points, v + low, v + high, rate)
    if low == high:
        shares = lattices.kinks(points, rate)
        return Excess(inside=jnp.asarray(lattices.inside(points, expectation, shares))) if shares else Excess()
    return Excess(
        inside=jnp.asarray(lattices.inside(points, expectation, QUARTERS)),
        scale=single(np.diff(points) ** 2 / 128.0 * rate / (high - low)),
        most=single(lattices.slopes(points, low, rate, points)),
        least=single(lattices.slopes(points, high, rate, points)),
    )


def single(x: np.ndarray) -> Array:
    """What excesses are computed in: they are 1e-3 and need few digits."""
    return jnp.asarray(x, jnp.float32)


def tension_of(row: Row, body: Body) -> tuple[Array, Array, Excess]:
    """(matrix, penalty, excess) along hypertension: phi(y) = U(cy) - R(y) (penalty + U(cy) - U(0))."""
    h, half_hours = body.lattice.hypertension, row.half_hours + 1
    low, high = dose_of(row.hypertension)
    risk = Risk(half_hours, body.proclivity, body.threshold, body.tension_decay)
    rate = body.tension_decay**half_hours
    survival = lambda y: 1.0 - risk.value(np.maximum(y, 0.0))

    def expectation(v):  # the last column is the constant
        weights = lattices.average(h, v + low, v + high, rate, survival)
        at_risk = 1.0 - weights.sum(axis=1)
        weights[:, 0] += at_risk
        return np.concatenate([weights, -body.penalty * at_risk[:, None]], axis=1)

    at_points = expectation(h)
    excess = (_without_dose if low == high else _with_dose)(h, low, high, rate, risk, expectation, body)
    return jnp.asarray(at_points[:, :-1]), jnp.asarray(-at_points[:, -1]), excess


def _without_dose(h, low, high, rate, risk: Risk, expectation, body: Body) -> Excess:
    width, shares = np.diff(h), lattices.kinks(h, rate)
    curvature = width**2 / 8.0 * risk.most_curved(h[1:])
    change = lattices.average(h, h[:-1], h[:-1], rate)  # U(ch) - U(0) at the left, where it is largest
    change[:, 0] -= 1.0
    kinks = lattices.inside(h, lambda v: lattices.average(h, v, v, rate), shares) if shares else None
    return Excess(
        inside=None if kinks is None else jnp.asarray(kinks),
        curved=single(curvature[:, None] * change),
        curved_const=single(curvature * body.penalty),
    )


def _with_dose(h, low, high, rate, risk: Risk, expectation, body: Body) -> Excess:
    if not risk.convex(h[-1] + high):
        raise ValueError("the risk is not convex where patients are")
    inside = lattices.inside(h, expectation, QUARTERS)
    most = _tension_slopes(h, low, rate, risk, body, most=True)
    least = _tension_slopes(h, high, rate, risk, body, most=False)
    return Excess(
        inside=jnp.asarray(inside[..., :-1]),
        inside_const=jnp.asarray(inside[..., -1]),
        scale=single(np.diff(h) ** 2 / 128.0 / (high - low)),
        most=single(most[0]),
        most_const=single(most[1]),
        least=single(least[0]),
        least_const=single(least[1]),
    )


def _tension_slopes(h, dose, rate, risk: Risk, body: Body, most: bool) -> tuple[np.ndarray, np.ndarray]:
    """phi' = (1 - R) c U'(cy) - R' (penalty + U(cy) - U(0)) at y = h + dose, at most or at least: (rows, constants).

    U falls with hypertension, and R and R' increase.
    """
    rows, constants = [], []
    for met in lattices.landings(h, dose, rate, h):
        row, constant = [], []
        for cell, first, last in met:
            if cell < 0:  # below 0 it does not matter how far
                row.append(np.zeros(len(h)))
                constant.append(0.0)
                continue
            risky, mild = (last, first) if most else (first, last)
            one = rate * (1.0 - float(risk.value(np.array(risky)))) * lattices.slope_row(h, cell)
            steep = float(risk.slope(np.array(mild)))
            level = min(cell + 1 if most else cell, len(h) - 1)
            one[level] -= steep
            one[0] += steep
            row.append(one)
            constant.append(-steep * body.penalty)
        rows.append(row)
        constants.append([np.array(value) for value in constant])
    return lattices.padded(rows), lattices.padded(constants)


def _reward(row: Row, body: Body) -> np.ndarray:
    """(s, x, w): the mean productivity at the points, and what interpolation lacks in the cells around each."""
    grid, breaks = body.lattice, row.half_hours
    rate = body.stimulation_decay**breaks
    low, high = (rate * end for end in dose_of(row.stimulation))
    low, high = low + dose_of(row.alertness)[0], high + dose_of(row.alertness)[1]
    if row.stimulation is not None and row.alertness is not None:
        raise ValueError("one row with doses of alertness and of stimulation is not covered")
    found = np.empty((grid.awake + 1, len(grid.wakefulness), len(grid.stimulation)))
    w, x = grid.wakefulness[:, None], rate * grid.stimulation
    bends = (np.diff(grid.wakefulness)[:, None] ** 2 + np.diff(x) ** 2) / 8.0
    for s in range(grid.awake + 1):
        now = min(s + breaks, grid.awake)
        capped, doses = now >= grid.tired, (low, high)
        if s >= grid.tired and row.alertness is not None:  # as if half an hour less tired instead
            now, doses = max(now - 1, s), (0.0, 0.0)
        a = w - body.fatigue[now] + x
        found[s] = body.work.mean(a, *doses, capped)
        found[s, 0] = body.work.mean(a[0], *doses, True)
        found[s] += around(bends * body.work.most_curved(a[:-1, :-1], a[1:, 1:], *doses, capped))
    return np.swapaxes(found, 1, 2)


def around(cells: np.ndarray) -> np.ndarray:
    """The largest of the cells around each point, over the last two axes."""
    for axis in (-1, -2):
        wide = [(0, 0)] * cells.ndim
        wide[axis] = (1, 1)
        cells = np.pad(cells, wide, mode="edge")
        cells = np.maximum(
            np.take(cells, range(cells.shape[axis] - 1), axis), np.take(cells, range(1, cells.shape[axis]), axis)
        )
    return cells
