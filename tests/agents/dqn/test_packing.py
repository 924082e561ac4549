"""Packing an environment's pytree into words and back: every bit, every kind of leaf."""

import dataclasses

import dqn_oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import dqn
from agents.common import packing
from agents.dqn.config import DQNConfig, Hyperparams

TREE = {
    "bool": np.array([True, False]),
    "int8": np.array([-128, 127], np.int8),
    "uint8": np.array([[0, 255]], np.uint8),
    "int16": np.int16(-(2**15)),
    "uint16": np.uint16(2**16 - 1),
    "int32": np.array([-(2**31), 2**31 - 1], np.int32),
    "uint32": np.uint32(2**32 - 1),
    "float16": np.array([0.1, -65504], np.float16),
    "float32": np.array([[-0.0, np.inf], [1e-45, 0.1]], np.float32),
    "nan": np.array([0x7FC12345], np.uint32).view(np.float32),
    "empty": np.zeros((0, 3), np.float32),
}
WORDS = 2 + 2 + 2 + 1 + 1 + 2 + 1 + 2 + 4 + 1


def same_bits(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        assert (x.shape, x.dtype, x.tobytes()) == (y.shape, y.dtype, y.tobytes())


def test_what_is_packed_is_unpacked_bit_for_bit():
    tree = jax.tree.map(jnp.asarray, TREE)
    words = packing.pack(tree)
    assert (words.shape, words.dtype) == ((WORDS,), jnp.int32)
    same_bits(packing.unpacker(tree)(words), TREE)


def test_many_environments_are_packed_and_unpacked_under_jit_and_vmap_by_the_mere_form():
    envs = jax.tree.map(lambda x: jnp.stack([x, x, x]), TREE)
    form = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), TREE)
    words = jax.jit(jax.vmap(packing.pack))(envs)
    assert words.shape == (3, WORDS)
    same_bits(jax.jit(jax.vmap(packing.unpacker(form)))(words), envs)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_keys_are_packed_as_their_words(impl):
    key = jax.random.key(7, impl=impl)
    for example in (key, jax.eval_shape(lambda: jax.random.key(7, impl=impl))):
        back = packing.unpacker([example])(packing.pack([key]))[0]
        assert jax.random.key_impl(back) == impl
        np.testing.assert_array_equal(jax.random.key_data(back), jax.random.key_data(key))


def test_numbers_of_64_bits_take_two_words(x64):
    tree = {"float": jnp.array([0.1, -1e300]), "int": jnp.int64(2**40 + 1), "uint": jnp.uint64(2**64 - 1)}
    words = packing.pack(tree)
    assert (words.shape, words.dtype) == ((8,), jnp.int32)
    same_bits(packing.unpacker(tree)(words), tree)


def test_an_environment_whose_states_change_their_type_is_refused():
    """Its bits, read as another type, would be other numbers: 1 as a float32 is 1,065,353,216 as an int32."""
    walk = dqn_oracle.walk()

    def transition(*args):
        state, obs, reward, done = walk.transition(*args)
        return state._replace(num_steps=state.num_steps.astype(jnp.float32)), obs, reward, done

    env = dataclasses.replace(walk, transition=transition)
    config = DQNConfig(hidden_sizes=(2,), batch_size=2, buffer_size=64, num_envs=2)
    train_state = jax.eval_shape(lambda: dqn.init(jax.random.key(0), Hyperparams(), config, env))
    with pytest.raises((TypeError, ValueError)):
        jax.eval_shape(lambda state: dqn.train_chunk(state, Hyperparams(), config, env, 2), train_state)
