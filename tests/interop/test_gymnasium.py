"""`Env` through Gymnasium itself: its checker, its wrappers, seeds, and every kind of bad input."""

import copy
import os
import warnings

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract import check_own_buffers
from gymnasium import error
from gymnasium.envs.functional_jax_env import FunctionalJaxEnv, FunctionalJaxVectorEnv
from gymnasium.utils.env_checker import check_env

import heartpole_jax as hp
from heartpole_jax.interop import forking, registration
from heartpole_jax.interop.gymnasium import Env, FunctionalEnv

NAME = "heartpole_jax:HeartPole-v0"


@pytest.fixture(autouse=True)
def no_screen(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def make(**keywords):
    return gymnasium.make(NAME, **keywords)


def play(env, num_steps=20, seed=0):
    actions = np.random.default_rng(seed).integers(0, 4, num_steps)
    return [env.step(int(action)) for action in actions]


@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array"])
def test_gymnasiums_checker_finds_nothing_but_the_tutorials_infinite_bounds(render_mode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space m(in|ax)imum value is -?infinity")
        check_env(make(render_mode=render_mode).unwrapped, skip_render_check=render_mode is None)


@pytest.mark.parametrize("name", ["HeartPole-v0", "HeartPole-v1"])
def test_gymnasium_knows_each_version_by_its_bare_name_too(name):
    assert gymnasium.make(name).spec == gymnasium.make(f"heartpole_jax:{name}").spec
    assert type(gymnasium.make_vec(name).unwrapped) is type(gymnasium.make_vec(f"heartpole_jax:{name}").unwrapped)


def test_registering_is_done_once_and_in_the_place_of_anothers_with_gymnasiums_warning(monkeypatch):
    before = gymnasium.spec("HeartPole-v0")
    registration.register_with_gymnasium()
    assert gymnasium.spec("HeartPole-v0") is before
    other = gymnasium.envs.registration.EnvSpec("HeartPole-v0", entry_point="another.package:HeartPole")
    monkeypatch.setitem(gymnasium.registry, "HeartPole-v0", other)
    with pytest.warns(UserWarning, match="Overriding environment HeartPole-v0"):
        registration.register_with_gymnasium()
    assert gymnasium.spec("HeartPole-v0") == before


def test_the_passive_checker_finds_nothing():
    env = make(disable_env_checker=False, max_steps=5)
    env.reset(seed=0)
    play(env, 5)


def test_the_spaces_have_the_tutorials_bounds():
    env = make()
    assert env.action_space == gymnasium.spaces.Discrete(4)
    assert env.observation_space.dtype == np.float32
    np.testing.assert_array_equal(env.observation_space.low, [-np.inf, 0, 0, 0, 0, -np.inf])
    np.testing.assert_array_equal(env.observation_space.high, [np.inf] * 6)


def test_what_comes_out_is_numpys_and_pythons_own():
    env = make()
    obs, nothing = env.reset(seed=0)
    assert (type(obs), obs.dtype, obs.shape) == (np.ndarray, np.float32, (6,))
    obs, reward, terminated, truncated, info = env.step(np.int64(1))
    assert nothing == {name: type(x)(0) for name, x in info.items()}  # data sets want one form of both
    assert [type(x) for x in nothing.values()] == [type(x) for x in info.values()]
    assert (type(obs), obs.dtype, obs.shape) == (np.ndarray, np.float32, (6,))
    assert [type(x) for x in (reward, terminated, truncated)] == [float, bool, bool]
    assert {name: type(x) for name, x in info.items()} == {
        "productivity": float, "half_hours": int, "heart_attack_risk": float, "heart_attack": bool, "cost": float
    }  # fmt: skip


def test_an_observation_is_the_callers_to_write_on():
    env, other = make(), make()
    obs, _ = env.reset(seed=0)
    other.reset(seed=0)
    obs[:] = 7
    stepped = env.step(0)[0]
    stepped_copy = stepped.copy()
    stepped[:] = 7
    np.testing.assert_array_equal(stepped_copy, other.step(0)[0])
    np.testing.assert_array_equal(env.step(0)[0], other.step(0)[0])


def test_a_seed_fixes_all_that_follows_and_resets_without_one_go_on():
    runs = []
    for _ in range(2):
        env = make()
        first = env.reset(seed=11)[0]
        steps = play(env)
        second = env.reset()[0]
        runs.append((first, *[step[0] for step in steps], second, *[step[0] for step in play(env)]))
        assert first[0] != second[0]
    np.testing.assert_array_equal(*map(np.stack, runs))
    assert make().reset(seed=12)[0][0] != runs[0][0][0]


def test_a_first_reset_without_a_seed_takes_entropy():
    assert make().reset()[0][0] != make().reset()[0][0]


def test_the_time_limit_truncates_and_nothing_terminates():
    env = make(max_steps=3)
    env.reset(seed=0)
    assert [step[2:4] for step in play(env, 3)] == [(False, False), (False, False), (False, True)]
    env.reset()
    assert not env.step(0)[3]


def test_every_parameter_is_a_keyword():
    env = make(heart_attack_proclivity=1.0, heart_attack_threshold=-50, max_steps=9, beer_intoxication_high=0.05)
    assert env.unwrapped.params == hp.EnvParams(
        heart_attack_proclivity=1.0, heart_attack_threshold=-50.0, max_steps=9, beer_intoxication_high=0.05
    )
    env.reset(seed=0)
    _, reward, *_, info = env.step(0)
    assert info["heart_attack"]
    assert info["heart_attack_risk"] == 1.0
    assert reward == pytest.approx(info["productivity"] - 100, abs=1e-5)


@pytest.mark.parametrize("expected_penalty", [0, 0.25, 1.0])
@pytest.mark.parametrize("name", ["HeartPole-v0", "HeartPole-v1"])
def test_the_cost_is_the_heart_attack_or_its_risk_as_the_reward_is_charged(name, expected_penalty):
    """HeartPole-v1's reward is the productivity less the penalty."""
    keywords = {"heart_attack_proclivity": 0.5, "heart_attack_threshold": 1, "expected_penalty": expected_penalty}
    env = gymnasium.make(f"heartpole_jax:{name}", **keywords)
    envs = gymnasium.make_vec(f"heartpole_jax:{name}", num_envs=2, max_episode_steps=7, **keywords)
    seen = [(env.reset(seed=3)[1], envs.reset(seed=3)[1])]
    assert seen[0][0]["cost"] == 0
    attacks = set()
    for action in [1, 1, 1, 1, 2, 0] * 3:
        _, reward, _, _, info = env.step(action)
        beta, attack, risk = expected_penalty, info["heart_attack"], info["heart_attack_risk"]
        assert type(info["cost"]) is float
        assert info["cost"] == (1 - beta) * attack + beta * risk
        if name == "HeartPole-v1":
            assert reward == pytest.approx(info["productivity"] - 100 * info["cost"], abs=2e-5)
        attacks.add(attack)
        infos = envs.step(np.full(2, action))[4]
        assert (infos["cost"].dtype, infos["_cost"].tolist()) == (np.float64, [True, True])
        expected = (1 - beta) * infos["heart_attack"] + beta * infos["heart_attack_risk"]
        np.testing.assert_array_equal(infos["cost"], expected)
    assert attacks == {True, False}


def test_the_cost_of_a_functional_step_is_that_of_its_own_parameters():
    env = FunctionalEnv()
    params = env.get_default_params(expected_penalty=0.5, heart_attack_threshold=-50, heart_attack_proclivity=0.5)
    state = env.initial(jax.random.key(0), params)
    assert env.state_info(state)["cost"] == 0
    state = env.transition(state, 0, jax.random.key(1), params)
    info = env.state_info(state)
    assert info["cost"] == 0.5 * info["heart_attack"] + 0.25
    assert info["cost"].dtype == info["heart_attack_risk"].dtype


def test_gymnasiums_wrappers_work():
    env = gymnasium.wrappers.TimeLimit(make(), 4)
    env = gymnasium.wrappers.NormalizeObservation(gymnasium.wrappers.RecordEpisodeStatistics(env))
    env.reset(seed=0)
    steps = play(env, 4)
    assert [step[3] for step in steps] == [False, False, False, True]
    assert steps[-1][4]["episode"]["l"] == 4
    assert steps[-1][4]["episode"]["r"] == pytest.approx(sum(step[1] for step in steps), rel=1e-6)
    assert np.isfinite([step[0] for step in steps]).all()


def test_frames_and_texts_follow_the_episode():
    env = make(render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert (first.dtype, first.shape) == (np.uint8, (480, 800, 3))
    env.step(1)
    assert not np.array_equal(first, env.render())
    env = make(render_mode="ansi")
    env.reset(seed=0)
    assert "woke up" in env.render()
    env.step(3)
    assert env.render().startswith("day 1, 16:30  chose sleep, reward ")


def test_human_rendering_shows_a_window_by_itself():
    env = make(render_mode="human")
    env.reset(seed=0)
    window = env.unwrapped._renderer._window
    assert window.is_open
    env.step(1)
    assert env.render() is None
    env.close()
    assert not window.is_open
    env.reset()
    assert env.unwrapped._renderer._window.is_open
    env.close()


def test_rendering_without_a_mode_warns_and_names_the_mode():
    env = make()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode='rgb_array'"):
        assert env.render() is None


@pytest.mark.parametrize("action", [4, -1, 2**40, np.int64(-3)])
def test_an_action_out_of_range_is_refused(action):
    env = make()
    env.reset(seed=0)
    with pytest.raises(error.InvalidAction, match=rf"in 0 \.\. 3, got {int(action)}"):
        env.step(action)


@pytest.mark.parametrize("action", [1.0, float("nan"), "coffee", None, True, [1], np.array([1]), jnp.float32(1)])
def test_an_action_of_another_type_is_refused(action):
    env = make()
    env.reset(seed=0)
    with pytest.raises(error.InvalidAction, match=r"one whole number in 0 \.\. 3, got"):
        env.step(action)


@pytest.mark.parametrize("action", [hp.Action.BEER, np.int8(2), np.array(2), jnp.int32(2)])
def test_whole_numbers_of_every_kind_are_actions(action):
    env, other = make(), make()
    env.reset(seed=0)
    other.reset(seed=0)
    np.testing.assert_array_equal(env.step(action)[0], other.step(2)[0])


def test_stepping_and_rendering_before_a_reset_are_refused():
    env = make(render_mode="ansi")
    with pytest.raises(error.ResetNeeded, match=r"call env\.reset"):
        env.step(0)
    with pytest.raises(error.ResetNeeded, match=r"call env\.reset"):
        env.render()


def test_a_closed_environment_steps_again_after_a_reset():
    env, other = make(), make()
    for each in (env, other):
        each.reset(seed=0)
    env.close()
    env.close()
    with pytest.raises(error.ClosedEnvironmentError, match=r"step was called on a closed .*call env\.reset"):
        env.step(0)
    np.testing.assert_array_equal(env.reset()[0], other.reset()[0])
    np.testing.assert_array_equal(env.step(0)[0], other.step(0)[0])


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), np.array(3), jnp.int32(3)])
def test_a_seed_is_any_whole_number(seed):
    np.testing.assert_array_equal(make().reset(seed=seed)[0], make().reset(seed=3)[0])


