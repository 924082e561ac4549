"""The parameters of any environment by name: what there are, what may be swept, and the environment's own with others.

    params = env_params.replaced(env, {"heart_attack_penalty": 50.0})

`expected_penalty` is not among them: it is a hyperparameter, see `Hyperparams`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from chex import Numeric

from heartpole_jax import Environment, arguments, validation
from heartpole_jax.arguments import shown


@arguments.checked(env=Environment)
def defaults(env: Environment) -> dict[str, int | float]:
    """Every parameter of `env` that is a number, with its default. Whole numbers set loop counts: the time limit."""
    return {
        field.name: value
        for field in dataclasses.fields(_own(env))
        if type(value := getattr(_own(env), field.name)) in (int, float) and field.name != "expected_penalty"
    }  # fmt: skip


@arguments.checked(env=Environment, values=Mapping)
def read(env: Environment, values: Mapping[str, Any]) -> dict[str, int | float]:
    """`values` as parameters of `env`, each of its default's type.

    Raises:
      ValueError: for an unknown name, or a value that is none for it.
    """
    if "expected_penalty" in values:
        raise ValueError("expected_penalty is a hyperparameter; give it under [hyperparams]")
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
    for name in changes:
        known = {field.name: field.name for field in dataclasses.fields(_own(env))}
        validation.look_up(known, name, f"parameter of {env.name}")
    own = dataclasses.replace(_own(env), **changes) if changes else _own(env)
    return dataclasses.replace(env.default_params, gymnax=own) if _is_gymnax(env) else own


@arguments.typed()
def with_expected_penalty(env: Environment, params: Any, expected_penalty: Numeric) -> Any:
    """`params`, the environment's defaults where None, with this expected penalty where they have such a one."""
    params = env._params(params)
    if hasattr(params, "expected_penalty"):
        return dataclasses.replace(params, expected_penalty=expected_penalty)
    return params


def _own(env: Environment) -> Any:
    return env.default_params.gymnax if _is_gymnax(env) else env.default_params


def _is_gymnax(env: Environment) -> bool:
    """Whether the parameters are gymnax's, which `heartpole_jax.interop.gymnax.Params` wraps."""
    return hasattr(env.default_params, "gymnax")
