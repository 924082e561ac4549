"""What the recipes reach: many seeds of each, trained together and judged without luck.

    python benchmarks/recipes.py heartpole-v0 [MORE ...] [--seeds 64] [--first-seed 0] [--episodes 1024]

HeartPole has a regret, that of `heartpole_jax.evaluation.evaluate`; elsewhere it is the mean return of 100 episodes
unless told otherwise. Both the last policy and the best of the chunks, by their own evaluation, are judged, on another
tape.
"""

import argparse
import os
import time

from agents import xla

xla.prepare()

import jax  # noqa: E402, after the flags
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from agents import environments, judging, networks, recipes, training  # noqa: E402

TAPE = 123


def train(recipe: recipes.Recipe, seeds: range, num_chunks: int) -> tuple[training.Population, float]:
    """The population of `seeds`, and the seconds that it took with compiling."""
    iterations = recipe.num_steps // num_chunks // recipe.config.env_steps_per_iteration // 16 * 16
    devices = tuple(jax.devices())
    started = time.perf_counter()
    population = training.train_population(
        jax.vmap(jax.random.key)(jnp.arange(seeds.start, seeds.stop)), recipe.hyperparams, recipe.config,
        environments.make(recipe.env), num_chunks=num_chunks, iterations_per_chunk=iterations,
        evaluation_episodes=recipe.evaluation_episodes, slice_members=8,
        devices=devices if len(seeds) % len(devices) == 0 else None,
    )  # fmt: skip
    return jax.block_until_ready(population), time.perf_counter() - started


def judge(recipe: recipes.Recipe, weights: jax.Array, num_episodes: int | None) -> np.ndarray:
    """Each member's regret, or where there is none its mean return, sorted from the best to the worst."""
    env = environments.make(recipe.env)
    found = []
    for member in weights:
        policy = networks.greedy(member, recipe.config, env)
        if judging.has_regret(env):
            episodes = num_episodes or 1024
            found.append(judging.evaluate(policy, env, num_episodes=episodes, seed=TAPE, name="agent").regret.mean)
        else:
            found.append(judging.mean_return(policy, env, num_episodes=num_episodes or 100, seed=TAPE).mean)
    return np.sort(found) if judging.has_regret(env) else np.sort(found)[::-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", help="names or TOML files")
    parser.add_argument("--seeds", type=int, default=64, help="how many (default: 64)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--chunks", type=int, help="evaluations (default: 100 where the best is kept, otherwise 50)")
    parser.add_argument("--episodes", type=int, help="to judge by (default: 1024, or 100 where there is no regret)")
    args = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    for name in args.recipes:
        recipe = recipes.find(name)
        chunks = args.chunks or (100 if recipe.keep == "best" else 50)
        population, seconds = train(recipe, range(args.first_seed, args.first_seed + args.seeds), chunks)
        for kept, weights in (("last", population.weights), ("best", population.best_weights)):
            values = judge(recipe, weights, args.episodes)
            print(
                f"{name}, the {kept} policy: median {np.median(values):.4f}, 95 % {np.quantile(values, 0.95):.4f}, "
                f"worst {values[-1]:.4f} ({args.seeds} seeds in {seconds:.0f} s)\n  "
                + " ".join(f"{value:.3f}" for value in values),
                flush=True,
            )


if __name__ == "__main__":
    main()
