"""How good is a policy of any environment: the mean of its returns, nothing known of the best.

Where the parameters have an `expected_penalty`, it is 1: each heart attack counts by its probability. That changes no
expectation and takes most of the noise out.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from heartpole_jax.envs.environment import Environment
from heartpole_jax.evaluation.estimates import estimate
from heartpole_jax.evaluation.evaluator import Evaluation, Evaluator, Row
from heartpole_jax.rollout import rollout


def _evaluate(
    policy: Any,
    key: Any,
    params: Any,
    env: Environment,
    *,
    num_episodes: int,
    name: str,
    devices: Sequence[jax.Device] | None,
) -> Evaluation:
    if hasattr(params, "expected_penalty"):
        params = dataclasses.replace(params, expected_penalty=1.0)
    totals = rollout(policy, key, params, env=env, num_envs=num_episodes, devices=devices).totals
    returns = np.asarray(totals, np.float64)
    return Evaluation(
        name=name,
        num_episodes=num_episodes,
        expected_return=estimate(returns),
        regret=None,
        certified=False,
        returns=returns,
    )


def _unknown(params: Any) -> None:
    return None


def _notes(rows: Sequence[Row], params: Any) -> list[str]:
    return [
        f"{rows[0].evaluation.num_episodes:,} whole episodes for each policy, all on the same noise; ± is one standard "
        "error. No best return is known."
    ]


EVALUATOR = Evaluator(evaluate=_evaluate, num_episodes=1_024, best_known=_unknown, has_regret=False, notes=_notes)
