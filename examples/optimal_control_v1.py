"""Control through the simulator on HeartPole-v1: a scripted policy made soft, and improved by unbiased gradients.

    pip install '.[train]'
    python examples/optimal_control_v1.py [--updates 120] [--episodes 256] [--seeds 1] [--estimators hybrid pathwise]

The policy is "coffee and exercise" with its four thresholds as sigmoids: tired below an effective alertness, tense
above a hypertension, early in the day, bedtime. Eight numbers, thresholds and sharpnesses, begin where the script has
them and go up the gradient of the expected return of two weeks. The evaluation is of whole episodes, four weeks.
Cutting an episode short by its number of decisions alone would make sleep free, so it is `max_half_hours` that is less.
"""

import argparse
import dataclasses
import time

import jax
import jax.numpy as jnp
import optax

from heartpole_jax import evaluation, gradients, make
from heartpole_jax.envs.heartpole_v1 import OBS_NAMES, effective_alertness

ENV = make("HeartPole-v1")
NAMES = [row.name for row in ENV.default_params.menu.actions]
THRESHOLDS = jnp.array([0.5, 2.0, 18.0, 24.0])  # hypertension, effective alertness, last coffee, bedtime
SHARPNESS = jnp.array([8.0, 8.0, 1.5, 1.5])  # of each, a unit
SCALES = jnp.array([0.3, 0.3, 3.0, 3.0, 0.3, 0.3, 0.3, 0.3])  # what is a step of each number
HALF_HOURS, NUM_STEPS = 672, 400  # two weeks to learn from, and more decisions than they take
NUM_EPISODES = 16_384


def logits(weights, carry, obs):
    """The log probabilities of all actions, -30 for those that the script never takes."""
    seen = dict(zip(OBS_NAMES, obs, strict=True))
    alertness = effective_alertness(seen["alertness"], seen["stimulation"], seen["impairment"])
    awake = seen["time_since_slept"]
    tension, tired, early, bedtime = SHARPNESS * jnp.exp(weights[4:]) * jnp.stack(
        [seen["hypertension"] - weights[0], weights[1] - alertness, weights[2] - awake, awake - weights[3]]
    )  # fmt: skip
    yes, no = jax.nn.log_sigmoid, lambda z: jax.nn.log_sigmoid(-z)
    found = {
        "sleep": yes(bedtime),
        "exercise": no(bedtime) + yes(tired) + yes(tension),
        "coffee": no(bedtime) + yes(tired) + no(tension) + yes(early),
        "nothing": no(bedtime) + jnp.logaddexp(no(tired), yes(tired) + no(tension) + no(early)),
    }
    never = jnp.full_like(awake, -30.0)
    return jnp.stack([found.get(name, never) for name in NAMES]), carry


def improve(estimator, key, num_updates, num_episodes):
    """The weights after so many steps of Adam up the gradient, of fresh noise each time."""
    params = dataclasses.replace(ENV.default_params, max_half_hours=HALF_HOURS)
    optimiser = optax.adam(1.0, b2=0.9)
    weights = jnp.concatenate([THRESHOLDS, jnp.zeros(4)])
    state = optimiser.init(weights)
    for update, keys in enumerate(jax.random.split(key, num_updates)):
        found = gradients.estimate(
            "return", keys, params, policy=gradients.SoftPolicy(logits, weights), wrt="policy", estimator=estimator,
            num_episodes=num_episodes, num_steps=NUM_STEPS, env=ENV,
        )  # fmt: skip
        steps, state = optimiser.update(-SCALES * found.gradient.mean["policy"], state)
        slowing = min(1.0, 2.0 * (1.0 - update / num_updates))
        weights = weights + 0.1 * slowing * SCALES * steps
    return weights


def score_text(weights):
    """The expected return of the policy that draws its actions, as text."""
    policy = gradients.SoftPolicy(logits, weights).policy(len(NAMES))
    found = evaluation.evaluate(policy, jax.random.key(77), env=ENV, num_episodes=NUM_EPISODES).expected_return
    return f"{found.mean:8.2f} +- {found.standard_error:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=120)
    parser.add_argument("--episodes", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--estimators", nargs="+", default=["hybrid", "pathwise"])
    args = parser.parse_args()
    script = jnp.concatenate([THRESHOLDS, jnp.zeros(4)])
    print(f"as it begins: expected return {score_text(script)}")
    for estimator in args.estimators:
        for seed in range(args.seeds):
            began = time.perf_counter()
            weights = jax.block_until_ready(improve(estimator, jax.random.key(seed), args.updates, args.episodes))
            spent = time.perf_counter() - began
            thresholds = ", ".join(f"{value:.2f}" for value in weights[:4])
            print(
                f"{estimator:9} seed {seed}: {score_text(weights)}, thresholds {thresholds}, {spent:.0f} s", flush=True
            )


if __name__ == "__main__":
    main()
