"""Animations: one frame a decision, the pixels of `draw_frame`, captions above."""

import jax
import numpy as np
import pytest

import heartpole_jax as hp
from heartpole_jax.drawing.frames.frame import draw_frame

pytestmark = pytest.mark.once

animation = pytest.importorskip("heartpole_jax.drawing.frames.animation")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def records():
    policy = hp.policies.schedule([1, 3, 0])
    return hp.rollout(policy, jax.random.key(4), num_envs=2, num_steps=3, record=hp.everything).records


def test_moments_are_the_start_and_one_a_decision(records):
    moments = animation.moments_of(records)
    assert [moment.action for moment in moments] == [None, 1, 3, 0]
    assert [moment.time_elapsed for moment in moments] == [0, 1, 18, 19]
    assert moments[0].values["alertness"] == records.state.alertness[0, 0]
    assert moments[3].values["work_done"] == records.next_state.work_done[2, 0]
    assert moments[2].reward == records.reward[1, 0]


def test_a_lossless_animation_has_the_frames_pixels(records, tmp_path):
    animation.save_animation({"": records}, tmp_path / "day.webp")
    moments = animation.moments_of(records)
    with Image.open(tmp_path / "day.webp") as image:
        assert (image.n_frames, image.size) == (4, (800, 480))
        for number in range(4):
            image.seek(number)
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), draw_frame(moments[: number + 1]))


def test_episodes_follow_one_another_under_their_captions(records, tmp_path):
    animation.save_animation({"first": records, "last": records}, tmp_path / "day.gif")
    with Image.open(tmp_path / "day.gif") as image:
        assert (image.n_frames, image.size) == (8, (800, 520))
        image.seek(0)
        first = np.asarray(image.convert("RGB"))
        image.seek(4)
        last = np.asarray(image.convert("RGB"))
    assert (first[:40] != last[:40]).any()
    assert (first[:40] < 128).any()


def test_what_is_no_animation_is_refused(records, tmp_path):
    with pytest.raises(ValueError, match=r"must end in .webp or .gif, got 'day.png'"):
        animation.save_animation({"": records}, tmp_path / "day.png")
    with pytest.raises(ValueError, match="one episode at least"):
        animation.save_animation({}, tmp_path / "day.gif")
    assert not list(tmp_path.iterdir())


def test_heart_attacks_are_counted():
    params = hp.EnvParams(heart_attack_proclivity=1.0, heart_attack_threshold=-50.0)
    records = hp.rollout(
        hp.policies.always(hp.Action.NOTHING), jax.random.key(0), params, num_envs=1, num_steps=3, record=hp.everything
    ).records
    assert [moment.num_heart_attacks for moment in animation.moments_of(records)] == [0, 1, 2, 3]
