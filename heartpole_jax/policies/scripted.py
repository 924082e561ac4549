"""The scripted policies of any environment, by name."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from chex import Array, PRNGKey

from heartpole_jax import arguments, threefry, validation
from heartpole_jax.envs.environment import Environment, imported
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.policy import Policy


@arguments.typed()
def of(env: Environment) -> Mapping[str, Callable[[Any], Policy]]:
    """The environment's scripted policies, each a function of its parameters; "random" where it has none."""
    if env.policies is None:
        return {"random": lambda params: uniformly_random(env.num_actions)}
    return imported(env.policies)


@arguments.typed()
def all_of(env: Environment) -> Mapping[str, Callable[[Any], Policy]]:
    """The environment's scripted policies, and those of published work."""
    return {**of(env), **(imported(env.published_policies) or {})}


@arguments.checked(env=Environment)
def make(name: str, params: Any = None, env: Environment = HEARTPOLE_V0) -> Policy:
    """The scripted or published policy of `env` called `name`, made for its parameters, the defaults where None.

    Raises:
      ValueError: if there is none of that name, or it cannot be made for these parameters: a menu without what it
        takes, an optimum that is unknown.
      TypeError: for another environment's parameters.
    """
    return validation.look_up(all_of(env), name, "policy")(env.params_or_default(params))


@arguments.checked(env=Environment)
def default_policies(params: Any = None, env: Environment = HEARTPOLE_V0) -> dict[str, Policy]:
    """All scripted policies of `env` that can be made for its parameters."""
    params, found = env.params_or_default(params), {}
    for name, make_policy in of(env).items():
        try:
            found[name] = make_policy(params)
        except ValueError:
            continue
    return found


@arguments.checked(num_actions=validation.check_size)
def uniformly_random(num_actions: int = HEARTPOLE_V0.num_actions) -> Policy:
    """Each action with the same probability, at every step."""
    return Policy(act=_drawn, sample=_Draw(num_actions))


@arguments.checked(policy=Policy)
def is_uniformly_random(policy: Policy) -> bool:
    """Whether it is a policy of `uniformly_random`."""
    return policy.act is _drawn


def _drawn(params, carry, obs, action):
    return action, carry


@dataclasses.dataclass(frozen=True)
class _Draw:
    """A draw of one of `num_actions`; equal for equal numbers, so that jit finds its program again."""

    num_actions: int

    def __call__(self, key: PRNGKey) -> Array:
        return threefry.random_int(key, self.num_actions)
