"""rejax, gymnax's own wrappers and a DQN in PureJaxRL's pattern, unmodified, on our environments as gymnax's."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest

import heartpole_jax as hp

pytest.importorskip("gymnax", reason="see tests/clients/requirements.txt")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # rejax imports brax, which imports jaxopt, which says goodbye
    rejax = pytest.importorskip("rejax", reason="see tests/clients/requirements.txt")

from gymnax import wrappers
from purejaxrl_dqn import Config, make_train

from heartpole_jax.interop.gymnax import to_gymnax, to_gymnax_legacy

MAX_STEPS = 50


@pytest.fixture
def their_habits():
    """rejax evaluates with a key and goes on with it, as gymnax's vector wrapper resets; rejax adds rows to batches."""
    with jax.numpy_rank_promotion("allow"):
        yield


def changed(before, after):
    """Every array is another one, and finite."""
    pairs = list(zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True))
    assert pairs
    return all(not np.array_equal(x, y) and np.isfinite(y).all() for x, y in pairs)


def check_returns(returns):
    """An episode's return is its mean productivity, minus a hundred for each heart attack.

    Productivity is about one for the rested, and a few units below zero for who goes 50 half-hours without sleep.
    """
    attacks = np.round((0.5 - np.asarray(returns)) / 100)
    score = np.asarray(returns) + 100 * attacks
    assert (attacks >= 0).all()
    assert ((score > -20.0) & (score < 3.0)).all(), (score.min(), score.max())
    assert len(np.unique(score)) > len(score.ravel()) / 2  # each with random numbers of its own


def test_rejax_trains_its_dqn(their_habits):
    env = to_gymnax_legacy()
    algorithm = rejax.get_algo("dqn").create(
        env=env,
        env_params=env.default_params.replace(max_steps_in_episode=MAX_STEPS),
        total_timesteps=2048,
        eval_freq=1024,
        num_envs=4,
        buffer_size=1024,
        fill_buffer=256,
        batch_size=32,
    )
    assert algorithm.env == env
    start = algorithm.init_state(jax.random.key(0))
    state, (lengths, returns) = jax.jit(algorithm.train)(jax.random.key(0))
    assert lengths.shape == returns.shape == (3, 128)
    np.testing.assert_array_equal(lengths, MAX_STEPS)
    check_returns(returns)
    # 512 iterations of four envs, of which the first 65 find no more than 256 steps done and do not learn.
    assert int(state.global_step) == 2048
    assert int(state.q_ts.step) == 512 - 65
    assert changed(start.q_ts.params, state.q_ts.params)
    # The last 256 iterations are in the buffer: four envs end at the 300th, 350th, ..., 500th.
    buffer = state.replay_buffer.data
    assert buffer.done.sum() == 4 * 5
    np.testing.assert_array_equal(buffer.next_obs[buffer.done][:, 1:], 0.0)
    assert (buffer.next_obs[~buffer.done][:, 4] > 0).all()
    np.testing.assert_array_equal(state.env_state.time, [512 % MAX_STEPS] * 4)


def test_rejax_trains_its_ppo_of_several_seeds(their_habits):
    env = to_gymnax_legacy("HeartPole-v0", hp.EnvParams(max_steps=MAX_STEPS))
    algorithm = rejax.get_algo("ppo").create(
        env=env,
        total_timesteps=2048,
        eval_freq=1024,
        num_envs=8,
        num_steps=32,
        num_minibatches=4,
        num_epochs=2,
        normalize_observations=True,
        agent_kwargs={"hidden_layer_sizes": (16,)},
        skip_initial_evaluation=True,
    )
    keys = jax.random.split(jax.random.key(0), 2)
    both = lambda key: (algorithm.init_state(key), algorithm.train(key))
    start, (state, (lengths, returns)) = jax.jit(jax.vmap(both))(keys)
    np.testing.assert_array_equal(lengths, np.full((2, 2, 128), MAX_STEPS))
    check_returns(returns)
    # 8 iterations of 32 steps of 8 envs; two epochs of four minibatches each.
    np.testing.assert_array_equal(state.global_step, [2048, 2048])
    np.testing.assert_array_equal(state.actor_ts.step, [8 * 2 * 4] * 2)
    np.testing.assert_array_equal(state.env_state.time, np.full((2, 8), 8 * 32 % MAX_STEPS))
    for network in ("actor_ts", "critic_ts"):
        assert changed(getattr(start, network).params, getattr(state, network).params)
    assert not np.array_equal(returns[0], returns[1])


def test_rejax_learns_to_act_on_what_it_sees(their_habits):
    """One step, the reward is obs[0] for action 1 and its negative for action 0: only who sees it gets 1."""
    env = to_gymnax_legacy(probe_environments.reward_by_action_and_obs())
    algorithm = rejax.get_algo("ppo").create(
        env=env, total_timesteps=4096, eval_freq=4096, num_envs=16, num_steps=16, num_minibatches=4, learning_rate=3e-3
    )
    _, (lengths, returns) = jax.jit(algorithm.train)(jax.random.key(0))
    np.testing.assert_array_equal(lengths, 1)
    assert abs(returns[0].mean()) < 0.9
    assert returns[-1].mean() > 0.95


