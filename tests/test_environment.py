"""make, step_autoreset, the checked mode, and what each says to bad input."""

import copy
import functools
import pickle

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest
from jax.experimental import checkify
from oracle import NO_ATTACK, as_noise, as_state

import heartpole_jax as hp
from heartpole_jax import gradients, threefry

pytestmark = pytest.mark.usefixtures("reused_keys_raise")

ENV = hp.make("HeartPole-v0")
V1 = hp.make("HeartPole-v1")


def test_make_finds_heartpole_v0():
    assert (ENV.name, ENV.num_actions, ENV.obs_shape) == ("HeartPole-v0", 4, (6,))
    assert ENV.default_params == hp.EnvParams()
    assert hp.make("HeartPole-v0") is ENV


@pytest.mark.parametrize(
    ("name", "hint"), [("Heartpole-v0", "did you mean 'HeartPole-v0'?"), ("CartPole", ""), ("", "")]
)
def test_make_refuses_an_unknown_name_and_says_what_there_is(name, hint):
    with pytest.raises(ValueError, match="unknown environment") as raised:
        hp.make(name)
    assert repr(name) in str(raised.value)
    assert "known: 'HeartPole-v0'" in str(raised.value)
    assert hint in str(raised.value)


def test_an_environment_is_a_static_argument():
    step = jax.jit(hp.step_autoreset, static_argnums=0)
    state, _ = ENV.reset(jax.random.key(0))
    step(ENV, state, 0, jax.random.key(1))
    assert hash(ENV) == hash(hp.make("HeartPole-v0"))


@pytest.mark.parametrize("name", ["HeartPole-v0", "HeartPole-v1"])
def test_no_step_promotes_one_type_to_another_by_itself(name):
    """Traced and not compiled: with strict promotion JAX raises where an int32 meets a float32."""
    env = hp.make(name)
    params = jax.tree.map(jnp.asarray, env.default_params)
    state, _ = env.reset(jax.random.key(0))
    with jax.numpy_dtype_promotion("strict"):
        for given in (None, params):
            jax.eval_shape(env.step, state, jnp.int32(1), jax.random.key(1), given)
        jax.eval_shape(functools.partial(hp.step_autoreset, env), state, jnp.int32(1), jax.random.key(1))


@pytest.mark.parametrize("estimator", ["marginal", "branch"])
def test_no_gradient_promotes_one_type_to_another_by_itself(estimator):
    options = {"policy": hp.policies.reference(), "wrt": "hypertension_decay", "num_steps": 3, "num_episodes": 32}
    estimate = lambda key: gradients.estimate("return", key, estimator=estimator, **options).gradient
    with (
        jax.numpy_dtype_promotion("strict"),
        jax.debug_key_reuse(False),
    ):  # the noise is used twice
        jax.eval_shape(estimate, jax.random.key(0))


@pytest.mark.parametrize("name", ["HeartPole-v0", "HeartPole-v1"])
def test_a_fresh_state_can_be_donated(name):
    state, obs = hp.make(name).reset(jax.random.key(0))
    double = jax.jit(lambda state: jax.tree.map(lambda x: x + x, state), donate_argnums=0)
    assert double(state).alertness == 2 * obs[0]


@pytest.mark.parametrize("env", [ENV, V1, hp.checked(V1)], ids=["v0", "v1", "checked"])
def test_an_environment_survives_pickling_and_copying(env):
    for twin in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        assert (twin.name, twin.num_actions, twin.default_params) == (env.name, env.num_actions, env.default_params)
        assert (twin is env) == (env in (ENV, V1))  # what `make` gave is one object, for which jit finds its program


@pytest.mark.parametrize(
    "kind",
    [hp.EnvState, hp.EnvParams, hp.Noise, hp.StepInfo, hp.Envs, hp.Rollout, hp.Transition,
     type(V1.default_params), type(V1.default_params.menu), type(V1.default_params.menu.actions[0])],
)  # fmt: skip
def test_jax_export_knows_the_types_of_arguments_and_results(kind):
    """It refuses a type that it knows already. tests/clients/test_export.py writes and reads."""
    with pytest.raises(ValueError, match=f"Duplicate serialization registration for type .*{kind.__name__}"):
        jax.export.register_pytree_node_serialization(
            kind, serialized_name="another", serialize_auxdata=bytes, deserialize_auxdata=bytes
        )


