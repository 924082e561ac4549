"""HeartPole-v0 and HeartPole-v1 for Stable-Baselines3: a native `VecEnv`, all environments in one compiled step.

    from heartpole_jax.interop.stable_baselines3 import HeartPoleVecEnv
    model = stable_baselines3.PPO("MlpPolicy", HeartPoleVecEnv(num_envs=64))

An environment that ends begins its next episode at once; its info then holds `terminal_observation` and
`TimeLimit.truncated`, True, so that values are bootstrapped through the time limit.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heartpole_jax import validation
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.menu import Menu
from heartpole_jax.interop import adapting, checks, stepping
from heartpole_jax.interop.layout import Autoreset
from heartpole_jax.interop.rendering import Renderer

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as missing:
    raise ImportError("this needs Stable-Baselines3: pip install '.[sb3]' in the clone") from missing


class HeartPoleVecEnv(VecEnv):
    """`num_envs` patients as Stable-Baselines3's `VecEnv`; the other keywords are `EnvParams`'s.

    `env` is an `Environment`, or the name that `heartpole_jax.make` takes with `menu`.

    Raises:
      TypeError: for an unknown keyword.
      ValueError, TypeError: for a bad number of environments, an unknown name, a bad menu or bad parameters.
      gymnasium.error.UnsupportedMode: for a render mode that is neither None nor "rgb_array".
    """

    def __init__(
        self,
        num_envs: int,
        render_mode: str | None = None,
        env: str | Environment = "HeartPole-v0",
        menu: Menu | str | Path | None = None,
        **params: Any,
    ):
        validation.check_size("num_envs", num_envs)
        environment = adapting.find(env, menu)
        self.params = checks.env_params(environment, params)
        self.render_mode = checks.check_render_mode(render_mode, ["rgb_array"])
        super().__init__(num_envs, checks.observation_space(environment, self.params), checks.action_space(environment))
        self._num_actions = environment.num_actions
        self._envs = stepping.Envs(environment, self.params, num_envs, Autoreset.SAME_STEP)
        self._renderers = (
            [Renderer(environment, self.params, render_mode) for _ in range(num_envs)] if render_mode else []
        )
        self._actions = np.zeros(num_envs, np.int32)
        self._is_reset = self._is_closed = False

    def reset(self) -> np.ndarray:
        """First observations, float32 of shape (num_envs, 6 or 8). `seed(s)` before it seeds them with s, s + 1, ...

        A closed environment begins again. Raises RuntimeError in a process that was forked after JAX had begun.
        """
        seeds = self._seeds
        seeded = np.array([seed is not None for seed in seeds])
        words = np.zeros((self.num_envs, 2), np.uint32)
        if not self._is_reset:
            entropy = np.random.SeedSequence().generate_state(2 * self.num_envs)
            words = entropy.reshape(self.num_envs, 2).astype(np.uint32)
        for index in np.flatnonzero(seeded):
            words[index] = stepping.seed_words(checks.check_seed(seeds[index]))
        everyone = np.ones(self.num_envs, bool)
        obs = self._envs.reset(words, seeded if self._is_reset else everyone, everyone)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos: list[dict[str, Any]] = [self._envs.empty_info() for _ in range(self.num_envs)]
        self._is_reset, self._is_closed = True, False
        for renderer, env_obs in zip(self._renderers, obs, strict=False):
            renderer.begin(env_obs)
        return obs

    def set_options(self, options: Any = None) -> None:
        """Raises ValueError for any option, since none is known."""
        for each in [options] if isinstance(options, dict) else options or []:
            checks.check_options(each, known=())

    def step_async(self, actions: np.ndarray) -> None:
        """Takes the actions, whole numbers from 0 on of shape (num_envs,).

        Raises:
          gymnasium.error.InvalidAction: for others.
          gymnasium.error.ResetNeeded, gymnasium.error.ClosedEnvironmentError: before `reset`, after `close`.
        """
        if not self._is_reset or self._is_closed:
            checks.refuse_step(self._is_closed)
        self._actions = checks.check_actions(actions, self.num_envs, self._num_actions)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """(obs, rewards, dones, infos): float32 (num_envs, 6 or 8), float32, bool, and a dict for each environment."""
        actions = self._actions
        outcome = self._envs.step(actions)
        dones = outcome.terminated | outcome.truncated
        infos = _infos(outcome.info, outcome.truncated)
        for index in np.flatnonzero(dones).tolist():
            infos[index]["terminal_observation"] = outcome.last_obs[index]  # type: ignore[index]
        for index, renderer in enumerate(self._renderers):
            if dones[index]:
                renderer.begin(outcome.obs[index])
            else:
                renderer.add(outcome.obs[index], int(actions[index]), outcome.reward[index], infos[index])
        return outcome.obs, outcome.reward.astype(np.float32), dones, infos

    def close(self) -> None:
        self._is_closed = True

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A frame for each environment, None without `render_mode="rgb_array"`."""
        return [renderer.render() for renderer in self._renderers] or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute for each environment; the environments share all of theirs."""
        return [getattr(self, attr_name)] * len(self._envs_of(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError(
            f"the environments are one program and share what they are made of; to set {attr_name!r} make another "
            "HeartPoleVecEnv, with its keyword"
        )

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        raise NotImplementedError(
            f"the environments are one program and have no methods of their own, got {method_name!r}"
        )

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """False for each environment: wrap the whole, with Stable-Baselines3's VecEnvWrappers."""
        return [False] * len(self._envs_of(indices))

    def _envs_of(self, indices: Any) -> list[int]:
        return list(self._get_indices(indices))


_NAMES = ("productivity", "half_hours", "heart_attack_risk", "heart_attack", "cost")


def _infos(info: dict[str, np.ndarray], truncated: np.ndarray) -> list[dict[str, Any]]:
    """A dict for each environment."""
    names = info.keys()
    if names != set(_NAMES):
        rows = zip(*(values.tolist() for values in (*info.values(), truncated)), strict=True)
        return [dict(zip((*names, "TimeLimit.truncated"), row, strict=True)) for row in rows]
    # HeartPole's are written out, since dict(zip(names, values)) for each environment would cost as much as the step.
    columns = (info[name].tolist() for name in _NAMES)
    return [
        {
            "productivity": productivity,
            "half_hours": half_hours,
            "heart_attack_risk": risk,
            "heart_attack": attack,
            "cost": cost,
            "TimeLimit.truncated": ended,
        }
        for productivity, half_hours, risk, attack, cost, ended in zip(*columns, truncated.tolist(), strict=True)
    ]