@pytest.mark.parametrize(
    ("name", "limit", "keywords"), [("HeartPole-v0", "max_steps", {}), ("HeartPole-v1", "max_half_hours", {})]
)
def test_the_spec_gives_the_most_decisions_to_wrappers_that_know_the_time(name, limit, keywords):
    env = gymnasium.make(f"heartpole_jax:{name}", **{limit: 40})
    assert env.spec.max_episode_steps == 40
    timed = gymnasium.wrappers.TimeAwareObservation(env)
    timed.reset(seed=0)
    assert timed.max_timesteps == 40
    assert timed.step(0)[0][-1] == 1
    assert gymnasium.make(env.spec).spec.max_episode_steps == 40
    assert gymnasium.make(f"heartpole_jax:{name}", **{limit: 40}, max_episode_steps=7).spec.max_episode_steps == 7
    assert gymnasium.make_vec(env.spec, num_envs=2).unwrapped.spec.max_episode_steps == 40


def test_a_process_forked_after_jax_began_is_refused_and_the_error_names_what_works(monkeypatch):
    """As it is in a child; that a child knows is tested by forking one, without JAX."""
    env, asked = make(), make()
    asked.reset(seed=0)
    monkeypatch.setattr(forking, "_is_lame", True)
    for refused in (env.reset, lambda: asked.step(0)):
        with pytest.raises(RuntimeError, match=r"forked from one in which JAX had begun.*make_vec.*context='spawn'"):
            refused()


