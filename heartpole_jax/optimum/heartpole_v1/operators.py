"""HeartPole-v1's actions on the grid: the value of an action as products of small matrices.

`solver` describes the method, `grid` the variables and the order of their axes.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from chex import Array

from heartpole_jax.envs import physiology
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.envs.menu import Row
from heartpole_jax.optimum.heartpole_v1.grid import Grid, interpolation
from heartpole_jax.optimum.heartpole_v1.productivity import ballmer_multiplier, sober_work

UNIFORMS = (np.arange(16) + 0.5) / 16  # the midpoint rule over each uniform


class Operator(NamedTuple):
    """An action's value: reward, and matrices from the values after it, see `solver`."""

    reward: Array  # (s, w, x, m, k)
    penalty: Array  # (h,)
    hypertension: Array  # (h, h')
    intoxication: Array | None  # (x, x')
    overtired: Array | None  # (j, w, w'): 1, 2, ... half-hours awake more than the last of the grid; None: wakes up
    terms: tuple[tuple[Array | None, ...], ...]  # sums of products, w, m, k: None is no change


def operator_of(row: Row, params: EnvParams, grid: Grid) -> Operator:
    """The action `row` on `grid`."""
    breaks, last = row.half_hours, len(grid.tiredness) - 1
    uniforms = UNIFORMS
    # (uniform, points): what there is after the dose, when work begins, and what is left after it.
    dosed = grid.stimulation + _doses(row.stimulation, uniforms)[:, None]
    stimulation = dosed * params.stimulation_decay**breaks
    impairment = (grid.impairment + _doses(row.impairment, uniforms)[:, None]) * params.impairment_decay**breaks
    worn_stimulation = interpolation(grid.stimulation, stimulation * params.stimulation_decay)
    worn_impairment = interpolation(grid.impairment, impairment * params.impairment_decay)
    if row.wakes_up:
        rested = physiology.uniform_between(params.wake_up_alertness_low, params.wake_up_alertness_high, uniforms)
        woken = np.asarray(rested)[:, None] - params.bedtime_stimulation_cost * dosed  # (uniform, k)
        effective = (woken + stimulation)[:, None, None, None, :]  # (uniform, s, w, m, k)
        after = interpolation(grid.wakefulness, woken)
        after = np.einsum("ukb,ukl->ukbl", after, worn_stimulation)
        overtired = None
    else:
        wakefulness = grid.wakefulness + _doses(row.alertness, uniforms)[:, None]  # (uniform, w)
        awake = np.arange(last + 1) + breaks
        fatigue = grid.fatigue[np.minimum(awake, last)] + np.maximum(awake - last, 0) * grid.tiredness[last]
        alertness = wakefulness[:, None, :] - fatigue[:, None]  # (uniform, s, w)
        effective = alertness[..., None, None] + stimulation[:, None, None, None, :]
        after = interpolation(grid.wakefulness, wakefulness)
        later = np.arange(1, min(breaks + 1, last + 1) + 1) + max(breaks - last, 0)
        overtired = interpolation(grid.wakefulness, grid.wakefulness - grid.tiredness[last] * later[:, None])
    effective = effective - impairment[:, None, None, :, None]
    work = np.zeros(effective.shape[1:])
    for of_uniform in effective:
        work = work + sober_work(of_uniform, params) / len(uniforms)

    alcohol = _eliminated(grid.intoxication + _doses(row.intoxication, uniforms)[:, None], breaks, params)
    multiplier = np.mean(ballmer_multiplier(alcohol, params), axis=0)
    sober = interpolation(grid.intoxication, _eliminated(alcohol, 1, params), cubic=False).mean(axis=0)

    tension = np.maximum(grid.hypertension + _doses(row.hypertension, uniforms)[:, None], 0.0)
    risk = np.zeros_like(tension)
    for _ in range(breaks + 1):
        tension = tension * params.hypertension_decay
        plain = np.asarray(
            physiology.heart_attack_risk(tension, params.heart_attack_proclivity, params.heart_attack_threshold)
        )
        risk = risk + (1.0 - risk) * np.minimum(float(row.hazard) * plain, 1.0)
    kept = ((1.0 - risk)[..., None] * interpolation(grid.hypertension, tension)).mean(axis=0)
    kept[:, 0] += risk.mean(axis=0)

    changes = [
        after if row.wakes_up or row.alertness is not None else None,
        worn_impairment if len(grid.impairment) > 1 else None,
        None if row.wakes_up or len(grid.stimulation) == 1 else worn_stimulation,
    ]
    varies = [row.wakes_up or row.alertness is not None, row.impairment is not None, row.stimulation is not None]
    return Operator(
        reward=jnp.asarray(work[:, :, None] * multiplier[:, None, None]),
        penalty=jnp.asarray(params.heart_attack_penalty * risk.mean(axis=0)),
        hypertension=jnp.asarray(kept),
        intoxication=jnp.asarray(sober) if len(grid.intoxication) > 1 else None,
        overtired=None if overtired is None else jnp.asarray(overtired),
        terms=_terms(changes, varies),
    )


