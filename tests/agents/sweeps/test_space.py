"""Ranges of swept names: what they say is what one gets, and what cannot be swept is named."""

import dataclasses

import numpy as np
import pytest

from agents import dqn
from agents.dqn.config import DQNConfig, Hyperparams
from agents.sweeps import space
from agents.sweeps.space import Choices, Grid, LogUniform, Uniform
from heartpole_jax import EnvParams
from heartpole_jax.envs import registry

ENV = registry.make("HeartPole-v0")


def test_every_hyperparameter_field_of_the_configuration_and_constant_of_the_environment_can_be_swept():
    fields = lambda cls: {field.name for field in dataclasses.fields(cls)}
    expected = fields(Hyperparams) | fields(DQNConfig) | (fields(EnvParams) - {"max_steps"})
    assert set(space.names(ENV, dqn.ALGORITHM)) == expected
    assert [name for name in space.names(ENV, dqn.ALGORITHM) if space.is_static(name)] == list(
        DQNConfig.__dataclass_fields__
    )
    assert {name for name in expected if space.is_param(name)} == fields(EnvParams) - {"max_steps", "expected_penalty"}


def test_gymnaxs_constants_can_be_swept():
    pytest.importorskip("gymnax", exc_type=ImportError)
    env = registry.make("gymnax:MountainCar-v0")
    assert space.read({"gravity": {"uniform": [0.001, 0.004]}}, env, dqn.ALGORITHM) == {
        "gravity": Uniform(0.001, 0.004)
    }
    with pytest.raises(ValueError, match=r"^max_steps_in_episode cannot be swept, since it sets loop counts; give it"):
        space.read({"max_steps_in_episode": {"choices": [100]}}, env, dqn.ALGORITHM)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("learning_rate=log_uniform:1e-4,1e-2", "learning_rate", LogUniform(1e-4, 1e-2)),
        ("discount=uniform:0.9,0.999", "discount", Uniform(0.9, 0.999)),
        ("discount=uniform:0,1,points=5", "discount", Uniform(0.0, 1.0, 5)),
        ("learning_rate = log_uniform: 1e-4 , 1e-2 , points = 3", "learning_rate", LogUniform(1e-4, 1e-2, 3)),
        ("hidden_sizes=choices:[32,32],[64,64]", "hidden_sizes", Choices(((32, 32), (64, 64)))),
        ("double=choices:true,false", "double", Choices((True, False))),
        ("transform=choices:raw,heartpole-days", "transform", Choices(("raw", "heartpole-days"))),
        ('transform="raw","heartpole"', "transform", Grid(("raw", "heartpole"))),
        ("discount=0.9,0.95,1", "discount", Grid((0.9, 0.95, 1.0))),
        ("heart_attack_penalty=grid:50,100", "heart_attack_penalty", Grid((50.0, 100.0))),
        ("batch_size=32", "batch_size", Grid((32,))),
        ("reward_shift=uniform:-1,0", "reward_shift", Uniform(-1.0, 0.0)),
    ],
)
def test_a_range_is_what_the_command_line_says_and_comes_back_from_its_table(text, name, expected):
    parsed, table = space.parse(text)
    ranges = space.read({parsed: table}, ENV, dqn.ALGORITHM)
    assert ranges == {name: expected}
    assert space.read({name: space.as_table(expected)}, ENV, dqn.ALGORITHM) == ranges
    values = ranges[name].values if isinstance(expected, Grid | Choices) else (ranges[name].low, ranges[name].high)
    wanted = expected.values if isinstance(expected, Grid | Choices) else (expected.low, expected.high)
    assert [type(value) for value in values] == [type(value) for value in wanted]


