"""PQN on HeartPole-v0: regret of many seeds, and its speed beside the DQN's, both by their recipes.

    python benchmarks/pqn.py regret [--seeds 32] [--first-seed 0] [--episodes 1024]
    python benchmarks/pqn.py speed [--seeds 64] [--rounds 6] [--steps 32768]

Seeds train in slices on one device, of the sizes in SLICE. Speed is in decisions of all
seeds per second of CPU time, so that other processes disturb it less; PQN and the DQN alternate in one process, and the
ratio is the median over the rounds.
"""

import argparse
import statistics
import time

from agents.commands import xla

xla.prepare()

import jax  # noqa: E402, after the flags
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from agents.common import networks  # noqa: E402
from agents.runs import algorithms, recipes, scoring  # noqa: E402
from heartpole_jax import command_line  # noqa: E402
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0  # noqa: E402

RECIPES = {"PQN": recipes.named("heartpole-v0-pqn"), "DQN": recipes.named("heartpole-v0")}
SLICE = {"PQN": 4, "DQN": 8}  # seeds trained together
EVALUATION_SEED = 123  # of the noise that all policies are evaluated on


def in_slices(train, seeds: range, size: int):
    """(compiled function of keys that returns weights (num_slices, size, num_weights), keys (num_slices, size))."""
    keys = jax.vmap(jax.random.key)(jnp.arange(seeds.start, seeds.stop)).reshape(-1, size)
    return jax.jit(lambda keys: jax.lax.map(jax.vmap(train), keys)).lower(keys).compile(), keys


def trainer(recipe: recipes.Recipe, num_steps: int):
    """The function of a key that trains by the recipe, and returns the weights of the policy."""
    algorithm, config = algorithms.of(recipe.config), recipe.config

    def train(key):
        train_state = algorithm.init(key, recipe.hyperparams, config)
        iterations = num_steps // config.env_steps_per_iteration
        train_state, _ = algorithm.train_chunk(train_state, recipe.hyperparams, config, num_iterations=iterations)
        return algorithm.policy_of(train_state)

    return train


def regret(seeds: range, num_episodes: int) -> None:
    """Prints the regret of the last policy of every seed."""
    run, keys = in_slices(trainer(RECIPES["PQN"], RECIPES["PQN"].num_steps), seeds, SLICE["PQN"])
    weights = run(keys).reshape(len(seeds), -1)
    rows = [
        scoring.evaluate(
            networks.greedy(row, RECIPES["PQN"].config),
            HEARTPOLE_V0,
            num_episodes=num_episodes,
            seed=EVALUATION_SEED,
            name="agent",
        )
        for row in weights
    ]
    found = np.sort([row.regret.mean for row in rows])
    print(f"median {np.median(found):.4f}, 95 % reach {np.quantile(found, 0.95):.4f}, worst {found[-1]:.4f}")
    print(f"{np.mean(found <= 0.1):.0%} of {len(seeds)} seeds at most 0.1")
    print(" ".join(f"{value:.4f}" for value in found))


def speed(seeds: range, num_rounds: int, num_steps: int) -> None:
    """Prints both rates and their ratio."""
    programs = {name: in_slices(trainer(recipe, num_steps), seeds, SLICE[name]) for name, recipe in RECIPES.items()}
    rates: dict[str, list[float]] = {name: [] for name in programs}
    for i in range(num_rounds):
        for name in list(programs)[:: 1 if i % 2 == 0 else -1]:
            run, keys = programs[name]
            started = time.process_time()
            jax.block_until_ready(run(keys))
            rates[name].append(len(seeds) * num_steps / (time.process_time() - started))
    for name, found in rates.items():
        print(f"{name}: {statistics.median(found):,.0f} decisions per second of CPU time, {len(seeds)} seeds")
    ratios = [a / b for a, b in zip(rates["PQN"], rates["DQN"], strict=True)]
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("regret", "speed"))
    parser.add_argument("--seeds", type=command_line.count, help="a multiple of 8 (32 for regret, 64 for speed)")
    parser.add_argument("--first-seed", type=command_line.seed, default=0)
    parser.add_argument("--episodes", type=command_line.count, default=1024, help="of the evaluation (default: 1024)")
    parser.add_argument("--rounds", type=command_line.count, default=6)
    parser.add_argument(
        "--steps", type=command_line.count, default=32_768, help="decisions of each seed (default: 32768)"
    )
    args = parser.parse_args()
    num_seeds = args.seeds or {"regret": 32, "speed": 64}[args.what]
    if num_seeds % 8:
        parser.error(f"--seeds must be a multiple of 8, got {num_seeds}")
    seeds = range(args.first_seed, args.first_seed + num_seeds)
    if args.what == "regret":
        regret(seeds, args.episodes)
    else:
        speed(seeds, args.rounds, args.steps)


if __name__ == "__main__":
    main()
