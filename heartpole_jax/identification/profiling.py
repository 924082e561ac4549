"""Profile-likelihood intervals: every value of a parameter that the data do not refute, the others fitted anew.

For the ends of ranges, where the likelihood is no parabola: past the outermost dose it falls as fast as the observation
noise allows, on the other side only by the factor of a wider range for each dose. How far the likelihood must fall
depends on k, how many doses lie within one standard deviation of observation from the end. With many it is the quantile
of chi^2 with one degree of freedom, as for any parameter; with none it is that with two: n doses in [low, low + width)
have a likelihood of width^-n, and n log(width / spread of the doses) is exponentially distributed.
"""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from heartpole_jax.identification.maximising import Evaluate, Maximum, inverse

_STEPS = 16
_SHORT = 0.3  # log-likelihood that a Newton step may promise and be believed
_FLAT = 0.25  # information; the others do not wander along a direction that has less
_CLOSE = 0.04  # of the signed root, 2 % of an interval's half
_OFF = 1e3  # the root where there is no likelihood
_FURTHEST = 30.0  # standard errors, and widths of the range: an end beyond both is none

# The integral of phi^2 / Phi: n doses of a range, seen with deviation s, have information 0.9 n / (width s) of its end.
_EDGE_INFORMATION = 0.9032

Valued = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def interval(
    evaluate: Evaluate, best: Maximum, valued: Valued, lowest: float, cutoff: np.ndarray, width: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ends, (B,) each, of the values whose profile log-likelihood is within cutoff^2 / 2 of the highest.

    Each end is found by regula falsi on the signed root of the deviance, which is nearly straight. At each point the
    other parameters take one Newton step, and the gain of the next one is counted in.

    Args:
      evaluate, best: as `maximise` takes and returns them.
      valued: thetas (B, p) -> the parameter (B,) and its gradient (B, p).
      lowest: the least value allowed, which is the end if it is not refuted.
      cutoff: (B,) in standard errors, see `edge_cutoff`.
      width: (B,) of the range.
    """
    covariance = inverse(best.observed, _FLAT)
    highest, slope = valued(best.theta)
    error = np.sqrt(np.einsum("bi,bij,bj->b", slope, covariance, slope))
    furthest = _FURTHEST * np.maximum(error, np.abs(width))
    ends = []
    for sign in (-1.0, 1.0):
        inner, inner_root = highest.copy(), np.zeros_like(highest)
        outer, outer_root = np.full_like(highest, sign * np.inf), np.full_like(highest, np.inf)
        target = np.maximum(highest + sign * cutoff * error, lowest)
        end, theta = np.full_like(highest, np.nan), best.theta.copy()
        for _ in range(_STEPS):
            rows = np.flatnonzero(np.isnan(end))
            if not rows.size:
                break
            theta = _move(theta, target, covariance, valued)
            theta[rows], root, settled = _deviance(evaluate, best, theta, covariance, valued, rows)
            # Where the others have still far to go they go on, at the same value.
            rows, root = rows[settled], root[settled]
            inside = root < cutoff[rows]
            new_inner, new_outer = rows[inside], rows[~inside]
            inner[new_inner], inner_root[new_inner] = target[new_inner], root[inside]
            outer[new_outer], outer_root[new_outer] = target[new_outer], root[~inside]
            close = np.abs(root - cutoff[rows]) < _CLOSE
            end[rows[close]] = target[rows[close]]
            end[new_inner[inner[new_inner] <= lowest]] = lowest
            following = np.maximum(_next(highest, inner, inner_root, outer, outer_root, cutoff), lowest)
            target[rows] = following[rows]
            end[np.isnan(end) & (np.abs(target - highest) > furthest)] = sign * np.inf
        ends.append(np.where(np.isnan(end), target, end))
    return ends[0], ends[1]


def edge_cutoff(confidence: float, error: np.ndarray, width: np.ndarray, num_doses: np.ndarray) -> np.ndarray:
    """How far the signed root of the deviance of a range's end may rise, (B,).

    Between the quantiles of chi^2 with one and with two degrees of freedom, by 1 / (1 + 2 k), a rule found by
    simulation: for k of 0.05, 0.5, 1, 2.5 and 5 the 95 % quantiles are 5.6, 4.9, 4.6, 4.2 and 3.9 (4000 samples of 50
    doses each). k follows from the standard error of the end, (B,).
    """
    nearby = _EDGE_INFORMATION * np.square(num_doses * error / np.maximum(np.abs(width), 1e-300))
    smooth = NormalDist().inv_cdf(0.5 + 0.5 * confidence) ** 2
    sharp = -2.0 * np.log(1.0 - confidence)
    return np.sqrt(smooth + (sharp - smooth) / (1.0 + 2.0 * nearby))


def _next(highest, inner, inner_root, outer, outer_root, cutoff):
    """Where to look next: between a point on each side, by the straight line or not far from it; else further out."""
    bracketed = np.isfinite(outer)
    share = (cutoff - inner_root) / np.where(bracketed, outer_root - inner_root, 1.0)
    between = inner + (np.where(bracketed, outer, inner) - inner) * np.clip(share, 0.1, 0.9)
    further = highest + (inner - highest) * np.clip(1.02 * cutoff / np.maximum(inner_root, 1e-9), 1.1, 5.0)
    return np.where(bracketed, between, further)


def _move(theta, target, covariance, valued):
    """`theta` with the parameter at `target`, the others following by the curvature at the maximum."""
    for _ in range(4):
        value, slope = valued(theta)
        direction = np.einsum("bij,bj->bi", covariance, slope)
        along = np.sum(slope * direction, axis=1)
        step = direction * ((target - value) / np.maximum(along, 1e-300))[:, None]
        theta = theta + np.clip(step, -2.0, 2.0)
    return theta


def _deviance(evaluate, best, theta, covariance, valued, rows):
    """Of `rows`: theta after a Newton step of the other parameters, the root of the deviance after it, and whether
    that step is short enough to be believed."""
    here = evaluate(theta[rows], rows)
    slope = valued(theta)[1][rows]
    direction = np.einsum("bij,bj->bi", covariance[rows], slope)
    newton = np.einsum("bij,bj->bi", covariance[rows], here.gradient)
    along = np.sum(slope * direction, axis=1)
    newton = newton - direction * (np.sum(slope * newton, axis=1) / np.maximum(along, 1e-300))[:, None]
    gain = 0.5 * np.sum(here.gradient * newton, axis=1)
    shortfall = best.value[rows] - here.value - np.maximum(gain, 0.0)
    known = np.isfinite(shortfall)
    moved = theta[rows] + np.where(known[:, None], np.clip(newton, -1.0, 1.0), 0.0)
    root = np.where(known, np.sqrt(2.0 * np.maximum(shortfall, 0.0)), _OFF)
    return moved, root, ~known | (gain < _SHORT)
