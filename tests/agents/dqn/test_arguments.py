"""Wrong arguments of training: each is named, before anything is compiled."""

import dataclasses
import inspect

import jax
import numpy as np
import pytest

import heartpole_jax as hp
from agents import dqn, pqn
from agents.commands import evaluate as evaluate_command
from agents.common import evaluation, networks
from agents.dqn import algorithm, loss, memory, noise
from agents.dqn.config import DQNConfig, Hyperparams
from agents.pqn import agent as pqn_agent
from agents.pqn import algorithm as pqn_algorithm
from agents.pqn import learning
from agents.runs import loop
from heartpole_jax.policies import saved_policy

KEY = jax.random.key(0)
CONFIG = DQNConfig(hidden_sizes=(4,), buffer_size=64, num_envs=2, batch_size=4)
HYPERPARAMS = Hyperparams()
PQN = pqn.Hyperparams()


@pytest.fixture(scope="module")
def train_state():
    return jax.jit(lambda: dqn.init(KEY, HYPERPARAMS, CONFIG))()


COMMON = {"hyperparams": HYPERPARAMS, "config": CONFIG}
CASES = {
    "weights of another shape": (dqn.evaluate, {"weights": np.zeros(3)}),
    "a number as weights": (dqn.evaluate, {"weights": 0}),
    "several networks": (dqn.evaluate, {"weights": np.zeros((2, 48))}),
    "no number": (dqn.evaluate, {"weights": "x"}),
    "a number as params": (dqn.evaluate, {"params": 3}),
    "a huge number as params": (dqn.train_chunk, {"params": 10**40}),
    "a function as params": (dqn.train_chunk, {"params": len}),
    "params of init": (dqn.init, {"params": object()}),
    "half an episode": (dqn.train, {"evaluation_episodes": 0.5}),
    "episodes below 0": (dqn.train, {"evaluation_episodes": -1}),
    "params of train": (dqn.train, {"params": "x"}),
    "a folder": (saved_policy.load, {"folder": 3}),
    "config of the memory": (memory.memory_bytes, {"config": {}}),
    "trials": (memory.check_fits, {"population": 0}),
    "steps of a run": (algorithm.check, {"num_steps": "x"}),
    "what learns": (algorithm.check_learns, {"hyperparams": None}),
    "time": (noise.epsilon_at, {"env_steps": "x"}),
    "learning rate": (loss.learning_rate_at, {"hyperparams": {}, "env_steps": 0}),
    "optimizer": (loss.optimizer, {"hyperparams": "x"}),
    "the DQN's hyperparams for PQN": (pqn_algorithm.check_learns, {"hyperparams": HYPERPARAMS}),
    "PQN's memory": (pqn_agent.memory_bytes, {"config": CONFIG}),
    "PQN's run": (pqn_algorithm.check, {"num_steps": 0}),
    "PQN's optimizer": (learning.optimizer, {"hyperparams": HYPERPARAMS}),
    "PQN's exploration": (PQN.epsilon_at, {"env_steps": "x"}),
    "PQN's learning rate": (PQN.learning_rate_at, {"env_steps": ()}),
    "env of an evaluation": (evaluation.mean_return, {"env": "x"}),
    "half an episode of it": (evaluation.episode_returns, {"num_episodes": 0.5}),
    "devices": (dqn.train_population, {"devices": (0,), "keys": jax.random.split(KEY)}),
    "a tree": (networks.apply, {"tree": "x"}),
    "another network's tree": (networks.apply_to_features, {"tree": {"params": {}}}),
    "no observations": (networks.apply, {"obs": {}}),
    "observations of another size": (networks.apply, {"obs": np.zeros((2, 5))}),
    "features of another size": (networks.apply_to_features, {"features": np.zeros((2, 5))}),
    "env of apply": (networks.apply, {"env": "x"}),
    "config of apply": (networks.apply_to_features, {"config": {}}),
    "a class as config": (networks.num_weights, {"config": DQNConfig}),
    "config of a scale": (networks.value_scale, {"config": None}),
    "observations of a scale": (networks.value_scale, {"obs": np.zeros(())}),
    "layers of no weights": (networks.layers, {"weights": [[0.0], [0.0, 1.0]]}),
}


@pytest.mark.parametrize("case", CASES)
def test_training_names_the_argument_that_is_wrong(case, train_state):
    function, bad = CASES[case]
    good = COMMON | {"key": KEY, "train_state": train_state, "weights": train_state.online_params}
    good |= {"env": hp.make("HeartPole-v0")} if function in (algorithm.check, pqn_algorithm.check) else {}
    good |= {"tree": networks.weights_as_tree(train_state.online_params, CONFIG), "policy": None}
    good |= {"obs": np.zeros((2, 6)), "features": np.zeros((2, 6)), "env_steps": 0}
    good |= {"env": hp.make("HeartPole-v0")} if function in (evaluation.mean_return, evaluation.episode_returns) else {}
    good |= {"num_chunks": 1, "iterations_per_chunk": 1, "num_iterations": 1, "num_episodes": 2}
    known = inspect.signature(function).parameters
    with pytest.raises((TypeError, ValueError), match=rf"^{next(iter(bad))} must be "):
        function(**{name: value for name, value in good.items() if name in known} | bad)


def test_a_train_state_of_what_is_no_array_is_refused(train_state):
    with pytest.raises(TypeError, match=r"^train_state\.buffer must be arrays and numbers that JAX can hold, got 'x'"):
        dqn.train_chunk(dataclasses.replace(train_state, buffer="x"), HYPERPARAMS, CONFIG, num_iterations=1)


