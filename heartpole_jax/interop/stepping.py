"""Environments stepped from Python: lanes that live on the device, one compiled call a step, NumPy out.

What Gymnasium's, Stable-Baselines3's and the tutorial's interfaces have in common. A step of the model takes 50 ns;
what a host loop waits for is dispatch and copies, a microsecond or more for each array that goes in or comes out. So a
lane's state and all that a step tells are rows of a few arrays whose columns are lanes (docs/performance.md).

The dice are those of `rollout`: a lane seeded with s, through all the episodes of its life, is the one lane of
`rollout(policy, jax.random.key(s), num_envs=1, autoreset=True)`, whatever the mode of resetting.
"""

import dataclasses
import enum
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, ArrayTree

from heartpole_jax import threefry
from heartpole_jax.environment import Environment
from heartpole_jax.interop import forking

_NOISE, _START = 0, 2  # the purposes of dice in `rollout`
# XLA on a CPU makes one kernel of a stack of up to eight rows, which computes what they share anew for each, and one
# for each row of a larger stack. Four are the fastest at 64 lanes.
_ROWS = 4


class Autoreset(enum.Enum):
    """What becomes of a lane whose episode has ended."""

    NEXT_STEP = "next step"  # its next step begins an episode, whatever the action
    SAME_STEP = "same step"  # the step that ended the episode has begun the next one
    NEVER = "never"  # it waits for a reset


class Outcome(NamedTuple):
    """What a step of all lanes tells, NumPy arrays of the caller's own, of shape (num_envs, ...)."""

    obs: np.ndarray  # float32, to go on with
    reward: np.ndarray  # float64
    terminated: np.ndarray  # bool, a true end
    truncated: np.ndarray  # bool, the time limit
    stepped: np.ndarray  # bool, False where the lane began an episode instead (NEXT_STEP)
    info: dict[str, np.ndarray]  # what the environment tells of the step
    last_obs: np.ndarray | None  # float32, the true last observations; None where no lane was reset (SAME_STEP)


class LoneOutcome(NamedTuple):
    """What a step of a single lane tells, in Python's own numbers."""

    obs: np.ndarray  # float32
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


