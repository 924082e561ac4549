"""Published policies: printed scores beside exact ones, and the chance that averages of so few episodes rank wrongly.

    print(evaluation.literature(jax.random.key(0)))

An exact score is an expected return, as of `evaluate`. Chances are bootstrapped: of each policy that can be had the raw
returns of `num_episodes` episodes are simulated, weighted so that their mean is the exact score, and 100,000 averages
of as many of them as the source has averaged are resampled. Each policy is resampled independently of the others.
"""

import functools
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from chex import PRNGKey

from heartpole_jax import arguments, documents, validation
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.evaluation import scoring
from heartpole_jax.evaluation.estimates import estimate
from heartpole_jax.evaluation.evaluator import evaluator_of
from heartpole_jax.evaluation.literature_tables import NUM_RESAMPLES, Literature, LiteratureRow, Pair, Published
from heartpole_jax.policies import scripted
from heartpole_jax.rollout import rollout

_BOOTSTRAP_SEED = 0


@arguments.checked(env=Environment)
def published(env: Environment = HEARTPOLE_V0) -> tuple[Published, ...]:
    """Every published score of the environment. Raises ValueError where none is known."""
    return tuple(Published(**entry) for entry in _file(env)["published"])


def _file(env: Environment) -> dict[str, Any]:
    path: Path | None = evaluator_of(env).literature
    if path is None:
        raise ValueError(f"no published policies of {env.name} are known; those of HeartPole-v0 are")
    return documents.read_toml(path, "literature")


@arguments.checked(key=validation.check_key, env=Environment)
def literature(
    key: PRNGKey,
    *,
    env: Environment = HEARTPOLE_V0,
    num_episodes: int | None = None,
    devices: Any = None,
    progress: Callable[[str], None] = lambda name: None,
) -> Literature:
    """Printed and exact scores of every published policy, with the default constants.

    Args:
      key: the noise.
      num_episodes: simulated of each policy; as for `evaluate`.
      devices, progress: as for `leaderboard`.

    Raises:
      ValueError: for an environment without published policies, too few episodes.
    """
    entries, best = published(env), _file(env)["best"]
    num_episodes = evaluator_of(env).num_episodes if num_episodes is None else num_episodes
    names = dict.fromkeys([best, *(entry.policy for entry in entries if entry.policy)])
    evaluations, returns = {}, {}
    for name in names:
        progress(name)
        policy = scripted.make(name, env=env)
        evaluations[name] = scoring.evaluate(
            policy, key, env=env, num_episodes=num_episodes, name=name, devices=devices
        )
        raw = rollout(policy, key, env=env, num_envs=num_episodes, devices=devices)
        returns[name] = np.asarray(raw.totals, np.float64)
    weights = {name: tilted(returns[name], evaluations[name].expected_return.mean) for name in names}
    averages = functools.cache(
        lambda name, count: _averages(returns[name], weights[name], count, list(names).index(name))
    )
    rows = [_row(entry, best, evaluations, returns, averages) for entry in entries]
    rows.append(_row_of_best(best, evaluations[best]))
    pairs = [
        _pair(first, second, evaluations, averages)
        for first, second in itertools.combinations([entry for entry in entries if entry.policy], 2)
    ]
    pairs.sort(key=lambda pair: pair.chance_of_wrong_order, reverse=True)
    return Literature(env, num_episodes, tuple(sorted(rows, key=_order)), tuple(pairs))


def chance_above(averages: np.ndarray, others: np.ndarray) -> float:
    """The probability that one of `averages` exceeds one of `others`, both of shape (n,); ties count half."""
    others = np.sort(others)
    low, high = (np.searchsorted(others, averages, side).mean() for side in ("left", "right"))
    return float(low + high) / (2 * others.size)


def tilted(values: np.ndarray, mean: float) -> np.ndarray:
    """Weights exp(c x) of the values x, (n,), that sum to 1 and give them this mean: the nearest to equal ones.

    The mean of 65,536 raw returns is 0.4 off, which would move chances by 1 %.
    """
    centred = values - mean
    weights, c = np.full(values.shape, 1.0 / values.size), 0.0
    for _ in range(20):  # Newton's method; c is near 0
        c -= float((weights @ centred) / (weights @ centred**2 - (weights @ centred) ** 2))
        weights = np.exp(c * centred)
        weights /= weights.sum()
    return weights


def _averages(returns: np.ndarray, weights: np.ndarray, count: int, index: int) -> np.ndarray:
    """Resampled averages of `count` returns each, (NUM_RESAMPLES,)."""
    generator = np.random.default_rng([_BOOTSTRAP_SEED, index, count])
    return np.mean([generator.choice(returns, NUM_RESAMPLES, p=weights) for _ in range(count)], axis=0)


def _row(
    entry: Published, best: str, evaluations: Mapping[str, Any], returns: Mapping[str, np.ndarray], averages: Callable
) -> LiteratureRow:
    reached = lambda name: float(np.mean(averages(name, entry.num_episodes) >= entry.printed))
    own = entry.policy
    found = evaluations[own] if own else None
    return LiteratureRow(
        name=entry.name,
        published=entry,
        expected_return=found.expected_return if found else None,
        regret=found.regret if found else None,
        printed_error=float(returns[own].std(ddof=1) / np.sqrt(entry.num_episodes)) if own else None,
        printed_or_better=reached(own) if own else None,
        best_prints_it=reached(best),
    )


def _row_of_best(best: str, found: Any) -> LiteratureRow:
    return LiteratureRow(
        name=f"{best} (the best known)", published=None, expected_return=found.expected_return, regret=found.regret,
        printed_error=None, printed_or_better=None, best_prints_it=None,
    )  # fmt: skip


def _pair(first: Published, second: Published, evaluations: Mapping[str, Any], averages: Callable) -> Pair:
    key = lambda entry: evaluations[entry.policy].expected_return.mean
    better, worse = sorted((first, second), key=key, reverse=True)
    good, bad = evaluations[str(better.policy)], evaluations[str(worse.policy)]
    return Pair(
        better=better.name,
        worse=worse.name,
        difference=estimate(good.returns - bad.returns),
        printed_in_order=better.printed > worse.printed,
        chance_of_wrong_order=chance_above(
            averages(worse.policy, worse.num_episodes), averages(better.policy, better.num_episodes)
        ),
    )


def _order(row: LiteratureRow) -> tuple[bool, float]:
    known = row.expected_return is not None
    return not known, -(row.expected_return.mean if row.expected_return else row.published.printed)  # type: ignore[union-attr]
