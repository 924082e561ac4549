"""The native `VectorEnv` against Gymnasium's `SyncVectorEnv` of our `Env`s, and against hand-written expectations."""

import gymnasium
import numpy as np
import pytest
from gymnasium import error
from gymnasium.vector import AutoresetMode, SyncVectorEnv

NAME = "heartpole_jax:HeartPole-v0"
MODES = list(AutoresetMode)
KEYS = ("productivity", "half_hours", "heart_attack_risk", "heart_attack", "cost")


def make_vec(num_envs=3, **keywords):
    return gymnasium.make_vec(NAME, num_envs=num_envs, **keywords)


def make_sync(num_envs=3, mode=AutoresetMode.NEXT_STEP, **keywords):
    return SyncVectorEnv([lambda: gymnasium.make(NAME, **keywords)] * num_envs, autoreset_mode=mode)


def assert_same(ours, theirs, place="result"):
    """Equal but for the last digits, with the same types, shapes, dtypes and keys, all the way down."""
    assert type(ours) is type(theirs), place
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), place
        for name in ours:
            assert_same(ours[name], theirs[name], f"{place}[{name}]")
    elif isinstance(ours, tuple):
        assert len(ours) == len(theirs)
        for i, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_same(*pair, f"{place}[{i}]")
    else:
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), place
        if ours.dtype == object:
            assert [x is None for x in ours] == [x is None for x in theirs], place
            ours, theirs = (np.stack([x for x in array if x is not None]) for array in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6, err_msg=place)


def test_make_vec_gives_the_native_one():
    envs = make_vec(1024)
    assert type(envs.unwrapped).__name__ == "VectorEnv"
    assert envs.num_envs == 1024
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert envs.observation_space.shape == (1024, 6)
    assert envs.action_space == gymnasium.spaces.MultiDiscrete([4] * 1024)
    obs, infos = envs.reset(seed=0)
    assert obs in envs.observation_space
    stepped, *_, step_infos = envs.step(envs.action_space.sample())
    assert stepped in envs.observation_space
    assert infos.keys() == step_infos.keys()
    assert not any(infos[name].any() for name in KEYS)


@pytest.mark.parametrize("mode", MODES)
def test_the_native_one_is_gymnasiums_of_single_environments(mode):
    """Heart attacks, resets of all envs at once, masked resets, and reseeding on the way."""
    keywords = {"max_steps": 5, "heart_attack_proclivity": 1.0, "heart_attack_threshold": 1.5}
    ours, theirs = make_vec(autoreset_mode=mode, **keywords), make_sync(mode=mode, **keywords)
    assert_same(ours.reset(seed=7), theirs.reset(seed=7))
    rng = np.random.default_rng(0)
    attacks = 0
    for t in range(24):
        actions = rng.integers(0, 4, 3)
        result = ours.step(actions)
        assert_same(result, theirs.step(actions), f"step {t}")
        attacks += result[4].get("heart_attack", np.zeros(3)).sum()
        if mode is AutoresetMode.DISABLED and result[3].any():
            assert_same(ours.reset(options={"reset_mask": result[3].copy()}),
                        theirs.reset(options={"reset_mask": result[3].copy()}))  # fmt: skip
        if t == 12:
            assert_same(ours.reset(), theirs.reset())
        if t == 17:
            assert_same(ours.reset(seed=[3, None, 9]), theirs.reset(seed=[3, None, 9]))
    assert attacks > 3


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_environments_that_end_at_different_steps_are_gymnasiums_too(mode):
    """Made to end apart by beginning apart, which a reset of single envs allows."""
    ours, theirs = make_vec(autoreset_mode=mode, max_steps=4), make_sync(mode=mode, max_steps=4)
    assert_same(ours.reset(seed=1), theirs.reset(seed=1))
    ended = []
    for t in range(14):
        if t in (1, 3):
            mask = np.array([t == 1, t == 3, False])
            assert_same(ours.reset(options={"reset_mask": mask.copy()}),
                        theirs.reset(options={"reset_mask": mask.copy()}))  # fmt: skip
        actions = np.array([t % 4, 1, 3])
        result = ours.step(actions)
        assert_same(result, theirs.step(actions), f"step {t}")
        ended.append(tuple(result[3]))
    assert {(True, False, False), (False, True, False), (False, False, True)} <= set(ended)


