"""gymnax's environments as ours, held to gymnax's own `step_env` and `step`, number for number."""

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest
from contract import check_environment

import heartpole_jax as hp

gymnax = pytest.importorskip("gymnax", reason="gymnax pins jax < 0.12")

from heartpole_jax.interop.gymnax import from_gymnax  # noqa: E402

pytestmark = [pytest.mark.once, pytest.mark.extras]

CLASSIC = ("CartPole-v1", "MountainCar-v0", pytest.param("Acrobot-v1", marks=pytest.mark.slow))


def keys_and_actions(num_steps, num_actions, seed=0):
    """Keys as data, (num_steps + 1, 2), since every one is used by gymnax and by the adapter, and actions."""
    keys = jax.random.split(jax.random.key(seed), num_steps + 1)
    actions = np.random.default_rng(seed).integers(num_actions, size=num_steps)
    return np.asarray(jax.random.key_data(keys)), actions.astype(np.int32)


def key_of(data):
    return jax.random.wrap_key_data(jnp.asarray(data))


def same(expected, got):
    """Equal in every bit, up to the type of the arrays' library."""
    assert jax.tree.structure(expected) == jax.tree.structure(got)
    for x, y in zip(jax.tree.leaves(expected), jax.tree.leaves(got), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def shortened(name, max_steps):
    """(gymnax's environment, its parameters with this time limit)."""
    env, params = gymnax.make(name)
    return env, params.replace(max_steps_in_episode=max_steps)


def from_their_state(env, their_state, their_obs):
    """Our state around one of gymnax's that has not ended."""
    template, _ = env.reset(jax.random.key(0))
    settled = jax.tree.map(lambda x, like: jnp.asarray(x, like.dtype), their_state, template.gymnax)
    return template.replace(gymnax=settled, obs=jnp.asarray(their_obs))


@pytest.mark.parametrize("name", CLASSIC)
def test_a_trajectory_is_that_of_gymnax_number_for_number_past_the_end(name):
    """Without jit, which would round two programs differently: the same operations give the same bits."""
    theirs, params = shortened(name, max_steps=40)
    env = from_gymnax(theirs, params)
    keys, actions = keys_and_actions(num_steps=60, num_actions=env.num_actions)
    their_obs, their_state = theirs.reset_env(key_of(keys[0]), params)
    state, obs = env.reset(key_of(keys[0]))
    same((their_obs, their_state), (obs, state.gymnax))

    limits, ends = 0, 0
    for time, (data, action) in enumerate(zip(keys[1:], actions, strict=True)):
        their_obs, their_state, their_reward, their_end, _ = theirs.step_env(key_of(data), their_state, action, params)
        state, obs, reward, done = env.step(state, action, key_of(data))
        same((their_obs, their_state, their_reward), (obs, state.gymnax, reward))
        same(their_obs, env.observe(state))
        assert bool(env.terminated(state)) == bool(their_end)
        assert bool(done) == (bool(their_end) or time + 1 >= 40)
        limits, ends = limits + bool(done and not their_end), ends + bool(their_end)
    assert (ends if name == "CartPole-v1" else limits) > 20


@pytest.mark.parametrize("name", CLASSIC)
def test_whole_compiled_episodes_are_those_of_gymnax(name):
    """To rounding: each step from gymnax's own state, since differences would grow."""
    theirs, params = gymnax.make(name)
    env = from_gymnax(name)
    keys, actions = keys_and_actions(num_steps=500, num_actions=env.num_actions)
    settle = lambda state: from_their_state(env, state, theirs.get_obs(state))

    @jax.jit
    def their_episode(keys):
        def step(state, data_and_action):
            data, action = data_and_action
            obs, after, reward, end, _ = theirs.step_env(key_of(data), state.gymnax, action, params)
            after = settle(after)
            return after, (state, (obs, after.gymnax), reward, end)

        start = settle(theirs.reset_env(key_of(keys[0]), params)[1])
        return jax.lax.scan(step, start, (keys[1:], jnp.asarray(actions)))[1]

    @jax.jit
    @jax.vmap
    def our_step(state, action, data):
        state, obs, reward, done = env.step(state, action, key_of(data))
        return (obs, state.gymnax), reward, done, env.terminated(state)

    before, their_after, their_reward, their_end = their_episode(keys)
    our_after, reward, done, terminated = our_step(before, actions, keys[1:])
    for expected, got in zip(jax.tree.leaves(their_after), jax.tree.leaves(our_after), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(reward, their_reward)
    np.testing.assert_array_equal(terminated, their_end)
    np.testing.assert_array_equal(done, their_end | (their_after[1].time >= params.max_steps_in_episode))


@pytest.mark.parametrize("name", CLASSIC)
def test_a_step_is_what_gymnax_returns_of_its_own_step_before_it_resets(name):
    """gymnax's `step` splits its key: the first half steps, the second resets."""
    theirs, params = shortened(name, max_steps=25)
    env = from_gymnax(theirs, params)
    keys, actions = keys_and_actions(num_steps=80, num_actions=env.num_actions, seed=1)
    their_obs, their_state = theirs.reset(key_of(keys[0]), params)
    step = jax.jit(env.transition_info)

    num_episodes = 0
    for data, action in zip(keys[1:], actions, strict=True):
        step_data, reset_data = jax.random.key_data(jax.random.split(key_of(data)))
        state = from_their_state(env, their_state, their_obs)
        state, obs, reward, done, _ = step(state, action, key_of(step_data), env.default_params)
        their_obs, their_state, their_reward, terminated, truncated, info = theirs.step(
            key_of(data), their_state, action, params
        )
        same((info["final_observation"], their_reward), (obs, reward))
        assert bool(env.terminated(state)) == bool(terminated)
        assert bool(done) == (bool(terminated) or bool(truncated))
        if done:
            num_episodes += 1
            assert not np.array_equal(obs, their_obs)
            same(their_obs, env.reset(key_of(reset_data))[1])
    assert num_episodes >= 3


@pytest.mark.parametrize("name", CLASSIC)
def test_the_time_limit_is_done_but_not_terminated_and_its_observation_is_the_true_one(name):
    theirs, params = shortened(name, max_steps=5)
    env = from_gymnax(theirs, params)
    assert env.most_steps() == 5
    keys, actions = keys_and_actions(num_steps=5, num_actions=env.num_actions)
    state, _ = env.reset(key_of(keys[0]))
    _, their_state = theirs.reset_env(key_of(keys[0]), params)
    dones = []
    for data, action in zip(keys[1:], actions, strict=True):
        state, obs, _, done = env.step(state, action, key_of(data))
        their_obs, their_state, *_ = theirs.step_env(key_of(data), their_state, action, params)
        dones.append(bool(done))
        assert not env.terminated(state)
    assert dones == [False, False, False, False, True]
    np.testing.assert_allclose(obs, their_obs, rtol=1e-6)
    assert int(state.gymnax.time) == 5


def near_the_end(name):
    """(environment, a state one decision before its true end, the action that ends it)."""
    env = from_gymnax(name)
    state, _ = env.reset(jax.random.key(0))
    place, action = {
        "CartPole-v1": ({"theta": 0.209, "theta_dot": 1.0}, 1),
        "MountainCar-v0": ({"position": 0.49, "velocity": 0.05}, 2),
        "Acrobot-v1": ({"joint_angle1": 2.0, "joint_angle2": 0.0, "velocity_1": 3.0}, 1),
    }[name]
    place = {field: jnp.float32(value) for field, value in place.items()}
    return env, state.replace(gymnax=state.gymnax.replace(**place)), action


@pytest.mark.parametrize("name", CLASSIC)
def test_a_true_end_is_terminated_and_done(name):
    env, state, action = near_the_end(name)
    assert not env.terminated(state)
    state, obs, _, done = env.step(state, action, jax.random.key(1))
    assert done
    assert env.terminated(state)
    assert {"CartPole-v1": obs[2] > 0.2095, "MountainCar-v0": obs[0] > 0.5, "Acrobot-v1": obs[0] < -0.5}[name]


@pytest.mark.parametrize("name", CLASSIC)
def test_a_true_end_at_the_time_limit_is_still_terminated(name):
    env, state, action = near_the_end(name)
    last = jnp.int32(env.most_steps() - 1)
    state = state.replace(gymnax=state.gymnax.replace(time=last))
    state, _, _, done = env.step(state, action, jax.random.key(1))
    assert done
    assert env.terminated(state)


def test_terminated_follows_the_parameters_of_the_step():
    env = from_gymnax("CartPole-v1")
    narrow = env.default_params.replace(x_threshold=1e-6)
    state, _ = env.reset(jax.random.key(0), narrow)
    assert env.terminated(env.step(state, 0, jax.random.key(1), narrow)[0])
    assert not env.terminated(env.step(state, 0, jax.random.key(1))[0])


def test_parameters_can_be_swept_under_vmap():
    env = from_gymnax("CartPole-v1")

    def terminated(x_threshold):
        params = env.default_params.replace(x_threshold=x_threshold)
        state, _ = env.reset(jax.random.key(0), params)
        return env.terminated(env.step(state, 0, jax.random.key(1), params)[0])

    assert jax.vmap(terminated)(jnp.array([1e-6, 2.4])).tolist() == [True, False]


def test_typed_and_raw_keys_give_the_same():
    env = from_gymnax("CartPole-v1")
    typed = env.step(env.reset(jax.random.key(3))[0], 1, jax.random.key(4))
    raw = env.step(env.reset(jax.random.PRNGKey(3))[0], 1, jax.random.PRNGKey(4))
    same(typed, raw)


@pytest.mark.parametrize("name", [*CLASSIC, "Catch-bsuite", "FrozenLake-misc", "UmbrellaChain-bsuite"])
def test_a_gymnax_environment_keeps_the_contract(name):
    """Observations of two axes and of none, whole numbers as observations and rewards, and the ends of episodes."""
    check_environment(from_gymnax(name), num_steps=10)


@pytest.mark.parametrize("name", CLASSIC)
def test_a_gymnax_environment_keeps_the_contract_with_the_time_limit_within_reach_and_in_64_bits(name, x64):
    check_environment(from_gymnax(*shortened(name, max_steps=4)))


def test_a_rollout_adds_rewards_up_to_the_true_end():
    """CartPole's return is the number of decisions until it falls."""
    env = from_gymnax("CartPole-v1")
    result = hp.rollout(probe_environments.always(1), jax.random.key(0), env=env, num_envs=5, record=hp.everything)
    assert result.records.obs.shape == (500, 5, 4)
    fallen = np.abs(result.records.next_obs[..., 2]) > 12 * 2 * np.pi / 360
    np.testing.assert_array_equal(result.totals, 1 + fallen.argmax(axis=0))
    np.testing.assert_array_equal(result.records.terminated.argmax(axis=0), fallen.argmax(axis=0))
    assert len(set(np.asarray(result.records.obs[0, :, 0]).tolist())) == 5  # every environment starts elsewhere


def test_autoreset_begins_the_next_episode_and_hands_back_the_true_last_observation():
    env, state, action = near_the_end("MountainCar-v0")
    state, obs, _, done, terminated, last_obs = hp.step_autoreset(env, state, action, jax.random.key(1))
    assert done
    assert terminated
    assert last_obs[0] > 0.5
    assert -0.6 <= obs[0] <= -0.4
    assert int(state.gymnax.time) == 0
    assert not env.terminated(state)


def test_an_unknown_name_is_an_error_that_names_the_nearest():
    with pytest.raises(ValueError, match="unknown gymnax environment 'CartPole-v0'; did you mean 'CartPole-v1'"):
        from_gymnax("CartPole-v0")


def test_continuous_actions_are_an_error_that_names_what_came():
    with pytest.raises(ValueError, match=r"'MountainCarContinuous-v0' must be Discrete.*got Box\(low=-1.0.*take an"):
        from_gymnax("MountainCarContinuous-v0")


def test_an_observation_of_several_arrays_is_an_error():
    class TwoArrays(type(gymnax.make("CartPole-v1")[0])):
        def reset_env(self, key, params):
            obs, state = super().reset_env(key, params)
            return {"obs": obs, "time": state.time}, state

    with pytest.raises(ValueError, match=r"must be one array, got \{'obs'"):
        from_gymnax(TwoArrays())


def test_what_is_no_environment_is_an_error():
    with pytest.raises(TypeError, match=r"env must be a name or an environment of gymnax 1\.0 or newer, got 7"):
        from_gymnax(7)


@pytest.mark.parametrize("params", ["x", {}, 1e39, hp.EnvParams()])
def test_what_are_no_parameters_of_the_environment_is_an_error(params):
    with pytest.raises(TypeError, match=r"params must be an EnvParams( of gymnax.*)?, got "):
        from_gymnax("CartPole-v1", params)