def test_autoreset_steps_and_starts_again_after_the_true_last_observation():
    step = jax.jit(lambda state, key: hp.step_autoreset(ENV, state, hp.Action.SLEEP, key, hp.EnvParams(max_steps=2)))
    state, obs = ENV.reset(jax.random.key(0))
    state, obs, _, done, terminated, last_obs = step(state, jax.random.key(1))
    assert not done
    np.testing.assert_array_equal(obs, last_obs)
    assert (float(obs[4]), int(state.num_steps)) == (17, 1)
    state, obs, _, done, terminated, last_obs = step(state, jax.random.key(2))
    assert done
    assert not terminated
    assert (float(last_obs[4]), float(obs[4]), int(state.num_steps)) == (34, 0, 0)
    np.testing.assert_array_equal(obs, ENV.observe(state))
    assert obs[0] != last_obs[0]


def test_autoreset_takes_its_step_and_its_start_from_two_keys_that_it_derives():
    state, _ = ENV.reset(jax.random.key(0))
    step_key, reset_key = (threefry.derived_key(jax.random.key(1), purpose) for purpose in (0, 1))
    _, last_obs, reward, _ = ENV.step(state, hp.Action.BEER, step_key, hp.EnvParams(max_steps=1))
    start, start_obs = ENV.reset(reset_key)
    result = hp.step_autoreset(ENV, state, hp.Action.BEER, jax.random.key(1), hp.EnvParams(max_steps=1))
    np.testing.assert_array_equal(result[1], start_obs)
    np.testing.assert_array_equal(result[5], last_obs)
    assert float(result[2]) == float(reward)
    assert float(result[0].alertness) == float(start.alertness)


def test_a_reset_and_a_step_with_one_key_have_different_noise():
    key = jax.random.key(0)
    u = (float(hp.reset(key)[0].alertness) - 0.7) / 0.6
    noise = hp.sample_noise(key)
    assert all(abs(u - float(x)) > 1e-6 for x in jax.tree.leaves(noise))


@pytest.fixture(scope="module")
def checked_step():
    return checkify.checkify(jax.jit(hp.checked(ENV).step))


@pytest.fixture(scope="module")
def checked_transition():
    return checkify.checkify(jax.jit(hp.checked(ENV).transition))


@pytest.mark.parametrize("action", [0, 3])
def test_checked_steps_are_steps(checked_step, action):
    state, _ = ENV.reset(jax.random.key(0))
    error, result = checked_step(state, action, jax.random.key(1))
    error.throw()
    for x, y in zip(jax.tree.leaves(result), jax.tree.leaves(ENV.step(state, action, jax.random.key(1))), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


@pytest.mark.parametrize("action", [-1, 4, 255])
def test_checked_steps_report_an_action_out_of_range(checked_step, action):
    state, _ = ENV.reset(jax.random.key(0))
    error, _ = checked_step(state, action, jax.random.key(1))
    with pytest.raises(checkify.JaxRuntimeError, match=rf"action must be in 0 \.\. 3, got {action}"):
        error.throw()


@pytest.mark.parametrize("heart_attack", [NO_ATTACK, 0.0], ids=["no attack", "attack"])
@pytest.mark.parametrize(("name", "value"), [("alertness", np.nan), ("hypertension", np.inf), ("work_done", -np.inf)])
def test_checked_transitions_report_a_state_that_is_not_finite(checked_transition, name, value, heart_attack):
    """Even where a heart attack would wipe out what was not finite."""
    values = dict(zip(hp.heartpole_v0.OBS_NAMES, [1.0, 0.5, 0.01, 3, 5, 2.0], strict=True)) | {name: value}
    error, _ = checked_transition(as_state(list(values.values())), 0, as_noise((0, 0, 0, heart_attack)), hp.EnvParams())
    with pytest.raises(checkify.JaxRuntimeError, match="is not finite"):
        error.throw()


def test_checked_probes_report_a_reward_that_is_not_finite():
    env = hp.checked(probe_environments.counter(3))
    state, _ = env.reset(jax.random.key(0))
    step = checkify.checkify(jax.jit(env.step))
    error, _ = step(state, 0, jax.random.key(1), probe_environments.Params(scale=np.inf))
    with pytest.raises(checkify.JaxRuntimeError, match="reward is not finite"):
        error.throw()


def test_a_checked_rollout_reports_a_policy_out_of_range():
    roll = lambda policy: hp.rollout(policy, jax.random.key(0), env=hp.checked(ENV), num_envs=2, num_steps=3).totals
    error, _ = checkify.checkify(jax.jit(roll))(probe_environments.always(4))
    with pytest.raises(checkify.JaxRuntimeError, match=r"action must be in 0 \.\. 3, got 4"):
        error.throw()


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (-1, ValueError, r"action must be in 0 \.\. 3, got -1"),
        (4, ValueError, "got 4"),
        (np.uint8(255), ValueError, "got 255"),
        (1.0, TypeError, r"action must be an integer in 0 \.\. 3, got 1\.0"),
        (np.float32(2), TypeError, "of dtype float32"),
        (True, TypeError, "of dtype bool"),
        (np.array([1, 2]), ValueError, r"action must be a scalar, got shape \(2,\).*jax\.vmap"),
        (np.array([1]), ValueError, r"got shape \(1,\)"),
    ],
    ids=str,
)
def test_a_bad_action_is_refused(action, error, message):
    state = as_state([1.0, 0, 0, 0, 0, 0])
    with pytest.raises(error, match=message):
        hp.transition(state, action, as_noise((0, 0, 0, NO_ATTACK)))
    with pytest.raises(error, match=message):
        hp.step(state, action, jax.random.key(0))