def _terms(changes: Sequence[np.ndarray | None], varies: Sequence[bool]) -> tuple[tuple[Array | None, ...], ...]:
    """The mean over the uniform of the product of `changes`, (uniform, ...) each, as a sum of products: one, where no
    more than one of them `varies` with the uniform."""
    varying = [change is not None and varied for change, varied in zip(changes, varies, strict=True)]
    means = [None if change is None else jnp.asarray(change.mean(axis=0)) for change in changes]
    if sum(varying) <= 1:
        return (tuple(means),)
    scaled = varying.index(True)  # the one that carries the weight of the uniform
    return tuple(
        tuple(
            means[i]
            if change is None or not varying[i]
            else jnp.asarray(change[u] / (len(UNIFORMS) if i == scaled else 1))
            for i, change in enumerate(changes)
        )
        for u in range(len(UNIFORMS))
    )


def _doses(dose: Any, uniforms: np.ndarray) -> np.ndarray:
    """A dose at each of the uniforms; zeros where there is none."""
    return np.zeros(len(uniforms)) if dose is None else dose[0] + (dose[1] - dose[0]) * uniforms


def _eliminated(alcohol: np.ndarray, half_hours: int, params: EnvParams) -> np.ndarray:
    """Blood alcohol after some half-hours; the first brings it to 0 at least."""
    return np.maximum(alcohol - half_hours * params.intoxication_elimination, 0.0) if half_hours else alcohol


def action_value(operator: Operator, values: Array, decision: int) -> Array:
    """The value of an action of `decision` half-hours from the `values` after it, of the shape of the grid. Where it
    wakes up, these are of patients half an hour awake, (h, w, x, m, k)."""
    if operator.overtired is None:
        after = values[:, None]
    else:
        beyond = jnp.einsum("jab,hbxmk->hjaxmk", operator.overtired, values[:, -1])
        after = jnp.concatenate([values[:, decision:], beyond], axis=1)
    after = jnp.einsum("hg,gswxmk->hswxmk", operator.hypertension, after)
    if operator.intoxication is not None:
        after = jnp.einsum("xy,hswymk->hswxmk", operator.intoxication, after)
    after = functools.reduce(jnp.add, [_changed(after, *term) for term in operator.terms])
    return operator.reward[None] + after - operator.penalty[:, None, None, None, None, None]


def _changed(values: Array, wakefulness: Array | None, impairment: Array | None, stimulation: Array | None) -> Array:
    """One product of the matrices of a term."""
    if impairment is not None:
        values = jnp.einsum("mn,hswxnk->hswxmk", impairment, values)
    if stimulation is not None:
        values = jnp.einsum("hswxml,kl->hswxmk", values, stimulation)
    if wakefulness is None:
        return values
    if wakefulness.ndim == 2:
        return jnp.einsum("ab,hsbxmk->hsaxmk", wakefulness, values)
    return jnp.einsum("kbl,hsbxml->hsxmk", wakefulness, values)[:, :, None]
