"""Control through the simulator: a soft policy improved by gradients alone, and what a biased gradient makes of it.

    pip install '.[train]'
    python examples/optimal_control.py [--updates 400] [--episodes 256] [--seeds 3] [--estimators hybrid relaxed]

The policy is a softmax of four numbers: how sharply it goes to bed by alertness, below which alertness, and the logits
of coffee and of beer. It begins with all of them 0, which is 12 drinks a day. `hybrid` follows the unbiased gradient;
`relaxed` that of a world in which one sleeps a third of a night; `pathwise` is `jax.grad`. What they end with is
evaluated as what it is, a policy that draws its actions, in whole episodes on fresh noise; beside it stands its
likeliest action, taken always.
"""

import argparse
import dataclasses
import time

import jax
import jax.numpy as jnp
import optax

from heartpole_jax import evaluation, gradients, optimum
from heartpole_jax.envs import physiology
from heartpole_jax.envs.heartpole_v0 import OBS_NAMES
from heartpole_jax.policy import Policy

ALERTNESS = OBS_NAMES.index("alertness")
NUM_STEPS = 200  # decisions of an episode to learn from; evaluated are 1,000
NUM_EPISODES = 16_384
SLEEP_RATE, DRINK_RATE = 0.05, 0.2  # Adam's steps


def logits(weights, carry, obs):
    """Of nothing, coffee, beer, sleep."""
    log_sharpness, threshold, coffee, beer = weights
    sleep = jnp.exp(log_sharpness) * (threshold - obs[ALERTNESS])
    return jnp.stack([jnp.zeros_like(sleep), coffee, beer, sleep]), carry


def likeliest(weights, carry, obs, draw):
    """The action of the greatest logit: the same policy without its random numbers."""
    values, carry = logits(weights, carry, obs)
    return jnp.argmax(values).astype(jnp.int32), carry


def excess_penalty(transition, params):
    """The penalty of the risk above that of a calm heart, which no policy can avoid."""
    risk = physiology.heart_attack_risk(0.0, params.heart_attack_proclivity, params.heart_attack_threshold)
    return -params.heart_attack_penalty * (transition.info.heart_attack_risk - risk)


def minus_regret():
    """The return less that of the best without drinks: constants change no derivative, and take noise out of it."""
    best = optimum.sober_optimum().score

    def missing_score(state, params):
        return physiology.score(state.work_done, state.time_elapsed) - best

    return gradients.Objective(step=excess_penalty, final=missing_score, integrates_attacks=True)


def improve(estimator, objective, key, num_updates, num_episodes, num_steps=NUM_STEPS):
    """The weights after so many steps of Adam up the gradient, of fresh noise each time."""
    optimiser = optax.adam(1.0, b2=0.9)  # forgets soon: gradients fall from 100 to 0.001
    weights = jnp.zeros(4)
    state = optimiser.init(weights)
    for update, keys in enumerate(jax.random.split(key, num_updates)):
        found = gradients.estimate(
            objective, keys, policy=gradients.SoftPolicy(logits, weights), wrt="policy", estimator=estimator,
            num_episodes=num_episodes, num_steps=num_steps, control_variates=False,
        )  # fmt: skip
        descent = jax.tree.map(jnp.negative, found.gradient.mean["policy"])
        steps, state = optimiser.update(descent, state)
        # First the drinks alone: who may sleep as well learns to sleep all day, which is one way not to drink.
        sleep_rate = SLEEP_RATE * (update >= num_updates // 4)
        rates = jnp.array([sleep_rate, sleep_rate, DRINK_RATE, DRINK_RATE])
        slowing = min(1.0, 3.0 * (1.0 - update / num_updates))  # to nothing, over the last third
        weights = weights + slowing * rates * steps
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--episodes", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--estimators", nargs="+", default=["hybrid", "relaxed", "pathwise"])
    args = parser.parse_args()
    objective = minus_regret()
    # One of each, so that evaluation finds its compiled program again.
    drawn, greedy = gradients.SoftPolicy(logits).policy(), Policy(act=likeliest)
    print(
        f"{'gradient':9} {'seed':>4} {'seconds':>8} {'regret, drawn':>20} {'likeliest action':>20} {'drinks a day':>13}"
        "   sharpness, threshold"
    )
    for estimator in args.estimators:
        for seed in range(args.seeds):
            train_key, evaluation_key = jax.random.split(jax.random.key(seed))
            began = time.perf_counter()
            weights = jax.block_until_ready(improve(estimator, objective, train_key, args.updates, args.episodes))
            spent = time.perf_counter() - began
            evaluated = [
                evaluation.evaluate(
                    dataclasses.replace(policy, params=weights), evaluation_key, num_episodes=NUM_EPISODES
                )
                for policy in (drawn, greedy)
            ]
            regrets = [f"{found.regret.mean:9.4f} +- {found.regret.standard_error:.4f}" for found in evaluated]
            print(
                f"{estimator:9} {seed:4} {spent:8.1f} {regrets[0]:>20} {regrets[1]:>20} "
                f"{evaluated[0].drinks_a_day.mean:13.5f}   {jnp.exp(weights[0]):9.2f}, {weights[1]:9.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
