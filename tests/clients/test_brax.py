"""Our environments as brax's, under brax's own training wrappers and its PPO."""

import dataclasses
import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest
from contract import check_own_buffers

import heartpole_jax as hp

pytestmark = pytest.mark.usefixtures("reused_keys_raise")

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # brax imports jaxopt, which says goodbye
    pytest.importorskip("brax", reason="see tests/clients/requirements.txt")
    from brax.envs.base import Env
    from brax.envs.wrappers import training
    from brax.training.agents.ppo import networks as ppo_networks
    from brax.training.agents.ppo import train as ppo

    from heartpole_jax.interop.brax import to_brax


def env_keys(num_envs, seed=0):
    """Raw keys, as brax wants them, (num_envs, 2)."""
    return jax.random.split(jax.random.PRNGKey(seed), num_envs)


def preference(action, num_envs):
    """One for the action, nothing for the others, (num_envs, 4)."""
    return jnp.tile(jax.nn.one_hot(action, 4), (num_envs, 1))


def test_every_array_of_a_reset_and_of_a_step_is_its_own():
    env = to_brax("HeartPole-v1")
    state = env.reset(jax.random.PRNGKey(0))
    check_own_buffers(state, "reset")
    check_own_buffers(env.step(state, 1), "step")


def test_steps_are_ours_with_the_first_halves_of_the_keys():
    params = hp.EnvParams(max_steps=3, heart_attack_proclivity=1.0)
    env = to_brax("HeartPole-v0", params)
    assert isinstance(env, Env)
    assert (env.observation_size, env.action_size, env.episode_length, env.backend) == (6, 4, 3, "heartpole_jax")
    assert env.unwrapped is env
    state = env.reset(jax.random.PRNGKey(7))
    reset_key, key = jax.random.split(jax.random.PRNGKey(7))
    ours, our_obs = hp.reset(reset_key)
    np.testing.assert_array_equal(state.obs, our_obs)
    assert state.metrics == dict.fromkeys(("half_hours", "heart_attack", "heart_attack_risk", "productivity"), 0.0)
    layout = [(x.shape, x.dtype) for x in jax.tree.leaves(state)]

    ends = []
    for action in (1, 3, 2, 0):  # the last beyond the limit: nothing resets
        step_key, key = jax.random.split(key)
        noise = hp.sample_noise(step_key)
        ours, our_obs, our_reward, _, our_info = hp.transition_info(ours, action, noise, params)
        state = env.step(state, jnp.int32(action))
        np.testing.assert_array_equal(state.obs, our_obs)
        np.testing.assert_array_equal(state.info["final_observation"], our_obs)
        np.testing.assert_array_equal(state.reward, our_reward)
        assert state.metrics == {name: float(x) for name, x in vars(our_info).items()}
        assert [(x.shape, x.dtype) for x in jax.tree.leaves(state)] == layout
        ends.append((float(state.done), float(state.info["truncation"])))
    assert ends == [(0.0, 0.0), (0.0, 0.0), (0.0, 1.0), (0.0, 1.0)]  # the limit is no death


@pytest.mark.parametrize("action", list(hp.Action))
def test_the_largest_preference_acts(action):
    env = to_brax()
    state = env.reset(jax.random.PRNGKey(0))
    preferences = jnp.array([-0.3, -0.2, -0.9, -0.5]).at[action].set(-0.1)
    by_number, by_preference = env.step(state, jnp.int32(action)), env.step(state, preferences)
    jax.tree.map(np.testing.assert_array_equal, by_number, by_preference)


def test_of_equal_preferences_the_first_acts():
    env = to_brax()
    state = env.step(env.reset(jax.random.PRNGKey(0)), jnp.array([0.0, 0.5, 0.5, 0.5]))
    assert float(state.obs[1]) > 0  # coffee raises hypertension,
    assert float(state.obs[2]) == 0  # and is no beer
    assert float(state.obs[4]) == 1  # nor a night


@pytest.mark.parametrize("action", [jnp.zeros(3), jnp.zeros((1, 4)), jnp.float32(1), jnp.zeros(4, int)])
def test_what_is_neither_a_number_nor_a_preference_for_each_is_an_error(action):
    env = to_brax()
    with pytest.raises(ValueError, match="action must be a whole number or 4 floats, a preference for each"):
        env.step(env.reset(jax.random.PRNGKey(0)), action)