class Lanes:
    """`num_envs` lanes of an environment, stepped together.

    Args:
      env: the environment.
      params: its parameters, a pytree of numbers.
      num_envs: how many lanes.
      autoreset: what becomes of a lane whose episode has ended.
    """

    def __init__(self, env: Environment, params: Any, num_envs: int, autoreset: Autoreset = Autoreset.NEVER):
        leaves, treedef = jax.tree.flatten(params)
        self._leaves, self._unpack = leaves, _Unpack(treedef, tuple(isinstance(x, float | np.floating) for x in leaves))
        self.num_envs = num_envs
        self._env, self._autoreset = env, autoreset
        self._arrays: _Arrays
        self._is_placed = False  # nothing is on a device before a reset: a process may fork until then

    def reset(self, seeds: np.ndarray, seeded: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Begins an episode in the `chosen` lanes; the observations of all, float32 of shape (num_envs, ...).

        Args:
          seeds: two words of a key for each lane, uint32 of shape (num_envs, 2), see `seed_words`.
          seeded: which lanes take them, bool of shape (num_envs,); the others go on with the dice they have.
          chosen: which lanes begin, bool of shape (num_envs,); the others stay as they are.
        """
        forking.check()
        if not self._is_placed:
            self._place()
        self._arrays = _reset(self._layout, self._params, self._arrays, seeds, seeded, chosen)
        return _columns(self._values(), self._layout.obs)

    def step(self, actions: np.ndarray) -> Outcome:
        """One step of every lane; `actions` are int32 of shape (num_envs,), each in range."""
        forking.check()
        layout = self._layout
        self._arrays = _step(layout, self._params, self._arrays, actions)
        values = self._values()
        terminated, truncated = values[layout.terminated] != 0, values[layout.truncated] != 0
        was_reset = layout.autoreset is Autoreset.SAME_STEP and bool((terminated | truncated).any())
        return Outcome(
            obs=_columns(values, layout.obs),
            reward=values[layout.reward].astype(np.float64),
            terminated=terminated,
            truncated=truncated,
            stepped=values[layout.stepped] != 0,
            info={name: values[row].astype(type_) for name, row, type_ in layout.info},
            last_obs=_columns(values, layout.last_obs) if was_reset else None,
        )

    def step_lone(self, action: int) -> LoneOutcome:
        """One step of the only lane; `action` is in range."""
        forking.check()
        layout = self._layout
        self._arrays = _step(layout, self._params, self._arrays, self._actions[action])
        column = np.asarray(self._arrays.floats[0])[:, 0]
        values = column.tolist()
        return LoneOutcome(
            column[layout.obs].astype(np.float32),
            values[layout.reward],
            values[layout.terminated] != 0,
            values[layout.truncated] != 0,
            {name: type_(values[row]) for name, row, type_ in layout.info},
        )

    def state(self, lane: int = 0) -> ArrayTree:
        """The environment's state in a lane, with scalars of NumPy's as leaves."""
        columns = (np.concatenate(pieces)[:, lane] for pieces in self._arrays)
        return self._layout.read(*columns)[0]

    def empty_info(self) -> dict[str, Any]:
        """Zeros in the place of what a step tells of one lane, for a reset; after one."""
        return {name: type_(0) for name, _, type_ in self._layout.info}

    def _place(self) -> None:
        """Puts on the device what waits there."""
        self._layout = _layout(self._env, self._unpack, self._autoreset)
        self._params = self._unpack.pack(self._leaves)
        # A lone lane's actions wait on the device: handing in a number costs a microsecond and a half.
        self._actions = [jax.device_put(np.array([action], np.int32)) for action in range(self._env.num_actions)]
        self._arrays = self._layout.empty(self.num_envs)
        self._is_placed = True

    def _values(self) -> np.ndarray:
        """The rows of floats, of shape (rows, num_envs)."""
        return np.concatenate(self._arrays.floats)


def seed_words(seed: int) -> np.ndarray:
    """The two words of `jax.random.key(seed)`, uint32 of shape (2,); seeds beyond 64 bits are hashed first."""
    if seed >= 2**64:
        return np.random.SeedSequence(seed).generate_state(2)
    return np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)


def _columns(values: np.ndarray, rows: slice) -> np.ndarray:
    """Some rows of (rows, lanes) as a new float32 array of shape (lanes, rows)."""
    return np.array(values[rows].T, np.float32, order="C")


class _Arrays(NamedTuple):
    """All lanes: their rows in pieces of shape (rows, num_envs), see `_stacked`."""

    floats: tuple[Array, ...]
    integers: tuple[Array, ...]


class _Life(NamedTuple):
    """What a lane knows besides the environment's state, scalars."""

    over: Array  # bool, its last step ended the episode
    fresh: Array  # bool, it has made no step since the last reset
    tick: Array  # uint32, steps since it was seeded: with the words it names the dice
    start_words: tuple[Array, Array]
    noise_words: tuple[Array, Array]


class _Told(NamedTuple):
    """What a step of one lane tells."""

    obs: Array
    reward: Array
    terminated: Array
    truncated: Array
    stepped: Array
    info: tuple[Array, ...]
    last_obs: Array


@dataclasses.dataclass(frozen=True)
class _Unpack:
    """How parameters are packed into an array of floats and one of integers. Hashable, for jit."""

    treedef: Any
    is_float: tuple[bool, ...]

    def pack(self, leaves: list) -> tuple[Array, Array]:
        floats = [float(x) for x, is_float in zip(leaves, self.is_float, strict=True) if is_float]
        integers = [int(x) for x, is_float in zip(leaves, self.is_float, strict=True) if not is_float]
        return jnp.array(floats, jnp.result_type(float)), jnp.array(integers, jnp.int32)

    def __call__(self, packed: tuple[Array, Array]) -> Any:
        floats, integers = iter(packed[0]), iter(packed[1])
        return jax.tree.unflatten(self.treedef, [next(floats if is_float else integers) for is_float in self.is_float])


@dataclasses.dataclass(frozen=True, eq=False)
class _Layout:
    """The environment, and which row is what. Hashable: jit compiles once for all `Lanes` of the same."""

    env: Environment
    unpack: _Unpack
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

    def empty(self, num_envs: int) -> _Arrays:
        """The arrays of lanes that have yet to be reset."""
        num_integers = sum(dtype.kind != "f" for dtype in self.dtypes) + 7
        zeros = (
            jnp.zeros((self.last_obs.stop, num_envs)),
            jnp.zeros((num_integers, num_envs), jnp.int32),
        )
        return _stacked(*(tuple(rows) for rows in zeros))

    def read(self, floats, integers) -> tuple[ArrayTree, _Life]:
        """A lane's state and life from its columns."""
        floats, integers = iter(floats), iter(integers)
        leaves = [next(floats) if dtype.kind == "f" else next(integers).astype(dtype) for dtype in self.dtypes]
        over, fresh, tick, *words = integers
        tick, *words = (x.astype(np.uint32) for x in (tick, *words))
        life = _Life(over != 0, fresh != 0, tick, tuple(words[:2]), tuple(words[2:]))
        return jax.tree.unflatten(self.treedef, leaves), life

    def write(self, state: ArrayTree, life: _Life, told: _Told) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """A lane's columns, as tuples of scalars."""
        leaves = list(zip(jax.tree.leaves(state), self.dtypes, strict=True))
        told_rows = [*told.obs.ravel(), told.reward, told.terminated, told.truncated, told.stepped, *told.info]
        if self.autoreset is Autoreset.SAME_STEP:
            told_rows += [*told.last_obs.ravel()]
        floats = [leaf for leaf, dtype in leaves if dtype.kind == "f"] + told_rows
        integers = [leaf for leaf, dtype in leaves if dtype.kind != "f"] + jax.tree.leaves(life)
        return tuple(x.astype(jnp.result_type(float)) for x in floats), tuple(x.astype(jnp.int32) for x in integers)

    def begin(self, params: Any, life: _Life) -> tuple[ArrayTree, _Life, _Told]:
        """A lane at the start of an episode, `life` naming its dice."""
        start = self.env.sample_start(threefry.key_at(life.start_words, jnp.uint32(0), life.tick))
        state = self.env.initial_state(start, params)
        obs, nothing = self.env.observe(state), jnp.zeros(())
        told = _Told(obs, nothing, nothing, nothing, nothing, (nothing,) * len(self.info), obs)
        return state, life._replace(over=jnp.array(False), fresh=jnp.array(True)), told

    def step(self, params: Any, state: ArrayTree, life: _Life, action: Array) -> tuple[ArrayTree, _Life, _Told]:
        """A lane after a step."""
        noise = self.env.sample_noise(threefry.key_at(life.noise_words, jnp.uint32(0), life.tick))
        state, obs, reward, done, info = self.env.transition_info(state, action, noise, params)
        terminated = self.env.terminated(state)
        told = _Told(obs, reward, terminated, done & ~terminated, jnp.array(True), tuple(vars(info).values()), obs)
        return state, life._replace(over=done, fresh=jnp.array(False), tick=life.tick + 1), told


@functools.lru_cache(maxsize=256)
def _layout(env: Environment, unpack: _Unpack, autoreset: Autoreset) -> _Layout:
    def step(key, params):
        state = env.initial_state(env.sample_start(key), unpack(params))
        return state, env.transition_info(state, jnp.int32(0), env.sample_noise(key), unpack(params))[4]

    params = unpack.pack([1] * len(unpack.is_float))
    state, info = jax.eval_shape(step, jax.random.key(0), params)
    leaves, treedef = jax.tree.flatten(state)
    first = sum(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves)
    size = int(np.prod(env.obs_shape))
    reward = first + size
    last = reward + 4 + len(vars(info))
    return _Layout(
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
        info=tuple((name, reward + 4 + i, _python_type(leaf)) for i, (name, leaf) in enumerate(vars(info).items())),
        last_obs=slice(last, last + size * (autoreset is Autoreset.SAME_STEP)),
    )


def _python_type(leaf: Any) -> type:
    return {"f": float, "b": bool}.get(np.dtype(leaf.dtype).kind, int)


@functools.partial(jax.jit, static_argnums=0)
def _reset(layout: _Layout, params, arrays: _Arrays, seeds, seeded, chosen) -> _Arrays:
    """The arrays after a reset of the chosen lanes, of which the seeded ones take new dice."""

    def lane(floats, integers, seed, seeded, chosen):
        state, life = layout.read(floats, integers)
        key = jax.random.wrap_key_data(seed, impl="threefry2x32")
        sown = _Life(life.over, life.fresh, jnp.uint32(0), threefry.fold_in(key, _START), threefry.fold_in(key, _NOISE))
        # Two resets in a row are two episodes: the second goes one tick on.
        begun = layout.begin(
            layout.unpack(params), _where(seeded, sown, life._replace(tick=life.tick + life.fresh.astype(jnp.uint32)))
        )
        told = begun[2]._replace(obs=layout.env.observe(state))  # the others' observation stays what it was
        return layout.write(*_where(chosen, begun, (state, life, told)))

    return _stacked(*jax.vmap(lane)(*_rows(arrays), seeds, seeded, chosen))


@functools.partial(jax.jit, static_argnums=0)
def _step(layout: _Layout, params, arrays: _Arrays, actions) -> _Arrays:
    """The arrays after a step of every lane."""
    params = layout.unpack(params)

    def lane(floats, integers, action):
        state, life = layout.read(floats, integers)
        stepped = layout.step(params, state, life, action)
        if layout.autoreset is Autoreset.NEXT_STEP:
            stepped = _where(life.over, layout.begin(params, life), stepped)
        elif layout.autoreset is Autoreset.SAME_STEP:
            state, life, told = stepped
            begun = layout.begin(params, life)
            stepped = _where(life.over, (*begun[:2], told._replace(obs=begun[2].obs)), stepped)
        return layout.write(*stepped)

    rows = _rows(arrays)
    if actions.shape == (1,):
        # A loop of one round, as the compiler cannot know: it runs its kernels on the calling thread, one after the
        # other, where outside of loops they are handed to other threads, at ten times the cost of such small ones.
        once = jnp.minimum(actions[0], 0) + 1
        rows = jax.lax.fori_loop(0, once, lambda _, rows: jax.vmap(lane)(rows[0], rows[1], actions), rows)
    else:
        rows = jax.vmap(lane)(rows[0], rows[1], actions)
    return _stacked(*rows)


def _rows(arrays: _Arrays) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    floats, integers = (tuple(row for piece in pieces for row in piece) for pieces in arrays)
    return floats, integers


def _stacked(floats: tuple[Array, ...], integers: tuple[Array, ...]) -> _Arrays:
    """The rows in pieces: of a lone lane in one, where each array counts; else of `_ROWS`, where each kernel does.

    Outside of vmap, which would stack along the second axis and then transpose.
    """

    def pieces(rows):
        size = len(rows) if rows[0].shape == (1,) else _ROWS
        return tuple(jnp.stack(rows[i : i + size]) for i in range(0, len(rows), size))

    return _Arrays(pieces(floats), pieces(integers))


def _where(condition: Array, chosen: ArrayTree, otherwise: ArrayTree) -> ArrayTree:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), chosen, otherwise)
