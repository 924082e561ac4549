"""Many patients as a `gymnasium.vector.VectorEnv`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import error
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from heartpole_jax import validation
from heartpole_jax.arguments import shown
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.menu import Menu
from heartpole_jax.interop import adapting, checks, step_limit, stepping
from heartpole_jax.interop.gymnasium.env import METADATA
from heartpole_jax.interop.layout import Autoreset
from heartpole_jax.interop.rendering import Renderer

_AUTORESET = {
    AutoresetMode.NEXT_STEP: Autoreset.NEXT_STEP,
    AutoresetMode.SAME_STEP: Autoreset.SAME_STEP,
    AutoresetMode.DISABLED: Autoreset.NEVER,
}


class VectorEnv(gymnasium.vector.VectorEnv):
    """`num_envs` patients in one compiled step.

    Args:
      num_envs: how many.
      autoreset_mode: one of `gymnasium.vector.AutoresetMode`, or its value ("NextStep", "SameStep", "Disabled").
      render_mode: None, "ansi" or "rgb_array".
      max_episode_steps: decisions until an episode is truncated, as `gymnasium.make_vec` calls it: another name of
        `max_steps`, and for HeartPole-v1 a limit beside its own.
      env, menu: an `Environment`, or the name and the menu of `heartpole_jax.make`.
      **params: `EnvParams`'s, of that version: one number for all, or an array of a number for each environment.

    Raises:
      gymnasium.error.UnsupportedMode: for another render mode or autoreset mode.
      TypeError: for an unknown keyword.
      ValueError, TypeError: for an unknown name, a bad menu, bad parameters or a bad number of environments.
    """

    _spec: Any = None

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        env: str | Environment = "HeartPole-v0",
        menu: Menu | str | Path | None = None,
        **params: Any,
    ):
        validation.check_size("num_envs", num_envs)
        environment = adapting.find(env, menu)
        if max_episode_steps is not None:
            validation.check_size("max_episode_steps", max_episode_steps)
            if environment.time_limit.counts_decisions:
                if np.any(params.setdefault("max_steps", max_episode_steps) != max_episode_steps):
                    raise ValueError(
                        f"max_episode_steps and max_steps are the same, got {shown(max_episode_steps)} and "
                        f"{params['max_steps']!r}; give one"
                    )
                max_episode_steps = None
        self.autoreset_mode = checks.check_autoreset_mode(autoreset_mode)
        self.metadata = METADATA | {"render_modes": ["ansi", "rgb_array"], "autoreset_mode": self.autoreset_mode}
        self.render_mode = checks.check_render_mode(render_mode, self.metadata["render_modes"])
        self.params = checks.env_params(environment, params, num_envs)
        self.num_envs = int(num_envs)
        self.single_observation_space = checks.observation_space(environment, self.params)
        self.single_action_space = checks.action_space(environment)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._num_actions, self._most_steps = environment.num_actions, environment.most_steps(self.params)
        self._renderers = [
            Renderer(environment, checks.params_of(self.params, index), render_mode)
            for index in range(self.num_envs)
            if render_mode is not None
        ]
        own: Any = self.params
        if max_episode_steps is not None and np.any(max_episode_steps < self._most_steps):
            environment = step_limit.with_step_limit(environment)
            own = step_limit.Params(own=own, max_steps=int(max_episode_steps))
            self._most_steps = max_episode_steps
        self._envs = stepping.Envs(environment, own, self.num_envs, _AUTORESET[self.autoreset_mode])
        self._is_reset = False
        self._ended = np.zeros(self.num_envs, bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """New episodes, after `close` as well: (obs of shape (num_envs, 6 or 8), infos of zeros).

        Args:
          seed: an int seeds the environments with seed, seed + 1, ...; a sequence each environment with its own, None
            going on.
          options: {"reset_mask": bool array (num_envs,)} resets these alone; the others' observations stay.

        Raises:
          ValueError: for another option, a mask or a list of seeds of another length, a mask without an environment.
          TypeError: for a mask that is no bool array.
          gymnasium.error.ResetNeeded: for a mask before the first reset.
          RuntimeError: in a process that was forked after JAX had begun.
        """
        checks.check_options(options, known=("reset_mask",))
        chosen = self._check_mask((options or {}).get("reset_mask"))
        seeds = self._check_seeds(seed)
        super().reset(seed=checks.check_seed(seed) if seed is not None and _is_one(seed) else None)
        seeded = np.array([each is not None for each in seeds])
        words = np.zeros((self.num_envs, 2), np.uint32)
        if not self._is_reset:
            words = self.np_random.integers(0, 2**32, (self.num_envs, 2), np.uint32)
        for index in np.flatnonzero(seeded):
            words[index] = stepping.seed_words(int(seeds[index]))  # type: ignore[arg-type]
        obs = self._envs.reset(words, seeded if self._is_reset else np.ones(self.num_envs, bool), chosen)
        self._is_reset, self.closed = True, False
        self._ended = self._ended & ~chosen
        for index in np.flatnonzero(chosen) if self._renderers else ():
            self._renderers[index].begin(obs[index])
        return obs, _masked({name: np.full(self.num_envs, x) for name, x in self._envs.empty_info().items()}, chosen)

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One decision in every environment: (obs, rewards, terminations, truncations, infos), of length num_envs.

        `infos` has an array and a mask (`_heart_attack`) for each name. In the mode "SameStep" the
        environments that ended have `final_obs` and `final_info`; the observation is then the next episode's first.

        Raises:
          gymnasium.error.InvalidAction: for anything but numbers of actions, of shape (num_envs,).
          gymnasium.error.ResetNeeded: before the first reset, or (mode "Disabled") for an environment that has ended.
          gymnasium.error.ClosedEnvironmentError: after `close`, until the next reset.
        """
        actions = checks.check_actions(actions, self.num_envs, self._num_actions)
        if not self._is_reset or self.closed:
            checks.refuse_step(self.closed)
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            raise error.ResetNeeded(
                f"environments {np.flatnonzero(self._ended)[:10].tolist()} have ended and autoreset is disabled; "
                "call reset(options={'reset_mask': mask}) first"
            )
        outcome = self._envs.step(actions)
        self._ended = outcome.terminated | outcome.truncated
        if self._renderers:
            self._record(actions, outcome)
        return outcome.obs, outcome.reward, outcome.terminated, outcome.truncated, self._infos(outcome)

    def render(self) -> tuple[Any, ...] | None:
        """A frame or a text for each environment."""
        if not self._renderers:
            gymnasium.logger.warn("render needs a render mode: make_vec(..., render_mode='rgb_array') or 'ansi'")
            return None
        if not self._is_reset:
            raise error.ResetNeeded("render was called before reset; call envs.reset() first")
        return tuple(renderer.render() for renderer in self._renderers)

    def _infos(self, outcome: stepping.StepResult) -> dict[str, Any]:
        """The infos in Gymnasium's form: an array and a mask a name, zeros where an episode has begun."""
        everyone = np.ones(self.num_envs, bool)
        if outcome.last_obs is None:
            return _with_masks(outcome.info, everyone)
        final_obs = np.full(self.num_envs, None, object)
        for index in np.flatnonzero(self._ended):
            final_obs[index] = outcome.last_obs[index]
        return {
            "final_obs": final_obs,
            "_final_obs": self._ended.copy(),
            "final_info": _masked(outcome.info, self._ended),
            "_final_info": self._ended.copy(),
            **_with_masks({name: _zeroed(values, self._ended) for name, values in outcome.info.items()}, everyone),
        }

    def _record(self, actions: np.ndarray, outcome: stepping.StepResult) -> None:
        for index, renderer in enumerate(self._renderers):
            if outcome.stepped[index] and not (outcome.last_obs is not None and self._ended[index]):
                info = {name: values[index] for name, values in outcome.info.items()}
                renderer.add(outcome.obs[index], int(actions[index]), outcome.reward[index], info)
            else:
                renderer.begin(outcome.obs[index])

    def _check_mask(self, mask: Any) -> np.ndarray:
        if mask is None:
            return np.ones(self.num_envs, bool)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError(f"options['reset_mask'] must be a NumPy array of bool, got {shown(mask)}")
        if mask.shape != (self.num_envs,):
            raise ValueError(f"options['reset_mask'] must have the shape ({self.num_envs},), got {mask.shape}")
        if not mask.any():
            raise ValueError("options['reset_mask'] must choose at least one environment, got False throughout")
        if not self._is_reset:
            raise error.ResetNeeded(
                "the first reset must be of all environments; call envs.reset() without a reset_mask"
            )
        return mask

    @property
    def spec(self) -> Any:
        """Gymnasium's, with `max_episode_steps`: the most decisions of an episode."""
        return self._spec

    @spec.setter
    def spec(self, spec: Any) -> None:
        self._spec = checks.with_step_limit(spec, self._most_steps)

    def _check_seeds(self, seed: Any) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if _is_one(seed):
            seeds: list[Any] = [checks.check_seed(seed) + index for index in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed must be one number or {self.num_envs} of them, got {len(seeds)}")
        return [None if each is None else checks.check_seed(each) for each in seeds]


def _is_one(seed: Any) -> bool:
    """Whether it is meant as one seed, and not as one for each environment."""
    return not isinstance(seed, Sequence) and np.ndim(seed) == 0


def _masked(info: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, np.ndarray]:
    if not mask.any():
        return {}
    if not mask.all():
        info = {name: _zeroed(values, ~mask) for name, values in info.items()}
    return _with_masks(info, mask)


def _with_masks(info: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, np.ndarray]:
    return info | {f"_{name}": mask.copy() for name in info}


def _zeroed(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.where(where, values.dtype.type(0), values)
