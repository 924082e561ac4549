"""What gradients cost, and how noisy they are.

    python benchmarks/gradients.py [--episodes 4000] [--rounds 3]

1. The yardstick: d E[-100 N] / d hypertension_decay for "always coffee", 40 decisions, float64, by every estimator,
   with the standard deviation of one; beside them the raw score function, and finite differences with common noise
   on observed attacks.
2. A whole episode: 1,000 decisions x 1,024 episodes, all parameters at once, beside the forward pass alone; each in a
   process of its own, whose greatest resident memory it is. Seconds are without compiling, medians of the rounds.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY))
PLAIN = "hybrid, no control variates"
ROWS = ("forward", "pathwise", PLAIN, "hybrid")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--row", choices=ROWS, help="one row of the second table, as JSON")
    args = parser.parse_args()
    if args.row:
        print(json.dumps(measure(args.row, args.rounds)))
        return
    yardstick(args.episodes)
    rows = {row: _in_a_process(row, args.rounds) for row in ROWS}
    print(f"\n{'1,000 x 1,024':28} {'compile, s':>10} {'seconds':>8} {'/ forward':>9} {'memory, MB':>10}")
    for row, found in rows.items():
        ratio = found["seconds"] / rows["forward"]["seconds"]
        print(f"{row:28} {found['compile']:10.1f} {found['seconds']:8.2f} {ratio:9.2f} {found['memory_mb']:10,.0f}")


def yardstick(num_episodes: int) -> None:
    import jax
    import numpy as np

    jax.config.update("jax_enable_x64", True)
    from heartpole_jax import gradients, policies

    coffee, name = policies.always(1), "hypertension_decay"

    def estimate(objective: str, estimator: str, **options):
        return gradients.estimate(
            objective, jax.random.key(0), policy=coffee, wrt=name, estimator=estimator, num_episodes=num_episodes,
            num_steps=40, **options,
        )  # fmt: skip

    rows = {estimator: estimate("penalty", estimator) for estimator in ("marginal", "hybrid", "branch", "pathwise")}
    rows[PLAIN] = estimate("penalty", "hybrid", control_variates=False)
    rows["raw score function"] = estimate("observed_penalty", "hybrid", control_variates=False)
    print(f"{num_episodes:,} episodes of 40 decisions{'':18} estimate +- error    deviation of an episode")
    for label, found in rows.items():
        mean, error = float(found.gradient.mean[name]), float(found.gradient.standard_error[name])
        print(f"{label:40} {mean:9.1f} +- {error:6.1f} {error * np.sqrt(num_episodes):12.0f}")
    mean, error = _finite_differences(coffee, name, num_episodes, 1e-3)
    print(
        f"{'finite differences, observed attacks':40} {mean:9.1f} +- {error:6.1f} {error * np.sqrt(num_episodes):12.0f}"
    )


def _finite_differences(policy, name: str, num_episodes: int, step: float) -> tuple[float, float]:
    """On sampled attacks, the same noise on either side: nothing of `heartpole_jax.gradients`."""
    import jax
    import numpy as np

    from heartpole_jax import EnvParams, rollout

    def penalties(value: float) -> np.ndarray:
        params = EnvParams(**{name: value})
        total = lambda transition: transition.info.heart_attack
        return -100.0 * np.asarray(
            rollout(policy, jax.random.key(0), params, num_envs=num_episodes, num_steps=40, total=total).totals
        )

    middle = getattr(EnvParams(), name)
    slopes = (penalties(middle + step) - penalties(middle - step)) / (2 * step)
    return float(slopes.mean()), float(slopes.std(ddof=1) / np.sqrt(num_episodes))


def measure(row: str, rounds: int, num_episodes: int = 1024, num_steps: int = 1000) -> dict[str, float]:
    """Seconds and memory of one way, for a soft policy of all that it sees but hypertension."""
    import dataclasses

    import jax
    import jax.numpy as jnp

    from heartpole_jax import EnvParams, gradients, make
    from heartpole_jax.gradients.actors import as_actor
    from heartpole_jax.gradients.checking import checked_block
    from heartpole_jax.gradients.objectives import SCORE_AND_PENALTY
    from heartpole_jax.gradients.simulate import sample_noise_sequence, simulate

    def logits(weights, carry, obs):
        return weights @ jnp.concatenate([jnp.ones(1), jnp.tanh(obs[jnp.array([0, 2, 3])])]), carry

    policy = gradients.SoftPolicy(logits, jnp.zeros((4, 4)))
    skipped = ("max_steps", "expected_penalty")
    names = [field.name for field in dataclasses.fields(EnvParams) if field.name not in skipped]
    if row == "forward":
        env = make("HeartPole-v0")
        actor = as_actor(policy, env)

        @jax.jit
        def run(key):
            def one(index):
                episode = sample_noise_sequence(key, index, num_steps, actor, env)
                outcome = simulate(actor, EnvParams(), episode, SCORE_AND_PENALTY, env)
                return jnp.sum(outcome.steps) + outcome.final

            blocks = jnp.arange(num_episodes, dtype=jnp.uint32).reshape(-1, checked_block(num_episodes))
            return jax.lax.map(jax.vmap(one), blocks)

    else:

        def run(key):
            return gradients.estimate(
                "return", key, policy=policy, wrt=[*names, "policy"], num_episodes=num_episodes, num_steps=num_steps,
                estimator="pathwise" if row == "pathwise" else "hybrid", control_variates=row != PLAIN,
            ).gradient  # fmt: skip

    def seconds(seed: int) -> float:
        began = time.perf_counter()
        jax.block_until_ready(run(jax.random.key(seed)))
        return time.perf_counter() - began

    first = seconds(0)
    later = statistics.median(seconds(seed) for seed in range(1, rounds + 1))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"compile": first - later, "seconds": later, "memory_mb": memory}


def _in_a_process(row: str, rounds: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--row", row, "--rounds", str(rounds)]
    printed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    return json.loads(printed)


if __name__ == "__main__":
    main()
