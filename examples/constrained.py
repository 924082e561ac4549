"""Constrained reinforcement learning: how much score a budget of heart attacks buys, by DQNs and by proof.

    pip install '.[train,plot]'
    python examples/constrained.py [--steps 2500000] [--seed 0] [--out frontier.png]

A constraint on the expected heart attacks has a Lagrange multiplier: the environment's `heart_attack_penalty`. So one
DQN is trained for each of some penalties, all in one program, and evaluated by its score and its heart attacks, beside
the scripted policies. `optimum.frontier` has the bound: no policy has more score for so many attacks.
"""

import argparse
from pathlib import Path

from agents.commands import xla

xla.prepare()

import jax  # noqa: E402, after the flags
import jax.numpy as jnp  # noqa: E402

import heartpole_jax as hp  # noqa: E402
from agents import dqn  # noqa: E402
from agents.common import networks  # noqa: E402
from agents.runs import loop, recipes  # noqa: E402
from heartpole_jax import command_line, evaluation, optimum  # noqa: E402
from heartpole_jax.drawing.charts import style  # noqa: E402
from heartpole_jax.drawing.charts.frontier import draw_frontier  # noqa: E402
from heartpole_jax.policies.heartpole_v0 import SCRIPTED  # noqa: E402

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of a heart attack
NUM_EPISODES = 4096


def train(num_steps: int, seed: int) -> dict[str, hp.Policy]:
    """The best policy of each penalty's training, by name."""
    recipe, env = recipes.named("heartpole-v0"), hp.make("HeartPole-v0")
    plan = loop.plan(num_steps, recipe.config, recipe.num_evaluations)

    def one(key, penalty):
        hyperparams = recipe.hyperparams.replace(
            reward_shift=penalty * optimum.resting_risk(), learning_rate_steps=float(num_steps)
        )
        return dqn.train(
            key, hyperparams, recipe.config, env, num_chunks=plan.num_chunks, iterations_per_chunk=plan.iterations,
            evaluation_episodes=64, params=hp.EnvParams(heart_attack_penalty=penalty),
        ).best_weights  # fmt: skip

    keys = jax.random.split(jax.random.key(seed), len(PENALTIES))
    best_weights = jax.jit(jax.vmap(one))(keys, jnp.array(PENALTIES))
    return {
        f"{penalty:g}": networks.greedy(weights, recipe.config, env)
        for penalty, weights in zip(PENALTIES, best_weights, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=command_line.count, default=2_500_000, help="decisions of each training")
    parser.add_argument("--seed", type=command_line.seed, default=0)
    parser.add_argument("--out", type=Path, help="a figure")
    args = parser.parse_args()
    try:
        loop.plan(args.steps, recipes.named("heartpole-v0").config)
        if args.out:
            style.check_kind(args.out)
    except ValueError as error:
        parser.error(str(error))
    command_line.use_all_cores()
    found = optimum.frontier()
    print(
        f"without drinks: {found.heart_attacks:.5f} heart attacks, the fewest, and a score of {found.score:.5f} at most"
    )
    print(f"no drink pays where a heart attack costs {found.certified_penalty:.1f} or more\n")
    print("policy                attacks above the fewest     score        no policy has more than   drinks a day")
    scripted = {name: make(None) for name, make in SCRIPTED.items()}
    points: dict[str, dict[str, tuple[float, float]]] = {}
    for group, chosen in (("DQN, by the penalty", train(args.steps, args.seed)), ("scripted", scripted)):
        for name, policy in chosen.items():
            row = evaluation.evaluate(policy, jax.random.key(args.seed + 1), num_episodes=NUM_EPISODES, name=name)
            attacks, score = max(row.excess_heart_attacks.mean, 0.0), row.score.mean
            points.setdefault(group, {})[name] = (attacks, score)
            bound = found.bound(found.heart_attacks + attacks)
            print(
                f"{name:20} {attacks:12.5f} ± {row.excess_heart_attacks.standard_error:7.5f} {score:10.5f} ± "
                f"{row.score.standard_error:7.5f} {float(bound):13.5f} {row.drinks_a_day.mean:13.3f}",
                flush=True,
            )
    if args.out:
        style.save(draw_frontier(found, points), args.out)
        print(f"written: {args.out}")


if __name__ == "__main__":
    main()
