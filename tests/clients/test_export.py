"""`jax.export`, which writes with flatbuffers: a step and a reset go out as bytes and come back the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import heartpole_jax as hp

pytest.importorskip("flatbuffers", reason="see tests/clients/requirements.txt")


@pytest.mark.parametrize("name", ["HeartPole-v0", "HeartPole-v1"])
def test_a_step_comes_back_from_its_bytes(name):
    """State, parameters and menu are arguments, and the state a result."""
    env = hp.make(name)
    step = jax.jit(
        lambda state, action, words, params: env.step(state, action, jax.random.wrap_key_data(words), params)
    )
    params = jax.tree.map(jnp.asarray, env.default_params)
    arguments = (env.reset(jax.random.key(0))[0], jnp.int32(3), jax.random.key_data(jax.random.key(1)), params)
    stepped = export.deserialize(export.export(step)(*arguments).serialize(vjp_order=1)).call(*arguments)
    expected = step(*arguments)
    assert jax.tree.structure(stepped) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(stepped), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)
