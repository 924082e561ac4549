"""How often the 95 % intervals of `identification.fit` hold the truth: simulated developers of known parameters.

    python benchmarks/identification.py [--datasets 200] [--steps 48] [--seed 0]

Each data set is a few developers who drink and sleep at random, seen with noise and gaps. All data sets are fitted
together, from a start that is off the truth. A row: the mean estimate less the truth, the same in standard errors of
that mean, the share of intervals that hold the truth, that lie below it and above it, their mean width, and the median
standard error, by the information and by the sandwich, in units of the spread of the estimates. A share of 95 % over
200 data sets has itself a standard error of 1.5 %.
"""

import argparse
import dataclasses
import operator
import platform
import time

import jax
import jax.numpy as jnp
import numpy as np

import heartpole_jax as hp
from heartpole_jax import identification
from heartpole_jax.identification import coordinates, estimating, fitting

# A frail heart, so that a few days see enough heart attacks to identify its parameters.
TRUTH = hp.EnvParams(heart_attack_threshold=2.0)
START = dataclasses.replace(
    TRUTH, hypertension_decay=0.95, intoxication_decay=0.96, fatigue_onset=36.0, fatigue_width=12.0,
    heart_attack_proclivity=0.3, anxiety_threshold=2.8, coffee_hypertension_high=0.4, wake_up_alertness_low=0.6,
    wake_up_alertness_high=1.5, coffee_alertness_high=1.2, beer_intoxication_low=0.008, beer_intoxication_high=0.035,
)  # fmt: skip
NAMES = (
    "hypertension_decay", "heart_attack_proclivity", "coffee_hypertension_low", "coffee_hypertension_high",
    "intoxication_decay", "fatigue_onset", "fatigue_width", "anxiety_threshold", "wake_up_alertness_low",
    "wake_up_alertness_high", "coffee_alertness_low", "coffee_alertness_high", "beer_intoxication_low",
    "beer_intoxication_high",
)  # fmt: skip
NOISE = identification.ObservationNoise(alertness=0.05, hypertension=0.05, intoxication=0.002, work_done=0.05)
MISSING = 0.1
# Shares of nothing, coffee, beer and sleep in what each developer does: two who nap, so that many mornings are seen,
# and one who stays up, so that fatigue is.
SHARES = np.array([(0.35, 0.25, 0.15, 0.25), (0.35, 0.25, 0.15, 0.25), (0.42, 0.38, 0.20, 0.0)])


def simulate(key, num_datasets, num_steps):
    """Traces of all data sets as the filters take them, leaves of shape (num_datasets, len(SHARES), ...)."""
    noise_key, episode_key = jax.random.split(key)
    traces = []
    for shares, one_key in zip(SHARES, jax.random.split(episode_key, len(SHARES)), strict=True):
        policy = hp.Policy(act=_act, sample=jax.random.uniform, params=jnp.cumsum(jnp.asarray(shares[:3])))
        records = hp.rollout(
            policy, one_key, TRUTH, num_envs=num_datasets, num_steps=num_steps, record=hp.everything
        ).records
        records = jax.device_get(records)
        traces.append([identification.trace_of_rollout(records, i) for i in range(num_datasets)])
    shape = num_datasets, len(SHARES)
    exact = jax.tree.map(
        lambda *x: np.stack(x).reshape(*shape, -1), *(t for one in zip(*traces, strict=True) for t in one)
    )
    keys = jax.random.split(noise_key, shape)
    seen = jax.jit(jax.vmap(jax.vmap(lambda trace, key: identification.observe(trace, key, NOISE, MISSING))))(
        exact, keys
    )
    flat = jax.tree.map(lambda x: x.reshape(-1, x.shape[-1]), jax.device_get(seen))
    traces = [jax.tree.map(operator.itemgetter(i), flat) for i in range(shape[0] * shape[1])]
    rows, _ = fitting.stack(traces, NOISE)
    return jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), rows)


def _act(shares, carry, obs, u):
    return jnp.searchsorted(shares, u).astype(jnp.int32), carry


def study(rows, names):
    """A line for each of `names` out of the estimates for all data sets."""
    space = coordinates.coordinates(names, START, NOISE)
    found = estimating.estimate(rows, space)
    done = found.maximum.left_to_gain < fitting.CONVERGED
    lines = []
    for j, name in enumerate(names):
        truth = getattr(TRUTH, name)
        values, low, high = found.values[:, j], found.low[:, j], found.high[:, j]
        spread = values.std(ddof=1)
        lines.append(
            f"{name:<26}{truth:>8.4g}{values.mean() - truth:>11.2g}"
            f"{(values.mean() - truth) / (spread / np.sqrt(len(values))):>7.1f}"
            f"{100 * np.mean((low <= truth) & (truth <= high)):>9.1f} %{100 * np.mean(high < truth):>7.1f} %"
            f"{100 * np.mean(low > truth):>7.1f} %{np.mean(high - low):>10.3g}"
            f"{np.median(found.standard_errors[:, j]) / spread:>8.2f}"
            f"{np.median(found.robust_standard_errors[:, j]) / spread:>8.2f}"
        )
    return lines, done, found.maximum.evaluations


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("datasets", 200), ("steps", 48), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    began = time.perf_counter()
    rows = simulate(jax.random.key(args.seed), args.datasets, args.steps)
    print(
        f"{args.datasets} data sets of {len(SHARES)} developers and {args.steps} decisions each, seed {args.seed}; "
        f"jax {jax.__version__}, {platform.machine()}; simulated in {time.perf_counter() - began:.0f} s"
    )
    print(f"{'parameter':<26}{'truth':>8}{'bias':>11}{'z':>7}{'coverage':>11}{'below':>9}{'above':>9}{'width':>10}"
          f"{'error':>8}{'robust':>8}")  # fmt: skip
    for part in coordinates.split(NAMES):
        began = time.perf_counter()
        lines, done, evaluations = study(rows, part)
        print("\n".join(lines))
        print(
            f"  ({evaluations} evaluations, {time.perf_counter() - began:.0f} s, {np.mean(done):.1%} converged)",
            flush=True,
        )


if __name__ == "__main__":
    main()
