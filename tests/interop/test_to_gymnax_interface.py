"""What ours as gymnax's has: spaces, parameters, which of them are equal, and errors."""

import copy
import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest

import heartpole_jax as hp

pytest.importorskip("gymnax", reason="gymnax pins jax < 0.12")

from gymnax.environments.environment import Environment, EnvParams

from heartpole_jax.interop.gymnax import to_gymnax
from heartpole_jax.interop.to_gymnax import Params
from heartpole_jax.interop.to_gymnax_legacy import to_gymnax_legacy

pytestmark = pytest.mark.usefixtures("reused_keys_raise")


def test_it_is_an_environment_of_gymnax_with_the_tutorials_spaces():
    env = to_gymnax("HeartPole-v0")
    assert isinstance(env, Environment)
    assert (env.name, env.num_actions, env.obs_shape) == ("HeartPole-v0", 4, (6,))
    actions, obs_space = env.action_space(env.default_params), env.observation_space(env.default_params)
    assert (actions.n, actions.shape, actions.dtype) == (4, (), jnp.int32)
    assert (obs_space.shape, obs_space.dtype) == ((6,), jnp.float32)
    np.testing.assert_array_equal(obs_space.low, np.array([-np.inf, 0, 0, 0, 0, -np.inf], np.float32))
    np.testing.assert_array_equal(obs_space.high, np.full(6, np.inf, np.float32))
    assert obs_space.low.dtype == np.float32
    assert env.observation_space(None).contains(env.reset(jax.random.key(0))[0])
    assert repr(env) == "to_gymnax('HeartPole-v0')"


def test_the_space_of_states_holds_states_and_no_negative_hypertension():
    env = to_gymnax()
    _, state = env.reset(jax.random.key(0))
    space = env.state_space(env.default_params)
    assert space.contains(state)
    assert not space.contains(state.replace(env_state=state.env_state.replace(hypertension=jnp.float32(-0.1))))
    assert not space.contains(state.replace(time=jnp.int32(-1)))
    assert space.contains(state.replace(env_state=state.env_state.replace(alertness=jnp.float32(-0.1))))


def test_other_environments_have_observations_without_bounds():
    space = to_gymnax(probe_environments.counter(2)).observation_space(None)
    np.testing.assert_array_equal(space.low, [-np.inf, -np.inf])


def test_the_space_says_64_bits(x64):
    env = to_gymnax()
    assert env.reset(jax.random.key(0))[0].dtype == env.observation_space(None).dtype == jnp.float64


def test_parameters_are_replaced_under_their_names_and_the_limit_under_both():
    params = to_gymnax().default_params
    assert params.max_steps_in_episode == params.max_steps == 1000
    changed = params.replace(max_steps_in_episode=200).replace(expected_penalty=1.0)
    assert (changed.max_steps_in_episode, changed.max_steps, changed.expected_penalty) == (200, 200, 1.0)
    assert changed.env_params == hp.EnvParams(max_steps=200, expected_penalty=1.0)
    assert params.replace(max_steps=7).max_steps_in_episode == 7
    assert to_gymnax(params=hp.EnvParams(max_steps=9)).default_params.max_steps_in_episode == 9
    assert to_gymnax(params=changed).default_params == changed
    probe = to_gymnax(probe_environments.time_limit_only(5)).default_params
    assert probe.replace(max_steps_in_episode=6).env_params == probe_environments.Params(max_steps=6)


def test_our_own_parameters_are_taken_by_a_step_as_well():
    env = to_gymnax()
    _, state = env.reset(jax.random.key(0), hp.EnvParams(max_steps=1))
    assert env.step(jax.random.key(1), state, 0, hp.EnvParams(max_steps=1))[4]


def test_equal_environments_are_compiled_once_and_others_again():
    traced = []

    @functools.partial(jax.jit, static_argnums=0)
    def step(env, key):
        traced.append(env)
        reset_key, step_key = jax.random.split(key)
        return env.step(step_key, env.reset(reset_key)[1], 0)[2]

    env, shorter = to_gymnax(), to_gymnax(params=hp.EnvParams(max_steps=5))
    copies = [env, to_gymnax(hp.make("HeartPole-v0")), to_gymnax(params=hp.EnvParams()), copy.deepcopy(env)]
    for seed, each in enumerate(copies):
        step(each, jax.random.key(seed))
        assert each == env
        assert hash(each) == hash(env)
    assert len(traced) == 1
    for other in (shorter, env.with_transition_gradients(), to_gymnax(probe_environments.counter(2))):
        assert other != env
        step(other, jax.random.key(9))
    assert len(traced) == 4
    assert copy.deepcopy(shorter) == shorter
    assert env != "HeartPole-v0"