@pytest.mark.parametrize(
    "text",
    ["discount", "=0.9", "discount=", "discount=0.9,x y", "discount=uniform:0.9,[1", "discount=uniform:0,1,points=x",
     "discount=1]\nb = [2", "discount=uniform"],
)  # fmt: skip
def test_a_text_that_is_no_range_is_refused(text):
    if text == "discount=uniform":  # a word, so a value, which discount does not take
        with pytest.raises(ValueError, match="each value of discount must be a number, got 'uniform'"):
            space.read(dict([space.parse(text)]), ENV, dqn.ALGORITHM)
        return
    with pytest.raises(ValueError, match="a range must be NAME=VALUE,VALUE or NAME=KIND:VALUE,VALUE with") as error:
        space.parse(text)
    assert str(error.value).endswith(f"as in learning_rate=log_uniform:1e-4,1e-2, got {text!r}")


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("learning_rat", {"grid": [1]}, "unknown name to sweep 'learning_rat'; did you mean 'learning_rate'? known: "),
        ("max_steps", {"grid": [1]}, "max_steps cannot be swept, since it sets loop counts; give it under [params]"),
        ("discount", 0.9, "discount must be a table of one of grid, choices, uniform, log_uniform, as "
                          "{choices = [...]}, got 0.9"),
        ("discount", {"points": 3}, "discount must be a table of one of grid, choices, uniform, log_uniform, "),
        ("discount", {"grid": [0.9], "uniform": [0, 1]}, "discount must be a table of one of grid, "),
        ("discount", {"grid": [0.9], "point": 3}, "unknown key of discount 'point'; did you mean 'points'?"),
        ("discount", {"grid": 0.9}, "discount: grid must be a list, got 0.9"),
        ("discount", {"grid": []}, "discount has no values to take; give at least one, or leave it out"),
        ("discount", {"choices": []}, "discount has no values to take; give at least one, or leave it out"),
        ("discount", {"grid": [0.9], "points": 3}, "discount: points are for uniform and log_uniform; leave them out "),
        ("discount", {"grid": [0.9, 1, 1.0]}, "discount must have each value once, got 1.0 twice"),
        ("hidden_sizes", {"choices": [[8], [8]]}, "hidden_sizes must have each value once, got [8] twice"),
        ("discount", {"grid": ["0.9"]}, "each value of discount must be a number, got '0.9'"),
        ("discount", {"grid": [True]}, "each value of discount must be a number, got True"),
        ("discount", {"grid": [float("nan")]}, "each value of discount must be finite, got nan"),
        ("reward_shift", {"uniform": [0, float("inf")]}, "each value of reward_shift must be finite, got inf"),
        ("reward_shift", {"uniform": [0, 10**400]}, "each value of reward_shift must be finite, got a number of"),
        ("double", {"choices": [1]}, "each value of double must be true or false, got 1"),
        ("batch_size", {"choices": [32, 64.0]}, "each value of batch_size must be a whole number, got 64.0"),
        ("hidden_sizes", {"choices": [64]}, "each value of hidden_sizes must be a list of whole numbers, got 64"),
        ("batch_size", {"uniform": [32, 64]}, "batch_size sets shapes or the program, and cannot be uniform; give "
                                              "choices = [...]"),
        ("dueling", {"log_uniform": [1, 2]}, "dueling sets shapes or the program, and cannot be log_uniform; give "),
        ("discount", {"uniform": [0.9]}, "discount: uniform must be two numbers, low and high, got [0.9]"),
        ("discount", {"uniform": [0.9, 0.8]}, "discount must have low below high, got uniform = [0.9, 0.8]"),
        ("discount", {"uniform": [0.9, 0.9]}, "discount must have low below high, got uniform = [0.9, 0.9]"),
        ("learning_rate", {"log_uniform": [0, 1]}, "learning_rate: log_uniform must be above 0 at both ends, 1.2e-38 "
                                                   "or more, got [0, 1]; take a small positive low, or uniform"),
        ("reward_shift", {"log_uniform": [-1, 1]}, "reward_shift: log_uniform must be above 0 at both ends, "),
        ("learning_rate", {"log_uniform": [1e-50, 1]}, "learning_rate: log_uniform must be above 0 at both ends, "),
        ("discount", {"uniform": [0, 1], "points": 1}, "discount: points must be a whole number from 2 to 1,000,000, "
                                                       "got 1"),
        ("discount", {"uniform": [0, 1], "points": 2.5}, "discount: points must be a whole number from 2 to "),
    ],
)  # fmt: skip
def test_a_range_that_cannot_be_is_refused_by_name(name, spec, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        space.read({name: spec}, ENV, dqn.ALGORITHM)
    assert str(error.value).startswith(message) or (message in str(error.value) and message.startswith("must"))


def test_points_are_even_or_even_in_the_logarithm_with_both_ends():
    assert space.grid("discount", Uniform(0.0, 1.0, 5)) == [0.0, 0.25, 0.5, 0.75, 1.0]
    values = space.grid("learning_rate", LogUniform(1e-4, 3e-1, 4))
    assert (values[0], values[-1]) == (1e-4, 3e-1)
    np.testing.assert_allclose(np.diff(np.log(values)), np.log(3e3) / 3, rtol=1e-12)
    assert {type(value) for value in values} == {float}
    assert space.grid("hidden_sizes", Choices(((8, 8), (16,)))) == [[8, 8], [16]]


def test_a_range_without_points_is_no_grid():
    with pytest.raises(ValueError, match="discount has no points for a grid search") as error:
        space.grid_size({"double": Grid((True, False)), "discount": Uniform(0.5, 1.0)})
    assert str(error.value) == (
        "discount has no points for a grid search; add them, as in {uniform = [0.5, 1.0], points = 5}, or take "
        "search = 'random'"
    )
