"""Off-policy evaluation against the truth: how far estimators are off, and how often their intervals hold the value.

    pip install '.[minari]'
    python examples/off_policy_evaluation.py [--steps 20] [--datasets 60] [--episodes 50] [--epsilon 0.3]

The behaviour policy is "rested after 16" with a uniformly drawn action now and then. One Minari dataset is written,
with the exact values of target policies in its metadata. Each estimator is given `--episodes` of its episodes,
`--datasets` times, with rewards as they come and with expected penalties. Importance weights are products over
decisions, so long episodes have no overlap: try --steps 100. Where all weights are 0, the weighted estimators have no
estimate. An interval is mean ± 1.96 standard errors; fitted Q-evaluation has none.
"""

import argparse
import tempfile
from pathlib import Path

import jax
import minari
import numpy as np

from heartpole_jax import EnvParams, policies
from heartpole_jax.interop.minari import KEY, target_probabilities, write_dataset
from heartpole_jax.policies.transforms import heartpole_features

BEHAVIOUR = "rested after 16"
TARGETS = [(BEHAVIOUR, 0.1), (BEHAVIOUR, 0.0), ("reference", 0.1)]


def ordinary(data):
    """Importance sampling: the return times the product of all ratios."""
    values = data["ratios"].prod(axis=1) * data["rewards"].sum(axis=1)
    return values.mean(), values.std(ddof=1) / np.sqrt(len(values))


def per_decision(data):
    """Each reward times the product of the ratios up to its decision: what comes later cannot matter to it."""
    values = (np.cumprod(data["ratios"], axis=1) * data["rewards"]).sum(axis=1)
    return values.mean(), values.std(ddof=1) / np.sqrt(len(values))


def weighted(data):
    """Importance sampling, normalised by the sum of the weights: biased, with far less variance."""
    weights = data["ratios"].prod(axis=1)
    return _normalised(weights[:, None], data["rewards"].sum(axis=1)[:, None])


def weighted_per_decision(data):
    """The same for each decision."""
    return _normalised(np.cumprod(data["ratios"], axis=1), data["rewards"])


def _normalised(weights, rewards):
    """sum_t sum_i w_it r_it / sum_i w_it, and its standard error by the delta method."""
    total = weights.sum(axis=0)
    shares = weights / np.where(total > 0, total, np.nan)
    means = (shares * rewards).sum(axis=0)
    deviations = (shares * (rewards - means)).sum(axis=1)
    return means.sum(), np.sqrt((deviations**2).sum())


def fitted_q(data):
    """Fitted Q-evaluation: backwards in time, a ridge regression of r + sum_a pi(a) Q(a) for each action."""
    features, actions, target = data["features"], data["actions"], data["target"]
    num_episodes, num_steps, num_actions = target.shape
    next_values = np.zeros(num_episodes)
    for t in reversed(range(num_steps)):
        x, q = features[:, t], np.zeros((num_episodes, num_actions))
        for action in range(num_actions):
            chosen = actions[:, t] == action
            y = data["rewards"][chosen, t] + next_values[chosen]
            gram = x[chosen].T @ x[chosen] + 1e-2 * np.eye(x.shape[1])
            q[:, action] = x @ np.linalg.solve(gram, x[chosen].T @ y)
        next_values = (target[:, t] * q).sum(axis=1)  # of observation t, for decision t - 1
    return next_values.mean(), np.nan


ESTIMATORS = {
    "importance sampling": ordinary,
    "per decision": per_decision,
    "weighted": weighted,
    "weighted, per decision": weighted_per_decision,
    "fitted Q": fitted_q,
}


def read(episodes):
    """The arrays of the episodes, (episodes, decisions, ...)."""
    stack = lambda function: np.stack([function(episode) for episode in episodes])
    obs = stack(lambda e: e.observations[:-1])
    ones = np.ones((*obs.shape[:2], 1))
    return {
        "features": np.concatenate([ones, heartpole_features(obs.astype(float))], axis=-1),
        "actions": stack(lambda e: e.actions),
        "behaviour": stack(lambda e: e.infos["behaviour_probability"][:-1]),
        "raw rewards": stack(lambda e: e.rewards),
        "expected penalties": stack(lambda e: e.infos["expected_reward"][1:]),
    }


def report(data, target, truth, num_datasets, kind):
    """Lines of a table: how often there is an estimate, bias with its error, root mean square error, coverage."""
    taken = np.take_along_axis(target, data["actions"][..., None], axis=-1)[..., 0]
    whole = {"ratios": taken / data["behaviour"], "rewards": data[kind], "target": target,
             "features": data["features"], "actions": data["actions"]}  # fmt: skip
    pieces = [{name: x[i::num_datasets] for name, x in whole.items()} for i in range(num_datasets)]
    for name, estimator in ESTIMATORS.items():
        found, errors = np.array([estimator(piece) for piece in pieces]).T
        known = np.isfinite(found)
        off, errors = found[known] - truth, errors[known]
        if known.sum() < 2:
            print(f"    {name:<24}{f'{100 * known.mean():.0f} %':>10}")
            continue
        held = "none" if np.isnan(errors).all() else f"{100 * np.mean(np.abs(off) <= 1.96 * errors):.0f} %"
        bias = f"{off.mean():.3f} ± {off.std(ddof=1) / np.sqrt(len(off)):.3f}"
        share, size = f"{100 * known.mean():.0f} %", np.sqrt(np.mean(off**2))
        print(f"    {name:<24}{share:>10}{bias:>18}{size:>10.3f}{held:>10}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, default in (("steps", 20), ("datasets", 60), ("episodes", 50)):
        parser.add_argument(f"--{flag}", type=int, default=default)
    parser.add_argument("--epsilon", type=float, default=0.3)
    parser.add_argument("--folder", type=Path, help="where the dataset is kept, NAME-v0 (default: nowhere)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "rested-v0"
        params, behaviour = EnvParams(max_steps=options.steps), policies.make(BEHAVIOUR)
        write_dataset(
            folder, behaviour, jax.random.key(0), params, num_episodes=options.datasets * options.episodes,
            epsilon=options.epsilon, name=BEHAVIOUR, targets=TARGETS,
        )  # fmt: skip
        dataset = minari.MinariDataset(folder / "data")
        episodes = list(dataset)
        data = read(episodes)
        for entry in dataset.storage.metadata[KEY]["targets"]:
            truth = entry["expected_return"]
            target = np.stack(target_probabilities(episodes, policies.make(entry["policy"], params), entry["epsilon"]))
            print(f"\n{entry['name']}: {truth:.3f} ± {entry['standard_error']:.3f}")
            for kind in ("raw rewards", "expected penalties"):
                print(f"  {kind:<26}{'estimates':>10}{'bias':>18}{'error':>10}{'coverage':>10}")
                report(data, target, truth, options.datasets, kind)


if __name__ == "__main__":
    main()
