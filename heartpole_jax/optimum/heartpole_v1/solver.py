"""What the best policies of HeartPole-v1 can reach: dynamic programming on a grid, and a policy made of it.

A decision depends on alertness, hypertension h, stimulation k, impairment m, blood alcohol x, the half-hours s since
sleeping and the half-hours left. What wears off does so by itself, and the risk depends on h alone. So where the value
of the next state is interpolated between the points of a grid, the value of an action is a product of small matrices,
one a variable (wakefulness w is alertness without fatigue, see `grid`),

    Q(h, s, w, x, m, k) = r + sum H[h, h'] W[w, w'] X[x, x'] M[m, m'] K[k, k'] V(h', s + n + 1, w', x', m', k'),

the expectations over doses included, as midpoint rules (a heart attack, which sets h to 0, is in H). Four weeks
backwards in time are 1344 such products.

This is a computation, not a proof: `evaluation.heartpole_v1` simulates the policy and compares.
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

from heartpole_jax import arguments, validation
from heartpole_jax.arguments import shown
from heartpole_jax.envs import menu, physiology
from heartpole_jax.envs.heartpole_v1 import OBS_NAMES, EnvParams, environment
from heartpole_jax.envs.menu import Row
from heartpole_jax.optimum.heartpole_v1.grid import AXES, Grid, Visited, corners, grid_of, interpolation
from heartpole_jax.optimum.heartpole_v1.operators import UNIFORMS, Operator, action_value, operator_of
from heartpole_jax.optimum.heartpole_v1.productivity import steepest_fall
from heartpole_jax.policy import Policy
from heartpole_jax.rollout import Transition, rollout

# Half-hours left at which the policy has tables of its own: in the last days the end is felt, and when to go to bed
# depends on it to the half-hour.
_LEFT = (*range(1, 49), *range(52, 97, 4), *range(104, 193, 8))
_FIRST = 0.5  # resolution of the grid whose policy shows where patients are
_STEPS = 1344  # that its episodes are simulated for at most
_LARGEST = 6_000_000  # states times actions: a gigabyte for the policy's tables
_LEAST = -1e4  # advantages below are no worse, and float16 holds it


class NoSolution(ValueError):
    """A menu that cannot be solved."""


@dataclasses.dataclass(frozen=True)
class Solution:
    """The problem of one `EnvParams`, solved on a grid."""

    expected_return: float  # of the interpolated problem
    policy: Policy  # greedy by the grid's values


@arguments.typed()
def solve(params: EnvParams | None = None, *, resolution: float = 1.0, drunk: bool = False) -> Solution:
    """The best that can be done with a menu.

    Args:
      params: plain numbers. `expected_penalty` is ignored: it changes no expectation.
      resolution: of the grid. Work and memory grow with its cube.
      drunk: allow the actions that intoxicate, at sixty times the work; without, they are left out.

    Raises:
      ValueError: for parameters that are not plain numbers, a resolution outside [0.2, 10]; `NoSolution` for a menu
        whose grid would be too large.
    """
    leaves, treedef = plain(params)
    if not (type(resolution) in (int, float) and 0.2 <= resolution <= 10):
        raise ValueError(f"resolution must be a number in [0.2, 10], got {shown(resolution)}")
    return _solve(leaves, treedef, float(resolution), drunk)


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
def _solve(leaves: tuple[float, ...], treedef: Any, resolution: float, drunk: bool) -> Solution:
    params = jax.tree.unflatten(treedef, leaves)
    rows = choices(params, drunk)
    first = _on_grid(params, rows, grid_of(params, list(rows.values()), min(resolution, _FIRST)))
    visited = _visited(first.policy, params)
    return _on_grid(params, rows, grid_of(params, list(rows.values()), resolution, visited))


def _visited(policy: Policy, params: EnvParams) -> Visited:
    """Where patients of a policy are, by simulation."""
    steps = min(int(params.max_half_hours), _STEPS)
    found = rollout(
        policy, jax.random.key(0), params, env=environment(params.menu), num_envs=64, num_steps=steps, record=_seen
    )
    obs = np.asarray(found.records, float).reshape(-1, len(OBS_NAMES))
    seen = dict(zip(OBS_NAMES, obs[obs[:, OBS_NAMES.index("time_elapsed")] < params.max_half_hours].T, strict=True))
    fatigue = np.cumsum(
        np.asarray(physiology.alertness_decay(np.arange(steps + 1), params.fatigue_onset, params.fatigue_width), float)
    )
    awake = seen["time_since_slept"].astype(int)
    wakefulness = seen["alertness"] + np.where(awake > 0, fatigue[awake - 1], 0.0)
    rare = (0.1, 99.9)  # per cent
    return Visited(
        wakefulness=tuple(np.percentile(wakefulness, rare)),
        stimulation=tuple(np.percentile(seen["stimulation"], rare)),
        awake=int(awake.max()),
    )


def _seen(transition: Transition) -> Array:
    return transition.obs


def _on_grid(params: EnvParams, rows: dict[int, Row], grid: Grid) -> Solution:
    """The values backwards in time on one grid, and the policy that they make."""
    if math.prod(grid.shape) * len(rows) > _LARGEST:
        raise NoSolution(f"a grid of {math.prod(grid.shape):,} states is too large to be solved")
    operators = [operator_of(row, params, grid) for row in rows.values()]
    decisions = tuple(row.half_hours + 1 for row in rows.values())
    waking = physiology.uniform_between(params.wake_up_alertness_low, params.wake_up_alertness_high, UNIFORMS)
    waking = interpolation(grid.wakefulness, np.asarray(waking)).mean(axis=0)

    horizon, left, tables = int(params.max_half_hours), 0, {}
    values = _no_values(grid, operators, decisions)
    for stop in (*(stop for stop in _LEFT if stop < horizon), horizon):
        values = _backwards(values, left + 1, stop - left, operators, decisions)
        tables[stop] = _advantages(values, stop, operators, decisions)
        left = stop
    start = waking @ np.asarray(values.awake[horizon % len(values.awake), 0, 0, :, 0, 0, 0], float)
    return Solution(float(start), _policy(grid, tables, list(rows)))


class _Values(NamedTuple):
    """The values of the last half-hours, those with t left at t modulo the length; none after the end."""

    awake: Array  # (half-hours, h, s, w, x, m, k)
    woken: Array  # (half-hours, h, w, x, m, k) half an hour awake


def _no_values(grid: Grid, operators: Sequence[Operator], decisions: Sequence[int]) -> _Values:
    """Those after the end, of as many half-hours as the longest decisions take."""
    lengths: dict[bool, int] = {True: 1, False: 1}
    for operator, decision in zip(operators, decisions, strict=True):
        wakes_up = operator.overtired is None
        lengths[wakes_up] = max(lengths[wakes_up], decision + 1)
    h, s, *others = grid.shape
    return _Values(jnp.zeros((lengths[False], h, s, *others)), jnp.zeros((lengths[True], h, *others)))


def _action_values(
    values: _Values, left: Array, operators: Sequence[Operator], decisions: Sequence[int]
) -> list[Array]:
    """The value of every action with `left` half-hours left, each of the shape of the grid."""
    found = []
    for operator, decision in zip(operators, decisions, strict=True):
        ring = values.woken if operator.overtired is None else values.awake
        after = jnp.where(left >= decision, ring[(left - decision) % len(ring)], 0.0)
        found.append(jnp.broadcast_to(action_value(operator, after, decision), values.awake.shape[1:]))
    return found


@functools.partial(jax.jit, static_argnames="decisions", donate_argnums=0)
def _backwards(values: _Values, first, number, operators, decisions: tuple[int, ...]) -> _Values:
    """The values after those with `first`, first + 1, ... half-hours left, `number` of them."""

    def half_hour(i, values):
        left = first + i
        best = functools.reduce(jnp.maximum, _action_values(values, left, operators, decisions))
        return _Values(
            values.awake.at[left % len(values.awake)].set(best),
            values.woken.at[left % len(values.woken)].set(best[:, 1]),
        )

    return jax.lax.fori_loop(0, number, half_hour, values)


@functools.partial(jax.jit, static_argnames="decisions")
def _advantages(values: _Values, left, operators, decisions: tuple[int, ...]) -> Array:
    """What every action has less than the best one, (h, s, w, x, m, k, action)."""
    found = jnp.stack(_action_values(values, left, operators, decisions), axis=-1)
    return jnp.maximum(found - jnp.max(found, axis=-1, keepdims=True), _LEAST).astype(jnp.float16)


def choices(params: EnvParams, drunk: bool) -> dict[int, Row]:
    """The rows to consider by their numbers: without those that are plainly worse than idling, and the drinks that
    intoxicate unless `drunk`."""
    idle = next((row for row in params.menu.actions if menu.idles(row)), None)
    choices = {}
    for number, row in enumerate(params.menu.actions):
        if row.intoxication is not None and not drunk:
            continue
        if idle is None or row is idle or not _never_pays(row, params, drunk):
            choices[number] = row
    if not choices:
        raise NoSolution("no action is left when those that intoxicate are left out; allow them with drunk=True")
    return choices


def _never_pays(row: Row, params: EnvParams, drunk: bool) -> bool:
    """Whether idling is better than an action: it stimulates nobody, calms nobody, wakes nobody up, and where it
    impairs costs more heart attacks, to a patient without hypertension, than it can gain.

    The value never increases with hypertension, and that after a heart attack is higher by the penalty at most (both
    by induction over the half-hours left).
    """
    calms = row.hypertension is not None and row.hypertension[0] < 0
    if row.alertness or row.stimulation or row.intoxication or row.wakes_up or calms or row.hazard < 1:
        return False
    if row.impairment is None:
        return True
    if row.impairment[0] < 0:
        return False
    least_risk = float(physiology.heart_attack_risk(0.0, params.heart_attack_proclivity, params.heart_attack_threshold))
    safe, risky = ((1.0 - min(hazard * least_risk, 1.0)) ** (row.half_hours + 1) for hazard in (1.0, row.hazard))
    return most_gained(row, params, drunk) <= params.heart_attack_penalty * (safe - risky)


def most_gained(row: Row, params: EnvParams, drunk: bool = False) -> float:
    """The most work that a row's impairment gains, on average over its doses.

    It helps who is too alert, by the steepest fall of productivity for each unit and half-hour of it.
    """
    if row.impairment is None:
        return 0.0
    kept = params.impairment_decay
    half_hours = kept**row.half_hours * (1.0 / (1.0 - kept) if kept < 1 else math.inf)
    dose = 0.5 * sum(row.impairment)
    return steepest_fall(params, drunk) * dose * min(half_hours, float(params.max_half_hours)) if dose else 0.0


class _Tables(NamedTuple):
    """What the policy knows."""

    left: Array  # (tables,) half-hours left, increasing
    advantages: Array  # (tables, h, s, w, x, m, k, choice), float16
    points: dict[str, Array]  # of the axes but s
    fatigue: Array  # (s,)
    numbers: Array  # (choices,) of the menu
    max_half_hours: Array


def _policy(grid: Grid, tables: dict[int, Array], numbers: Sequence[int]) -> Policy:
    return Policy(
        act=_act,
        params=_Tables(
            left=jnp.array(sorted(tables)),
            advantages=jnp.stack([tables[left] for left in sorted(tables)]),
            points={name: jnp.asarray(getattr(grid, name), jnp.result_type(float)) for name in AXES},
            fatigue=jnp.asarray(grid.fatigue, jnp.result_type(float)),
            numbers=jnp.array(numbers, jnp.int32),
            max_half_hours=jnp.array(max(tables)),
        ),
    )


def _act(tables: _Tables, carry: Any, obs: Array, draw: Any) -> tuple[Array, Any]:
    """The best action by the interpolated advantages of the table for the half-hours left."""
    seen = dict(zip(OBS_NAMES, obs, strict=True))
    left = tables.max_half_hours - seen["time_elapsed"]
    table = jnp.minimum(jnp.sum(tables.left < left), len(tables.left) - 1)
    awake = jnp.clip(seen["time_since_slept"].astype(jnp.int32), 0, len(tables.fatigue) - 1)
    seen["wakefulness"] = seen["alertness"] + tables.fatigue[awake]
    around: list[tuple[Array, tuple[Array, ...]]] = [(jnp.ones(()), ())]
    for name in AXES:
        beside = corners(tables.points[name], seen[name])
        around = [(weight * share, (*index, i)) for weight, index in around for share, i in beside]
    values = sum(weight * tables.advantages[(table, h, awake, *index)] for weight, (h, *index) in around)
    return tables.numbers[jnp.argmax(values)], carry