def test_next_step_by_hand():
    """Three decisions an episode: the fourth step begins the next one, its action unused, its reward 0."""
    envs = make_vec(2, max_steps=3)
    first, _ = envs.reset(seed=0)
    results = [envs.step(np.array([1, 3])) for _ in range(5)]
    assert [result[3].tolist() for result in results] == [
        [False] * 2,
        [False] * 2,
        [True] * 2,
        [False] * 2,
        [False] * 2,
    ]
    assert [result[0][:, 4].tolist() for result in results] == [[1, 17], [2, 34], [3, 51], [0, 0], [1, 17]]
    assert results[3][1].tolist() == [0, 0]
    assert {name: results[3][4][name].tolist() for name in KEYS} == {name: [0, 0] for name in KEYS}
    assert (results[3][0][:, 0] != first[:, 0]).all()
    assert all(result[2].tolist() == [False] * 2 for result in results)


def test_same_step_by_hand():
    """The third step returns the next episode's first observation, the last one's end and its info in `final_`."""
    envs = make_vec(2, max_steps=3, autoreset_mode="SameStep")
    envs.reset(seed=0)
    results = [envs.step(np.array([1, 3])) for _ in range(4)]
    assert [result[0][:, 4].tolist() for result in results] == [[1, 17], [2, 34], [0, 0], [1, 17]]
    infos = results[2][4]
    assert [obs[4] for obs in infos["final_obs"]] == [3, 51]
    assert infos["_final_obs"].tolist() == infos["_final_info"].tolist() == [True, True]
    assert infos["final_info"]["half_hours"].tolist() == [1, 17]
    assert {name: infos[name].tolist() for name in KEYS} == {name: [0, 0] for name in KEYS}
    assert "final_obs" not in results[3][4]
    # Nothing is lost: work done grows by the productivity that is reported, up to the end.
    assert infos["final_obs"][0][5] == pytest.approx(sum(
        [result[4]["productivity"][0] for result in results[:2]]) + infos["final_info"]["productivity"][0], rel=1e-5
    )  # fmt: skip