@pytest.mark.filterwarnings("ignore:os.fork")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_forked_process_knows_that_it_is_one():
    jnp.zeros(()).block_until_ready()
    if (child := os.fork()) == 0:
        os._exit(7 if forking._is_lame else 8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert not forking._is_lame


@pytest.mark.parametrize(
    ("keywords", "kind", "message"),
    [
        ({"heart_atack_proclivity": 1.0}, TypeError, "did you mean 'heart_attack_proclivity'"),
        ({"frameskip": 4}, TypeError, "got an unexpected keyword argument 'frameskip'"),
        (
            {"env": "HeartPole-v1", "max_steps": 4},
            TypeError,
            "unexpected keyword argument 'max_steps'.*max_half_hours",
        ),
        ({"max_steps": 0}, ValueError, "max_steps must be a whole number"),
        ({"max_steps": 2.5}, ValueError, "max_steps must be a whole number"),
        ({"hypertension_decay": np.nan}, ValueError, "finite"),
        ({"hypertension_decay": [0.9, 0.8]}, TypeError, "hypertension_decay must be one number"),
        ({"hypertension_decay": "0.9"}, TypeError, "hypertension_decay must be a real number .*, got '0.9'"),
        ({"hypertension_decay": True}, TypeError, "hypertension_decay must be a real number .*, got True"),
        ({"hypertension_decay": None}, TypeError, "hypertension_decay must be a real number .*, got None"),
        ({"render_mode": "3d"}, error.UnsupportedMode, "ansi, rgb_array, human, got '3d'"),
    ],
)
def test_bad_keywords_are_refused(keywords, kind, message):
    with pytest.raises(kind, match=message):
        Env(**keywords)


def test_unknown_options_and_bad_seeds_are_refused():
    env = make()
    with pytest.raises(ValueError, match=r"unknown option 'max_steps'.*keywords of make"):
        env.reset(options={"max_steps": 3})
    with pytest.raises(TypeError, match="options must be a Mapping, got 3"):
        env.reset(options=3)
    for seed in (-1, 1.5):
        with pytest.raises(error.Error):
            env.reset(seed=seed)


def test_an_environment_can_be_copied():
    env = make().unwrapped
    env.reset(seed=0)
    twin = copy.deepcopy(env)
    np.testing.assert_array_equal(env.step(1)[0], twin.step(1)[0])


def test_the_functional_environment_is_the_functional_core():
    env = FunctionalEnv()
    key, step_key = jax.random.key_data(jax.random.split(jax.random.key(3)))
    wrap = jax.random.wrap_key_data
    state = env.initial(wrap(key))
    patient, obs = hp.reset(wrap(key))
    np.testing.assert_array_equal(env.observation(state, None), obs)
    after = env.transition(state, 1, wrap(step_key))
    _, obs, reward, *_ = hp.step(patient, 1, wrap(step_key))
    np.testing.assert_array_equal(env.observation(after, None), obs)
    assert env.reward(state, 1, after, None) == reward
    assert not env.terminal(after, None)
    assert set(env.transition_info(state, 1, after)) == {
        "heart_attack", "heart_attack_risk", "productivity", "half_hours", "cost"
    }  # fmt: skip
    assert env.state_info(state) == dict.fromkeys(env.transition_info(state, 1, after), 0)
    assert env.state_info(after) == env.transition_info(state, 1, after)


def test_a_first_functional_state_has_an_array_for_each_leaf():
    check_own_buffers(FunctionalEnv().initial(jax.random.key(0)), "initial")


def test_gymnasiums_functional_environments_run_it():
    env = FunctionalJaxEnv(FunctionalEnv())
    obs, _ = env.reset(seed=0)
    assert obs.shape == (6,)
    total = sum(step[1] for step in play(env, 3))
    assert np.isfinite(total)
    envs = FunctionalJaxVectorEnv(FunctionalEnv(), num_envs=3, max_episode_steps=2)
    assert envs.reset(seed=0)[0].shape == (3, 6)
    results = [envs.step(np.array([0, 1, 3])) for _ in range(5)]
    # The third step begins the second episode, with the time at 0.
    assert [np.asarray(result[3]).tolist() for result in results] == [[False] * 3, [True] * 3] + [[False] * 3] * 2 + [
        [True] * 3
    ]
    assert np.asarray(results[2][0])[:, 4].tolist() == [0, 0, 0]
    assert np.asarray(results[3][0])[:, 4].tolist() == [1, 1, 17]
