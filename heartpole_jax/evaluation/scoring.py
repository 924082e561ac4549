"""evaluate, leaderboard: how good a policy is in any environment, by the `Evaluator` that its record names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from chex import PRNGKey

from heartpole_jax import arguments, validation
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.evaluation.estimates import estimate
from heartpole_jax.evaluation.evaluator import BestKnown, Row, evaluator_of
from heartpole_jax.evaluation.tables import Leaderboard
from heartpole_jax.policies.scripted import default_policies
from heartpole_jax.policy import Policy, as_policy


@arguments.checked(env=Environment)
def best_known(params: Any = None, env: Environment = HEARTPOLE_V0) -> BestKnown | None:
    """The best known expected return, and whether it is certified that no policy has more; None where it is unknown.

    For params of plain numbers. HeartPole-v0 takes seconds, HeartPole-v1 half a minute; cached.
    """
    return evaluator_of(env).best_known(env.params_or_default(params))


@arguments.checked(name=str, env=Environment)
def evaluate(
    policy: Policy | Callable[..., Any],
    key: PRNGKey,
    params: Any = None,
    *,
    env: Environment = HEARTPOLE_V0,
    num_episodes: int | None = None,
    name: str = "policy",
    devices: Sequence[jax.Device] | None = None,
) -> Any:
    """The value of a policy and its parts: an `Evaluation`, the environment's own where it has one.

    Args:
      policy: as for `rollout`.
      key: the noise; two policies under one key have the same random numbers.
      params: of the environment, plain numbers. `expected_penalty` is ignored: it changes no expectation.
      num_episodes: whole episodes, at least 4; by default 65,536 of HeartPole-v0, 16,384 of HeartPole-v1, 1,024 of
        others.
      name: for the table.
      devices: as for `rollout`.

    Raises:
      ValueError: for too few episodes, or parameters that are not plain numbers.
      TypeError: for another environment's parameters.
      RuntimeError: if the estimate lies above what any policy can reach, which would be an error of ours.
    """
    as_policy(policy)
    validation.check_key("key", key)
    params, evaluator = env.params_or_default(params), evaluator_of(env)
    num_episodes = _checked_episodes(num_episodes, env)
    return evaluator.evaluate(policy, key, params, env, num_episodes=num_episodes, name=name, devices=devices)


def _checked_episodes(num_episodes: int | None, env: Environment) -> int:
    """How many episodes, the evaluator's own number where None. Raises ValueError for too few."""
    num_episodes = evaluator_of(env).num_episodes if num_episodes is None else num_episodes
    validation.check_size("num_episodes", num_episodes)
    if num_episodes < 4:
        raise ValueError(
            f"num_episodes must be at least 4, two for each half of the control variate, got {num_episodes}"
        )
    return num_episodes


def _check_policies(name: str, value: Any) -> None:
    if value is not None:
        arguments.check_type(name, value, Mapping, "policies come first, the key second; None is for all scripted ones")


@arguments.checked(policies=_check_policies, key=validation.check_key, env=Environment)
def leaderboard(
    policies: Mapping[str, Policy | Callable[..., Any]] | None,
    key: PRNGKey,
    params: Any = None,
    *,
    env: Environment = HEARTPOLE_V0,
    num_episodes: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> Leaderboard:
    """The policies, best first, on the same noise.

    Args:
      policies: by name; None for all scripted ones, `policies.default_policies(params, env)`.
      progress: called with each name before its turn.
      others: as for `evaluate`.
    """
    params, num_episodes = env.params_or_default(params), _checked_episodes(num_episodes, env)  # before any is solved
    policies = default_policies(params, env) if policies is None else policies
    if not policies:
        raise ValueError("policies must name at least one policy, got none")
    evaluations = []
    for name, policy in policies.items():
        progress(name)
        evaluations.append(
            evaluate(policy, key, params, env=env, num_episodes=num_episodes, name=name, devices=devices)
        )
    evaluations.sort(key=lambda evaluation: -evaluation.expected_return.mean)
    best = evaluations[0].returns
    return Leaderboard(env, params, tuple(Row(each, estimate(best - each.returns)) for each in evaluations))
