"""Environments stepped from Python: their states stay on the device, one compiled call a step, NumPy out.

What Gymnasium's, Stable-Baselines3's and the tutorial's interfaces have in common. A step of the model takes 50 ns;
what a host loop waits for is dispatch and copies, a microsecond or more for each array that goes in or comes out. So a
environment's state and all that a step returns are rows of a few arrays whose columns are environments
(docs/performance.md).

The random numbers are those of `rollout`: an environment seeded with s, through all its episodes, is the one
environment of `rollout(policy, jax.random.key(s), num_envs=1, autoreset=True)`, whatever the mode of resetting.
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
from heartpole_jax.interop import adapting, forking

_NOISE, _START = 0, 2  # the purposes of random numbers in `rollout`
# XLA on a CPU makes one kernel of a stack of up to eight rows, which computes what they share anew for each, and one
# for each row of a larger stack. Four are the fastest at 64 environments.
_ROWS = 4


class Autoreset(enum.Enum):
    """What becomes of an environment whose episode has ended."""

    NEXT_STEP = "next step"  # its next step begins an episode, whatever the action
    SAME_STEP = "same step"  # the step that ended the episode has begun the next one
    NEVER = "never"  # it waits for a reset


class StepResult(NamedTuple):
    """What a step of all environments returns, NumPy arrays of the caller's own, of shape (num_envs, ...)."""

    obs: np.ndarray  # float32, to go on with
    reward: np.ndarray  # float64
    terminated: np.ndarray  # bool, a true end
    truncated: np.ndarray  # bool, the time limit
    stepped: np.ndarray  # bool, False where the environment began an episode instead (NEXT_STEP)
    info: dict[str, np.ndarray]  # what the environment tells of the step, and its cost
    last_obs: np.ndarray | None  # float32, the true last observations; None where no environment was reset (SAME_STEP)


class LoneOutcome(NamedTuple):
    """What a step of a single environment returns, in Python's own numbers."""

    obs: np.ndarray  # float32
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


