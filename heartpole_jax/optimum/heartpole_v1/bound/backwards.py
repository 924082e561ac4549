"""One half-hour backwards in time: U with t half-hours left from those with fewer, as an upper bound in whole cells.

Values have axes (s, x, w, h): half-hours awake, stimulation, wakefulness, hypertension. The half-hours awake are taken
one by one: what one of them needs fits a processor's cache.
"""

import functools

import jax
import jax.numpy as jnp
from chex import Array

from heartpole_jax.optimum.heartpole_v1.bound.actions import Action, Excess
from heartpole_jax.optimum.heartpole_v1.bound.sleep import Sleep


def cells_of(excess: Excess, values: Array, axis: int) -> Array:
    """What interpolation lacks in each cell of an axis, in place of it."""
    small = values.astype(jnp.float32)

    def along(matrices, constants, values, best):
        found = []
        for i, matrix in enumerate(matrices):
            one = jnp.moveaxis(jnp.tensordot(values, matrix, (axis, 1)), -1, axis)
            if constants is not None:
                one = one + _along(constants[i], one.ndim, axis)
            found.append(one)
        return functools.reduce(best, found)

    shape = list(values.shape)
    shape[axis] -= 1
    found = jnp.zeros(shape, values.dtype)
    if excess.inside is not None:
        found = jnp.maximum(found, along(excess.inside, excess.inside_const, values, jnp.maximum))
    if excess.scale is not None:
        most = along(excess.most, excess.most_const, small, jnp.maximum)
        least = along(excess.least, excess.least_const, small, jnp.minimum)
        found = found + _along(excess.scale, len(shape), axis) * jnp.maximum(most - least, 0.0)
    if excess.curved is not None and excess.curved_const is not None:
        found = found + along(excess.curved[None], excess.curved_const[None], small, jnp.maximum)
    return found


def _along(x: Array, ndim: int, axis: int) -> Array:
    shape = [1] * ndim
    shape[axis] = len(x)
    return x.reshape(shape)


def beside(cells: Array, axis: int) -> Array:
    """The larger of the two cells around each point, one more than cells."""
    wide = [(0, 0)] * cells.ndim
    wide[axis] = (1, 0)
    before = jnp.pad(cells, wide)
    wide[axis] = (0, 1)
    return jnp.maximum(before, jnp.pad(cells, wide))


def action_value(action: Action, reward: Array, values: Array) -> Array:
    """The value of an action, (x, w, h), from its reward, (x, w), and the values after it; excesses included."""
    after = jnp.tensordot(values, action.hypertension, (2, 1)) + beside(cells_of(action.tension_excess, values, 2), 2)
    after = jnp.tensordot(action.stimulation, after, 1)
    # Whatever the hypertension.
    added = beside(cells_of(action.stimulation_excess, values, 0).max(axis=-1), 0)
    if action.wakefulness is not None and action.wakefulness_excess is not None:
        # The lowest point stands for all lower wakefulness: a dose leads from there to anywhere in the first cell.
        lowest = jnp.maximum(after[:, :1], after[:, 1:2])
        after = jnp.einsum("vw,xwh->xvh", action.wakefulness, after)
        after = jnp.concatenate([jnp.maximum(after[:, :1], lowest), after[:, 1:]], axis=1)
        lacking = beside(cells_of(action.wakefulness_excess, values, 1).max(axis=-1), 1)
        # A dose of alertness leads to other cells of w.
        added = added.max(axis=-1, keepdims=True) + jnp.tensordot(action.stimulation, lacking, 1)
    return after + (reward + added)[..., None] - _along(action.penalty, 3, 2)


def sleep_value(sleep: Sleep, woken: Array) -> Array:
    """The value of sleep, (x, h), from that of patients half an hour awake after it, (x, w, h)."""
    small = woken.astype(jnp.float32)
    after = jnp.tensordot(woken, sleep.hypertension, (2, 1)) + beside(cells_of(sleep.tension_excess, woken, 2), 2)
    found = jnp.einsum("kw,kx,xwh->kh", sleep.woken, sleep.worn, after)
    # Along w.
    around = jnp.einsum("cjx,xwh->cjwh", sleep.between, small)
    most = jnp.einsum("kcw,cjwh->kcjh", sleep.most, around).max(axis=0)
    least = jnp.einsum("kcw,cjwh->kcjh", sleep.least, around).min(axis=0)
    lacking = sleep.scale[:, None] * jnp.maximum(most - least, 0.0).max(axis=1)
    # Along x, woken as from either end of the cell.
    if sleep.kinks.inside is not None:
        ends = [
            jnp.einsum("cw,jcx,xwh->jch", at, sleep.kinks.inside, woken).max(axis=0)
            for at in (sleep.woken[:-1], sleep.woken[1:])
        ]
        lacking = lacking + jnp.maximum(jnp.maximum(*ends), 0.0)
    # Across.
    both = lambda i, j: jnp.einsum("kw,kx,xwh->kh", sleep.woken[i], sleep.worn[j], woken)
    low, high = slice(None, -1), slice(1, None)
    across = both(low, high) + both(high, low) - both(low, low) - both(high, high)
    lacking = lacking + 0.25 * jnp.maximum(across, 0.0)
    added = beside(lacking.max(axis=-1), 0)
    return found + (added + sleep.reward)[:, None] - sleep.penalty[None]


@functools.partial(jax.jit, static_argnames=("breaks", "tired"))
def half_hour(
    actions: tuple[Action, ...],
    sleep: Sleep,
    before: tuple[Array, ...],
    woken: Array,
    late: Array,
    breaks: tuple[int, ...],
    tired: int,
) -> Array:
    """U with t half-hours left.

    Args:
      actions: all but sleep, with `breaks` of so many half-hours.
      before: U with t - 1, t - 2, ... left.
      woken: (x, w, h), U half an hour after waking up from a sleep that begins now.
      late: (h,), what other actions earn at most, -inf once their breaks do not outlast the episode.
      tired: the lattice's.
    """
    asleep = jnp.maximum(sleep_value(sleep, woken), late[None])[:, None, :]
    last, naps = before[0].shape[0] - 1, [action.wakefulness is not None for action in actions]
    unrefreshed = tuple(action._replace(wakefulness=None) for action in actions)

    def best(s, actions, after):
        found = jnp.broadcast_to(asleep, before[0].shape[1:])
        for action, half_hours, nap in zip(actions, breaks, naps, strict=True):
            value = action_value(action, action.reward[s], after(before[half_hours], half_hours, nap))
            found = jnp.maximum(found, value)
        return jax.lax.cummax(found, axis=2, reverse=True)

    def fresh(s):
        return best(s, actions, lambda values, half_hours, _: values[jnp.minimum(s + half_hours + 1, last)])

    # A nap leads to the wakefulness before, and to half an hour less awake: tiredness takes more than the nap gives.
    def weary(s):
        later = lambda values, half_hours, nap: values[jnp.minimum(s + half_hours + (0 if nap else 1), last)]
        return best(s, unrefreshed, later)

    # The last one stands for all later ones: each decision costs one cell of wakefulness.
    lower = lambda values, *_: jnp.concatenate([values[last, :, :1], values[last, :, :-1]], axis=1)
    parts = [jax.lax.map(fresh, jnp.arange(tired)), jax.lax.map(weary, jnp.arange(tired, last))]
    return jnp.concatenate([*parts, best(last, unrefreshed, lower)[None]])