@pytest.mark.parametrize(
    ("other", "name"),
    [({"hidden_sizes": (5,)}, "online_params"), ({"num_envs": 4}, "env_state"), ({"buffer_size": 128}, "buffer")],
)
def test_a_train_state_of_another_configuration_is_refused(other, name, train_state):
    config = dataclasses.replace(CONFIG, **other)
    with pytest.raises(ValueError, match=rf"train_state must be of this configuration and environment, got {name} of "):
        dqn.train_chunk(train_state, HYPERPARAMS, config, num_iterations=1)


def test_a_train_state_of_another_type_is_refused(train_state):
    with pytest.raises(ValueError, match=r"got iteration of 'float32\[\]' and not 'int32\[\]'; begin anew with init"):
        dqn.train_chunk(dataclasses.replace(train_state, iteration=1.5), HYPERPARAMS, CONFIG, num_iterations=1)


def test_a_train_state_of_another_environment_is_refused(train_state):
    with pytest.raises(ValueError, match="train_state must be of this configuration and environment, got env_state"):
        dqn.train_chunk(train_state, HYPERPARAMS, CONFIG, hp.make("HeartPole-v1"), num_iterations=1)


def test_what_is_checked_keeps_what_jit_gives_a_function(train_state):
    lowered = jax.eval_shape(lambda state: dqn.train_chunk(state, HYPERPARAMS, CONFIG, num_iterations=1), train_state)
    assert dqn.train_chunk.eval_shape(train_state, HYPERPARAMS, CONFIG, num_iterations=1) == lowered
    for name in ("lower", "trace", "clear_cache"):
        assert callable(getattr(dqn.train, name))


@pytest.mark.parametrize(
    ("env", "config"),
    [("HeartPole-v0", {"n_step": 2, "double": True}), ("HeartPole-v1", {"transform": "heartpole-v1"})],
)
def test_no_chunk_promotes_one_type_to_another_by_itself(env, config):
    """Traced and not compiled: with strict promotion JAX raises where an int32 meets a float32."""
    env, config = hp.make(env), dataclasses.replace(CONFIG, **config)
    train_state = jax.eval_shape(lambda: dqn.init(KEY, HYPERPARAMS, config, env))
    with jax.numpy_dtype_promotion("strict"):
        jax.eval_shape(lambda state: dqn.train_chunk(state, HYPERPARAMS, config, env, num_iterations=1), train_state)


WEIGHTS = {"params/Dense_0/kernel": np.zeros((6, 4), np.float32), "params/Dense_0/bias": np.zeros(4, np.float32)}
SAVED = {"env": "HeartPole-v0", "obs_shape": (6,), "num_actions": 4, "hidden_sizes": (), "transform": "raw",
         "dueling": False, "weights": WEIGHTS, "provenance": {}}  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"env": 3}, "env must be a str, got 3"),
        ({"obs_shape": 6}, "obs_shape must be a tuple of numbers, got 6"),
        ({"num_actions": 0}, "num_actions must be at least 1"),
        ({"hidden_sizes": (4.0,)}, "hidden_sizes must be a tuple of numbers, got a tuple of 1"),
        ({"hidden_sizes": (-4,)}, "each of hidden_sizes must be at least 1"),
        ({"transform": "row"}, "unknown transform 'row'; did you mean 'raw'"),
        ({"transform": "cartpole"}, "transform 'cartpole' takes observations of 4 numbers"),
        ({"dueling": np.zeros(2)}, "dueling must be a bool"),
        ({"weights": "x"}, "weights must be a Mapping"),
        ({"weights": {}}, "weights: params/Dense_0/bias should have the shape .*, got nothing"),
        ({"weights": WEIGHTS | {"params/Dense_0/bias": np.zeros(5)}}, r"weights: .* shape \(4,\), got \(5,\)"),
        ({"weights": WEIGHTS | {"params/Dense_0/bias": [0.0] * 4}}, "weights.* must be a ndarray, got a list of 4"),
        ({"weights": WEIGHTS | {"params/Dense_0/bias": np.zeros(4, int)}}, "weights.* must be an array of floats"),
    ],
)
def test_a_saved_policy_of_the_wrong_parts_is_refused_where_it_is_built(bad, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        saved_policy.SavedPolicy(**SAVED | bad)


def test_a_saved_policy_names_observations_that_are_no_numbers():
    policy = saved_policy.SavedPolicy(**SAVED)
    with pytest.raises(TypeError, match="obs must be an array of numbers, got a str"):
        policy.act("x")


@pytest.mark.parametrize("params", [{"nope": 1}, {"max_steps": 0}, {"fatigue_width": "x"}])
def test_a_saved_policy_of_unknown_parameters_is_not_evaluated(params):
    policy = saved_policy.SavedPolicy(**SAVED | {"provenance": {"params": params}})
    with pytest.raises(ValueError, match=next(iter(params))):
        evaluate_command._params(policy, hp.make("HeartPole-v0"))


@pytest.mark.parametrize("steps", [49_000, 50_000])
def test_steps_are_kept_within_two_percent(steps):
    plan = loop.plan(steps, DQNConfig(num_envs=16, buffer_size=64, steps_per_iteration=4))
    assert abs(plan.num_steps - steps) <= 0.02 * steps


def test_flat_weights_have_the_length_of_the_network():
    with pytest.raises(ValueError, match=r"weights must be of shape \(48,\), all of the network's in one array"):
        networks.weights_as_tree(np.zeros(47), CONFIG)
