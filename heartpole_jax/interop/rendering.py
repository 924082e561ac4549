"""The episode so far, for `render`: a text, a frame, or a window.

The frames and the window need extras, so they are imported where they are asked for.
"""

from collections import deque
from typing import Any

import numpy as np

from heartpole_jax.drawing.frames.ansi import describe
from heartpole_jax.drawing.frames.moment import Moment
from heartpole_jax.envs.environment import Environment

MOMENTS_KEPT = 128  # more than a frame shows


class Renderer:
    """Follows one environment and shows it as `mode` says: "ansi", "rgb_array" or "human".

    Raises:
      ValueError: for an environment without gauges, or whose observation has no time_elapsed.
    """

    def __init__(self, env: Environment, params: Any, mode: str):
        if not env.gauges or not env.actions or "time_elapsed" not in env.obs_names:
            raise ValueError(
                f"to render needs an Environment with gauges, actions and time_elapsed among its obs_names, and "
                f"{env.name!r} lacks them; leave render_mode out"
            )
        self._env, self._params, self._mode = env, params, mode
        self._moments: deque[Moment] = deque(maxlen=MOMENTS_KEPT)
        self._window: Any = None

    def begin(self, obs: np.ndarray) -> None:
        """An episode begins."""
        self._moments.clear()
        self._append(obs, None, 0.0, {}, 0, 0)

    def add(self, obs: np.ndarray, action: int, reward: float, info: dict[str, Any]) -> None:
        """A step led to `obs`."""
        last = self._moments[-1]
        attacks = last.num_heart_attacks + bool(info.get("heart_attack", False))
        self._append(obs, action, reward, info, last.num_steps + 1, attacks)

    def render(self) -> Any:
        """A text for "ansi", a frame for "rgb_array", None for "human", which shows the frame."""
        if self._mode == "ansi":
            return describe(self._moments[-1], self._env)
        frame = self._frame()
        if self._mode == "rgb_array":
            return frame
        self._show(frame)
        return None

    def close(self) -> None:
        """Closes the window, if there is one; the next frame opens another."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def _append(self, obs, action, reward, info, num_steps: int, num_heart_attacks: int) -> None:
        self._moments.append(
            Moment(
                values=dict(zip(self._env.obs_names, obs.tolist(), strict=True)),
                action=action,
                reward=float(reward),
                heart_attack=bool(info.get("heart_attack", False)),
                heart_attack_risk=float(info.get("heart_attack_risk", 0.0)),
                num_steps=num_steps,
                num_heart_attacks=num_heart_attacks,
            )
        )
        if self._mode == "human":
            self._show(self._frame())

    def _frame(self) -> np.ndarray:
        from heartpole_jax.drawing.frames.frame import draw_frame

        return draw_frame(self._moments, self._env, self._params)

    def _show(self, frame: np.ndarray) -> None:
        from heartpole_jax.drawing.frames.window import Window

        if self._window is None:
            self._window = Window("HeartPole", frame.shape[:2])
        self._window.show(frame)
