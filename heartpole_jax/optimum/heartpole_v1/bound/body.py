"""HeartPole-v1's productivity and risk with their derivatives, in float64 NumPy: what the upper bound needs of them.

Productivity is that of sober patients, by effective alertness a cut at 0: p(a) = b a sigma(c - a), with b the Ballmer
function at 0. `capped` is sup p(a') over a' <= a, its running maximum.
"""

import dataclasses
import functools

import numpy as np

_STEP = 1e-3  # of the table of integrals and second derivatives
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z))."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(z, float)))


@dataclasses.dataclass(frozen=True)
class Risk:
    """The risk of a decision by the hypertension y right after its dose: 1 - prod (1 - kappa sigma(q^i y - theta))."""

    half_hours: int  # break and work
    proclivity: float
    threshold: float
    decay: float

    def _parts(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rates = self.decay ** np.arange(1.0, self.half_hours + 1)
        part = sigmoid(rates * np.asarray(y, float)[..., None] - self.threshold)
        return rates, self.proclivity * part, self.proclivity * rates * part * (1.0 - part)

    def value(self, y: np.ndarray) -> np.ndarray:
        """R(y)."""
        return -np.expm1(np.sum(np.log1p(-self._parts(y)[1]), axis=-1))

    def slope(self, y: np.ndarray) -> np.ndarray:
        """R'(y), which increases as long as `convex`."""
        _, risk, slope = self._parts(y)
        return (1.0 - self.value(y)) * np.sum(slope / (1.0 - risk), axis=-1)

    def most_curved(self, y: np.ndarray) -> np.ndarray:
        """At least R'' on [0, y]: R'' is at most the sum of the half-hours' second derivatives, which increase up to
        the threshold less ln(2 + sqrt 3)."""
        rates = self.decay ** np.arange(1.0, self.half_hours + 1)
        level = np.minimum(rates * np.asarray(y, float)[..., None] - self.threshold, -np.log(2.0 + np.sqrt(3.0)))
        part = sigmoid(level)
        return self.proclivity * np.sum(rates**2 * part * (1.0 - part) * (1.0 - 2.0 * part), axis=-1)

    def convex(self, top: float) -> bool:
        """Whether R' increases on [0, top], by its values 0.002 apart."""
        return bool(np.all(np.diff(self.slope(np.linspace(0.0, top, int(top / 0.002) + 2))) > 0))


@dataclasses.dataclass(frozen=True)
class Work:
    """Productivity by effective alertness before the cut, its integral, and how much it curves downwards."""

    ballmer: float  # at a blood alcohol of 0
    threshold: float  # of anxiety
    least: float  # alertness that the tables begin at
    most: float

    def value(self, a: np.ndarray, capped: bool = False) -> np.ndarray:
        """p(a)."""
        a = np.maximum(a, 0.0)
        a = np.minimum(a, self.best) if capped else a
        return self.ballmer * a * sigmoid(self.threshold - a)

    def slope(self, a: np.ndarray, capped: bool = False) -> np.ndarray:
        """p'(a), 0 below 0."""
        calm = sigmoid(self.threshold - a)
        slope = np.where(a < 0, 0.0, self.ballmer * calm * (1.0 - a * (1.0 - calm)))
        return np.where(a > self.best, 0.0, slope) if capped else slope

    @functools.cached_property
    def best(self) -> float:
        """The alertness of most work, p' = 0: p' falls through 0 once."""
        low, high = 0.0, max(self.threshold, 0.0) + 2.0
        for _ in range(100):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.slope(np.array(middle)) > 0 else (low, middle)
        return high

    @functools.cached_property
    def _grid(self) -> np.ndarray:
        return _STEP * np.arange(np.floor(self.least / _STEP), np.ceil(self.most / _STEP) + 2)

    @functools.cached_property
    def _integral(self) -> np.ndarray:
        nodes = self._grid[:-1, None] + 0.5 * _STEP * (1.0 + _NODES)
        pieces = 0.5 * _STEP * self.value(nodes) @ _WEIGHTS
        return np.concatenate([[0.0], np.cumsum(pieces)])

    def _antiderivative(self, a: np.ndarray) -> np.ndarray:
        cell = np.clip(((a - self._grid[0]) / _STEP).astype(int), 0, len(self._grid) - 1)
        half = 0.5 * (a - self._grid[cell])
        rest = sum(
            weight * self.value(self._grid[cell] + half * (1.0 + node))
            for node, weight in zip(_NODES, _WEIGHTS, strict=True)
        )
        return self._integral[cell] + half * rest

    def mean(self, a: np.ndarray, low: float, high: float, capped: bool = False) -> np.ndarray:
        """The mean of p over [a + low, a + high], or p there if low = high."""
        if low == high:
            return self.value(a + low, capped)
        ends = a + low, a + high
        if not capped:
            below, above = map(self._antiderivative, ends)
        else:
            highest = self.value(np.array(self.best))
            below, above = (
                self._antiderivative(np.minimum(end, self.best)) + highest * np.maximum(end - self.best, 0.0)
                for end in ends
            )
        return (above - below) / (high - low)

    def most_curved(self, first: np.ndarray, last: np.ndarray, low: float, high: float, capped: bool) -> np.ndarray:
        """At least -q'' on [first, last], and 0, with q(a) = mean(a, low, high)."""
        table = self._curvature(low, high, capped)
        begin = np.clip(np.floor((first - self._grid[0]) / _STEP).astype(int), 0, len(table) - 1)
        end = np.clip(np.ceil((last - self._grid[0]) / _STEP).astype(int), begin + 1, len(table))
        return _range_maximum(table, begin, end)

    def _curvature(self, low: float, high: float, capped: bool) -> np.ndarray:
        """At least -q'' in each cell of the grid. The kink at 0 is convex and only lowers -q''; p'' and p''' are at
        most b (1 + max(c, 0))."""
        margin = self.ballmer * (1.0 + max(self.threshold, 0.0)) * _STEP
        if low == high:
            a = np.maximum(self._grid + low, 0.0)
            calm = sigmoid(self.threshold - a)
            bend = self.ballmer * calm * (1.0 - calm) * (2.0 - a * (1.0 - 2.0 * calm))
            bend = np.where((self._grid + low < -_STEP) | (capped & (a > self.best + _STEP)), 0.0, bend)
            return np.maximum(np.maximum(bend[:-1], bend[1:]) + margin, 0.0)
        left, right = self.slope(self._grid + low, capped), self.slope(self._grid + high, capped)
        most = np.maximum(left[:-1], left[1:]) + margin
        least = np.minimum(right[:-1], right[1:]) - margin
        return np.maximum((most - least) / (high - low), 0.0)


def _range_maximum(table: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """max(table[begin:end]), number by number, with end > begin."""
    levels = [table]
    while 2 ** len(levels) <= len(table):
        half = 2 ** (len(levels) - 1)
        levels.append(np.maximum(levels[-1][:-half], levels[-1][half:]))
    level = np.floor(np.log2(end - begin) + 1e-12).astype(int)
    found = np.empty(np.shape(begin))
    for k in np.unique(level):
        here = level == k
        found[here] = np.maximum(levels[k][begin[here]], levels[k][end[here] - 2**k])
    return found
