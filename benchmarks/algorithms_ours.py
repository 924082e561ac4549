"""Our own algorithms as contenders: the recipes, the same algorithms with their defaults, and the PPO of examples/.

A recipe's schedules are stretched to the number of decisions: those that it states reach their ends at the same share
of the run. The policy is that of the end, without the recipe's choice among the policies of a run (`keep = "best"`):
the evaluations that choose take decisions as well.
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.common import networks
from agents.runs import algorithms, recipes
from heartpole_jax import Policy

sys.path.append(str(Path(__file__).parent.parent / "examples"))
import ppo

_RECIPES = {
    "dqn-recipe": {1.0: "heartpole-v0", 0.0: "heartpole-v0-raw"},
    "pqn-recipe": {1.0: "heartpole-v0-pqn", 0.0: "heartpole-v0-pqn"},
}
_SCHEDULES = ("learning_rate_steps", "epsilon_steps")
PACKAGES = ("jax", "flax", "optax")


def build(name: str, expected_penalty: float, num_decisions: int) -> tuple[Callable, Callable[[Any], Policy], int]:
    """(train, policy_of, decisions): `policy_of(train(key))` is a policy that was trained for `decisions` decisions."""
    if name == "ppo-example":
        return _build_ppo(expected_penalty, num_decisions)
    recipe = recipe_of(name, expected_penalty, num_decisions)
    algorithm, config, hyperparams = algorithms.of(recipe.config), recipe.config, recipe.hyperparams
    num_iterations = max(1, round(num_decisions / config.env_steps_per_iteration))

    def train(key):
        train_state = algorithm.init(key, hyperparams, config)
        train_state, _ = algorithm.train_chunk(train_state, hyperparams, config, num_iterations=num_iterations)
        return algorithm.policy_of(train_state)

    return train, lambda weights: networks.greedy(weights, config), num_iterations * config.env_steps_per_iteration


def _build_ppo(expected_penalty: float, num_decisions: int) -> tuple[Callable, Callable[[Any], Policy], int]:
    config = ppo.Config() if expected_penalty == 1.0 else ppo.RAW_REWARDS
    decisions = ppo.num_iterations(num_decisions, config) * config.num_envs * config.num_steps
    train = lambda key: ppo.train(key, num_decisions, config, expected_penalty)
    return train, lambda weights: Policy(act=ppo.greedy, params=weights), decisions


def recipe_of(name: str, expected_penalty: float, num_decisions: int) -> recipes.Recipe:
    """The recipe, its schedules stretched; of an algorithm ("dqn") its defaults, "dqn-features" on our features."""
    if name in _RECIPES:
        recipe = recipes.named(_RECIPES[name][expected_penalty])
        stretch = num_decisions / recipe.num_steps
        changes = {schedule: getattr(recipe.hyperparams, schedule) * stretch for schedule in _SCHEDULES}
    else:
        algorithm, _, features = name.partition("-")
        recipe, changes = recipes.defaults("HeartPole-v0", algorithm), {}
        if features:
            config = dataclasses.replace(recipe.config, transform="heartpole")
            recipe = dataclasses.replace(recipe, config=config)
    hyperparams = dataclasses.replace(recipe.hyperparams, expected_penalty=expected_penalty, **changes)
    return dataclasses.replace(recipe, num_steps=num_decisions, hyperparams=hyperparams)
