"""The README's animation: a DQN's first and last day of training, on the same noise.

    pip install '.[train,render]'
    python examples/first_and_last_day.py --out docs/first-and-last-day.webp

On its first day it acts at random, as every DQN does; on its last it has seen 524,288 decisions. Half a minute on two
cores.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import heartpole_jax as hp
from agents import dqn
from heartpole_jax import command_line, validation
from heartpole_jax.drawing.frames import animation

DAY = 72  # half-hours: a frame shows 36
CONFIG = dqn.DQNConfig(
    hidden_sizes=(64, 64), transform="heartpole-days", num_envs=64, steps_per_iteration=1, batch_size=128,
    buffer_size=65_536,
)  # fmt: skip
HYPERPARAMS = dqn.Hyperparams(
    learning_rate=2e-3, discount=0.99, target_period=1, target_tau=0.005, ema_rate=0.01, huber_delta=3.0,
    epsilon_end=0.003, epsilon_steps=50_000, learning_starts=5_000, reset_rate=0.002, reward_shift=0.1236311578,
    reward_scale=10.0, expected_penalty=1.0,
)  # fmt: skip


def a_day(policy, seed: int):
    """The first 36 hours of an episode."""
    records = hp.rollout(policy, jax.random.key(seed), num_envs=1, num_steps=DAY, record=hp.everything).records
    steps = int(np.searchsorted(np.asarray(records.next_state.time_elapsed)[:, 0], DAY, side="right"))
    return jax.tree.map(lambda x: x[:steps], records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=command_line.seed, default=0, help="default %(default)s")
    parser.add_argument("--out", type=Path, default=Path("first-and-last-day.webp"), help="default %(default)s")
    options = parser.parse_args()
    try:
        animation.check_kind(options.out)
        validation.check_folder(options.out.absolute().parent)
    except ValueError as error:
        parser.error(str(error))
    trained = dqn.train(
        jax.random.key(options.seed), HYPERPARAMS, CONFIG, num_chunks=16, iterations_per_chunk=512,
        evaluation_episodes=16,
    )  # fmt: skip
    decisions = int(trained.metrics.env_steps[-1])
    days = {
        "A DQN's first day of training: it acts at random": a_day(hp.policies.uniformly_random(), options.seed),
        f"Its last, {decisions:,} decisions later": a_day(dqn.greedy(trained.best_weights, CONFIG), options.seed),
    }
    animation.save_animation(days, options.out)
    print(f"written: {options.out}, {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
