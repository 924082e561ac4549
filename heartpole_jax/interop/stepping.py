"""Environments stepped from Python: their states stay on the device, one compiled call a step, NumPy out.

What Gymnasium's, Stable-Baselines3's and the tutorial's interfaces have in common. A step of the model takes 50 ns;
what a host loop waits for is dispatch and copies, a microsecond or more for each array that goes in or comes out. So
all that is kept and all that a step returns is in a few arrays, see `layout` and docs/performance.md.

The random numbers are those of `rollout`: an environment seeded with s, through all its episodes, is the one
environment of `rollout(policy, jax.random.key(s), num_envs=1, autoreset=True)`, whatever the mode of resetting.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, ArrayTree

from heartpole_jax import threefry
from heartpole_jax.envs.environment import Environment
from heartpole_jax.interop import adapting, forking
from heartpole_jax.interop.layout import (
    Arrays,
    Autoreset,
    Episode,
    Layout,
    PackedParams,
    each,
    layout_of,
    rows_of,
    stacked,
)

_NOISE, _START = 0, 2  # the purposes of random numbers in `rollout`


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
        self._leaves = leaves
        self._unpack = PackedParams(treedef, tuple(np.asarray(x).dtype.kind == "f" for x in leaves))
        self.num_envs = num_envs
        self._env, self._autoreset = env, autoreset
        self._expected_penalty = getattr(params, "expected_penalty", None)  # None where there are no heart attacks
        self._is_penalty_sampled = not np.any(self._expected_penalty)
        self._arrays: Arrays
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
        self._layout = layout_of(self._env, self._unpack, self._autoreset)
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


@functools.partial(jax.jit, static_argnums=0)
def _reset(layout: Layout, params, arrays: Arrays, seeds, seeded, chosen) -> Arrays:
    """The arrays after a reset of the chosen environments, of which the seeded ones take new keys."""

    def one(params, floats, integers, seed, seeded, chosen):
        state, episode = layout.read(floats, integers)
        key = jax.random.wrap_key_data(seed, impl="threefry2x32")
        sown = Episode(
            episode.over, episode.fresh, jnp.uint32(0), threefry.fold_in(key, _START), threefry.fold_in(key, _NOISE)
        )
        # Two resets in a row are two episodes: the second goes one tick on.
        begun = layout.begin(
            params, _where(seeded, sown, episode._replace(tick=episode.tick + episode.fresh.astype(jnp.uint32)))
        )
        output = begun[2]._replace(obs=layout.env.observe(state))  # the others' observation stays what it was
        return layout.write(*_where(chosen, begun, (state, episode, output)))

    return stacked(*each(layout, one, params)(*rows_of(arrays), seeds, seeded, chosen))


@functools.partial(jax.jit, static_argnums=0)
def _step(layout: Layout, params, arrays: Arrays, actions) -> Arrays:
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

    rows = rows_of(arrays)
    step_all = each(layout, one, params)
    if actions.shape == (1,):
        # A loop of one round, as the compiler cannot know: it runs its kernels on the calling thread, one after the
        # other, where outside of loops they are handed to other threads, at ten times the cost of such small ones.
        once = jnp.minimum(actions[0], 0) + 1
        rows = jax.lax.fori_loop(0, once, lambda _, rows: step_all(rows[0], rows[1], actions), rows)
    else:
        rows = step_all(rows[0], rows[1], actions)
    return stacked(*rows)


def _where(condition: Array, chosen: ArrayTree, otherwise: ArrayTree) -> ArrayTree:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), chosen, otherwise)