def test_a_dqn_in_purejaxrls_pattern_trains_on_gymnaxs_wrappers():
    env = wrappers.LogWrapper(wrappers.FlattenObservationWrapper(to_gymnax()))
    env = wrappers.LegacyStepAPIWrapper(env)
    params = to_gymnax().default_params.replace(max_steps_in_episode=MAX_STEPS, expected_penalty=1.0)
    config = Config()
    state, buffer, metrics = jax.jit(make_train(env, params, config))(jax.random.key(0))
    assert np.isfinite(metrics["loss"]).all()
    assert int(state.step) == 256
    ends = np.arange(256) % MAX_STEPS == MAX_STEPS - 1
    np.testing.assert_array_equal(metrics["returned_episode"], np.repeat(ends[:, None], 8, axis=1))
    np.testing.assert_array_equal(metrics["returned_episode_lengths"][ends], MAX_STEPS)
    returns = metrics["returned_episode_returns"][ends]
    assert returns.shape == (5, 8)
    # The expected penalty of 50 steps is 100 times the risk, 0.12 % a step for the sober, and more after drinks.
    assert ((returns > -500) & (returns < -5)).all(), returns
    # The last 64 of the 256 steps hold two ends, the 200th and the 250th.
    assert buffer["done"].sum() == 2 * 8
    np.testing.assert_array_equal(buffer["next_obs"][buffer["done"]][:, 1:], 0.0)


def test_gymnaxs_log_and_flatten_wrappers_report_episodes_and_keep_the_true_last_observation():
    env = wrappers.LogWrapper(wrappers.FlattenObservationWrapper(to_gymnax()))
    params = to_gymnax().default_params.replace(max_steps_in_episode=3)
    _, state = env.reset(jax.random.key(0), params)
    rewards = []
    for seed in range(1, 4):
        obs, state, reward, terminated, truncated, info = env.step(jax.random.key(seed), state, 3, params)
        rewards.append(float(reward))
    assert (bool(terminated), bool(truncated), bool(info["returned_episode"])) == (False, True, True)
    assert int(info["returned_episode_lengths"]) == 3
    np.testing.assert_allclose(info["returned_episode_returns"], sum(rewards), rtol=1e-5)
    assert info["final_observation"][4] == 3 * 17  # half-hours: three nights of 16, and the half-hour after each
    assert obs[4] == 0.0
    assert env.observation_space(params).shape == (6,)


def test_gymnaxs_sticky_actions_repeat_the_last_action():
    """With a probability of one only the first action that it remembers, nothing, is ever done."""
    env = wrappers.StickyActionWrapper(to_gymnax(), sticky_action_prob=1.0)
    _, state = env.reset(jax.random.key(0))
    obs, *_ = env.step(jax.random.key(1), state, hp.Action.COFFEE)
    assert obs[1] == 0.0  # no coffee, no hypertension


def test_gymnaxs_gym_wrapper_steps_and_has_its_spaces():
    env = wrappers.GymnaxToGymWrapper(to_gymnax(), to_gymnax().default_params.replace(max_steps_in_episode=2), seed=3)
    obs, _ = env.reset(seed=3)
    assert env.action_space.n == 4
    np.testing.assert_array_equal(env.observation_space.low, np.array([-np.inf, 0, 0, 0, 0, -np.inf], np.float32))
    assert env.observation_space.contains(np.asarray(obs))
    ends = [env.step(0)[2:4] for _ in range(4)]
    assert [(bool(end), bool(limit)) for end, limit in ends] == [(False, False), (False, True)] * 2


def test_gymnaxs_vector_gym_wrapper_ends_all_environments_at_the_limit(their_habits):
    params = to_gymnax().default_params.replace(max_steps_in_episode=2)
    env = wrappers.GymnaxToVectorGymWrapper(to_gymnax(), num_envs=3, params=params, seed=3)
    obs, _ = env.reset(seed=3)
    assert env.observation_space.shape == obs.shape == (3, 6)
    actions = jnp.array([0, 1, 3])
    env.step(actions)
    obs, rewards, terminated, truncated, info = env.step(actions)
    assert (terminated.tolist(), truncated.tolist()) == ([False] * 3, [True] * 3)
    assert info["final_observation"][:, 4].tolist() == [2.0, 2.0, 34.0]
    assert obs[:, 4].tolist() == [0.0] * 3
    assert rewards.shape == (3,)


def test_gymnaxs_dm_env_wrapper_discounts_nothing_at_the_limit_and_all_at_a_true_end():
    discounts = []
    for probe in (probe_environments.counter(2), probe_environments.time_limit_only(2)):
        env = wrappers.GymnaxToDmEnvWrapper(to_gymnax(probe))
        timestep = env.reset(jax.random.key(0))
        for seed in (1, 2):
            timestep = env.step(jax.random.key(seed), timestep, 0)
        discounts.append(float(timestep.discount))
    assert discounts == [0.0, 1.0]
