"""The lattice of the upper bound, and expectations of piecewise linear functions on one of its axes.

The lattice follows what wears off by itself: hypertension x 0.97 and stimulation x 0.933 each half-hour. Where points
are in that ratio (or in a root of it) idling leads cells into cells, and nothing is lost to interpolation.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.envs.menu import Row
from heartpole_jax.optimum.heartpole_v1.grid import interpolation

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_AWAKE = 36  # half-hours: later ones count as that one
LAST_DAY = 60  # half-hours at the end of an episode, in which patients may stay awake for longer
_TOUCH = 1e-9  # relative: landing ranges that only touch a cell by so much do not count as in it


@dataclasses.dataclass(frozen=True, eq=False)
class Lattice:
    """Increasing points of each axis; values between them are multilinear."""

    awake: int  # half-hours awake are 0 .. awake, and the last stands for all later ones
    tired: int  # from so many on a nap refreshes by less than patients tire, and counts for less
    wakefulness: np.ndarray
    stimulation: np.ndarray
    hypertension: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of values, (s, x, w, h)."""
        return self.awake + 1, len(self.stimulation), len(self.wakefulness), len(self.hypertension)


def lattice_of(params: EnvParams, rows: Sequence[Row], resolution: float) -> Lattice:
    """The lattice of a menu, dense where the patients of good policies are with the shipped one."""
    kept, calmed = float(params.stimulation_decay), float(params.hypertension_decay)
    root = round(resolution) if resolution >= 1 else resolution  # ever so many points a half-hour
    dose = max((row.stimulation[1] for row in rows if row.stimulation is not None), default=0.0)
    top = dose * kept / (1.0 - kept)
    x = np.linspace(0.0, 0.6, max(round(6 * resolution), 2) + 1)
    if top > 0.6:
        x = _on(_on(x, min(1.3, top), kept ** (1.0 / root)), min(5.5, top), kept ** (0.5 / root))
        x = _on(x, top, kept ** (1.0 / root)) if x[-1] < top else x
    h = np.linspace(0.0, 0.72, max(round(18 * resolution), 3) + 1)
    h = _on(_on(h, 1.6, calmed ** (1.0 / root)), 3.0, calmed ** (2.0 / root))
    high = float(params.wake_up_alertness_high)
    naps = [(row.alertness[1], row.half_hours + 1) for row in rows if row.alertness is not None]
    most = max((dose * ((_AWAKE - 1) // time) for dose, time in naps), default=0.0)
    w = np.concatenate(
        [
            [-0.7, -0.35, -0.1],
            np.linspace(0.0, high, max(round(10 * high * resolution), 2) + 1),
        ]
    )
    if most > 0:
        nap = max(dose for dose, _ in naps)
        w = np.concatenate(
            [
                w,
                high + 0.25 * np.arange(1, 7),
                high + 1.5 + 0.4 * np.arange(1, int(max(most + nap - 1.5, 0.0) / 0.4) + 3),
            ]
        )
    return Lattice(_AWAKE, _AWAKE, w, x, h)


def _on(points: np.ndarray, stop: float, ratio: float) -> np.ndarray:
    """The points, and from the last one on in a ratio, to the first that is not below `stop`."""
    return np.concatenate([points[:-1], decaying(points[-1], stop, ratio)])


def decaying(start: float, stop: float, ratio: float) -> np.ndarray:
    """Points from `start`, each the one before divided by `ratio`, to the first that is not below `stop`."""
    number = int(np.ceil(np.log(stop / start) / -np.log(ratio) - 1e-9))
    return start * ratio ** -np.arange(number + 1.0)


def average(
    points: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    rate: float,
    weight: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """The weights (len(low), len(points)) that give the mean, over y uniform in [low, high], of weight(y) f(rate y+).

    f is linear between the `points` and constant beyond; y+ is max(y, 0) where the lowest point is 0. Exact but for
    rounding: Gauss-Legendre quadrature on each piece. Where low = high, y is that.
    """
    low, high = np.broadcast_arrays(low, high)
    found = np.zeros((len(low), len(points)))
    for i, (a, b) in enumerate(zip(low, high, strict=True)):
        if a == b:
            y, share = np.array([a]), np.array([1.0])
        else:
            cuts = points / rate
            cuts = np.concatenate([[a], cuts[(cuts > a) & (cuts < b)], [b]])
            half = 0.5 * np.diff(cuts)[:, None]
            y = (0.5 * (cuts[1:] + cuts[:-1])[:, None] + half * _NODES).ravel()
            share = (half * _WEIGHTS).ravel() / (b - a)
        if weight is not None:
            share = share * weight(y)
        found[i] = share @ interpolation(points, rate * y, cubic=False)
    return found


def landings(points: np.ndarray, dose: float, rate: float, origins: np.ndarray) -> list[list[tuple[int, float, float]]]:
    """Where y = v + dose leads at `rate`, for v in each cell of `origins`: (cell of `points`, least and most y) each.

    Cell -1 is below the points, and len(points) - 1 is above: functions are constant there.
    """
    found = []
    cuts = np.concatenate([[-np.inf], points / rate, [np.inf]])
    for a, b in zip(origins[:-1] + dose, origins[1:] + dose, strict=True):
        touch = _TOUCH * max(abs(a), abs(b), 1e-3)
        first = int(np.searchsorted(cuts, a + touch, side="right")) - 1
        last = int(np.searchsorted(cuts, b - touch, side="left")) - 1
        found.append([(k - 1, max(a, cuts[k]), min(b, cuts[k + 1])) for k in range(first, last + 1)])
    return found


def padded(rows: list[list[np.ndarray]]) -> np.ndarray:
    """(longest, cells, n): the k-th row of each cell, its last one again where it has fewer."""
    longest = max(map(len, rows))
    return np.stack([np.stack([row[min(k, len(row) - 1)] for row in rows]) for k in range(longest)])


def slope_row(points: np.ndarray, cell: int) -> np.ndarray:
    """The weights that give a function's slope in a cell, 0 outside of the points."""
    row = np.zeros(len(points))
    if 0 <= cell < len(points) - 1:
        row[cell + 1] = 1.0 / (points[cell + 1] - points[cell])
        row[cell] = -row[cell + 1]
    return row


def slopes(points: np.ndarray, dose: float, rate: float, origins: np.ndarray) -> np.ndarray:
    """(k, cells, n): the slopes that y = v + dose meets, for v in each cell of `origins`."""
    met = landings(points, dose, rate, origins)
    return padded([[slope_row(points, cell) for cell, *_ in each] for each in met])


def inside(
    points: np.ndarray, expectation: Callable[[np.ndarray], np.ndarray], shares: Sequence[np.ndarray]
) -> np.ndarray:
    """(j, cells, ...): an expectation less its linear interpolation from the ends of a cell, at some shares of each.

    `expectation(v)` has the expectations at v, (len(v), ...).
    """
    ends = expectation(points)
    found = []
    for share in shares:
        v = points[:-1] + share * np.diff(points)
        share = np.reshape(share, (-1,) + (1,) * (ends.ndim - 1))
        found.append(expectation(v) - (1.0 - share) * ends[:-1] - share * ends[1:])
    return np.stack(found)


def kinks(points: np.ndarray, rate: float) -> list[np.ndarray]:
    """The shares of each cell at which rate * v is a point, 0 where there is none: as many as the most in one cell."""
    met = landings(points, 0.0, rate, points)
    found = [[0.0, *((first - a) / (b - a) for _, first, _ in each[1:])] for a, b, each in _cells(points, met)]
    return list(padded([[np.array(share) for share in shares] for shares in found])[1:])


def _cells(points: np.ndarray, each: list) -> list:
    return list(zip(points[:-1], points[1:], each, strict=True))
