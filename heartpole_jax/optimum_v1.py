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

Two simplifications favour whoever plays. A patient may work below their alertness (too much of it is crippling): what
only impairs is then no better than doing nothing, and impairment no variable. And whoever has been awake for longer
than the grid knows tires no faster.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax import physiology
from heartpole_jax.heartpole_v1 import OBS_NAMES, EnvParams
from heartpole_jax.menu import Row
from heartpole_jax.policy import Policy

_AXES = ("alertness", "hypertension", "stimulation", "intoxication")
_NODES = 16  # of the midpoint rule over each uniform
_NUM_POINTS = (24, 22, 17)  # of the first three axes at resolution 1
_TENSION_BEND = 1.5  # points of hypertension are denser near 0: the top times (i / last)^1.5
_POINTS_A_HALF_HOUR = 3  # of blood alcohol
# Half-hours left at which the policy has tables of its own: in the last days the end is felt.
_LEFT = (*range(1, 21), 24, 28, 32, 40, 48, 64, 96, 192)


class NoSolution(ValueError):
    """A menu that cannot be solved."""


@dataclasses.dataclass(frozen=True)
class Solution:
    """The problem of one `EnvParams`, solved on a grid."""

    expected_return: float  # of the interpolated problem; with `above`, no policy's is greater
    policy: Policy  # greedy by the grid's values


class Grid(NamedTuple):
    """Increasing points of each variable, and the half-hours awake, 0 .. longest_day - 1."""

    alertness: np.ndarray
    hypertension: np.ndarray
    stimulation: np.ndarray
    intoxication: np.ndarray
    longest_day: int


def solve(
    params: EnvParams | None = None, *, resolution: float = 0.5, above: bool = False, drunk: bool = False
) -> Solution:
    """The best that can be done with a menu.

    Args:
      params: plain numbers. `expected_penalty` is ignored: it changes no expectation.
      resolution: of the grid. Work and memory grow with its cube; the error falls with its square.
      above: err to the high side, for eight times the work.
      drunk: allow the actions that intoxicate, at sixty times the work; without, they are left out.

    Raises:
      ValueError: for parameters that are not plain numbers, a resolution outside [0.2, 10]; `NoSolution` for a menu
        with an action that impairs and is not plainly worse than idling.
    """
    params = EnvParams() if params is None else params
    leaves, treedef = jax.tree.flatten(params)
    if not all(type(leaf) in (int, float) for leaf in leaves):
        raise ValueError("params must be plain numbers to be solved, got arrays or tracers among them")
    if not (type(resolution) in (int, float) and 0.2 <= resolution <= 10):
        raise ValueError(f"resolution must be a number in [0.2, 10], got {resolution!r}")
    return _solve(tuple(leaves), treedef, float(resolution), above, drunk)


@functools.cache
def _solve(leaves: tuple[float, ...], treedef: Any, resolution: float, above: bool, drunk: bool) -> Solution:
    params = jax.tree.unflatten(treedef, leaves)
    rows = _choices(params.menu.actions, drunk)
    grid = _grid(params, resolution, drunk and any(row.intoxication for row in rows.values()))
    here = [_operator(row, params, grid, grid) for row in rows.values()]
    middles: dict[str, Any] = {axis: _finer(getattr(grid, axis)) for axis in _AXES}
    finer = grid._replace(**middles)
    there = [_operator(row, params, grid, finer) for row in rows.values()] if above else None
    onto_finer = [_interpolation(getattr(grid, axis), getattr(finer, axis)) for axis in _AXES] if above else None
    decisions = tuple(row.half_hours + 1 for row in rows.values())

    horizon = int(params.max_half_hours)
    shape = grid.longest_day, *(len(getattr(grid, axis)) for axis in _AXES)
    # The values with t half-hours left, at t % len(ring); none after the end.
    ring, left, tables = jnp.zeros((max(decisions) + 1, *shape)), 0, {}
    for stop in (*(stop for stop in _LEFT if stop < horizon), horizon):
        ring = _backwards(ring, left + 1, stop - left, here, there, onto_finer, decisions)
        tables[stop] = _action_values(ring, stop, here, decisions)
        left = stop
    uniforms = _midpoints(0.0, 1.0)
    waking = physiology.uniform_between(params.wake_up_alertness_low, params.wake_up_alertness_high, uniforms)
    values = np.asarray(ring[horizon % len(ring), 0, :, 0, 0, 0], float)
    start = _interpolation(grid.alertness, waking).mean(axis=0) @ values
    return Solution(float(start), _policy(grid, tables, list(rows)))


