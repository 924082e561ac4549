"""What runs, sweeps and commands need of an algorithm: one record, made once in its own room."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
from chex import Array

from heartpole_jax import Policy, arguments
from heartpole_jax.platforms import ByPlatform

# What sets shapes and the program: a frozen dataclass of whole numbers, bools, names and tuples, which checks itself.
# `env_steps_per_iteration` are decisions of all environments together; `transform` is of `policies.transforms`.
Config: TypeAlias = Any


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """An algorithm whose training is `train_chunk` on a train state, one pytree.

    A train state is a frozen dataclass. It has `iteration`, an int32 that counts, and `online_params`, the weights that
    learn. After `train_chunk` in chunks of multiples of `block_iterations` it has the same bits, however many they are.
    Metrics are a dataclass of scalars: `env_steps`, `num_updates`, `loss`, `grad_norm`, and what else is known.
    """

    name: str
    config: type[Any]  # a `Config`
    hyperparams: type[Any]  # a dataclass of numbers, all of which can be swept
    init: Callable[..., Any]  # key, hyperparams, config, env, params -> train state
    train_chunk: Callable[
        ..., Any
    ]  # train state, hyperparams, config, env, iterations, params -> (train state, metrics)
    greedy: Callable[..., Policy]  # flat weights, config, env -> policy
    layers: Callable[..., Mapping[str, Array]]  # flat weights, config, env -> by name, as a saved policy has them
    check: Callable[..., None]  # hyperparams, config, env, num_steps: raises ValueError where nothing could be learned
    check_learns: Callable[..., None]  # hyperparams: the same of what does not depend on the rest
    memory_bytes: Callable[..., int]  # config, env: of one training run
    population_axes: Any  # a train state: which leaves have an axis of trials, for `jax.vmap(train_chunk)`
    policy_params: str  # the train state's flat weights that are the policy
    learned: tuple[str, ...]  # the train state's fields that updates change
    slice_size: ByPlatform[int]  # of a population, trained together: as many as are fast
    size: str  # the config's field that the memory grows with
    buffer: str | None = None  # the train state's field that is large, and empty at first
    block_iterations: int = 1
    starts: str | None = None  # the hyperparameter that sets after how many steps the first update comes
    whole_numbers: frozenset[str] = frozenset()  # hyperparameters that are none between two whole numbers

    def policy_of(self, train_state: Any) -> Array:
        """The flat weights of the policy, (num_weights,)."""
        return getattr(train_state, self.policy_params)

    def buffer_of(self, train_state: Any) -> Any:
        """What is large in the train state, () where there is nothing such."""
        return () if self.buffer is None else getattr(train_state, self.buffer)

    def with_buffer(self, train_state: Any, buffer: Any) -> Any:
        """The train state with another buffer, or itself where it has none."""
        return train_state if self.buffer is None else dataclasses.replace(train_state, **{self.buffer: buffer})


def check_config(name: str, config: Any) -> None:
    """Raises TypeError for what describes no network."""
    if isinstance(config, type) or not (hasattr(config, "hidden_sizes") and hasattr(config, "transform")):
        raise TypeError(f"{name} must be a configuration, as DQNConfig, got {arguments.described(config)}")


def train_state_of(kind: type) -> Callable[[str, Any], None]:
    """A check for `arguments.checked`: a train state of this type, whose leaves JAX can hold."""

    def check(name: str, value: Any) -> None:
        arguments.check_type(name, value, kind)
        arguments.check_arrays(name, value)

    return check


def check_form(train_state: Any, own: Any) -> None:
    """Raises ValueError where `train_state` has other types or shapes than `own`, which `init` makes."""
    given, expected = (vars(jax.tree.map(arguments.form, state)) for state in (train_state, own))
    for name, form in expected.items():
        if given[name] != form:
            raise ValueError(
                f"train_state must be of this configuration and environment, got {name} of "
                f"{arguments.shown(given[name])} and not {arguments.shown(form)}; begin anew with init"
            )
