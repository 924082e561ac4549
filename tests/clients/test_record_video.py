"""Gymnasium's RecordVideo on our frames, single and vector."""

import warnings

import gymnasium
import numpy as np
import pytest

pytest.importorskip("moviepy", reason="see tests/clients/requirements.txt")

NAME = "heartpole_jax:HeartPole-v0"


def test_a_video_of_an_episode_can_be_recorded(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # moviepy's
        env = gymnasium.make(NAME, render_mode="rgb_array", max_steps=5)
        env = gymnasium.wrappers.RecordVideo(env, str(tmp_path))
        env.reset(seed=0)
        for action in (1, 2, 3, 0, 0):
            env.step(action)
        env.close()
    assert [path.stat().st_size > 1000 for path in tmp_path.glob("*.mp4")] == [True]


@pytest.mark.skipif(not hasattr(gymnasium.wrappers.vector, "RecordVideo"), reason="Gymnasium 1.1 has none for vectors")
def test_a_video_of_all_environments_can_be_recorded(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # moviepy's
        envs = gymnasium.make_vec(NAME, num_envs=2, render_mode="rgb_array", max_steps=3)
        envs = gymnasium.wrappers.vector.RecordVideo(envs, str(tmp_path), video_length=3)
        envs.reset(seed=0)
        for _ in range(4):
            envs.step(np.array([1, 3]))
        envs.close()
    assert {path.stat().st_size > 1000 for path in tmp_path.glob("*.mp4")} == {True}
