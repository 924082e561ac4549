"""What the best policies of HeartPole-v1 can reach: dynamic programming on a grid, and a policy made of it.

A decision depends on alertness a, hypertension h, stimulation k, blood alcohol x, the half-hours s since sleeping and
the half-hours left. Doses are independent, what wears off does so by itself, and the risk depends on h alone. So where
the value of the next state is interpolated linearly between the points of a grid, the value of an action is a product
of small matrices, one a variable,

    Q(s, a, h, k, x) = r + sum A[s, a, a'] H[h, h'] K[k, k'] X[x, x'] V(s + n + 1, a', h', k', x'),

the expectations over doses included, as midpoint rules (a heart attack, which sets h to 0, is in H). Four weeks
backwards in time, on 50,000 points, are 1344 such products.

**From above.** Values of good policies bend downwards, so that interpolating them errs to the low side. `above=True`
adds to every point what is missing in the middles of its cells: the interpolated values are then at least those of the
best action, at every point of a grid twice as fine, and no policy's expected return is above the first one. This is a
computation, not a proof: between the points of the finer grid nobody has looked.

Two simplifications favour the player. A patient may work below their alertness (too much of it is crippling): what
only impairs is then no better than doing nothing, and impairment no variable. And a patient who has been awake for
longer than the grid knows tires no faster.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax import arguments, validation
from heartpole_jax.arguments import shown
from heartpole_jax.envs import physiology
from heartpole_jax.envs.heartpole_v1 import OBS_NAMES, EnvParams
from heartpole_jax.envs.menu import Row
from heartpole_jax.optimum.grid import (
    AXES,
    UNIFORMS,
    Grid,
    Operator,
    action_value,
    corners,
    finer,
    grid_of,
    interpolation,
    operator_of,
)
from heartpole_jax.policy import Policy

# Half-hours left at which the policy has tables of its own: in the last days the end is felt, and when to go to bed
# depends on it to the half-hour.
_LEFT = (*range(1, 49), *range(52, 97, 4), *range(104, 193, 8))


class NoSolution(ValueError):
    """A menu that cannot be solved."""


@dataclasses.dataclass(frozen=True)
class Solution:
    """The problem of one `EnvParams`, solved on a grid."""

    expected_return: float  # of the interpolated problem; with `above`, no policy's is greater
    policy: Policy  # greedy by the grid's values


@arguments.typed()
def solve(
    params: EnvParams | None = None, *, resolution: float = 0.5, above: bool = False, drunk: bool = False
) -> Solution:
    """The best that can be done with a menu.

    Args:
      params: plain numbers. `expected_penalty` is ignored: it changes no expectation.
      resolution: of the grid. Work and memory grow with its cube, and the error falls with its square; at 0.5 it is
        seconds, and 100 MB for the policy's tables.
      above: err to the high side, for eight times the work.
      drunk: allow the actions that intoxicate, at sixty times the work; without, they are left out.

    Raises:
      ValueError: for parameters that are not plain numbers, a resolution outside [0.2, 10]; `NoSolution` for a menu
        with an action that impairs and is not plainly worse than idling.
    """
    leaves, treedef = plain(params)
    if not (type(resolution) in (int, float) and 0.2 <= resolution <= 10):
        raise ValueError(f"resolution must be a number in [0.2, 10], got {shown(resolution)}")
    return _solve(leaves, treedef, float(resolution), above, drunk)


def plain(params: EnvParams | None) -> tuple[tuple[float, ...], Any]:
    """Leaves and structure of the parameters without `expected_penalty`, to cache by. Raises ValueError for arrays."""
    params = EnvParams() if params is None else params
    validation.check_type("params", params, EnvParams)
    leaves, treedef = jax.tree.flatten(dataclasses.replace(params, expected_penalty=0.0))
    leaves = [leaf.item() if isinstance(leaf, np.number) else leaf for leaf in leaves]
    if not all(type(leaf) in (int, float) for leaf in leaves):
        raise ValueError("params must be plain numbers to be solved, got arrays or tracers among them")
    return tuple(leaves), treedef


@functools.lru_cache(maxsize=2)  # each holds the policy's tables
def _solve(leaves: tuple[float, ...], treedef: Any, resolution: float, above: bool, drunk: bool) -> Solution:
    params = jax.tree.unflatten(treedef, leaves)
    rows = _choices(params.menu.actions, drunk)
    grid = grid_of(params, resolution, drunk and any(row.intoxication for row in rows.values()))
    here = [operator_of(row, params, grid, grid) for row in rows.values()]
    dense = finer(grid) if above else grid
    there = [operator_of(row, params, grid, dense) for row in rows.values()] if above else None
    onto_dense = [interpolation(*points) for points in zip(grid.axes, dense.axes, strict=True)] if above else None
    decisions = tuple(row.half_hours + 1 for row in rows.values())

    horizon = int(params.max_half_hours)
    shape = grid.longest_day, *map(len, grid.axes)
    # The values with t half-hours left, at t % len(ring); none after the end.
    ring, left, tables = jnp.zeros((max(decisions) + 1, *shape)), 0, {}
    for stop in (*(stop for stop in _LEFT if stop < horizon), horizon):
        ring = _backwards(ring, left + 1, stop - left, here, there, onto_dense, decisions)
        tables[stop] = _action_values(ring, stop, here, decisions)
        left = stop
    waking = physiology.uniform_between(params.wake_up_alertness_low, params.wake_up_alertness_high, UNIFORMS)
    values = np.asarray(ring[horizon % len(ring), 0, :, 0, 0, 0], float)
    start = interpolation(grid.alertness, waking).mean(axis=0) @ values
    return Solution(float(start), _policy(grid, tables, list(rows)))


def _best(operators: Sequence[Operator], ring: Array, left: Array, decisions: Sequence[int]) -> Array:
    """The values of the best action with `left` half-hours left."""
    values = [
        action_value(operator, _after(ring, left, decision), decision)
        for operator, decision in zip(operators, decisions, strict=True)
    ]
    return functools.reduce(jnp.maximum, values)


def _after(ring: Array, left: Array, decision: int) -> Array:
    """The values after a decision: of the half-hours then left, none when the end has passed."""
    return jnp.where(left >= decision, ring[(left - decision) % len(ring)], 0.0)


@functools.partial(jax.jit, static_argnames="decisions", donate_argnums=0)
def _backwards(ring, first, number, here, there, onto_dense, decisions: tuple[int, ...]) -> Array:
    """The ring after the values with `first`, first + 1, ... half-hours left, `number` of them."""

    def half_hour(i, ring):
        left = first + i
        values = _best(here, ring, left, decisions)
        if there is not None:
            values = values + _missing(_best(there, ring, left, decisions), values, onto_dense)
        return ring.at[left % len(ring)].set(jnp.broadcast_to(values, ring.shape[1:]))

    return jax.lax.fori_loop(0, number, half_hour, ring)


def _missing(finer: Array, values: Array, onto_dense: Sequence[Array]) -> Array:
    """What to add to `values` so that, interpolated, they are nowhere below `finer`, at the points twice as dense."""
    guess = jnp.einsum("ab,hg,kl,xy,sbgly->sahkx", *onto_dense, values)
    missing = jnp.maximum(finer - guess, 0.0)
    for axis in range(1, missing.ndim):
        if missing.shape[axis] > 1:
            window, strides, padding = [1] * missing.ndim, [1] * missing.ndim, [(0, 0)] * missing.ndim
            window[axis], strides[axis], padding[axis] = 3, 2, (1, 1)
            missing = jax.lax.reduce_window(missing, 0.0, jax.lax.max, window, strides, padding)
    return missing


@functools.partial(jax.jit, static_argnames="decisions")
def _action_values(ring, left, here, decisions: tuple[int, ...]) -> Array:
    """The value of every action, (s, a, h, k, x, action), with `left` half-hours left."""
    values = [
        action_value(operator, _after(ring, left, decision), decision)
        for operator, decision in zip(here, decisions, strict=True)
    ]
    return jnp.stack([jnp.broadcast_to(value, ring.shape[1:]) for value in values], axis=-1)


def _choices(actions: Sequence[Row], drunk: bool) -> dict[int, Row]:
    """The rows to consider by their numbers: without those that are plainly worse than idling, and the drinks that
    intoxicate unless `drunk`."""
    idle = [row for row in actions if row.half_hours == 0 and not row.wakes_up and _does_no_good(row)]
    idle = [row for row in idle if row.hypertension is None and row.impairment is None and row.hazard == 1]
    choices = {}
    for number, row in enumerate(actions):
        if row.intoxication is not None and not drunk:
            continue
        if idle and row is not idle[0] and _does_no_good(row):
            continue
        if row.impairment is not None:
            raise NoSolution(
                f"the action {row.name!r} impairs, and is not plainly worse than idling: such a menu cannot be solved"
            )
        choices[number] = row
    if not choices:
        raise NoSolution("no action is left when those that intoxicate are left out; allow them with drunk=True")
    return choices


def _does_no_good(row: Row) -> bool:
    nothing_gained = row.alertness is None and row.stimulation is None and row.intoxication is None
    calmer = row.hypertension is not None and row.hypertension[0] < 0
    return nothing_gained and not (calmer or row.wakes_up) and row.hazard >= 1


class _Tables(NamedTuple):
    """What the policy knows."""

    left: Array  # (tables,) half-hours left, increasing
    values: Array  # (tables, s, a, h, k, x, choice)
    points: tuple[Array, ...]  # of the axes
    numbers: Array  # (choices,) of the menu
    max_half_hours: Array


def _policy(grid: Grid, tables: dict[int, Array], numbers: Sequence[int]) -> Policy:
    return Policy(
        act=_act,
        params=_Tables(
            left=jnp.array(sorted(tables)),
            values=jnp.stack([tables[left] for left in sorted(tables)]),
            points=tuple(jnp.asarray(points, jnp.result_type(float)) for points in grid.axes),
            numbers=jnp.array(numbers, jnp.int32),
            max_half_hours=jnp.array(max(tables)),
        ),
    )


def _act(tables: _Tables, carry: Any, obs: Array, draw: Any) -> tuple[Array, Any]:
    """The best action by the interpolated values of the table for the half-hours left."""
    seen = dict(zip(OBS_NAMES, obs, strict=True))
    left = tables.max_half_hours - seen["time_elapsed"]
    table = jnp.minimum(jnp.sum(tables.left < left), len(tables.left) - 1)
    awake = jnp.clip(seen["time_since_slept"].astype(jnp.int32), 0, tables.values.shape[1] - 1)
    around: list[tuple[Array, tuple[Array, ...]]] = [(jnp.ones(()), (table, awake))]
    for name, points in zip(AXES, tables.points, strict=True):
        beside = corners(points, seen[name])
        around = [(weight * share, (*index, i)) for weight, index in around for share, i in beside]
    values = sum(weight * tables.values[index] for weight, index in around)
    return tables.numbers[jnp.argmax(values)], carry
