"""The parameters of any environment by name: what there are, what may be swept, and the environment's own with others.

    changed = params.replaced(env, {"heart_attack_penalty": 50.0})

`expected_penalty` is not among them: it changes what a learner is rewarded for, and not what there is to learn.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from chex import Numeric

from heartpole_jax import arguments, validation
from heartpole_jax.arguments import shown
from heartpole_jax.envs.environment import Environment


@arguments.checked(env=Environment)
def defaults(env: Environment) -> dict[str, int | float]:
    """Every parameter of `env` that is a number, with its default. Whole numbers set loop counts: the time limit."""
    values = vars(env.default_params) if dataclasses.is_dataclass(env.default_params) else {}
    return {name: x for name, x in values.items() if type(x) in (int, float) and name != "expected_penalty"}


@arguments.checked(env=Environment, values=Mapping)
def read(env: Environment, values: Mapping[str, Any]) -> dict[str, int | float]:
    """`values` as parameters of `env`, each of its default's type.

    Raises:
      ValueError: for an unknown name, or a value that is none for it.
    """
    if "expected_penalty" in values:
        raise ValueError(
            "expected_penalty is a hyperparameter; give it under [hyperparams] to train; no evaluation depends on it"
        )
    known = defaults(env)
    read = {}
    for name, value in values.items():
        kind = type(validation.look_up(known, name, f"parameter of {env.name}"))
        kind_name = "a whole number" if kind is int else "a number"
        if type(value) is not int and type(value) is not kind:
            raise ValueError(f"{name} must be {kind_name}, got {shown(value)}")
        read[name] = value if kind is int else validation.as_float(value)
        if not validation.is_held(read[name]):
            raise ValueError(f"{name} must be {kind_name}, {validation.held(read[name])}, got {shown(value)}")
    replaced(env, read)
    return read


@arguments.typed()
def replaced(env: Environment, changes: Mapping[str, Any]) -> Any:
    """The default parameters of `env` with these in the place of their own.

    Raises:
      ValueError, TypeError: where the environment refuses one.
    """
    known = vars(env.default_params) if dataclasses.is_dataclass(env.default_params) else {}
    for name in changes:
        validation.look_up(known, name, f"parameter of {env.name}")
    return dataclasses.replace(env.default_params, **changes) if changes else env.default_params


@arguments.typed()
def with_expected_penalty(env: Environment, params: Any, expected_penalty: Numeric) -> Any:
    """`params`, the environment's defaults where None, with this expected penalty where they have such a one."""
    params = env.params_or_default(params)
    if hasattr(params, "expected_penalty"):
        return dataclasses.replace(params, expected_penalty=expected_penalty)
    return params
