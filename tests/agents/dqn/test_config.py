"""DQNConfig and Hyperparams refuse what cannot be, by name and value."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.dqn.config import DQNConfig, Hyperparams
from heartpole_jax.policies.transforms import TRANSFORMS

SIZES = ("n_step", "batch_size", "buffer_size", "num_envs", "steps_per_iteration", "updates_per_iteration")


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "must be at least 1 and below 2^31, got 0"),
        (-3, ValueError, "must be at least 1 and below 2^31, got -3"),
        (2**31, ValueError, "must be at least 1 and below 2^31, got 2147483648"),
        (4.0, TypeError, "must be a whole number known before tracing, got 4.0"),
        ("4", TypeError, "must be a whole number known before tracing, got '4'"),
        (True, TypeError, "must be a whole number known before tracing, got True"),
        (None, TypeError, "must be a whole number known before tracing, got None"),
    ],
    ids=str,
)
def test_a_size_that_is_none_is_refused(name, value, error, message):
    with pytest.raises(error) as raised:
        DQNConfig(**{name: value})
    assert str(raised.value) == f"{name} {message}"


@pytest.mark.parametrize(("sizes", "got"), [((64, 0), "got 0"), ([2.5], "got 2.5"), (("a",), "got 'a'")], ids=str)
def test_hidden_layers_of_no_size_are_refused(sizes, got):
    with pytest.raises((ValueError, TypeError), match=f"each of hidden_sizes must be .*{got}"):
        DQNConfig(hidden_sizes=sizes)


def test_a_buffer_that_is_no_multiple_of_an_iterations_steps_is_refused_with_one_that_is():
    message = "buffer_size must be a multiple of num_envs * steps_per_iteration = 12, got 100; take 108"
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        DQNConfig(buffer_size=100, num_envs=3, steps_per_iteration=4)
    assert str(raised.value) == message
    assert DQNConfig(buffer_size=108, num_envs=3, steps_per_iteration=4).env_steps_per_iteration == 12


def test_a_batch_larger_than_the_buffer_is_refused():
    with pytest.raises(ValueError, match="batch_size must not exceed buffer_size 32, got 33"):
        DQNConfig(buffer_size=32, batch_size=33)
    DQNConfig(buffer_size=32, batch_size=32)


def test_more_steps_in_a_target_than_a_environment_keeps_are_refused():
    with pytest.raises(
        ValueError, match="n_step must not exceed the steps that the buffer holds of an environment, 8, got 9"
    ):
        DQNConfig(buffer_size=32, num_envs=4, steps_per_iteration=1, n_step=9, batch_size=4)
    DQNConfig(buffer_size=32, num_envs=4, steps_per_iteration=1, n_step=8, batch_size=4)


def test_an_unknown_transform_is_refused_with_the_nearest_known():
    known = f"known: {', '.join(map(repr, TRANSFORMS))}"
    hints = {"hartpole": "did you mean 'heartpole'? ", "heartpole_days": "did you mean 'heartpole-days'? ", "?": ""}
    for name, hint in hints.items():
        with pytest.raises(ValueError, match="transform") as raised:
            DQNConfig(transform=name)
        assert str(raised.value) == f"unknown transform {name!r}; {hint}{known}"


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="buffersize"):
        DQNConfig(buffersize=1)
    with pytest.raises(TypeError, match="gamma"):
        Hyperparams(gamma=0.9)


def test_a_configuration_is_hashable_and_equal_to_its_like():
    """Lists of sizes too, and sizes from NumPy: jit finds its program again."""
    one = DQNConfig(hidden_sizes=[16, 16], batch_size=np.int64(8))
    same = DQNConfig(hidden_sizes=(16, 16), batch_size=8)
    assert one == same
    assert hash(one) == hash(same)
    assert DQNConfig() != same
    with pytest.raises(dataclasses.FrozenInstanceError):
        same.batch_size = 9


POSITIVE = ("huber_delta", "max_grad_norm", "adam_epsilon", "reward_scale", "learning_rate_steps", "epsilon_steps")
NON_NEGATIVE = ("learning_rate", "final_learning_rate", "learning_starts")
SHARES = ("discount", "epsilon_start", "epsilon_end", "target_tau", "ema_rate", "reset_rate", "expected_penalty")
NAMES = [field.name for field in dataclasses.fields(Hyperparams)]
BAD = [
    *[(name, value, "greater than 0") for name in POSITIVE for value in (0.0, -1.0)],
    *[(name, -0.001, "at least 0") for name in NON_NEGATIVE],
    *[(name, value, "in [0, 1]") for name in SHARES for value in (-0.001, 1.001)],
    *[(name, value, "in [0, 1)") for name in ("adam_b1", "adam_b2") for value in (-0.001, 1.0)],
    ("discount", np.array([0.9, 1.1]), "in [0, 1]"),
    ("learning_rate", jnp.array([0.1, -0.1]), "at least 0"),
    *[(name, value, "finite") for name in NAMES for value in (float("nan"), float("inf"))],
    *[(name, value, "finite in float32") for name in NAMES for value in (1e39, 1e300)],
    *[(name, 1e-40, "greater than 0") for name in POSITIVE],
    ("adam_b1", 1 - 1e-12, "in [0, 1)"),
]


@pytest.mark.parametrize(("name", "value", "requirement"), BAD, ids=str)
def test_a_number_out_of_range_is_refused_by_name_and_value(name, value, requirement):
    for build in (lambda: Hyperparams(**{name: value}), lambda: dataclasses.replace(Hyperparams(), **{name: value})):
        with pytest.raises(ValueError) as raised:  # noqa: PT011
            build()
        assert str(raised.value) == f"Hyperparams.{name} must be {requirement}, got {value!r}"


@pytest.mark.parametrize("value", [0.0, 0.5, 0.999, -1.0, 2.5, 2.0**31])
def test_a_target_period_of_no_whole_step_is_refused(value):
    """A fraction would be cut off: the period would not be what was asked for, or 0, and no update at all."""
    with pytest.raises(ValueError, match=r"Hyperparams\.target_period must be "):
        Hyperparams(target_period=value)
    Hyperparams(target_period=1)


@pytest.mark.parametrize("value", ["0.1", None, True, 1j], ids=str)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError) as raised:
        Hyperparams(learning_rate=value)
    expected = f"Hyperparams.learning_rate must be a real number or an array of them, got {value!r}"
    assert str(raised.value) == expected


def test_the_limits_themselves_pass():
    for value in (0.0, 1.0):
        Hyperparams(**dict.fromkeys(SHARES, value))
    Hyperparams(**dict.fromkeys(NON_NEGATIVE, 0), adam_b1=0, adam_b2=0)
    Hyperparams(**dict.fromkeys(POSITIVE, 1e-30))
    Hyperparams(reward_shift=-5.0)


def test_tracers_and_arrays_pass():
    build = jax.jit(lambda x: Hyperparams(discount=x))
    assert float(build(2.0).discount) == 2.0
    assert Hyperparams(discount=jnp.array([0.9, 0.99]), target_period=np.int64(3)).discount.shape == (2,)


def test_the_defaults_are_those_of_stable_baselines3():
    """SB3 2.x: DQN's signature; its exploration ends after a tenth of 500,000 steps. Adam's are PyTorch's."""
    defaults = vars(Hyperparams())
    assert defaults == {
        "learning_rate": 1e-4, "final_learning_rate": 1.0, "learning_rate_steps": 1, "adam_b1": 0.9, "adam_b2": 0.999,
        "adam_epsilon": 1e-8, "max_grad_norm": 10.0, "huber_delta": 1.0, "discount": 0.99, "epsilon_start": 1.0,
        "epsilon_end": 0.05, "epsilon_steps": 50_000, "learning_starts": 100, "target_period": 10_000,
        "target_tau": 1.0, "ema_rate": 1.0, "reset_rate": 0.0, "reward_shift": 0.0, "reward_scale": 1.0,
        "expected_penalty": 0.0,
    }  # fmt: skip
    config = DQNConfig()
    assert (config.hidden_sizes, config.batch_size, config.buffer_size) == ((64, 64), 32, 1_000_000)
    assert (config.num_envs, config.steps_per_iteration, config.updates_per_iteration) == (1, 4, 1)
    assert (config.double, config.dueling, config.n_step, config.time_limit_is_terminal) == (False, False, 1, False)
