"""The replay buffer: a ring of packed rows, one a transition, all environments of a step side by side.

A row is (obs, next_obs, reward, code), 4 bytes each: 8 obs_size + 8 bytes a transition, 56 for HeartPole, and nothing
besides. `code` encodes the action and whether the episode ended there, by the clock or truly. One array means one write
and one gather an update, whatever is stored. Rewards and observations are kept raw: what to make of them is the
learner's business.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from chex import Array

from heartpole_jax import struct


@struct.dataclass
class Batch:
    """Sampled transitions of n steps, leaves of shape (batch, ...)."""

    obs: Array
    action: Array  # int32, the first
    reward: Array  # (batch, n), 0 after an episode's end
    next_obs: Array  # the true observation after the last step
    num_steps: Array  # int32, steps until next_obs: n, or fewer where the episode ended before
    done: Array  # bool, the episode ended there, by the clock or truly
    terminated: Array  # bool, it truly ended


class Code(NamedTuple):
    """What a row's last number encodes."""

    action: Array
    done: Array
    terminated: Array


def empty(num_slots: int, num_envs: int, obs_size: int, dtype) -> Array:
    """A buffer of `num_slots` steps of `num_envs` environments, (num_slots, num_envs, 2 obs_size + 2), zeros."""
    return jnp.zeros((num_slots, num_envs, 2 * obs_size + 2), dtype)


def row_bytes(obs_size: int, itemsize: int = 4) -> int:
    """Bytes of one stored transition."""
    return (2 * obs_size + 2) * itemsize


def pack(
    obs: Array, action: Array, reward: Array, next_obs: Array, done: Array, terminated: Array, num_actions: int
) -> Array:
    """One transition as a row, (2 obs_size + 2,)."""
    code = action + num_actions * (done.astype(jnp.int32) + terminated.astype(jnp.int32))
    tail = jnp.concatenate([jnp.reshape(reward, 1).astype(obs.dtype), jnp.reshape(code, 1).astype(obs.dtype)])
    return jnp.concatenate([obs.ravel(), next_obs.ravel(), tail])


def unpack_code(code: Array, num_actions: int) -> Code:
    """The action, done and terminated of rows' last numbers. An end that is true is also done."""
    code = code.astype(jnp.int32)
    ending = jax.lax.div(code, jnp.int32(num_actions))
    return Code(action=code - num_actions * ending, done=ending >= 1, terminated=ending >= 2)


def write(buffer: Array, rows: Array, slot: Array) -> Array:
    """The buffer with `rows`, (steps, num_envs, width), from `slot` on: the steps written before, modulo the slots.

    The number of slots must be a multiple of the steps written at a time, always the same: no write runs over the end.
    """
    return jax.lax.dynamic_update_slice_in_dim(buffer, rows, slot, axis=0)


def choose(words: Array, num_written: Array, num_steps: int, num_slots: int, num_envs: int) -> Array:
    """Where to begin, uniformly among all transitions of `num_steps` steps that lie whole in the buffer.

    Args:
      words: random uint32, one for each transition.
      num_written: steps written so far, int32, at least `num_steps`.
      num_steps: n, static.
      num_slots, num_envs: the buffer's.

    Returns:
      int32 like `words`: slot * num_envs + env.
    """
    wrapped = num_written > num_slots
    oldest = jnp.where(wrapped, jax.lax.rem(num_written, jnp.int32(num_slots)), 0)
    num_starts = jnp.where(wrapped, num_slots, num_written) - num_steps + 1
    start = random_below(words, jnp.maximum(num_starts, 1) * num_envs) + oldest * num_envs
    return jnp.where(start >= num_slots * num_envs, start - num_slots * num_envs, start)


def read(buffer: Array, where: Array, num_steps: int, num_actions: int) -> Batch:
    """The transitions of `num_steps` steps that begin at `where`, int32 (batch,), see `choose`.

    An episode's end within the n steps ends the transition there.
    """
    num_slots, num_envs, width = buffer.shape
    obs_size = width // 2 - 1
    num_rows = num_slots * num_envs
    rows = buffer.reshape(num_rows, width)
    first = rows.at[where].get(mode="promise_in_bounds")
    code = unpack_code(first[:, -1], num_actions)
    batch = Batch(
        obs=first[:, :obs_size],
        action=code.action,
        reward=first[:, None, -2],
        next_obs=first[:, obs_size : 2 * obs_size],
        num_steps=jnp.ones_like(code.action),
        done=code.done,
        terminated=code.terminated,
    )
    for i in range(1, num_steps):
        index = where + i * num_envs
        index = jnp.where(index >= num_rows, index - num_rows, index)
        row = rows.at[index].get(mode="promise_in_bounds")
        code, over = unpack_code(row[:, -1], num_actions), batch.done
        batch = dataclasses.replace(
            batch,
            reward=jnp.concatenate([batch.reward, jnp.where(over, 0, row[:, -2])[:, None]], axis=1),
            next_obs=jnp.where(over[:, None], batch.next_obs, row[:, obs_size : 2 * obs_size]),
            num_steps=batch.num_steps + (~over).astype(jnp.int32),
            done=over | code.done,
            terminated=jnp.where(over, batch.terminated, code.terminated),
        )
    return batch


def random_below(words: Array, num: Array) -> Array:
    """int32 uniform over 0 .. num - 1 from random uint32 `words`: the high half of words * num, `num` below 2^31.

    The bias is below num / 2^32. Put together from 16-bit halves, since JAX has no 64-bit integers by default.
    """
    num = jnp.asarray(num, jnp.uint32)
    low, high = num & 0xFFFF, num >> 16
    middle = (words >> 16) * low + ((words & 0xFFFF) * low >> 16)
    carry = ((words & 0xFFFF) * high + (middle & 0xFFFF)) >> 16
    return ((words >> 16) * high + (middle >> 16) + carry).astype(jnp.int32)
