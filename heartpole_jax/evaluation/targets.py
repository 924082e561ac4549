"""Exact values of the target policies of an environment, for testing estimators of off-policy evaluation.

A target is a scripted or published policy by its name, with epsilon: `policies.epsilon_soft(policies.make(name), 0.1)`.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from chex import PRNGKey

from heartpole_jax import arguments, validation
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.evaluation import scoring
from heartpole_jax.evaluation.estimates import Estimate
from heartpole_jax.policies import scripted
from heartpole_jax.policies.epsilon_soft import epsilon_soft
from heartpole_jax.policy import Policy, as_policy

LARGEST_ERROR = 0.02  # standard error of a value that is called exact
MOST_EPISODES = 2**22  # HeartPole-v1's returns are of hundreds, and take half of them
NUM_TARGETS = 12
_PILOT_EPISODES = 4_096
_EPSILONS = (0.1, 0.3)


@dataclasses.dataclass(frozen=True)
class TargetValue:
    """A target policy and its exact value."""

    policy: str  # as `policies.make` knows it, or as the caller has called it
    epsilon: float  # the probability of a uniformly drawn action
    expected_return: Estimate
    num_episodes: int  # simulated for it


@arguments.checked(key=validation.check_key, env=Environment, own=Mapping)
def target_values(
    key: PRNGKey,
    params: Any = None,
    *,
    env: Environment = HEARTPOLE_V0,
    own: Mapping[str, Policy] = MappingProxyType({}),
    targets: Sequence[tuple[str, float]] | None = None,
    devices: Any = None,
    progress: Callable[[str], None] = lambda name: None,
) -> list[TargetValue]:
    """The expected returns of target policies with standard errors of at most 0.02.

    Args:
      own: policies by names which stand for them before the environment's own.
      targets: (name, epsilon) of each; by default the first dozen whose values can be had, those of `own` first.
      others: as for `leaderboard`.

    Raises:
      ValueError: for a target that is unknown, or whose value takes more than `MOST_EPISODES`.
    """
    params = env.params_or_default(params)
    if targets is not None:
        for _, epsilon in targets:
            validation.check_share("the epsilon of a target", epsilon)
        made = {name: _policy(name, params, env, own) for name, _ in targets}
        found = [_value(name, made[name], epsilon, key, params, env, devices, progress) for name, epsilon in targets]
        missing = [target for target, value in zip(targets, found, strict=True) if value is None]
        if missing:
            raise ValueError(
                f"the value of {missing[0][0]!r} with epsilon {missing[0][1]:g} takes more than {MOST_EPISODES:,} "
                f"episodes for a standard error of {LARGEST_ERROR}; leave it out, or take shorter episodes"
            )
        return [value for value in found if value is not None]
    values: list[TargetValue] = []
    for name, epsilon in _candidates(env, list(own)):
        if len(values) == NUM_TARGETS:
            break
        try:
            policy = _policy(name, params, env, own)
        except ValueError:  # it cannot be made for these parameters
            continue
        if epsilon and scripted.is_uniformly_random(policy):
            continue  # it is its own mixture
        value = _value(name, policy, epsilon, key, params, env, devices, progress)
        values += [] if value is None else [value]
    return values


def _policy(name: str, params: Any, env: Environment, own: Mapping[str, Policy]) -> Policy:
    return as_policy(own[name]) if name in own else scripted.make(name, params, env)


def _candidates(env: Environment, own: list[str]) -> Iterable[tuple[str, float]]:
    """(name, epsilon), each once: own policies, the shown one and the first with each epsilon; then the others."""
    names = list(scripted.all_of(env))
    softened = [*own, env.shown_policy or names[0], names[0]]
    mixed = itertools.product(softened, (0.0, *_EPSILONS))
    return dict.fromkeys([*mixed, *((name, 0.0) for name in names)])


def _value(
    name: str, policy: Policy, epsilon: float, key: PRNGKey, params: Any, env: Environment, devices: Any, progress: Any
) -> TargetValue | None:
    """The value, of as many episodes as its error takes; None where those are more than `MOST_EPISODES`."""
    progress(f"{name}, epsilon {epsilon:g}")
    soft, num_episodes = epsilon_soft(policy, float(epsilon), env.num_actions), _PILOT_EPISODES
    while num_episodes <= MOST_EPISODES:
        found = scoring.evaluate(soft, key, params, env=env, num_episodes=num_episodes, devices=devices)
        value = found.expected_return
        if value.standard_error <= LARGEST_ERROR:
            return TargetValue(name, float(epsilon), value, num_episodes)
        needed = 1.1 * num_episodes * (value.standard_error / LARGEST_ERROR) ** 2
        num_episodes = max(_PILOT_EPISODES * math.ceil(needed / _PILOT_EPISODES), 2 * num_episodes)
    return None