def test_disabled_by_hand():
    envs = make_vec(2, max_steps=2, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(seed=0)
    envs.step(np.array([0, 0]))
    obs, _, _, truncated, _ = envs.step(np.array([0, 0]))
    assert truncated.all()
    with pytest.raises(error.ResetNeeded, match=r"environments \[0, 1\] have ended"):
        envs.step(np.array([0, 0]))
    after, _ = envs.reset(options={"reset_mask": np.array([True, False])})
    assert after[0, 4] == 0
    np.testing.assert_array_equal(after[1], obs[1])
    with pytest.raises(error.ResetNeeded, match=r"environments \[1\] have ended"):
        envs.step(np.array([0, 0]))


def test_seeding_twice_gives_the_same_bits_and_other_seeds_others():
    def episode(seed):
        envs = make_vec(4, max_steps=6)
        obs = [envs.reset(seed=seed)[0]]
        return np.stack(obs + [envs.step(np.array([0, 1, 2, 3]))[0] for _ in range(10)] + [envs.reset()[0]])

    np.testing.assert_array_equal(episode(3), episode(3))
    np.testing.assert_array_equal(episode(3)[0, 1:], episode(4)[0, :-1])  # index i has the seed + i
    assert not np.array_equal(episode(3)[0], episode(9)[0])


def test_the_arrays_are_the_callers_to_write_on():
    envs, others = make_vec(), make_vec()
    for result in (envs.reset(seed=0), envs.step(np.zeros(3, int))):
        for array in result[:4]:
            if isinstance(array, np.ndarray):
                assert array.flags.writeable
                assert array.flags.owndata or array.base.flags.writeable
                array[:] = 1
    others.reset(seed=0)
    others.step(np.zeros(3, int))
    assert_same(envs.step(np.ones(3, int)), others.step(np.ones(3, int)))


def test_gymnasiums_vector_wrappers_work():
    envs = gymnasium.wrappers.vector.RecordEpisodeStatistics(make_vec(2, max_steps=3))
    envs = gymnasium.wrappers.vector.NormalizeObservation(envs)
    envs.reset(seed=0)
    results = [envs.step(np.array([1, 3])) for _ in range(3)]
    assert results[-1][4]["episode"]["l"].tolist() == [3, 3]
    np.testing.assert_allclose(results[-1][4]["episode"]["r"], sum(result[1] for result in results), rtol=1e-6)


def test_frames_of_all_environments():
    envs = make_vec(2, render_mode="rgb_array", max_steps=2)
    envs.reset(seed=0)
    for _ in range(4):
        envs.step(np.array([1, 3]))
    frames = envs.render()
    assert [frame.shape for frame in frames] == [(480, 800, 3)] * 2
    assert not np.array_equal(*frames)


def test_make_vecs_max_episode_steps_is_max_steps():
    envs = gymnasium.make_vec(NAME, num_envs=2, max_episode_steps=2)
    envs.reset(seed=0)
    assert [envs.step(np.zeros(2, int))[3].all() for _ in range(2)] == [False, True]
    assert gymnasium.make_vec(NAME, max_episode_steps=2, max_steps=2).unwrapped.params.max_steps == 2
    with pytest.raises(ValueError, match="are the same, got 2 and 3"):
        gymnasium.make_vec(NAME, num_envs=2, max_episode_steps=2, max_steps=3)


OWN = {
    "heart_attack_proclivity": np.array([0.2, 0.9, 0.5]),
    "heart_attack_threshold": [0.5, -50, 1.0],
    "wake_up_alertness_low": np.array([0.1, 0.7, 0.2], np.float32),
    "expected_penalty": np.array([0.0, 0.5, 1.0]),
}


@pytest.mark.parametrize(("version", "limit"), [(0, "max_steps"), (1, "max_half_hours")])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_an_array_gives_each_environment_its_own_parameter(mode, version, limit):
    """Environment i is the one of as many that all have its numbers, its time limit included."""
    name, own = f"heartpole_jax:HeartPole-v{version}", OWN | {limit: np.array([4, 9, 3])}
    ours = gymnasium.make_vec(name, num_envs=3, autoreset_mode=mode, **own)
    assert ours.unwrapped.spec.max_episode_steps == 9
    alone = [gymnasium.make_vec(name, num_envs=3, autoreset_mode=mode, **{key: value[i] for key, value in own.items()})
             for i in range(3)]  # fmt: skip
    first = ours.reset(seed=2)[0]
    for i, envs in enumerate(alone):
        np.testing.assert_allclose(first[i], envs.reset(seed=2)[0][i], rtol=2e-5)
    rng, ends = np.random.default_rng(0), np.zeros(3, int)
    for _ in range(20):
        actions = rng.integers(0, 3, 3)
        *got, infos = ours.step(actions)
        ends += got[3]
        for i, envs in enumerate(alone):
            *expected, expected_infos = envs.step(actions)
            for x, y in zip(got, expected, strict=True):
                np.testing.assert_allclose(x[i], y[i], rtol=2e-5, atol=2e-6)
            for key in KEYS:
                np.testing.assert_allclose(infos[key][i], expected_infos[key][i], rtol=2e-5, atol=2e-6)
    assert len(set(ends)) == 3


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("version", [0, 1])
def test_an_array_of_equal_numbers_is_the_number(version, num_envs):
    def play(**keywords):
        envs = gymnasium.make_vec(f"heartpole_jax:HeartPole-v{version}", num_envs=num_envs, **keywords)
        return [envs.reset(seed=1)] + [envs.step(np.full(num_envs, i % 4)) for i in range(12)]

    own = {"heart_attack_threshold": 1.3, "expected_penalty": 0.3, "wake_up_alertness_high": 1.7}
    for plain, array in zip(play(**own), play(**{key: np.full(num_envs, x) for key, x in own.items()}), strict=True):
        for x, y in zip(plain[:-1], array[:-1], strict=True):
            np.testing.assert_array_equal(x, y)
        for key in plain[-1]:
            np.testing.assert_array_equal(plain[-1][key], array[-1][key])


def test_the_array_is_taken_as_it_was_when_the_environments_were_made():
    limits = np.array([2, 3])
    envs = make_vec(2, max_steps=limits)
    limits[:] = 1
    envs.reset(seed=0)
    assert [envs.step(np.zeros(2, int))[3].tolist() for _ in range(3)] == [[False] * 2, [True, False], [False, True]]


def test_frames_are_drawn_with_each_environments_own_parameters():
    limits = {"render_mode": "rgb_array", "max_steps": np.array([100, 1000])}
    envs, short = make_vec(2, **limits), make_vec(2, render_mode="rgb_array", max_steps=100)
    for each in (envs, short):
        each.reset(seed=0)
        each.step(np.zeros(2, int))
    np.testing.assert_array_equal(envs.render()[0], short.render()[0])
    assert not np.array_equal(envs.render()[1], short.render()[1])


@pytest.mark.parametrize(
    ("keywords", "kind", "message"),
    [
        ({"heart_attack_penalty": np.ones(2)}, ValueError,
         r"heart_attack_penalty must be one number, or 3 of them, one for each environment, got .* shape \(2,\)"),
        ({"heart_attack_penalty": np.ones((3, 1))}, ValueError, r"or 3 of them.* got an array of shape \(3, 1\)"),
        ({"heart_attack_penalty": []}, ValueError, r"or 3 of them.* got an array of shape \(0,\)"),
        ({"heart_attack_penalty": [1.0, [2.0], 3.0]}, TypeError, "heart_attack_penalty must be a number or an array"),
        ({"heart_attack_penalty": [1.0, "2", 3.0]}, TypeError, "heart_attack_penalty must be a real number or an ar"),
        ({"heart_attack_penalty": [True, False, True]}, TypeError, "heart_attack_penalty must be a real number or an"),
        ({"heart_attack_penalty": [1.0, -2.0, 3.0]}, ValueError, "heart_attack_penalty must be at least 0"),
        ({"max_steps": [1, 2.5, 3]}, ValueError, "max_steps must be a whole number"),
        ({"wake_up_alertness_low": [1.0, 1.4, 0.0]}, ValueError, "wake_up_alertness_low must not exceed"),
        ({"max_steps": [2, 3, 2], "max_episode_steps": 2}, ValueError, "are the same, got 2 and .*; give one"),
    ],
)  # fmt: skip
def test_a_bad_array_of_parameters_is_refused(keywords, kind, message):
    with pytest.raises(kind, match=message):
        make_vec(**keywords)
    with pytest.raises(TypeError, match="must be one number, got"):
        make_vec(vectorization_mode="sync", heart_attack_penalty=np.ones(3))


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros(2, int), r"shape \(3,\), got shape \(2,\)"),
        (np.zeros((3, 1), int), r"got shape \(3, 1\)"),
        (np.array([0.0, np.nan, 1.0]), "float64"),
        (1, r"got shape \(\)"),
        ([0, 4, 1], "got 4 for environment 1"),
        ([0, 1, -1], "got -1 for environment 2"),
    ],
)
def test_bad_actions_are_refused(actions, message):
    envs = make_vec()
    envs.reset(seed=0)
    with pytest.raises(error.InvalidAction, match=message):
        envs.step(actions)


