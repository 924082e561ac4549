"""One patient as a `gymnasium.Env`."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from chex import ArrayTree
from gymnasium import error

from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.menu import Menu
from heartpole_jax.interop import adapting, checks, stepping
from heartpole_jax.interop.gymnasium import keys
from heartpole_jax.interop.rendering import Renderer

METADATA: dict[str, Any] = {"render_modes": ["ansi", "rgb_array", "human"], "render_fps": 10}


class Env(gymnasium.Env):
    """One patient.

    Args:
      render_mode: None, "ansi", "rgb_array" or "human".
      env, menu: an `Environment`, or the name and the menu of `heartpole_jax.make`.
      **params: `EnvParams`'s, of that version.

    Raises:
      gymnasium.error.UnsupportedMode: for another render mode.
      TypeError: for an unknown keyword.
      ValueError, TypeError: for an unknown name, a bad menu, or bad parameters, see `EnvParams`.
    """

    metadata = METADATA
    _spec: Any = None

    def __init__(
        self,
        render_mode: str | None = None,
        env: str | Environment = "HeartPole-v0",
        menu: Menu | str | Path | None = None,
        **params: Any,
    ):
        self.render_mode = checks.check_render_mode(render_mode, self.metadata["render_modes"])
        environment = adapting.find(env, menu)
        self.params = checks.env_params(environment, params)
        self.observation_space = checks.observation_space(environment, self.params)
        self.action_space = checks.action_space(environment)
        self._actions = environment.actions
        self._num_actions, self._most_steps = environment.num_actions, environment.most_steps(self.params)
        self._envs = stepping.Envs(environment, self.params, num_envs=1)
        self._renderer = Renderer(environment, self.params, render_mode) if render_mode else None
        self._is_reset = self._is_closed = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """A new episode, after `close` as well: (obs, info), with zeros under the names that a step tells.

        Raises:
          ValueError: for an option, since none is known.
          gymnasium.error.Error: for a seed that is no whole number of at least 0.
          RuntimeError: in a process that was forked after JAX had begun.
        """
        checks.check_options(options, known=())
        seed = None if seed is None else checks.check_seed(seed)
        super().reset(seed=seed)
        words = np.zeros((1, 2), np.uint32)
        if seed is not None:
            words[0] = stepping.seed_words(seed)
        elif not self._is_reset:
            words[0] = self.np_random.integers(0, 2**32, 2, np.uint32)
        one = np.ones(1, bool)
        obs = self._envs.reset(words, one if seed is not None or not self._is_reset else ~one, one)[0]
        self._is_reset, self._is_closed = True, False
        if self._renderer:
            self._renderer.begin(obs)
        return obs, self._envs.empty_info()

    def step(self, action: Any):
        """(obs, reward, terminated, truncated, info) after a decision, see the module.

        Raises:
          gymnasium.error.InvalidAction: for anything but the number of an action.
          gymnasium.error.ResetNeeded: before the first reset.
          gymnasium.error.ClosedEnvironmentError: after `close`, until the next reset.
        """
        if type(action) is not int or not 0 <= action < self._num_actions:
            action = checks.check_action(action, self._num_actions)
        if not self._is_reset or self._is_closed:
            checks.refuse_step(self._is_closed)
        outcome = self._envs.step_lone(action)
        if self._renderer:
            self._renderer.add(outcome.obs, action, outcome.reward, outcome.info)
        return outcome

    def render(self):
        """A text for "ansi", a uint8 array (height, width, 3) for "rgb_array"; "human" shows a window by itself.

        Raises:
          gymnasium.error.ResetNeeded: before the first reset.
        """
        if self._renderer is None:
            name = self.spec.id if self.spec else "heartpole_jax:HeartPole-v0"
            gymnasium.logger.warn(
                f"render needs a render mode: gymnasium.make({name!r}, render_mode='rgb_array'), or 'ansi', or 'human'"
            )
            return None
        if not self._is_reset:
            raise error.ResetNeeded("render was called before reset; call env.reset() first")
        return self._renderer.render()

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """What `gymnasium.utils.play` asks for: {(code of a key,): action}, see `keys`. No key is action 0 there."""
        return keys.keys_to_action(self._actions)

    def close(self):
        """Closes the window, if there is one. A second call does nothing, and `reset` opens all again."""
        self._is_closed = True
        if self._renderer:
            self._renderer.close()

    @property
    def spec(self) -> Any:
        """Gymnasium's, with `max_episode_steps`: the most decisions of an episode."""
        return self._spec

    @spec.setter
    def spec(self, spec: Any) -> None:
        self._spec = checks.with_step_limit(spec, self._most_steps)

    @property
    def state(self) -> ArrayTree:
        """The patient's state, for looking into; scalars of NumPy's as leaves. ResetNeeded before the first reset."""
        if not self._is_reset:
            raise error.ResetNeeded("state was read before reset; call env.reset() first")
        return self._envs.state()
