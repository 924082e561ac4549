"""What a policy looks at: found by showing it other observations and watching what it does."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, PRNGKey

from heartpole_jax.envs.environment import Environment
from heartpole_jax.gradients.actors import Actor
from heartpole_jax.gradients.simulate import record_decisions, sample_noise_sequence

# A threshold lies between two of them, or between one and what was observed.
_OTHER_VALUES = (-1e6, -10.0, -1.0, -0.1, 0.0, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0, 1e6)


def depends_on_obs(
    actor: Actor,
    params: Any,
    key: PRNGKey,
    env: Environment,
    num_steps: int,
    columns: tuple[int, ...],
    num_episodes: int = 4,
) -> set[int]:
    """Those of the observation's `columns` that change what the actor does, or remembers, anywhere on some sequences.

    Tried out, not proved: a policy that looks at a column only in a place that was not tried escapes.
    """
    if not columns:
        return set()
    functions = actor._replace(params=None, carry=None)
    with jax.debug_key_reuse(False):  # each decision is taken again with other observations: meant
        changed = _changes(
            key, actor.params, actor.carry, params, functions=functions, env=env, num_steps=num_steps, columns=columns,
            num_episodes=num_episodes,
        )  # fmt: skip
    return {column for column, differs in zip(columns, np.asarray(changed), strict=True) if differs}


@functools.partial(jax.jit, static_argnames=("functions", "env", "num_steps", "columns", "num_episodes"))
def _changes(key, policy_params, carry, params, *, functions: Actor, env, num_steps, columns, num_episodes) -> Array:
    actor = functions._replace(params=policy_params, carry=carry)

    def of_sequence(index: Array) -> Array:
        sequence = sample_noise_sequence(key, index, num_steps, actor, env)
        seen = record_decisions(actor, params, sequence, env)
        return jax.vmap(lambda carry, obs, draw: _differs(actor, carry, obs, draw, columns))(*seen)

    return jnp.any(jax.vmap(of_sequence)(jnp.arange(num_episodes, dtype=jnp.uint32)), axis=(0, 1))


def _differs(actor: Actor, carry: Any, obs: Array, draw: Any, columns: tuple[int, ...]) -> Array:
    """For each column whether some other value in it changes the choice, its probability, or what is remembered."""
    does = functools.partial(actor.choose, actor.params, carry)
    as_it_is = does(obs, draw)

    def differs(column: Array, value: Array) -> Array:
        other = does(obs.at[column].set(value), draw)
        same = jax.tree.map(lambda a, b: jnp.all(a == b), as_it_is, other)
        return ~jnp.all(jnp.stack(jax.tree.leaves(same)))

    values = jnp.asarray(_OTHER_VALUES, obs.dtype)
    return jax.vmap(lambda column: jnp.any(jax.vmap(lambda value: differs(column, value))(values)))(
        jnp.asarray(columns)
    )
