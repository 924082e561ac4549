"""Does any policy beat a certified optimum? Random constants, lengths and policies, the ones that come near among them.

    python benchmarks/certificate.py [--constants 100] [--policies 100] [--seed 0]

For each set of constants that `optimum.certificate` certifies, policies of three kinds are evaluated: the optimal one
with drinks at some decisions, most of them late; bedtimes with a coffee or beer where alertness or alcohol is low;
and random linear scores of the observation. Prints how many have a regret below -3 standard errors, where about one
in 740 of those that are as good as the optimum would have it by chance, and the lowest regret in standard errors.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax import EnvParams, command_line, evaluation, optimum, policies
from heartpole_jax.policy import Policy

_LENGTHS = (60, 250, 1000)
_EPISODES = 256
_FACTORS = (
    "heart_attack_proclivity", "hypertension_decay", "intoxication_decay", "fatigue_onset", "fatigue_width",
    "ballmer_peak", "ballmer_peak_height", "wake_up_alertness_low", "coffee_alertness_high", "coffee_hypertension_high",
    "beer_alertness_loss_high", "beer_hypertension_high",
)  # fmt: skip


def main() -> None:
    """Prints a line for each set of constants, and the sums."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--constants", type=command_line.count, default=100)
    parser.add_argument("--policies", type=command_line.count, default=100)
    parser.add_argument("--seed", type=command_line.seed, default=0)
    options = parser.parse_args()
    command_line.use_all_cores()
    generator = np.random.default_rng(options.seed)
    below, lowest, count, tried, started = 0, np.inf, 0, 0, time.monotonic()
    while count < options.constants:
        params, tried = _constants(generator), tried + 1
        best = evaluation.best_known(params)
        if best is None or not best.certified:
            continue
        count += 1
        scores = [_deviations(generator, params) for _ in range(options.policies)]
        below, lowest = below + sum(score < -3 for score in scores), min(lowest, *scores)
        slack = optimum.certificate(params).smallest_slack
        print(
            f"{count:4d}: {int(params.max_steps):4d} decisions, slack {slack:.4f}, lowest {min(scores):6.2f}",
            flush=True,
        )
    print(
        f"{count} certified of {tried} constants, {options.policies} policies each: {below} below -3 standard errors, "
        f"lowest {lowest:.2f}; {time.monotonic() - started:.0f} s"
    )


def _constants(generator: np.random.Generator) -> EnvParams:
    changes = {name: getattr(EnvParams(), name) * generator.uniform(0.6, 1.5) for name in _FACTORS}
    for name in ("hypertension_decay", "intoxication_decay"):
        changes[name] = min(changes[name], 0.99)
    num_steps = int(generator.choice(_LENGTHS))
    return EnvParams(
        **changes | {"heart_attack_proclivity": min(changes["heart_attack_proclivity"], 1.0)},
        max_steps=num_steps,
        heart_attack_penalty=float(10 ** generator.uniform(1.5, 3.5) * 1000 / num_steps),
    )


def _deviations(generator: np.random.Generator, params: EnvParams) -> float:
    """The regret of a random policy in standard errors."""
    kind, num_steps = generator.integers(3), int(params.max_steps)
    if kind == 0:
        planned = np.zeros(num_steps + 1, np.int32)
        late = num_steps - 1 - (generator.exponential(8, generator.integers(1, 5)).astype(int) % num_steps)
        planned[late] = generator.integers(1, 3)
        best = policies.optimal(params)
        policy = Policy(act=_with_drinks, params=(best.params, jnp.asarray(planned)), carry=best.carry)
    elif kind == 1:
        numbers = generator.uniform([0.0, -1.0, 0.0, 0.0], [0.7, 1.0, 0.15, 40.0])
        policy = Policy(act=_bedtime, params=jnp.asarray(numbers, jnp.float32))
    else:
        weights = generator.normal(size=(7, 4)) / np.array([1, 1, 0.1, 10, 1000, 300, 1])[:, None]
        policy = Policy(act=_linear, params=jnp.asarray(weights, jnp.float32))
    key = jax.random.key(int(generator.integers(2**31)))
    found = evaluation.evaluate(policy, key, params, num_episodes=_EPISODES)
    assert found.certified
    return found.regret.mean / max(found.regret.standard_error, 1e-6)


def _with_drinks(params, carry, obs, draw):
    days, planned = params
    action, after = policies.optimal().act(days, carry, obs, draw)
    drink = planned[jnp.minimum(carry[0], len(planned) - 1)]
    return jnp.where(drink > 0, drink, action), after


def _bedtime(params, carry, obs, draw):
    bedtime, coffee, beer, first_hours = params
    drink = jnp.where(obs[0] < bedtime + coffee, 1, jnp.where(obs[2] < beer, 2, 0))
    drink = jnp.where(obs[3] < first_hours, drink, 0)
    return jnp.where(obs[0] < bedtime, 3, drink), carry


def _linear(params, carry, obs, draw):
    return jnp.argmax(obs @ params[:6] + params[6]), carry


if __name__ == "__main__":
    main()
