"""Policy: what chooses the actions, for one patient."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
from chex import Array, PRNGKey

from heartpole_jax import arguments, validation


def _itself(key: PRNGKey) -> PRNGKey:
    return key


@functools.partial(jax.tree_util.register_dataclass, data_fields=["params", "carry"], meta_fields=["act", "sample"])
@dataclasses.dataclass(frozen=True)
class Policy:
    """A policy for one patient: its random numbers apart from its decision, as an environment's are.

    A pytree: `params` can be traced, swept and differentiated, and the policy passed through jit. `act` and `sample`
    are static: give the same functions again and the compiled program is found again. It can be pickled where they can:
    all of this package's are functions of a module.
    """

    act: Callable[[Any, Any, Array, Any], tuple[Any, Any]]  # params, carry, obs, draw -> action, carry
    sample: Callable[[PRNGKey], Any] = _itself  # key -> draw
    params: Any = ()
    carry: Any = ()  # at the start of an episode


def as_policy(policy: Policy | Callable[[PRNGKey, Array], Any]) -> Policy:
    """`policy` itself, a plain function `(key, obs) -> action` as a `Policy`, or the policy of a `SavedPolicy`.

    Raises:
      TypeError: if it is neither.
    """
    if hasattr(policy, "as_policy") and not isinstance(policy, type):
        policy = policy.as_policy()
    if isinstance(policy, Policy):
        arguments.check_fields(policy)
        arguments.check_arrays("params of a policy", policy.params)
        arguments.check_arrays("carry of a policy", policy.carry)
        return policy
    if not callable(policy) or isinstance(policy, type):
        hint = "; give its policy()" if hasattr(policy, "policy") else ""
        raise TypeError(
            f"policy must be a Policy or a function (key, obs) -> action, got {validation.described(policy)}{hint}"
        )
    return Policy(act=_PlainAct(policy))


@dataclasses.dataclass(frozen=True)
class _PlainAct:
    """A plain function as an `act`; equal to another of the same function, so that jit finds its program again."""

    function: Callable[[PRNGKey, Array], Any]

    def __call__(self, params, carry, obs, draw):
        return self.function(draw, obs), carry
