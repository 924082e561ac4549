"""HeartPole-v1: its speed beside v0's, and how well it is solved. The tables of docs/heartpole_v1.md.

    python benchmarks/heartpole_v1.py speed [--rounds 15]
    python benchmarks/heartpole_v1.py optimum [--resolutions 0.35 0.5 0.7] [--above] [--drunk]

`speed`: rollouts of 8,192 patients with random actions of v0's menu, 260 decisions, JAX as it comes, v0 and v1 by
turns; medians of the rounds, and the lowest and highest ratio within one.

`optimum`: on grids of some resolutions, the expected return of the interpolated problem and what its policy reaches in
16,384 episodes; with --above the bound for all policies, with --drunk with the actions that intoxicate.
"""

import argparse
import statistics
import time

import jax

from heartpole_jax import evaluation, make, policies, rollout
from heartpole_jax.optimum import heartpole_v1 as optimum_v1
from heartpole_jax.policy import Policy

NUM_ENVS, NUM_STEPS = 8192, 260


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "optimum"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--resolutions", type=float, nargs="+", default=(0.35, 0.5, 0.7))
    parser.add_argument("--above", action="store_true")
    parser.add_argument("--drunk", action="store_true")
    args = parser.parse_args()
    if args.what == "speed":
        speed(args.rounds)
    else:
        optimum(args.resolutions, args.above, args.drunk)


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
    jax.block_until_ready(rollout(policy, jax.random.key(seed), env=env, num_envs=NUM_ENVS, num_steps=NUM_STEPS).totals)
    return time.perf_counter() - began


def _drawn(params, carry, obs, action):
    return action, carry


def optimum(resolutions, above: bool, drunk: bool) -> None:
    for resolution in resolutions:
        began = time.perf_counter()
        solution = optimum_v1.solve(resolution=resolution, above=above, drunk=drunk)
        spent = time.perf_counter() - began
        what = "no policy exceeds" if above else "on the grid"
        line = f"resolution {resolution}: {what} {solution.expected_return:.2f}, {spent:.0f} s"
        if not above:
            found = evaluation.evaluate(solution.policy, jax.random.key(1), env=make("HeartPole-v1")).expected_return
            line += f"; its policy {found.mean:.2f} +- {found.standard_error:.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
