"""Sleep on the lattice: how rested a patient wakes up depends on stimulation at bedtime, and on nothing else.

With x at bedtime the value is E_u U(rested(u) - cost x, q x, ..), q the decay of a night: a function psi(x, x) of both
places. Its excess over the linear interpolation in a cell [a, b] is at most that of psi along either, and a quarter of
psi(a, b) + psi(b, a) - psi(a, a) - psi(b, b).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.envs.menu import Row
from heartpole_jax.optimum.heartpole_v1.bound import lattice as lattices
from heartpole_jax.optimum.heartpole_v1.bound.actions import Body, Excess, dosed, single, tension_of


class Sleep(NamedTuple):
    """The row that wakes up, on the lattice."""

    reward: Array  # (x,)
    hypertension: Array  # (h, h')
    penalty: Array  # (h,)
    tension_excess: Excess
    woken: Array  # (x, w')
    worn: Array  # (x, x')
    most: Array  # (k, cells, w') slopes of U in w where the least rested wake up
    least: Array  # (l, cells, w') and the most rested
    scale: Array  # (cells,)
    between: Array  # (cells, j, x') points of x' from which those after the night follow by interpolation
    kinks: Excess  # along the stimulation that is left


def sleep_of(row: Row, params: EnvParams, body: Body) -> Sleep:
    """A row that wakes up, without doses of anything."""
    x, w = body.lattice.stimulation, body.lattice.wakefulness
    low, high, cost = params.wake_up_alertness_low, params.wake_up_alertness_high, params.bedtime_stimulation_cost
    rate = body.stimulation_decay ** (row.half_hours + 1)
    hypertension, penalty, tension_excess = tension_of(row, body)
    a = (body.stimulation_decay**row.half_hours - cost) * x
    width = np.diff(x)
    bend = body.work.most_curved(np.minimum(a[1:], a[:-1]), np.maximum(a[1:], a[:-1]), low, high, False)
    reward = body.work.mean(a, low, high) + _beside(np.diff(a) ** 2 / 8.0 * bend)
    backwards = -cost * x[::-1]
    slopes = [lattices.slopes(w, end, 1.0, backwards)[:, ::-1] for end in (low, high)]
    worn = lattices.average(x, x, x, rate)
    return Sleep(
        reward=jnp.asarray(reward),
        hypertension=hypertension,
        penalty=penalty,
        tension_excess=tension_excess,
        woken=jnp.asarray(lattices.average(w, low - cost * x, high - cost * x, 1.0)),
        worn=jnp.asarray(worn),
        most=single(slopes[0]),
        least=single(slopes[1]),
        scale=single((cost * width) ** 2 / 8.0 / (high - low)),
        between=single(_between(x, rate)),
        kinks=dosed(x, 0.0, 0.0, rate),
    )


def _between(x: np.ndarray, rate: float) -> np.ndarray:
    """(cells, j, x'): for each cell the points around what is left of it, the last again where there are fewer."""
    rows = []
    for a, b in zip(rate * x[:-1], rate * x[1:], strict=True):
        first = max(int(np.searchsorted(x, a, side="right")) - 1, 0)
        last = min(int(np.searchsorted(x, b, side="left")), len(x) - 1)
        rows.append([np.eye(len(x))[k] for k in range(first, last + 1)])
    return np.swapaxes(lattices.padded(rows), 0, 1)


def _beside(cells: np.ndarray) -> np.ndarray:
    """The larger of the two cells around each point, (cells + 1,)."""
    return np.maximum(np.append(cells, 0.0), np.append(0.0, cells))
