"""What the recipes reach: many seeds of each, trained together and evaluated without noise.

    python benchmarks/recipes.py heartpole-v0 [MORE ...] [--seeds 64] [--first-seed 0] [--episodes 1024]

Policies are evaluated by `heartpole_jax.evaluation`, by what they lack of the best known return where one is known:
both the last policy and the best of the chunks, by their own evaluation, on other noise. Training is
cut into the chunks of `python -m agents train`.
"""

import argparse
import os
import time

from agents.commands import xla

xla.prepare()

import jax  # noqa: E402, after the flags
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from agents import dqn  # noqa: E402
from agents.common import networks  # noqa: E402
from agents.runs import loop, recipes, scoring  # noqa: E402
from heartpole_jax import Environment, command_line  # noqa: E402
from heartpole_jax.envs import registry  # noqa: E402

SEED = 123


def train(recipe: recipes.Recipe, seeds: range, num_chunks: int, env: Environment) -> tuple[dqn.Population, float]:
    """The population of `seeds`, and the seconds that it took with compiling."""
    plan = loop.plan(recipe.num_steps, recipe.config, num_chunks)
    devices = tuple(jax.devices())
    started = time.perf_counter()
    population = dqn.train_population(
        jax.vmap(jax.random.key)(jnp.arange(seeds.start, seeds.stop)), recipe.hyperparams, recipe.config,
        env, num_chunks=plan.num_chunks, iterations_per_chunk=plan.iterations,
        evaluation_episodes=recipe.evaluation_episodes, slice_size=8,
        devices=devices if len(seeds) % len(devices) == 0 else None,
    )  # fmt: skip
    return jax.block_until_ready(population), time.perf_counter() - started


def evaluate(recipe: recipes.Recipe, weights: jax.Array, num_episodes: int) -> dict[str, np.ndarray]:
    """The value of each seed's policy, by what that is called: from the best to the worst."""
    env = registry.make(recipe.env)
    rows = [
        scoring.evaluate(
            networks.greedy(one, recipe.config, env), env, num_episodes=num_episodes, seed=SEED, name="agent"
        )
        for one in weights
    ]
    returns = {"expected return": np.sort([row.expected_return.mean for row in rows])[::-1]}
    metric = scoring.metric(env)
    if metric == "return":
        return returns
    drinks = [row.estimates()["drinks_a_day"].mean for row in rows if "drinks_a_day" in row.estimates()]
    if drinks:
        drinkers = sum(number > 0 for number in drinks)
        print(f"policies that drink in {num_episodes:,} episodes: {drinkers} of {len(rows)}")
    return returns | {metric: np.sort([row.regret.mean for row in rows])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", help="names or TOML files")
    parser.add_argument("--seeds", type=command_line.count, default=64, help="how many (default: 64)")
    parser.add_argument("--first-seed", type=command_line.seed, default=0)
    parser.add_argument("--chunks", type=command_line.count, help="evaluations (default: the recipe's)")
    parser.add_argument("--episodes", type=command_line.count, default=1024, help="to evaluate by (default: 1024)")
    args = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    try:
        found = [recipes.find(name) for name in args.recipes]
    except ValueError as error:
        parser.error(str(error))
    for name, recipe in zip(args.recipes, found, strict=True):
        seeds = range(args.first_seed, args.first_seed + args.seeds)
        population, seconds = train(recipe, seeds, args.chunks or recipe.num_evaluations, registry.make(recipe.env))
        print(f"{name}: {args.seeds} seeds in {seconds:.0f} s")
        for kept, weights in (("last", population.weights), ("best", population.best_weights)):
            for label, values in evaluate(recipe, weights, args.episodes).items():
                nearly_all = np.quantile(values, 0.05 if label == "expected return" else 0.95)
                print(
                    f"{kept} policy, {label}: median {np.median(values):.4f}, 95 % reach {nearly_all:.4f}, "
                    f"worst {values[-1]:.4f}\n  " + " ".join(f"{value:.3f}" for value in values),
                    flush=True,
                )


if __name__ == "__main__":
    main()