def test_brax_reports_the_limit_as_a_truncation_and_begins_again():
    env = to_brax(params=hp.EnvParams(max_steps=3))
    env = training.wrap(env, episode_length=env.episode_length)
    state = jax.jit(env.reset)(env_keys(2))
    first_obs, step = np.asarray(state.obs), jax.jit(env.step)
    assert not np.array_equal(first_obs[0], first_obs[1])
    rewards = []
    for time in range(1, 8):
        state = step(state, preference(hp.Action.SLEEP, 2))
        rewards.append(np.asarray(state.reward))
        ended = time in (3, 6)
        assert state.done.tolist() == state.info["truncation"].tolist() == [float(ended)] * 2
        # Half-hours: a night of 16 and one of work at each decision, in the true last observation as well.
        assert state.info["final_observation"][:, 4].tolist() == [17.0 * ((time - 1) % 3 + 1)] * 2
        if ended:
            np.testing.assert_array_equal(state.obs, first_obs)  # brax's: every episode has the first one's start
            np.testing.assert_array_equal(state.pipeline_state.num_steps, [0, 0])
            np.testing.assert_array_equal(state.info["episode_metrics"]["length"], [3.0, 3.0])
            np.testing.assert_allclose(state.info["episode_metrics"]["sum_reward"], sum(rewards[-3:]), rtol=1e-5)
            np.testing.assert_allclose(state.info["episode_metrics"]["half_hours"], [51.0, 51.0])
        else:
            np.testing.assert_array_equal(state.obs, state.info["final_observation"])
    assert len(np.unique(np.round(rewards, 6))) == 14  # the random numbers go on


def test_brax_reports_version_1s_limit_of_time_as_a_truncation_whenever_it_comes():
    """34 half-hours are two nights or 34 half-hours of nothing: brax's wrapper, which counts steps, ends both."""
    params = hp.heartpole_v1.EnvParams(max_half_hours=34)
    env = to_brax("HeartPole-v1", params)
    assert (env.observation_size, env.action_size, env.episode_length) == (8, 8, 34)
    env = training.wrap(env, episode_length=env.episode_length)
    state, step = jax.jit(env.reset)(env_keys(2)), jax.jit(env.step)
    ends = []
    for time in range(1, 36):
        state = step(state, jnp.array([3, 0]))  # sleep, nothing
        np.testing.assert_array_equal(state.done, state.info["truncation"])
        ends.append(state.done.tolist())
        if time == 4:
            assert state.info["final_observation"][:, 4].tolist() == [34.0, 4.0]
            np.testing.assert_array_equal(state.info["episode_metrics"]["length"], [2.0, 4.0])
            assert state.obs[0, 4] == 0.0
    assert ends == [[float(time % 2 == 0), float(time == 34)] for time in range(1, 36)]


@pytest.mark.parametrize("episode_length", [1000, 2])
def test_brax_reports_a_true_end_as_done_without_truncation_at_the_limit_as_well(episode_length):
    env = training.wrap(to_brax(probe_environments.counter(2)), episode_length=episode_length)
    state = env.reset(env_keys(2))
    ends = []
    for _ in range(4):
        state = env.step(state, jnp.array([0, 1]))
        ends.append((float(state.done[0]), float(state.info["truncation"][0]), float(state.obs[0, 1])))
    assert ends == [(0.0, 0.0, 1.0), (1.0, 0.0, 0.0)] * 2
    assert state.info["final_observation"][:, 1].tolist() == [2.0, 2.0]


def test_repeated_actions_and_evaluation_add_up():
    env = training.EvalWrapper(training.wrap(to_brax(), episode_length=4, action_repeat=2))
    state = env.reset(env_keys(3))
    for _ in range(2):
        state = jax.jit(env.step)(state, preference(hp.Action.NOTHING, 3))
    evaluation = state.info["eval_metrics"]
    np.testing.assert_array_equal(evaluation.episode_steps, [4.0] * 3)
    np.testing.assert_array_equal(evaluation.active_episodes, [0.0] * 3)
    assert state.info["final_observation"][:, 4].tolist() == [4.0] * 3


