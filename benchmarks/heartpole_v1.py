"""HeartPole-v1 beside v0, and its scripted policies: the two tables of docs/heartpole_v1.md.

    python benchmarks/heartpole_v1.py [--rounds 9] [--episodes 65536]

1. Rollouts of 8,192 patients with random actions, 300 decisions, JAX as it comes, v0 and v1 by turns; medians of the
   rounds, and the lowest and highest ratio within one.
2. Every scripted policy's expected return, work and heart attacks, the penalties summed as risks.
"""

import argparse
import statistics
import time

import jax
import numpy as np

from heartpole_jax import make, policies, policies_v1, rollout
from heartpole_jax.policy import Policy

NUM_ENVS, NUM_STEPS = 8192, 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--episodes", type=int, default=65_536)
    args = parser.parse_args()
    speed(args.rounds)
    print()
    table(args.episodes)


def speed(rounds: int) -> None:
    v0, v1 = make("HeartPole-v0"), make("HeartPole-v1")
    ratios, rates = [], {"v0": [], "v1": []}
    for env in (v0, v1):
        _seconds(env, 0)  # compiles
    for i in range(1, rounds + 1):
        seconds = {"v0": _seconds(v0, i), "v1": _seconds(v1, i)}
        for name, spent in seconds.items():
            rates[name].append(NUM_ENVS * NUM_STEPS / spent)
        ratios.append(seconds["v0"] / seconds["v1"])
    for name, values in rates.items():
        print(f"{name}: {statistics.median(values):,.0f} steps/s")
    print(f"v1 / v0: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def _seconds(env, seed: int) -> float:
    began = time.perf_counter()
    policy = Policy(act=_drawn, sample=policies.uniformly_random().sample)  # of v0's four actions, in both
    jax.block_until_ready(
        rollout(policy, jax.random.key(seed), env=env, num_envs=NUM_ENVS, num_steps=NUM_STEPS, autoreset=True).totals
    )
    return time.perf_counter() - began


def _drawn(params, carry, obs, action):
    return action, carry


def table(num_episodes: int) -> None:
    env = make("HeartPole-v1")
    longest = int(env.default_params.max_half_hours)
    print(f"{'policy':22} {'expected return':>18} {'work':>9} {'heart attacks':>14}   {num_episodes:,} episodes")
    for name in policies_v1.SCRIPTED:
        sums = rollout(
            policies_v1.make(name), jax.random.key(0), env=env, num_envs=num_episodes, num_steps=longest, total=_parts
        ).totals
        work, risk = (np.asarray(sums[part], np.float64) for part in ("work", "risk"))
        returns = work - env.default_params.heart_attack_penalty * risk
        error = returns.std(ddof=1) / np.sqrt(num_episodes)
        print(f"{name:22} {returns.mean():10.2f} +- {error:4.2f} {work.mean():9.2f} {risk.mean():14.3f}", flush=True)


def _parts(transition):
    return {"work": transition.info.productivity, "risk": transition.info.heart_attack_risk}


if __name__ == "__main__":
    main()
