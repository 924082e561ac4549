"""Random numbers by counter: Threefry-2x32, the generator behind JAX's own keys, written so that XLA can vectorise it.

Why not `jax.random`: a step of HeartPole is a few hundred operations, and drawing its four uniforms through
`jax.random.uniform` costs several times that on a CPU (the default generator hashes one block for each word and does it
in a loop that XLA does not fuse). Here a block gives two words, and all of it is straight-line arithmetic.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). 13 rounds are the fewest
that pass BigCrush there; JAX uses 20.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, PRNGKey

from heartpole_jax import arguments, validation

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA
_ROUNDS = 13
_LARGEST_INT = 2**16  # of `random_int`


def _check_word(name: str, value: Any) -> None:
    if getattr(value, "dtype", None) != np.uint32:
        raise TypeError(f"{name} must be of uint32, got {arguments.described(value)}; jnp.uint32(number) makes one")


def _check_words(name: str, value: Any) -> None:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name} must be two words of uint32, got {arguments.described(value)}")
    for word in value:
        _check_word(f"each word of {name}", word)


def _check_choices(name: str, value: Any) -> None:
    validation.check_size(name, value)
    if value > _LARGEST_INT:
        raise ValueError(f"{name} must be at most {_LARGEST_INT:,}, got {value:,}")


@arguments.checked(key=_check_words, counter=_check_words, num_rounds=validation.check_size)
@functools.partial(jax.jit, static_argnames="num_rounds", inline=True)
def threefry2x32(key: tuple[Array, Array], counter: tuple[Array, Array], num_rounds: int = _ROUNDS):
    """Two uint32 words, a pseudo-random function of two key words and two counter words (uint32, broadcast)."""
    schedule = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    x, y = counter[0] + schedule[0], counter[1] + schedule[1]
    for i in range(num_rounds):
        rotation = _ROTATIONS[i % 8]
        x = x + y
        y = ((y << rotation) | (y >> (32 - rotation))) ^ x
        if i % 4 == 3:
            injection = i // 4 + 1
            x = x + schedule[injection % 3]
            y = y + schedule[(injection + 1) % 3] + jnp.uint32(injection)
    return x, y


def key_words(key: PRNGKey) -> tuple[Array, Array]:
    """The two words of one typed or raw key, uint32 scalars; a four-word key (rbg) is hashed down to two.

    JAX's checker of reused keys (`jax_debug_key_reuse`) does not see what is drawn from these words.

    Raises:
      TypeError: if `key` is neither a typed key nor raw uint32 key data.
      ValueError: if it is a batch of keys, or not of two or four words.
    """
    arguments.check_key("key", key)
    is_raw = key.dtype == jnp.uint32
    data = jnp.asarray(key) if is_raw else jax.random.key_data(key)
    if data.shape == (2,):
        return data[0], data[1]
    return threefry2x32((data[0], data[1]), (data[2], data[3]))


@arguments.checked(num=validation.check_size, first_block=validation.check_count)
def uniforms(key: PRNGKey, num: int, first_block: int = 0) -> tuple[Array, ...]:
    """`num` independent uniforms in [0, 1), scalars of JAX's default float, from the blocks `first_block` on.

    In float32 each has 24 random bits (a grain of 6e-8), in float64 53. They are what Threefry-2x32-13 makes of `key`;
    `jax.random` makes other numbers of it (20 rounds), so splitting the same key elsewhere is no collision.
    """
    words = key_words(key)
    dtype = jnp.result_type(float)
    if dtype == jnp.float64:
        return tuple(_double(*_block(words, first_block + i)) for i in range(num))
    pairs = (_block(words, first_block + i) for i in range((num + 1) // 2))
    return tuple(as_uniform(word) for pair in pairs for word in pair)[:num]


@arguments.checked(num=validation.check_size)
def random_words(key: PRNGKey, num: int) -> tuple[Array, ...]:
    """`num` random uint32 scalars: the words of `uniforms(key, num)`, before they are made floats."""
    words = key_words(key)
    pairs = (_block(words, i) for i in range((num + 1) // 2))
    return tuple(word for pair in pairs for word in pair)[:num]


@arguments.checked(word=_check_word)
def as_uniform(word: Array) -> Array:
    """A random uint32 as a float32 uniform in [0, 1), of 24 random bits."""
    # Through int32, whose conversion to float is one instruction where uint32's is several.
    return (word >> 8).astype(jnp.int32).astype(jnp.float32) * jnp.float32(2.0**-24)


@arguments.checked(num=_check_choices)
def random_int(key: PRNGKey, num: int) -> Array:
    """An int32 uniform over 0 .. num - 1 (num at most 65,536; the bias is below num / 2^32)."""
    word, _ = _block(key_words(key), 0)
    # The high half of word * num, put together from 16-bit halves since JAX has no 64-bit integers by default.
    low = (word & 0xFFFF) * jnp.uint32(num)
    return (((word >> 16) * jnp.uint32(num) + (low >> 16)) >> 16).astype(jnp.int32)


@arguments.checked(purpose=validation.check_count)
def fold_in(key: PRNGKey, purpose: int) -> tuple[Array, Array]:
    """Two words for `purpose` (a small number), independent of every other purpose's and of `uniforms(key)`."""
    return _block(key_words(key), (1 << 31) + int(purpose))


def derived_key(key: PRNGKey, purpose: int) -> PRNGKey:
    """A key for `purpose`, of the two words of `fold_in`."""
    return key_at(fold_in(key, purpose), jnp.uint32(0), jnp.uint32(0))


@arguments.checked(words=_check_words, index=_check_word, time=_check_word)
def key_at(words: tuple[Array, Array], index: Array, time: Array) -> PRNGKey:
    """The key of one environment at one time, uint32 scalars: distinct for every pair, and free of cost.

    `words` must come out of a hash (`fold_in`): two streams then collide with the odds of two random numbers, as all
    keys do. The key itself is no hash, only the input of one.
    """
    # Not `jnp.stack`: XLA sees through a concatenation, and never puts the key into memory.
    data = jnp.concatenate([(words[0] + index)[None], (words[1] + time)[None]])
    return jax.random.wrap_key_data(data, impl="threefry2x32")


def _block(words: tuple[Array, Array], index: int):
    return threefry2x32(words, (jnp.uint32(index), jnp.uint32(0)))


def _double(high: Array, low: Array) -> Array:
    return ((high >> 5).astype(jnp.float64) * 2.0**26 + (low >> 6).astype(jnp.float64)) * 2.0**-53
