"""How environments that are stepped together are laid out in arrays: which row is what, and which parameters are whose.

An environment's state, what is kept of its episode and all that a step returns are rows of a few arrays whose columns
are environments.
"""

import dataclasses
import enum
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, ArrayTree

from heartpole_jax import threefry
from heartpole_jax.envs.environment import Environment
from heartpole_jax.interop import adapting

# XLA on a CPU makes one kernel of a stack of up to eight rows, which computes what they share anew for each, and one
# for each row of a larger stack. Four are the fastest at 64 environments.
_ROWS = 4


class Autoreset(enum.Enum):
    """What becomes of an environment whose episode has ended."""

    NEXT_STEP = "next step"  # its next step begins an episode, whatever the action
    SAME_STEP = "same step"  # the step that ended the episode has begun the next one
    NEVER = "never"  # it waits for a reset


class Arrays(NamedTuple):
    """All environments: their rows in pieces of shape (rows, num_envs), see `stacked`."""

    floats: tuple[Array, ...]
    integers: tuple[Array, ...]


class Episode(NamedTuple):
    """What is kept of an environment besides its state, scalars."""

    over: Array  # bool, its last step ended the episode
    fresh: Array  # bool, it has made no step since the last reset
    tick: Array  # uint32, steps since it was seeded: with the words it names the random numbers
    start_words: tuple[Array, Array]
    noise_words: tuple[Array, Array]


class Output(NamedTuple):
    """What a step of one environment returns."""

    obs: Array
    reward: Array
    terminated: Array
    truncated: Array
    stepped: Array
    info: tuple[Array, ...]
    last_obs: Array


@dataclasses.dataclass(frozen=True)
class PackedParams:
    """How parameters are packed into an array of floats and one of integers. Hashable, for jit.

    Of shape (parameters,), or (parameters, num_envs) where environments differ in any of them. The two are programs of
    their own, whose last digits may differ: an array of equal numbers is packed as one number.
    """

    treedef: Any
    is_float: tuple[bool, ...]

    def pack(self, leaves: list) -> tuple[Array, Array]:
        values = np.broadcast_arrays(*(x[0] if np.ndim(x) and np.all(x == x[0]) else x for x in leaves))
        floats = [x for x, is_float in zip(values, self.is_float, strict=True) if is_float]
        integers = [x for x, is_float in zip(values, self.is_float, strict=True) if not is_float]
        return (
            jnp.array(np.array(floats, float), jnp.result_type(float)),
            jnp.array(np.array(integers, int), jnp.int32),
        )

    def __call__(self, packed: tuple[Array, Array]) -> Any:
        floats, integers = iter(packed[0]), iter(packed[1])
        return jax.tree.unflatten(self.treedef, [next(floats if is_float else integers) for is_float in self.is_float])


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """The environment, and which row is what. Hashable: jit compiles once for all `Envs` of the same."""

    env: Environment
    unpack: PackedParams
    autoreset: Autoreset
    treedef: Any  # of the environment's state
    dtypes: tuple[np.dtype, ...]  # of its leaves; its rows come first, the floats' and the others'
    obs: slice  # of the floats, and so on
    reward: int
    terminated: int
    truncated: int
    stepped: int
    info: tuple[tuple[str, int, type], ...]  # name, row, Python's type
    last_obs: slice  # SAME_STEP alone

    def empty(self, num_envs: int) -> Arrays:
        """The arrays of environments that have yet to be reset."""
        num_integers = sum(dtype.kind != "f" for dtype in self.dtypes) + 7
        zeros = (
            jnp.zeros((self.last_obs.stop, num_envs)),
            jnp.zeros((num_integers, num_envs), jnp.int32),
        )
        return stacked(*(tuple(rows) for rows in zeros))

    def read(self, floats, integers) -> tuple[ArrayTree, Episode]:
        """An environment's state and episode from its columns."""
        floats, integers = iter(floats), iter(integers)
        leaves = [next(floats) if dtype.kind == "f" else next(integers).astype(dtype) for dtype in self.dtypes]
        over, fresh, tick, *words = integers
        tick, *words = (x.astype(np.uint32) for x in (tick, *words))
        episode = Episode(over != 0, fresh != 0, tick, tuple(words[:2]), tuple(words[2:]))
        return jax.tree.unflatten(self.treedef, leaves), episode

    def write(self, state: ArrayTree, episode: Episode, output: Output) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """An environment's columns, as tuples of scalars."""
        leaves = list(zip(jax.tree.leaves(state), self.dtypes, strict=True))
        output_rows = [
            *output.obs.ravel(),
            output.reward,
            output.terminated,
            output.truncated,
            output.stepped,
            *output.info,
        ]
        if self.autoreset is Autoreset.SAME_STEP:
            output_rows += [*output.last_obs.ravel()]
        floats = [leaf for leaf, dtype in leaves if dtype.kind == "f"] + output_rows
        integers = [leaf for leaf, dtype in leaves if dtype.kind != "f"] + jax.tree.leaves(episode)
        return tuple(x.astype(jnp.result_type(float)) for x in floats), tuple(x.astype(jnp.int32) for x in integers)

    def begin(self, params: Any, episode: Episode) -> tuple[ArrayTree, Episode, Output]:
        """An environment at the start of an episode, `episode` naming its random numbers."""
        start = self.env.sample_start(threefry.key_at(episode.start_words, jnp.uint32(0), episode.tick))
        state = self.env.initial_state(start, params)
        obs, nothing = self.env.observe(state), jnp.zeros(())
        output = Output(obs, nothing, nothing, nothing, nothing, (nothing,) * len(self.info), obs)
        return state, episode._replace(over=jnp.array(False), fresh=jnp.array(True)), output

    def step(self, params: Any, state: ArrayTree, episode: Episode, action: Array) -> tuple[ArrayTree, Episode, Output]:
        """An environment after a step."""
        noise = self.env.sample_noise(threefry.key_at(episode.noise_words, jnp.uint32(0), episode.tick))
        state, obs, reward, done, info = self.env.transition_info(state, action, noise, params)
        terminated = self.env.terminated(state)
        info = tuple(adapting.info_dict(info).values())
        output = Output(obs, reward, terminated, done & ~terminated, jnp.array(True), info, obs)
        return state, episode._replace(over=done, fresh=jnp.array(False), tick=episode.tick + 1), output