class Envs:
    """`num_envs` copies of an environment, stepped together.

    Args:
      env: the environment.
      params: its parameters, a pytree of numbers, or of arrays of a number for each environment.
      num_envs: how many environments.
      autoreset: what becomes of an environment whose episode has ended.
    """

    def __init__(self, env: Environment, params: Any, num_envs: int, autoreset: Autoreset = Autoreset.NEVER):
        leaves, treedef = jax.tree.flatten(params)
        self._leaves, self._unpack = leaves, _Unpack(treedef, tuple(np.asarray(x).dtype.kind == "f" for x in leaves))
        self.num_envs = num_envs
        self._env, self._autoreset = env, autoreset
        self._expected_penalty = getattr(params, "expected_penalty", None)  # None where there are no heart attacks
        self._is_penalty_sampled = not np.any(self._expected_penalty)
        self._arrays: _Arrays
        self._is_placed = False  # nothing is on a device before a reset: a process may fork until then

    def reset(self, seeds: np.ndarray, seeded: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Begins an episode in the `chosen` environments; the observations of all, float32 of shape (num_envs, ...).

        Args:
          seeds: two words of a key for each environment, uint32 of shape (num_envs, 2), see `seed_words`.
          seeded: which environments take them, bool of shape (num_envs,); the others go on with the keys they have.
          chosen: which environments begin, bool of shape (num_envs,); the others stay as they are.
        """
        forking.check()
        if not self._is_placed:
            self._place()
        self._arrays = _reset(self._layout, self._params, self._arrays, seeds, seeded, chosen)
        return _columns(self._values(), self._layout.obs)

    def step(self, actions: np.ndarray) -> StepResult:
        """One step of every environment; `actions` are int32 of shape (num_envs,), each in range."""
        forking.check()
        layout = self._layout
        self._arrays = _step(layout, self._params, self._arrays, actions)
        values = self._values()
        terminated, truncated = values[layout.terminated] != 0, values[layout.truncated] != 0
        was_reset = layout.autoreset is Autoreset.SAME_STEP and bool((terminated | truncated).any())
        return StepResult(
            obs=_columns(values, layout.obs),
            reward=values[layout.reward].astype(np.float64),
            terminated=terminated,
            truncated=truncated,
            stepped=values[layout.stepped] != 0,
            info=self._with_cost({name: values[row].astype(type_) for name, row, type_ in layout.info}),
            last_obs=_columns(values, layout.last_obs) if was_reset else None,
        )

    def step_lone(self, action: int) -> LoneOutcome:
        """One step of the only environment; `action` is in range."""
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
            self._with_cost({name: type_(values[row]) for name, row, type_ in layout.info}),
        )

    def state(self, index: int = 0) -> ArrayTree:
        """The state of one of the environments, with scalars of NumPy's as leaves."""
        columns = (np.concatenate(pieces)[:, index] for pieces in self._arrays)
        return self._layout.read(*columns)[0]

    def empty_info(self) -> dict[str, Any]:
        """Zeros in the place of what a step returns for one environment, for a reset; after one."""
        cost = {} if self._expected_penalty is None else {"cost": 0.0}
        return {name: type_(0) for name, _, type_ in self._layout.info} | cost

    def _with_cost(self, info: dict[str, Any]) -> dict[str, Any]:
        """`info`, with the step's cost in heart attacks added; computed here, since a row more costs a step more."""
        if self._expected_penalty is not None:
            attack, risk = info["heart_attack"], info["heart_attack_risk"]
            sampled = self._is_penalty_sampled
            info["cost"] = attack * 1.0 if sampled else adapting.cost(attack, risk, self._expected_penalty)
        return info

    def _place(self) -> None:
        """Puts on the device what waits there."""
        self._layout = _layout(self._env, self._unpack, self._autoreset)
        if not {"heart_attack", "heart_attack_risk"} <= {name for name, *_ in self._layout.info}:
            self._expected_penalty = None
        self._params = self._unpack.pack(self._leaves)
        # A lone environment's actions wait on the device: handing in a number costs a microsecond and a half.
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
    """Some rows of (rows, environments) as a new float32 array of shape (environments, rows)."""
    return np.array(values[rows].T, np.float32, order="C")


class _Arrays(NamedTuple):
    """All environments: their rows in pieces of shape (rows, num_envs), see `_stacked`."""

    floats: tuple[Array, ...]
    integers: tuple[Array, ...]


class _Episode(NamedTuple):
    """What is kept of an environment besides its state, scalars."""

    over: Array  # bool, its last step ended the episode
    fresh: Array  # bool, it has made no step since the last reset
    tick: Array  # uint32, steps since it was seeded: with the words it names the random numbers
    start_words: tuple[Array, Array]
    noise_words: tuple[Array, Array]


class _Output(NamedTuple):
    """What a step of one environment returns."""

    obs: Array
    reward: Array
    terminated: Array
    truncated: Array
    stepped: Array
    info: tuple[Array, ...]
    last_obs: Array


@dataclasses.dataclass(frozen=True)
class _Unpack:
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
class _Layout:
    """The environment, and which row is what. Hashable: jit compiles once for all `Envs` of the same."""

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
        """The arrays of environments that have yet to be reset."""
        num_integers = sum(dtype.kind != "f" for dtype in self.dtypes) + 7
        zeros = (
            jnp.zeros((self.last_obs.stop, num_envs)),
            jnp.zeros((num_integers, num_envs), jnp.int32),
        )
        return _stacked(*(tuple(rows) for rows in zeros))

    def read(self, floats, integers) -> tuple[ArrayTree, _Episode]:
        """An environment's state and episode from its columns."""
        floats, integers = iter(floats), iter(integers)
        leaves = [next(floats) if dtype.kind == "f" else next(integers).astype(dtype) for dtype in self.dtypes]
        over, fresh, tick, *words = integers
        tick, *words = (x.astype(np.uint32) for x in (tick, *words))
        episode = _Episode(over != 0, fresh != 0, tick, tuple(words[:2]), tuple(words[2:]))
        return jax.tree.unflatten(self.treedef, leaves), episode

    def write(
        self, state: ArrayTree, episode: _Episode, output: _Output
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
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

    def begin(self, params: Any, episode: _Episode) -> tuple[ArrayTree, _Episode, _Output]:
        """An environment at the start of an episode, `episode` naming its random numbers."""
        start = self.env.sample_start(threefry.key_at(episode.start_words, jnp.uint32(0), episode.tick))
        state = self.env.initial_state(start, params)
        obs, nothing = self.env.observe(state), jnp.zeros(())
        output = _Output(obs, nothing, nothing, nothing, nothing, (nothing,) * len(self.info), obs)
        return state, episode._replace(over=jnp.array(False), fresh=jnp.array(True)), output

    def step(
        self, params: Any, state: ArrayTree, episode: _Episode, action: Array
    ) -> tuple[ArrayTree, _Episode, _Output]:
        """An environment after a step."""
        noise = self.env.sample_noise(threefry.key_at(episode.noise_words, jnp.uint32(0), episode.tick))
        state, obs, reward, done, info = self.env.transition_info(state, action, noise, params)
        terminated = self.env.terminated(state)
        output = _Output(
            obs, reward, terminated, done & ~terminated, jnp.array(True), tuple(adapting.info_dict(info).values()), obs
        )
        return state, episode._replace(over=done, fresh=jnp.array(False), tick=episode.tick + 1), output


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
    infos = adapting.info_dict(info)
    last = reward + 4 + len(infos)
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
        info=tuple((name, reward + 4 + i, _python_type(leaf)) for i, (name, leaf) in enumerate(infos.items())),
        last_obs=slice(last, last + size * (autoreset is Autoreset.SAME_STEP)),
    )


def _python_type(leaf: Any) -> type:
    return {"f": float, "b": bool}.get(np.dtype(leaf.dtype).kind, int)


@functools.partial(jax.jit, static_argnums=0)
def _reset(layout: _Layout, params, arrays: _Arrays, seeds, seeded, chosen) -> _Arrays:
    """The arrays after a reset of the chosen environments, of which the seeded ones take new keys."""

    def one(params, floats, integers, seed, seeded, chosen):
        state, episode = layout.read(floats, integers)
        key = jax.random.wrap_key_data(seed, impl="threefry2x32")
        sown = _Episode(
            episode.over, episode.fresh, jnp.uint32(0), threefry.fold_in(key, _START), threefry.fold_in(key, _NOISE)
        )
        # Two resets in a row are two episodes: the second goes one tick on.
        begun = layout.begin(
            params, _where(seeded, sown, episode._replace(tick=episode.tick + episode.fresh.astype(jnp.uint32)))
        )
        output = begun[2]._replace(obs=layout.env.observe(state))  # the others' observation stays what it was
        return layout.write(*_where(chosen, begun, (state, episode, output)))

    return _stacked(*_each(layout, one, params)(*_rows(arrays), seeds, seeded, chosen))


@functools.partial(jax.jit, static_argnums=0)
def _step(layout: _Layout, params, arrays: _Arrays, actions) -> _Arrays:
    """The arrays after a step of every environment."""

    def one(params, floats, integers, action):
        state, episode = layout.read(floats, integers)
        stepped = layout.step(params, state, episode, action)
        if layout.autoreset is Autoreset.NEXT_STEP:
            stepped = _where(episode.over, layout.begin(params, episode), stepped)
        elif layout.autoreset is Autoreset.SAME_STEP:
            state, episode, output = stepped
            begun = layout.begin(params, episode)
            stepped = _where(episode.over, (*begun[:2], output._replace(obs=begun[2].obs)), stepped)
        return layout.write(*stepped)

    rows = _rows(arrays)
    each = _each(layout, one, params)
    if actions.shape == (1,):
        # A loop of one round, as the compiler cannot know: it runs its kernels on the calling thread, one after the
        # other, where outside of loops they are handed to other threads, at ten times the cost of such small ones.
        once = jnp.minimum(actions[0], 0) + 1
        rows = jax.lax.fori_loop(0, once, lambda _, rows: each(rows[0], rows[1], actions), rows)
    else:
        rows = each(rows[0], rows[1], actions)
    return _stacked(*rows)


def _each(layout: _Layout, one: Callable, params: tuple[Array, Array]) -> Callable:
    """`one(params, ...)` mapped over environments, which share their parameters or have each its own."""
    unpacked = layout.unpack(params)
    if all(packed.ndim == 1 for packed in params):
        return jax.vmap(functools.partial(one, unpacked))
    return functools.partial(jax.vmap(one), unpacked)


def _rows(arrays: _Arrays) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    floats, integers = (tuple(row for piece in pieces for row in piece) for pieces in arrays)
    return floats, integers


def _stacked(floats: tuple[Array, ...], integers: tuple[Array, ...]) -> _Arrays:
    """The rows in pieces: of a lone environment one, since each array counts; else of `_ROWS`, since each kernel does.

    Outside of vmap, which would stack along the second axis and then transpose.
    """

    def pieces(rows):
        size = len(rows) if rows[0].shape == (1,) else _ROWS
        return tuple(jnp.stack(rows[i : i + size]) for i in range(0, len(rows), size))

    return _Arrays(pieces(floats), pieces(integers))


def _where(condition: Array, chosen: ArrayTree, otherwise: ArrayTree) -> ArrayTree:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), chosen, otherwise)