class _Operator(NamedTuple):
    """An action's value: `reward`, and matrices from the next state's values, see the top of the file."""

    reward: Array  # (s, a, 1, k, x)
    penalty: Array  # (h,)
    alertness: Array  # (terms, s, a, a'), or where it wakes up (k, a', k')
    hypertension: Array  # (h, h')
    stimulation: Array | None  # (terms, k, k'), None where it wakes up
    intoxication: Array  # (x, x')


def _operator(row: Row, params: EnvParams, grid: Grid, at: Grid) -> _Operator:
    """The action `row` at the points `at`, from values on `grid`."""
    uniforms, breaks = _midpoints(0.0, 1.0), row.half_hours
    awake = np.arange(grid.longest_day)
    tiredness = np.array(physiology.alertness_decay(awake, params.fatigue_onset, params.fatigue_width), float)
    lost = sum((tiredness[np.minimum(awake + i, awake[-1])] for i in range(breaks)), np.zeros(len(awake)))
    worn = params.stimulation_decay

    # (uniform, ...) each: what there is when work begins.
    stimulation = (at.stimulation + _doses(row.stimulation, uniforms)[:, None]) * worn**breaks
    if row.wakes_up:
        rested = physiology.uniform_between(params.wake_up_alertness_low, params.wake_up_alertness_high, uniforms)
        bedtime = stimulation / worn**breaks
        alertness = rested[:, None] - params.bedtime_stimulation_cost * bedtime  # (uniform, k)
        effective = alertness[:, None, None] + stimulation[:, None, None]
        after = _interpolation(grid.alertness, alertness - tiredness[0])
        mixing = jnp.asarray(
            np.einsum("ukb,ukl->kbl", after, _interpolation(grid.stimulation, stimulation * worn)) / len(uniforms)
        )
        tension_terms: tuple[Array, Array | None] = mixing, None
    else:
        alertness = at.alertness - lost[:, None] + _doses(row.alertness, uniforms)[:, None, None]  # (uniform, s, a)
        effective = alertness[..., None] + stimulation[:, None, None]
        tired = tiredness[np.minimum(awake + breaks, awake[-1])]
        after = _interpolation(grid.alertness, alertness - tired[:, None])
        stimulated = _interpolation(grid.stimulation, stimulation * worn)
        if row.alertness is None or row.stimulation is None:  # independent: one mean of each
            after, stimulated = after.mean(axis=0, keepdims=True), stimulated.mean(axis=0, keepdims=True)
        tension_terms = jnp.asarray(after / len(after)), jnp.asarray(stimulated)

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
    kept = ((1.0 - risk)[..., None] * _interpolation(grid.hypertension, tension)).mean(axis=0)
    kept[:, 0] += risk.mean(axis=0)
    return _Operator(
        reward=jnp.asarray(reward),
        penalty=jnp.asarray(params.heart_attack_penalty * risk.mean(axis=0)),
        alertness=tension_terms[0],
        hypertension=jnp.asarray(kept),
        stimulation=tension_terms[1],
        intoxication=jnp.asarray(_interpolation(grid.intoxication, sober).mean(axis=0)),
    )


def _value(operator: _Operator, values: Array, decision: int) -> Array:
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


def _best(operators: Sequence[_Operator], ring: Array, left: Array, decisions: Sequence[int]) -> Array:
    """The values of the best action with `left` half-hours left."""
    values = [
        _value(operator, _after(ring, left, decision), decision)
        for operator, decision in zip(operators, decisions, strict=True)
    ]
    return functools.reduce(jnp.maximum, values)