def test_bad_resets_are_refused():
    envs = make_vec()
    mask = np.array([True, False, False])
    with pytest.raises(error.ResetNeeded, match="step was called before reset"):
        envs.step(np.zeros(3, int))
    with pytest.raises(error.ResetNeeded, match="the first reset must be of all environments"):
        envs.reset(options={"reset_mask": mask})
    envs.reset(seed=0)
    for options, kind, message in (
        ({"reset_mask": [True, False, False]}, TypeError, "NumPy array of bool"),
        ({"reset_mask": mask.astype(int)}, TypeError, "NumPy array of bool"),
        ({"reset_mask": mask[:2]}, ValueError, r"shape \(3,\), got \(2,\)"),
        ({"reset_mask": ~mask & mask}, ValueError, "at least one environment"),
        ({"masks": mask}, ValueError, "unknown option 'masks'; known: reset_mask"),
    ):
        with pytest.raises(kind, match=message):
            envs.reset(options=options)
    with pytest.raises(ValueError, match="3 of them, got 2"):
        envs.reset(seed=[1, 2])
    with pytest.raises(error.Error, match="at least 0, got -1"):
        envs.reset(seed=[1, -1, 2])
    with pytest.raises(error.Error, match=r"at least 0, got 1\.5"):
        envs.reset(seed=1.5)


def test_a_closed_environment_steps_again_after_a_reset():
    envs, other = make_vec(), make_vec()
    for each in (envs, other):
        each.reset(seed=0)
    envs.close()
    with pytest.raises(error.ClosedEnvironmentError, match=r"call env\.reset\(\) to open it again"):
        envs.step(np.zeros(3, int))
    assert_same(envs.reset(), other.reset())
    assert_same(envs.step(np.zeros(3, int)), other.step(np.zeros(3, int)))


@pytest.mark.parametrize("seed", [np.int64(7), np.uint32(7), np.array(7), np.array([7, 8, 9]), [np.int64(7), 8, 9]])
def test_a_seed_is_any_whole_number(seed):
    np.testing.assert_array_equal(make_vec().reset(seed=seed)[0], make_vec().reset(seed=7)[0])


def test_bad_keywords_are_refused():
    with pytest.raises(error.UnsupportedMode, match="'NextStep', 'SameStep', 'Disabled', got 'Never'"):
        make_vec(autoreset_mode="Never")
    with pytest.raises(error.UnsupportedMode, match="ansi, rgb_array, got 'human'"):
        make_vec(render_mode="human")
    with pytest.raises(ValueError, match="num_envs must be at least 1"):
        make_vec(0)
