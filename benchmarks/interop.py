"""HeartPole's host interfaces beside their peers, in one run on one machine: steps a second, and ratios.

    make bench-interop                                                 or, in a virtual environment with the peers:
    python benchmarks/interop.py [--rounds 7] [--json PATH]

Three pairs, each the interface that a user of that library would call, with random actions drawn beforehand:

    gymnasium.make                 against the tutorial's package (NumPy), one patient
    gymnasium.make_vec, 1,024      against EnvPool's CartPole-v1 with 1,024 poles, the best of its thread counts
    our VecEnv, 64                 against Stable-Baselines3's DummyVecEnv of 64 of the tutorial's environments

A step is one decision of one patient, its reset at an episode's end included. In every round each contender is timed
once; rates and ratios are medians over rounds, with the lowest and the highest ratio within a round beside them.
"""

import argparse
import datetime
import importlib.metadata
import json
import pathlib
import platform
import statistics
import time
import warnings

import envpool
import gymnasium
import heartpole
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv

from heartpole_jax.interop.stable_baselines3 import HeartPoleVecEnv
from heartpole_jax.interop.tutorial import HeartPole

NAME = "heartpole_jax:HeartPole-v0"
PAIRS = (
    ("gymnasium.make", "tutorial's package"),
    ("tutorial class", "tutorial's package"),
    ("gymnasium.make_vec, 1,024", "EnvPool CartPole, 1,024"),
    ("VecEnv, 64", "DummyVecEnv of 64 tutorial's"),
)


class Tutorials(heartpole.HeartPole):
    """The tutorial's environment, taking a seed as Stable-Baselines3 gives one, its log forgotten now and then."""

    def reset(self, *, seed=None, options=None):
        self.log = ""
        return super().reset()


def single(env, num_steps: int = 4000):
    """One patient through `num_steps` decisions of episodes of a thousand."""
    actions = np.random.default_rng(0).integers(0, 4, num_steps).tolist()

    def run():
        for start in range(0, num_steps, 1000):
            env.log = ""  # the tutorial's grows for ever and every step copies it: forgetting it is in its favour
            env.reset()
            for action in actions[start : start + 1000]:
                env.step(action)

    return run, num_steps


def batched(envs, num_envs: int, num_actions: int, num_steps: int):
    """All envs through `num_steps` decisions."""
    actions = np.random.default_rng(0).integers(0, num_actions, (num_steps, num_envs)).astype(np.int32)
    envs.reset()

    def run():
        for batch in actions:
            envs.step(batch)

    return run, num_steps * num_envs


def envpools(num_envs: int):
    """EnvPool in the faster of one thread and two."""
    cells = [
        batched(envpool.make_gymnasium("CartPole-v1", num_envs=num_envs, num_threads=threads, seed=0), num_envs, 2, 300)
        for threads in (1, 2)
    ]
    return min(cells, key=lambda cell: (seconds(cell[0]), seconds(cell[0]))[1])


def seconds(run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def contenders() -> dict:
    return {
        "gymnasium.make": single(gymnasium.make(NAME)),
        "tutorial class": single(HeartPole()),
        "tutorial's package": single(Tutorials()),
        "gymnasium.make_vec, 1,024": batched(gymnasium.make_vec(NAME, num_envs=1024), 1024, 4, 1000),
        "EnvPool CartPole, 1,024": envpools(1024),
        "VecEnv, 64": batched(HeartPoleVecEnv(64), 64, 4, 1000),
        "DummyVecEnv of 64 tutorial's": batched(DummyVecEnv([Tutorials] * 64), 64, 4, 50),
    }


def measure(rounds: int) -> dict[str, list[float]]:
    """Steps a second of every contender in every round, after a warm-up."""
    cells = contenders()
    for run, _ in cells.values():
        run()
    rates: dict[str, list[float]] = {name: [] for name in cells}
    for i in range(rounds):
        for name in cells if i % 2 == 0 else reversed(cells):  # there and back, so that a drift cancels
            run, num_steps = cells[name]
            rates[name].append(num_steps / seconds(run))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=pathlib.Path, help="also write the rates there")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*precision lowered by casting")  # of the tutorial's bounds
    rates = measure(args.rounds)
    packages = ("jax", "gymnasium", "stable-baselines3", "envpool", "numpy")
    versions = {package: importlib.metadata.version(package) for package in packages}
    print(f"{datetime.date.today()}, {platform.machine()}, Python {platform.python_version()}, {versions}\n")
    print("| ours | steps/s | peer | steps/s | ratio | lowest to highest |")
    print("| --- | --- | --- | --- | --- | --- |")
    for ours, peer in PAIRS:
        ratios = [a / b for a, b in zip(rates[ours], rates[peer], strict=True)]
        a, b = (statistics.median(rates[name]) for name in (ours, peer))
        span = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"| {ours} | {a:,.0f} | {peer} | {b:,.0f} | {statistics.median(ratios):.2f} | {span} |")
    if args.json:
        args.json.write_text(json.dumps({"versions": versions, "rates": rates}, indent=1))


if __name__ == "__main__":
    main()
