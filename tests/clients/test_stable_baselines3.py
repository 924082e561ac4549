"""Stable-Baselines3 itself on our environments: its checker, its `VecEnv` contract, DQN and PPO by both ways in."""

import warnings

import gymnasium
import numpy as np
import pytest
import stable_baselines3
import torch
from gymnasium import error
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

import heartpole_jax.interop.tutorial as gym
from heartpole_jax.interop.stable_baselines3 import HeartPoleVecEnv

NAME = "heartpole_jax:HeartPole-v0"
QUICK = {"policy_kwargs": {"net_arch": [8]}, "seed": 0, "device": "cpu"}


def test_its_checker_finds_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(NAME).unwrapped)
        check_env(gymnasium.make(NAME, render_mode="rgb_array").unwrapped, skip_render_check=False)


def test_the_native_vec_env_is_its_own_of_single_environments():
    """Its `DummyVecEnv` of our `Env`s, with the same seeds, over several episodes: the same numbers and infos."""
    ours = HeartPoleVecEnv(3, max_steps=4)
    theirs = DummyVecEnv([lambda: gymnasium.make(NAME, max_steps=4)] * 3)
    ours.seed(5)
    theirs.seed(5)
    np.testing.assert_allclose(ours.reset(), theirs.reset(), rtol=1e-6)
    assert ours.reset_infos == theirs.reset_infos
    rng = np.random.default_rng(0)
    num_ended = 0
    for _ in range(13):
        actions = rng.integers(0, 4, 3)
        obs, rewards, dones, infos = ours.step(actions)
        expected_obs, expected_rewards, expected_dones, expected_infos = theirs.step(actions)
        np.testing.assert_allclose(obs, expected_obs, rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose(rewards, expected_rewards, rtol=2e-5, atol=2e-6)
        np.testing.assert_array_equal(dones, expected_dones)
        assert (obs.dtype, rewards.dtype, dones.dtype) == (np.float32, np.float32, bool)
        for info, expected in zip(infos, expected_infos, strict=True):
            assert info.keys() == expected.keys()
            for name, value in info.items():
                np.testing.assert_allclose(value, expected[name], rtol=2e-5, atol=2e-6)
        num_ended += dones.sum()
    assert num_ended == 9


def test_the_native_vec_env_of_version_1_is_its_own_of_single_environments():
    """34 half-hours end after 2 nights, 34 half-hours of nothing or 17 of exercise."""
    menu = {"max_half_hours": 34, "menu": "heartpole_v1"}
    ours = HeartPoleVecEnv(3, env="HeartPole-v1", **menu)
    theirs = DummyVecEnv([lambda: gymnasium.make("heartpole_jax:HeartPole-v1", **menu)] * 3)
    assert (ours.observation_space, ours.action_space.n) == (theirs.observation_space, 8)
    ours.seed(5)
    theirs.seed(5)
    np.testing.assert_allclose(ours.reset(), theirs.reset(), rtol=1e-6)
    num_ended = np.zeros(3, int)
    for _ in range(18):
        actions = np.array([3, 0, 5])
        got, expected = ours.step(actions), theirs.step(actions)
        for x, y in zip(got[:3], expected[:3], strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-6)
        for info, expected_info in zip(got[3], expected[3], strict=True):
            assert info.keys() == expected_info.keys()
            assert info["TimeLimit.truncated"] == expected_info["TimeLimit.truncated"]
        num_ended += got[2]
    assert num_ended.tolist() == [9, 0, 1]
    with pytest.raises(error.InvalidAction, match=r"in 0 \.\. 7, got 8 for environment 2"):
        ours.step(np.array([0, 0, 8]))


def test_the_end_of_an_episode_reports_its_last_observation_and_that_it_is_the_time_limit():
    envs = HeartPoleVecEnv(2, max_steps=2)
    envs.reset()
    envs.step(np.array([1, 3]))
    obs, _, dones, infos = envs.step(np.array([1, 3]))
    assert dones.all()
    assert obs[:, 4].tolist() == [0, 0]
    assert [info["terminal_observation"][4] for info in infos] == [2, 34]
    assert [info["TimeLimit.truncated"] for info in infos] == [True, True]
    assert "terminal_observation" not in envs.step(np.array([1, 3]))[3][0]


@pytest.mark.parametrize("algorithm", ["DQN", "PPO"])
@pytest.mark.parametrize("way", ["VecEnv", "Env"])
def test_dqn_and_ppo_train_through_both_ways_in(algorithm, way):
    env = VecMonitor(HeartPoleVecEnv(64, max_steps=16)) if way == "VecEnv" else gymnasium.make(NAME, max_steps=16)
    settings = {"learning_starts": 64, "train_freq": 1} if algorithm == "DQN" else {"n_steps": 32, "batch_size": 32}
    model = getattr(stable_baselines3, algorithm)("MlpPolicy", env, **settings, **QUICK)
    before = [parameter.clone() for parameter in model.policy.parameters()]
    model.learn(2048 if way == "VecEnv" else 512)
    changes = [(a - b).abs().max().item() for a, b in zip(model.policy.parameters(), before, strict=True)]
    assert np.isfinite(changes).all()
    assert max(changes) > 0
    episodes = model.ep_info_buffer
    assert {episode["l"] for episode in episodes} == {16}
    assert all(-1700 < episode["r"] < 20 for episode in episodes)
    assert len(episodes) >= 32


def test_its_wrappers_and_evaluation_work():
    envs = VecNormalize(VecMonitor(HeartPoleVecEnv(4, max_steps=8)))
    model = stable_baselines3.PPO("MlpPolicy", envs, n_steps=8, batch_size=16, **QUICK)
    mean, _ = evaluate_policy(model, VecMonitor(HeartPoleVecEnv(4, max_steps=8)), n_eval_episodes=8)
    assert -900 < mean < 10


def test_a_seed_repeats_and_environments_differ():
    def first(seed):
        envs = HeartPoleVecEnv(3)
        envs.seed(seed)
        return envs.reset()[:, 0]

    np.testing.assert_array_equal(first(1), first(1))
    assert len(set(first(1))) == 3
    assert (HeartPoleVecEnv(3).reset()[:, 0] != HeartPoleVecEnv(3).reset()[:, 0]).all()


def test_frames_come_from_every_environment():
    envs = HeartPoleVecEnv(2, render_mode="rgb_array", max_steps=2)
    envs.reset()
    for _ in range(3):
        envs.step(np.array([0, 3]))
    assert [image.shape for image in envs.get_images()] == [(480, 800, 3)] * 2


def test_bad_input_is_refused():
    envs = HeartPoleVecEnv(2)
    with pytest.raises(error.ResetNeeded):
        envs.step(np.array([0, 0]))
    envs.reset()
    with pytest.raises(error.InvalidAction, match="got 4 for environment 1"):
        envs.step(np.array([0, 4]))
    with pytest.raises(error.InvalidAction, match="float"):
        envs.step(np.array([0.0, 1.0]))
    with pytest.raises(NotImplementedError, match="make another HeartPoleVecEnv"):
        envs.set_attr("max_steps", 3)
    assert envs.get_attr("params")[1].max_steps == 1000
    assert envs.env_is_wrapped(VecMonitor) == [False, False]
    envs.close()
    with pytest.raises(error.ClosedEnvironmentError):
        envs.step(np.array([0, 0]))
    np.testing.assert_array_equal(envs.reset()[:, 4], 0)
    envs.step(np.array([0, 0]))
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'max_step'.*did you mean 'max_steps'"):
        HeartPoleVecEnv(2, max_step=3)
    for options in ({"max_steps": 3}, [{}, {"max_steps": 3}]):
        with pytest.raises(ValueError, match="unknown option 'max_steps'"):
            envs.set_options(options)
    for options in (None, {}, [{}, {}]):
        envs.set_options(options)


@pytest.mark.once
def test_the_tutorials_agent_with_only_its_import_changed(capsys):
    """The tutorial's cells on the agent: make, train, evaluate, an example; fewer decisions than its 500,000."""
    from heartpole_jax.interop.tutorial_agents import DQN
    from heartpole_jax.interop.tutorial_agents import evaluate_policy as evaluate

    torch.manual_seed(0)
    gym.register("HeartPole-v0", entry_point="heartpole_jax.interop.tutorial:HeartPole")
    heartpole = gym.make("HeartPole-v0")
    model = DQN("MlpPolicy", heartpole, verbose=1, policy_kwargs={"net_arch": [16, 16]})
    model.learn(total_timesteps=3000, log_interval=1)
    assert "ep_rew_mean" in capsys.readouterr().out
    mean_reward, std_reward = evaluate(model, heartpole, n_eval_episodes=2)
    assert -100_000 < mean_reward < 10
    assert std_reward >= 0
    heartpole.log = ""
    observation = heartpole.reset()
    for _ in range(10):
        action, _ = model.predict(observation)
        observation, _, _, _ = heartpole.step(action)
    heartpole.render()
    assert capsys.readouterr().out.count("Chosen action: ") == 10