def test_domain_randomization_gives_every_environment_parameters_of_its_own():
    def randomize(params):
        envs = jax.tree.map(lambda x: jnp.broadcast_to(x, (2,)), params)
        return envs.replace(intoxication_decay=jnp.array([0.5, 1.0])), 0

    plain = to_brax()
    env = training.wrap(plain, episode_length=10, randomization_fn=randomize)
    state = env.reset(jnp.tile(jax.random.PRNGKey(0), (2, 1)))  # the same noise for both
    state = jax.jit(env.step)(state, preference(hp.Action.BEER, 2))
    np.testing.assert_allclose(2 * state.obs[0, 2], state.obs[1, 2], rtol=1e-6)
    assert state.obs[0, 2] > 0
    assert plain.sys == hp.EnvParams()


@pytest.fixture
def old_jax(monkeypatch):
    """brax 0.14.2 calls a function that JAX 0.10 has taken out, and gives this in its stead."""
    replicated = lambda tree, devices: jax.tree.map(lambda x: jnp.stack([x] * len(devices)), tree)
    monkeypatch.setattr(jax, "device_put_replicated", replicated, raising=False)


def train_ppo(env, episode_length, num_timesteps):
    """(metrics of every evaluation, parameters), of brax's own PPO."""
    evaluations = []
    networks = functools.partial(
        ppo_networks.make_ppo_networks, policy_hidden_layer_sizes=(16,), value_hidden_layer_sizes=(16,)
    )
    # brax adds rows to batches, and draws twice with a key
    with jax.numpy_rank_promotion("allow"), jax.debug_key_reuse(False):
        _, params, _ = ppo.train(
            environment=env,
            num_timesteps=num_timesteps,
            episode_length=episode_length,
            num_envs=16,
            batch_size=16,
            num_minibatches=4,
            unroll_length=8,
            learning_rate=1e-2,
            entropy_cost=1e-3,
            num_evals=2,
            num_eval_envs=32,
            network_factory=networks,
            normalize_observations=True,
            progress_fn=lambda num_steps, metrics: evaluations.append((num_steps, metrics)),
        )
    return evaluations, params


def test_brax_trains_its_ppo_on_heartpole(old_jax):
    evaluations, params = train_ppo(to_brax(params=hp.EnvParams(max_steps=20)), 20, num_timesteps=2048)
    num_steps, metrics = evaluations[-1]
    assert num_steps >= 2048
    assert metrics["eval/avg_episode_length"] == 20.0
    # The mean of 32 returns: a mean productivity of about one, minus a hundred for each of the few heart attacks.
    assert -100 < metrics["eval/episode_reward"] < 3
    assert 20 <= metrics["eval/episode_half_hours"] <= 20 * 17
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(params))


@pytest.mark.once
def test_braxs_ppo_learns_to_act_on_what_it_sees(old_jax):
    """The reward is obs[0] for action 1 and its negative for action 0: only who sees it gets 1."""
    evaluations, _ = train_ppo(to_brax(probe_environments.reward_by_action_and_obs()), 5, num_timesteps=8192)
    assert evaluations[-1][1]["eval/avg_episode_length"] == 1.0
    assert evaluations[-1][1]["eval/episode_reward"] > 0.8


def test_what_is_no_environment_and_no_parameters_is_an_error():
    with pytest.raises(ValueError, match="unknown environment 'HartPole-v0'; did you mean 'HeartPole-v0'"):
        to_brax("HartPole-v0")
    with pytest.raises(TypeError, match=r"env must be the name of an environment or an Environment, .* got 7"):
        to_brax(7)
    with pytest.raises(TypeError, match=r"params must be an EnvParams, got 0\.5"):
        to_brax("HeartPole-v0", 0.5)


def test_observations_of_two_axes_are_an_error():
    with pytest.raises(ValueError, match=r"brax takes observations of one axis, 'HeartPole-v0' has the shape \(2, 3\)"):
        to_brax(dataclasses.replace(hp.make("HeartPole-v0"), obs_shape=(2, 3), obs_names=()))
