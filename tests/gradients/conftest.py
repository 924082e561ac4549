"""Tapes are lived more than once: by the branch estimator, and by every backward pass that computes a step again."""

import jax
import pytest


@pytest.fixture(autouse=True)
def dice_are_thrown_twice():
    """JAX's checker of reused keys cannot know that this is meant."""
    with jax.debug_key_reuse(False):
        yield
