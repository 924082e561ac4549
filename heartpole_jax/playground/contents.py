"""What the page knows, as JSON: actions, gauges, constants with their limits, the agents' networks."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from heartpole_jax import arguments, version
from heartpole_jax.envs import menu as menus
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs import registry
from heartpole_jax.envs.display import ActionInfo
from heartpole_jax.envs.environment import Environment
from heartpole_jax.optimum import certificate, sober_optimum
from heartpole_jax.playground import constants
from heartpole_jax.policies import saved_policy
from heartpole_jax.policies.saved_policy import SavedPolicy

# Of `python -m agents train --env NAME`, the recipes with seed 0; heartpole_v1_best of benchmarks/distil.py.
TRAINED = Path(__file__).parent / "trained"
ENVIRONMENTS = ("HeartPole-v0", "HeartPole-v1")
CERTIFIED_FROM = 525  # decisions, with the default constants: docs/optimum.md
_NIGHTLY = "coffee and exercise"  # of heartpole_v1.SCRIPTED
_DRINKS = ("coffee", "beer", "energy_drink")
_KEYS = {"nothing": "w", "coffee": "c", "beer": "b", "sleep": "s", "nap": "n", "exercise": "e", "energy_drink": "d",
         "cannabis": "k"}  # fmt: skip


@arguments.typed()
def contents(policy: SavedPolicy | None = None, name: str = "") -> dict[str, Any]:
    """The page's data, for `json.dumps`. Raises as `playground.page`."""
    family = _check(policy) if policy else None
    found = {}
    for each in ENVIRONMENTS:
        if policy is not None and each == family:
            found[each] = _environment(each, policy, f"“{name}”" if name else "agent of your own")
        else:
            found[each] = _environment(each, shipped(each), "trained agent")
    return {"start": family or ENVIRONMENTS[0], "version": version.__version__, "environments": found}


@arguments.typed()
def shipped(name: str) -> SavedPolicy:
    """The trained agent that comes with the package, for "HeartPole-v0" or "HeartPole-v1"."""
    return saved_policy.load(TRAINED / name.lower().replace("-", "_"))


def _check(policy: SavedPolicy) -> str:
    """The environment that the policy plays, without its menu's file. Raises ValueError where the page has it not."""
    family = registry.family(policy.env)
    if family not in ENVIRONMENTS:
        raise ValueError(
            f"the playground plays {' and '.join(ENVIRONMENTS)}, got a policy for {policy.env}; give one for these, "
            "as `python -m agents train` saves it"
        )
    policy.as_policy()  # raises for another menu, another number of actions
    return family


def _environment(family: str, policy: SavedPolicy, agent_name: str) -> dict[str, Any]:
    env = registry.make(policy.env)
    changed = policy.provenance.get("params") or {}
    params = env_params.replaced(env, changed)
    values = {name: getattr(params, name) for name in env_params.defaults(env)}
    rival, certified_from, best_return = _rival(family, env, params, changed)
    return {
        "name": family,
        "obs_names": list(env.obs_names),
        "actions": [_action(env, number) for number in range(env.num_actions)],
        "gauges": [_gauge(gauge) for gauge in env.gauges],
        "params": values,
        "constants": constants.describe(env, params),
        "limit": {
            "name": env.time_limit.parameter,
            "counts": "num_steps" if env.time_limit.counts_decisions else "time_elapsed",
        },
        "agent": {"name": agent_name, "about": _about(policy.provenance), "network": network(policy)},
        "rival": rival,
        "best": _best_known(policy.env, changed),
        "certified_from": certified_from,
        "best_return": best_return,
    }


def _rival(
    family: str, env: Environment, params: Any, changed: Mapping[str, Any]
) -> tuple[str | None, int | None, float | None]:
    """Who else plays; from how long an episode on it is proven to be the best; and its expected return, where known."""
    if family == "HeartPole-v1":
        needed = {"sleep", "exercise", "coffee", "nothing"}
        return _NIGHTLY if needed <= set(env.action_names) else None, None, None
    try:
        best = sober_optimum(params).expected_return
    except ValueError:
        return "optimum", None, None
    if set(changed) <= {"max_steps"}:
        return "optimum", CERTIFIED_FROM, best
    return "optimum", int(params.max_steps) if certificate(params).certified else None, best


def _best_known(name: str, changed: Mapping[str, Any]) -> dict[str, Any] | None:
    """The imitation of HeartPole-v1's best known policy, which holds for its own menu and constants alone."""
    if name != "HeartPole-v1" or changed:
        return None
    policy = saved_policy.load(TRAINED / "heartpole_v1_best")
    returns = {key: policy.provenance[key][0] for key in ("expected_return", "teacher_return")}
    return {"name": "near-best policy", **returns, "network": network(policy)}


def _action(env: Environment, number: int) -> dict[str, Any]:
    info: ActionInfo = env.actions[number]
    row = env.default_params.menu.actions[number] if hasattr(env.default_params, "menu") else None
    doses = {} if row is None else {channel: getattr(row, channel) for channel in menus.CHANNELS}
    return {
        "name": info.name,
        "label": "work" if info.idles else info.label,
        "done": "worked" if info.idles else info.done,
        "half_hours": info.half_hours,
        "wakes_up": info.wakes_up,
        "idles": info.idles,
        "drink": int(info.name in _DRINKS),
        "key": _KEYS.get(info.name, ""),
        "doses": {channel: [float(x) for x in dose] for channel, dose in doses.items() if dose is not None},
        "hazard": 1.0 if row is None else float(row.hazard),
    }


def _gauge(gauge: Any) -> dict[str, Any]:
    return {
        "field": gauge.field,
        "name": gauge.name,
        "range": list(gauge.frame),
        "colour": gauge.colour,
        "unit": gauge.unit,
        "decimals": gauge.decimals,
        "levels": [{"at": level.at, "name": level.name, "headroom": level.headroom} for level in gauge.frame_levels],
    }


def _about(provenance: Mapping[str, Any]) -> str:
    """How the agent was trained, in a line."""
    parts = [str(provenance.get("algorithm") or "Q-network").upper().replace("Q-NETWORK", "Q-network")]
    if provenance.get("recipe"):
        parts.append(f"recipe {provenance['recipe']}")
    if "seed" in provenance:
        parts.append(f"seed {provenance['seed']}")
    if "num_steps" in provenance:
        parts.append(f"{provenance['num_steps']:,} decisions of training")
    return ", ".join(parts)


@arguments.typed()
def network(policy: SavedPolicy) -> dict[str, Any]:
    """The Q-network as JSON: its layers from the first, each array as base64 of little-endian float32."""
    weights: Mapping[str, np.ndarray] = policy.weights
    layers = []
    for i in range(len(policy.hidden_sizes) + 1):
        layer = {name: _base64(weights[f"params/Dense_{i}/{name}"]) for name in ("kernel", "bias")}
        if policy.layer_norm and i < len(policy.hidden_sizes):
            layer |= {
                name: _base64(weights[f"params/LayerNorm_{i}/{own}"])
                for name, own in (("scale", "scale"), ("norm_bias", "bias"))
            }
        layers.append(layer)
    return {"transform": policy.transform, "dueling": policy.dueling, "layers": layers}


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()
