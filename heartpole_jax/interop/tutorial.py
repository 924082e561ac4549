"""The tutorial's own class: old Gym's interface, with a log. `from heartpole_jax.interop.tutorial import HeartPole`.

    heartpole = HeartPole()
    observation = heartpole.reset()
    observation, reward, done, _ = heartpole.step(heartpole.action_space.sample())
    heartpole.render()

The rest of old Gym that the tutorial uses is here as well: `import heartpole_jax.interop.tutorial as gym` in the place
of `import gym` has `register`, `make`, `Env` and `spaces`, since Gymnasium's `make` (1.4) refuses the old interface.
Today's agents do not speak it: `tutorial_agents` has Stable-Baselines3's DQN for it. New code takes
`gymnasium.make("heartpole_jax:HeartPole-v0")`.

Source: Vadim Liventsev, "Writing a custom OpenAI Gym environment". Departures: numbers are float32, chance comes from
`seed` and not from NumPy's global generator, and the log keeps the last thousand decisions, saying so, where the
tutorial's grows for ever.
"""

import importlib
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from heartpole_jax import validation
from heartpole_jax.envs.heartpole_v0 import (
    HEARTPOLE_V0,
    OBS_NAMES,
    EnvParams,
    EnvState,
    Noise,
    drink_beer,
    drink_coffee,
    sleep,
)
from heartpole_jax.interop import checks, stepping

try:
    import gymnasium
    from gymnasium import Env, spaces
except ImportError as missing:
    raise ImportError("this needs Gymnasium: pip install '.[gym]' in the clone") from missing

__all__ = ["Env", "HeartPole", "make", "register", "spaces"]

LOGGED_DECISIONS = 1000
_COUNTERS = ("time_since_slept", "time_elapsed")


_registry: dict[str, str | Callable[..., Any]] = {}


def register(id: str, entry_point: str | Callable[..., Any]) -> None:
    """Makes an environment known to `make`: `entry_point` is "module:Class", or what is called to make one."""
    _registry[id] = entry_point


def make(id: str, **kwargs: Any) -> Any:
    """A new environment of those registered here, unwrapped, made with the keywords.

    Raises:
      ValueError: for an unknown name.
    """
    entry_point = validation.look_up(_registry, id, "environment")
    if isinstance(entry_point, str):
        module, _, name = entry_point.partition(":")
        entry_point = getattr(importlib.import_module(module), name)
    return entry_point(**kwargs)


def do_nothing(state: EnvState, noise: Noise, params: EnvParams) -> EnvState:
    """The patient as before: just works."""
    return state


class HeartPole(gymnasium.Env):
    """The tutorial's environment, its attributes and methods.

    Attributes:
      actions: do_nothing, drink_coffee, drink_beer, sleep; the model's pure functions (state, noise, params) -> state.
      observations: the names of the six numbers of an observation.
      action_space, observation_space: Gymnasium's.
      heart_attack_proclivity, max_steps: as given; assign others and they hold from the next reset on.
      log: what happened, a text; assign "" to forget it.

    Raises:
      ValueError, TypeError: for a proclivity outside [0, 1], a `max_steps` that is no whole number of at least 1.
    """

    def __init__(self, heart_attack_proclivity: float = 0.5, max_steps: int = 1000):
        self.actions = [do_nothing, drink_coffee, drink_beer, sleep]
        self.observations = list(OBS_NAMES)
        self.action_space = checks.action_space(HEARTPOLE_V0)
        self.observation_space = checks.observation_space(HEARTPOLE_V0, HEARTPOLE_V0.default_params)
        self.heart_attack_proclivity, self.max_steps = heart_attack_proclivity, max_steps
        self._lines: deque[tuple[int, bool, np.ndarray]] = deque(maxlen=LOGGED_DECISIONS)
        self._num_forgotten = 0
        self._words: np.ndarray | None = None
        self._obs: Any = None
        self._make_envs()

    @property
    def state(self) -> dict[str, float]:
        """The patient's six numbers by name."""
        self._check_reset()
        return dict(zip(self.observations, self._obs.tolist(), strict=True))

    @property
    def log(self) -> str:
        """What was chosen, what happened, and where that led, of the last thousand decisions since it was cleared."""
        forgotten = f"({self._num_forgotten} earlier decisions are forgotten)\n" if self._num_forgotten else ""
        return forgotten + "".join(self._line_text(*line) for line in self._lines)

    @log.setter
    def log(self, text: str) -> None:
        if text != "":
            raise ValueError(f"log can only be cleared, by assigning '', got {text!r}")
        self._lines.clear()
        self._num_forgotten = 0

    def seed(self, seed: int | None = None) -> list[int]:
        """Seeds the random numbers from the next reset on, as old Gym's `seed`; None takes entropy."""
        if seed is None:
            seed = int(np.random.SeedSequence().entropy)  # type: ignore[arg-type]
        self._words = stepping.seed_words(checks.check_seed(seed))
        self._later_words = np.random.default_rng(seed)
        return [seed]

    def observation(self) -> np.ndarray:
        """The observation, float32 of shape (6,)."""
        self._check_reset()
        return self._obs.copy()

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> np.ndarray:  # type: ignore[override]
        """A new patient's observation, alone, as in old Gym; the log goes on."""
        checks.check_options(options, known=())
        if (self.heart_attack_proclivity, self.max_steps) != self._made_of:
            self._make_envs()
        if seed is not None or (self._words is None and self._obs is None):
            self.seed(seed)
        one = np.ones(1, bool)
        words, self._words = self._words, None
        seeded = one if words is not None else ~one
        self._obs = self._envs.reset(np.zeros((1, 2), np.uint32) if words is None else words[None], seeded, one)[0]
        return self._obs.copy()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, dict]:  # type: ignore[override]
        """(observation, reward, done, {}) after a decision; done is the time limit, the decision `max_steps`.

        Raises:
          gymnasium.error.InvalidAction: for anything but a whole number in 0 .. 3.
          gymnasium.error.ResetNeeded: before the first reset.
        """
        action = checks.check_action(action, HEARTPOLE_V0.num_actions)
        self._check_reset()
        outcome = self._envs.step_lone(action)
        self._obs = outcome.obs
        self._num_forgotten += len(self._lines) == LOGGED_DECISIONS
        self._lines.append((action, outcome.info["heart_attack"], outcome.obs))
        return outcome.obs.copy(), outcome.reward, outcome.truncated, {}

    def render(self, mode: str | None = None) -> None:
        """Prints the log and clears it."""
        print(self.log)
        self.log = ""

    def close(self) -> None:
        """Nothing to close."""

    def _line_text(self, action: int, heart_attack: bool, obs: np.ndarray) -> str:
        state = {name: int(x) if name in _COUNTERS else x for name, x in zip(OBS_NAMES, obs.tolist(), strict=True)}
        return f"Chosen action: {self.actions[action].__name__}\n" + "HEART ATTACK\n" * heart_attack + f"{state}\n"

    def _make_envs(self) -> None:
        self._made_of = (self.heart_attack_proclivity, self.max_steps)
        params = checks.env_params(
            HEARTPOLE_V0, {"heart_attack_proclivity": self.heart_attack_proclivity, "max_steps": self.max_steps}
        )
        self._envs = stepping.Envs(HEARTPOLE_V0, params, num_envs=1)
        if self._obs is not None and self._words is None:  # the new environments have no random numbers yet
            self._words = self._later_words.integers(0, 2**32, 2, np.uint32)

    def _check_reset(self) -> None:
        if self._obs is None:
            checks.refuse_step(closed=False)