@functools.lru_cache(maxsize=256)
def layout_of(env: Environment, unpack: PackedParams, autoreset: Autoreset) -> Layout:
    def step(key, params):
        state = env.initial_state(env.sample_start(key), unpack(params))
        return state, env.transition_info(state, jnp.int32(0), env.sample_noise(key), unpack(params))[4]

    params = unpack.pack([1] * len(unpack.is_float))
    state, info = jax.eval_shape(step, jax.random.key(0), params)
    leaves, treedef = jax.tree.flatten(state)
    first = sum(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves)
    size = int(np.prod(env.obs_shape))
    reward = first + size
    infos = adapting.info_dict(info)
    last = reward + 4 + len(infos)
    return Layout(
        env=env,
        unpack=unpack,
        autoreset=autoreset,
        treedef=treedef,
        dtypes=tuple(np.dtype(leaf.dtype) for leaf in leaves),
        obs=slice(first, reward),
        reward=reward,
        terminated=reward + 1,
        truncated=reward + 2,
        stepped=reward + 3,
        info=tuple((name, reward + 4 + i, _python_type(leaf)) for i, (name, leaf) in enumerate(infos.items())),
        last_obs=slice(last, last + size * (autoreset is Autoreset.SAME_STEP)),
    )


def _python_type(leaf: Any) -> type:
    return {"f": float, "b": bool}.get(np.dtype(leaf.dtype).kind, int)


def each(layout: Layout, one: Callable, params: tuple[Array, Array]) -> Callable:
    """`one(params, ...)` mapped over environments, which share their parameters or have each its own."""
    unpacked = layout.unpack(params)
    if all(packed.ndim == 1 for packed in params):
        return jax.vmap(functools.partial(one, unpacked))
    return functools.partial(jax.vmap(one), unpacked)


def rows_of(arrays: Arrays) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    floats, integers = (tuple(row for piece in pieces for row in piece) for pieces in arrays)
    return floats, integers


def stacked(floats: tuple[Array, ...], integers: tuple[Array, ...]) -> Arrays:
    """The rows in pieces: of a lone environment one, since each array counts; else of `_ROWS`, since each kernel does.

    Outside of vmap, which would stack along the second axis and then transpose.
    """

    def pieces(rows):
        size = len(rows) if rows[0].shape == (1,) else _ROWS
        return tuple(jnp.stack(rows[i : i + size]) for i in range(0, len(rows), size))

    return Arrays(pieces(floats), pieces(integers))
