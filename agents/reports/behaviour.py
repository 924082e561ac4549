"""How the policy of a run behaves: one episode of it, and its actions over alertness and hypertension."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from heartpole_jax import everything, rollout
from heartpole_jax.drawing.charts import action_map, strip_chart, style
from heartpole_jax.envs import environment, registry
from heartpole_jax.envs import params as env_params
from heartpole_jax.policies import saved_policy

SEED = 0  # of the episode's noise, and of its patient
PHONE = 5.0  # inches, the width of an episode's strip for a phone


class Map(NamedTuple):
    """An action map and what it holds."""

    when: str
    held: str  # the other numbers of the observation, in words
    share: Mapping[str, float]  # of the map, by the name of the action
    figure: style.Figure


class Behaviour(NamedTuple):
    """What there is to show of a policy."""

    wide: style.Figure  # the episode
    narrow: style.Figure  # likewise, for a phone
    summary: str
    maps: list[Map]  # none where an observation has no alertness or no hypertension
    no_maps: str  # why there are none
    actions_marked: list[tuple[str, str, str]]  # (character, colour, name) of each


def of(folder: Path) -> Behaviour:
    """The behaviour of the policy saved in `folder`.

    Raises:
      ValueError: where no policy is there, a damaged one, or one of an environment that pictures cannot show.
      ImportError: without safetensors or matplotlib.
    """
    saved = saved_policy.load(folder)
    env = registry.make(saved.env)
    if not env.gauges or not env.actions:
        raise ValueError(f"pictures of an episode need gauges and actions, and {env.name} has none")
    params = env_params.replaced(env, dict(saved.provenance.get("params") or {}))
    result = rollout(saved.as_policy(), jax.random.key(SEED), params, env=env, num_envs=1, record=everything)
    done = np.append(np.asarray(result.records.done[:, 0]), True)
    records = jax.tree.map(lambda x: x[: np.argmax(done) + 1], result.records)
    titled = f"one episode, seed {SEED}"
    maps, no_maps = _maps(saved, env, np.asarray(records.obs[:, 0], np.float64))
    return Behaviour(
        wide=strip_chart.draw_episode(records, params, titled, env=env),
        narrow=strip_chart.draw_episode(records, params, titled, env=env, width=PHONE),
        summary=_summary(env, records),
        maps=maps,
        no_maps=no_maps,
        actions_marked=[
            ("■", colour, action.label)
            for colour, action in zip(strip_chart.action_colours(env), env.actions, strict=True)
        ],
    )


def _maps(saved: saved_policy.SavedPolicy, env: environment.Environment, obs: np.ndarray) -> tuple[list[Map], str]:
    """A map at the first decision of the episode, and one at the medians of all; `obs` (num_steps, ...)."""
    held = {"at the first decision": obs[0], "at the medians of its episode": np.median(obs, axis=0)}
    found = []
    try:
        for when, at in held.items():
            drawn = action_map.action_map(saved.act, at, env=env, visited=obs)
            figure = action_map.draw_action_map(drawn, when, env=env, visited=obs)
            others = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in drawn.others.items())
            counts = np.bincount(drawn.action.ravel(), minlength=env.num_actions) / drawn.action.size
            share = dict(zip((action.label for action in env.actions), counts.tolist(), strict=True))
            found.append(Map(when, others, {name: part for name, part in share.items() if part}, figure))
    except ValueError as error:
        return [], str(error)
    return found, ""


def _summary(env: environment.Environment, records: Any) -> str:
    actions = np.bincount(np.asarray(records.action).ravel(), minlength=env.num_actions)
    counts = ", ".join(f"{action.label} {count:,}" for action, count in zip(env.actions, actions, strict=True))
    attacks = int(np.sum(records.info.heart_attack))
    total = float(np.sum(np.asarray(records.reward, np.float64)))
    heart_attacks = f"{attacks} heart attack{'' if attacks == 1 else 's'}"
    done = f"{len(records.action):,} decisions with a return of {total:.3f} and {heart_attacks}"
    return f"{done}; of its actions, {counts}."