def _after(ring: Array, left: Array, decision: int) -> Array:
    """The values after a decision: of the half-hours then left, none when the end has passed."""
    return jnp.where(left >= decision, ring[(left - decision) % len(ring)], 0.0)


@functools.partial(jax.jit, static_argnames="decisions", donate_argnums=0)
def _backwards(ring, first, number, here, there, onto_finer, decisions: tuple[int, ...]) -> Array:
    """The ring after the values with `first`, first + 1, ... half-hours left, `number` of them."""

    def half_hour(i, ring):
        left = first + i
        values = _best(here, ring, left, decisions)
        if there is not None:
            values = values + _missing(_best(there, ring, left, decisions), values, onto_finer)
        return ring.at[left % len(ring)].set(jnp.broadcast_to(values, ring.shape[1:]))

    return jax.lax.fori_loop(0, number, half_hour, ring)


def _missing(finer: Array, values: Array, onto_finer: Sequence[Array]) -> Array:
    """What to add to `values` so that, interpolated, they are nowhere below `finer`, at the points twice as dense."""
    guess = jnp.einsum("ab,hg,kl,xy,sbgly->sahkx", *onto_finer, values)
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
        _value(operator, _after(ring, left, decision), decision)
        for operator, decision in zip(here, decisions, strict=True)
    ]
    return jnp.stack([jnp.broadcast_to(value, ring.shape[1:]) for value in values], axis=-1)


def _choices(actions: Sequence[Row], drunk: bool) -> dict[int, Row]:
    """The rows worth a thought by their numbers: without those that are plainly worse than idling, and the drinks that
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


def _grid(params: EnvParams, resolution: float, drunk: bool) -> Grid:
    """Points as far as a sensible patient gets; beyond them values are those of the last."""
    num_alertness, num_tension, num_stimulation = (math.ceil(resolution * num) for num in _NUM_POINTS)
    most = _best_alertness(params) + 0.7
    tension = params.heart_attack_threshold + 2.0
    step = params.intoxication_elimination / _POINTS_A_HALF_HOUR
    top = params.ballmer_peak + 5.0 * params.ballmer_peak_width
    return Grid(
        alertness=np.linspace(-most, params.wake_up_alertness_high + 0.3, num_alertness),
        hypertension=tension * np.linspace(0.0, 1.0, num_tension) ** _TENSION_BEND,
        stimulation=np.linspace(0.0, most, num_stimulation),
        intoxication=step * np.arange(math.ceil(top / step) + 1) if drunk else np.zeros(1),
        longest_day=max(math.ceil(params.fatigue_onset + 0.8 * params.fatigue_width), 2),
    )


def _finer(points: np.ndarray) -> np.ndarray:
    """The points and the middles between them."""
    return np.sort(np.concatenate([points, 0.5 * (points[1:] + points[:-1])]))


def _interpolation(grid: np.ndarray, x: np.ndarray) -> np.ndarray:
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


def _midpoints(low: float, high: float) -> np.ndarray:
    return low + (high - low) * (np.arange(_NODES) + 0.5) / _NODES


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
            points=tuple(jnp.asarray(getattr(grid, axis), jnp.result_type(float)) for axis in _AXES),
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
    corners: list[tuple[Array, tuple[Array, ...]]] = [(jnp.ones(()), (table, awake))]
    for name, points in zip(_AXES, tables.points, strict=True):
        corners = [
            (weight * share, (*index, i)) for weight, index in corners for share, i in _corners(points, seen[name])
        ]
    values = sum(weight * tables.values[index] for weight, index in corners)
    return tables.numbers[jnp.argmax(values)], carry


def _corners(points: Array, x: Array) -> list[tuple[Array, Array]]:
    """The points on either side of `x` as (weight, index)."""
    if len(points) == 1:
        return [(jnp.ones(()), jnp.zeros((), jnp.int32))]
    cell = jnp.clip(jnp.sum(points <= x) - 1, 0, len(points) - 2)
    share = jnp.clip((x - points[cell]) / (points[cell + 1] - points[cell]), 0.0, 1.0)
    return [(1.0 - share, cell), (share, cell + 1)]