def test_array_parameters_are_compared_by_value_and_type():
    of = lambda x: to_gymnax(params=hp.EnvParams(heart_attack_penalty=x))
    assert of(jnp.float32(50)) == of(jnp.float32(50))
    assert of(jnp.float32(50)) != of(jnp.float32(51))
    assert of(50.0) != of(50)


def test_a_second_step_and_an_ended_episode_compile_nothing():
    env, traces = to_gymnax(), []

    @jax.jit
    def step(key, state):
        traces.append(1)
        return env.step(key, state, 0, hp.EnvParams(max_steps=2))[1]

    _, state = env.reset(jax.random.key(0))
    for seed in range(5):
        state = step(jax.random.key(seed), state)
    assert len(traces) == 1
    assert int(state.time) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("HartPole-v0",), ValueError, "unknown environment 'HartPole-v0'; did you mean 'HeartPole-v0'"),
        ((7,), TypeError, "env must be the name of an environment or an Environment, .* got 7"),
        ((None,), TypeError, "env must be the name .* got None"),
        (("HeartPole-v0", 0.5), TypeError, "params must be an EnvParams, got 0.5"),
        (
            ("HeartPole-v0", EnvParams()),
            TypeError,
            "an EnvParams of .*heartpole_v0, got an EnvParams of ",
        ),
    ],
)
def test_what_is_no_environment_and_no_parameters_is_an_error(arguments, error, message):
    with pytest.raises(error, match=message):
        to_gymnax(*arguments)


def test_wrong_parameters_of_a_step_are_an_error():
    env = to_gymnax()
    _, state = env.reset(jax.random.key(0))
    with pytest.raises(TypeError, match="params must be an EnvParams"):
        env.step(jax.random.key(1), state, 0, EnvParams(max_steps_in_episode=200))
    with pytest.raises(TypeError, match="params must be an EnvParams"):
        env.reset(jax.random.key(1), Params(env_params=probe_environments.Params()))


@pytest.mark.parametrize(
    ("field", "value"),
    [("time", "x"), ("time", 0.5), ("time", np.zeros(2, int)), ("truncated", 0), ("env_state", {"x": object()})],
)
def test_a_state_of_the_wrong_parts_is_named(field, value):
    env = to_gymnax()
    state = dataclasses.replace(env.reset(jax.random.key(0))[1], **{field: value})
    with pytest.raises(TypeError, match=rf"^state\.{field}.* must be "):
        env.step(jax.random.key(0), state, 0)


@pytest.mark.parametrize("make", [to_gymnax, to_gymnax_legacy])
@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        ("step", "key", 3),
        ("step", "state", "x"),
        ("step", "action", "x"),
        ("step", "params", "x"),
        ("reset", "key", "x"),
        ("reset", "params", object()),
        ("step_env", "state", None),
        ("step_env", "action", 10**30),
        ("get_obs", "state", 3),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(make, method, name, value):
    env = make()
    known = {"key": jax.random.key(0), "state": env.reset(jax.random.key(0))[1], "action": 0, "params": None}
    taken = inspect.signature(getattr(env, method)).parameters
    with pytest.raises(TypeError, match=rf"^{name} must be "):
        getattr(env, method)(**{key: known[key] for key in taken if key in known} | {name: value})


def test_wrong_values_and_names_of_parameters_are_errors():
    params = to_gymnax().default_params
    with pytest.raises(ValueError, match=r"heart_attack_proclivity must be in \[0, 1\], got 2"):
        params.replace(heart_attack_proclivity=2)
    with pytest.raises(ValueError, match="max_steps must be a whole number from 1"):
        params.replace(max_steps_in_episode=0)
    with pytest.raises(TypeError, match="penalty_expected"):
        params.replace(penalty_expected=1.0)
    with pytest.raises(TypeError, match="are the same limit: give one of them"):
        params.replace(max_steps_in_episode=5, max_steps=5)
    with pytest.raises(AttributeError, match="max_step"):
        params.max_step  # noqa: B018


def test_parameters_that_are_traced_belong_to_a_step():
    with pytest.raises(TypeError, match="must be known before tracing; hand traced ones to reset and step"):
        jax.jit(lambda x: to_gymnax(params=hp.EnvParams(max_steps=x)).num_actions)(5)
