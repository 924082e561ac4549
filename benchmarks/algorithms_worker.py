"""One cell in a process of its own, on one core: trains its seeds, evaluates their policies, writes the cell's file.

    python benchmarks/algorithms_worker.py CONTENDER REWARDS DECISIONS FIRST_SEED NUM_SEEDS --out FOLDER [--core 0]

Started by algorithms.py. Seconds are those of training alone: without compiling, and without evaluation.
"""

import argparse
import datetime
import importlib
import importlib.metadata
import os
import time
from pathlib import Path

import algorithms_cells
from algorithms_cells import CONTENDERS, REWARDS, Cell

EVALUATION_SEED = 123  # of the noise that all policies are evaluated on


def train_together(module, cell: Cell) -> tuple[list, float, int]:
    """(policies, seconds of all seeds, decisions of each), of a library whose training is a function of a key."""
    import jax
    import jax.numpy as jnp

    contender = CONTENDERS[cell.contender]
    train, policy_of, decisions = module.build(contender.algorithm, REWARDS[cell.rewards], cell.decisions)
    seeds = cell.first_seed + jnp.arange(cell.num_seeds)
    size = max(n for n in range(1, contender.seeds_together + 1) if cell.num_seeds % n == 0)
    keys = jax.vmap(jax.random.key)(seeds)
    # One seed alone is a program of its own, without an axis of seeds, which is faster.
    slices, one_slice = (keys, train) if size == 1 else (keys.reshape(-1, size), jax.vmap(train))
    run = jax.jit(lambda slices: jax.lax.map(one_slice, slices)).lower(slices).compile()
    started = time.perf_counter()
    weights = jax.block_until_ready(run(slices))
    seconds = time.perf_counter() - started
    flat = weights if size == 1 else jax.tree.map(lambda x: x.reshape(cell.num_seeds, *x.shape[2:]), weights)
    return [policy_of(jax.tree.map(lambda x: x[i], flat)) for i in range(cell.num_seeds)], seconds, decisions  # noqa: B023


def train_one_by_one(module, cell: Cell) -> tuple[list, float, int]:
    """The same of a library that trains one seed at a time."""
    algorithm = CONTENDERS[cell.contender].algorithm
    found = [
        module.train(algorithm, REWARDS[cell.rewards], cell.decisions, cell.first_seed + i)
        for i in range(cell.num_seeds)
    ]
    return [policy for policy, _, _ in found], sum(seconds for _, seconds, _ in found), found[0][2]


def measure(cell: Cell, num_episodes: int) -> dict:
    """What `algorithms_cells.check` expects of a cell."""
    import jax

    from heartpole_jax import evaluation

    started = time.perf_counter()
    module = importlib.import_module(f"algorithms_{CONTENDERS[cell.contender].library}")
    train = train_together if hasattr(module, "build") else train_one_by_one
    policies, seconds, decisions = train(module, cell)
    found = [
        evaluation.evaluate(policy, jax.random.key(EVALUATION_SEED), num_episodes=num_episodes) for policy in policies
    ]
    return {
        "regret": [each.regret.mean for each in found],
        "standard_error": [each.regret.standard_error for each in found],
        "drinks_a_day": [each.drinks_a_day.mean for each in found],
        "seconds": seconds,
        "decisions": decisions,
        "wall_seconds": time.perf_counter() - started,
        "num_episodes": num_episodes,
        "date": datetime.date.today().isoformat(),
        "versions": {name: importlib.metadata.version(name) for name in module.PACKAGES},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("rewards", choices=REWARDS)
    parser.add_argument("decisions", type=int)
    parser.add_argument("first_seed", type=int)
    parser.add_argument("num_seeds", type=int)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--core", type=int, help="the only one to run on")
    parser.add_argument("--episodes", type=int, default=1024)
    args = parser.parse_args()
    if args.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {args.core})
    from agents.commands import xla

    xla.prepare()
    cell = Cell(args.contender, args.rewards, args.decisions, args.first_seed, args.num_seeds)
    algorithms_cells.write(cell, args.out, measure(cell, args.episodes))


if __name__ == "__main__":
    main()