@pytest.mark.parametrize("action", [np.int64(2**32), np.uint64(2**63), np.int64(-(2**32) + 1)], ids=str)
def test_an_action_too_large_for_32_bits_is_refused(action):
    with pytest.raises((ValueError, OverflowError), match="action must be"):
        hp.transition(as_state([1.0, 0, 0, 0, 0, 0]), action, as_noise((0, 0, 0, NO_ATTACK)))


def test_what_is_no_integer_scalar_is_refused_inside_jit_too():
    state, noise = as_state([1.0, 0, 0, 0, 0, 0]), as_noise((0, 0, 0, NO_ATTACK))
    with pytest.raises(TypeError, match="must be an integer"):
        jax.jit(hp.transition)(state, 1.0, noise)
    with pytest.raises(ValueError, match="must be a scalar"):
        jax.jit(hp.transition)(state, jnp.zeros(2, jnp.int32), noise)


@pytest.mark.parametrize("action", [-1, 4, 2**31 - 1])
def test_inside_jit_an_action_out_of_range_acts_as_nothing(action):
    step = jax.jit(hp.transition)
    state, noise = as_state([1.0, 2.0, 0.01, 3, 5, 2.0]), as_noise((0.5, 0.5, 0.5, NO_ATTACK))
    for x, y in zip(*(jax.tree.leaves(step(state, a, noise)) for a in (action, 0)), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    "action", [hp.Action.COFFEE, 1, np.int8(1), np.uint32(1), np.int64(1), np.array(1), jnp.uint8(1)], ids=repr
)
def test_every_kind_of_integer_is_an_action(action):
    obs = hp.transition(as_state([1.0, 0, 0, 0, 0, 0]), action, as_noise((0.5, 0, 0, NO_ATTACK)))[1]
    assert float(obs[0]) == pytest.approx(1.5 - 0.017986, rel=1e-5)


@pytest.mark.parametrize("key", [0, None, 1.5, "key"], ids=repr)
def test_a_bad_key_is_refused(key):
    state = as_state([1.0, 0, 0, 0, 0, 0])
    calls = (
        lambda: hp.reset(key),
        lambda: hp.step(state, 0, key),
        lambda: hp.sample_noise(key),
        lambda: hp.rollout(probe_environments.always(0), key, num_envs=2, num_steps=2),
    )
    for call in calls:
        with pytest.raises(TypeError, match="key must be"):
            call()


def test_a_batch_of_keys_is_refused():
    state = as_state([1.0, 0, 0, 0, 0, 0])
    for call in (hp.reset, lambda keys: hp.step(state, 0, keys)):
        with pytest.raises(ValueError, match="key must be one key"):
            call(jax.random.split(jax.random.key(0), 3))
