"""HeartPole-v1 through Gymnasium's interfaces: its own steps, its time limit, its menu."""

import warnings

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import error
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import heartpole_jax as hp
from heartpole_jax import threefry
from heartpole_jax.envs import menu as menus
from heartpole_jax.interop.gymnasium import FunctionalEnv, VectorEnv

NAME = "heartpole_jax:HeartPole-v1"
NOTHING, SLEEP, EXERCISE = 0, 3, 5
MENU = """
[[action]]
name = "work"
half_hours = 0
source = "none"
grade = "assumed"

[[action]]
name = "decaffeinate"
half_hours = 2
stimulation = [-0.5, 0.0]
source = "none"
grade = "assumed"
"""


@pytest.fixture(autouse=True)
def no_screen(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.fixture
def menu_file(tmp_path):
    path = tmp_path / "menu.toml"
    path.write_text(MENU)
    return str(path)


def make(**keywords):
    return gymnasium.make(NAME, **keywords)


def test_gymnasiums_checker_finds_nothing_but_infinite_bounds():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space m(in|ax)imum value is -?infinity")
        check_env(make(render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("version", [0, 1])
def test_gymnasium_calls_no_version_out_of_date(version):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        name = f"heartpole_jax:HeartPole-v{version}"
        assert gymnasium.make(name).spec.id == gymnasium.make_vec(name, num_envs=2).spec.id == f"HeartPole-v{version}"


def test_the_spaces_are_the_menus(menu_file):
    env = make()
    assert env.action_space == gymnasium.spaces.Discrete(8)
    np.testing.assert_array_equal(env.observation_space.low, [-np.inf, 0, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(env.observation_space.high, [np.inf] * 8)
    for menu in (menu_file, menus.load(menu_file)):
        env = make(menu=menu)
        assert env.action_space == gymnasium.spaces.Discrete(2)
        # Decaffeinating takes stimulation below 0.
        np.testing.assert_array_equal(env.observation_space.low, [-np.inf, 0, 0, 0, 0, 0, -np.inf, 0])
    assert make(menu="heartpole_v0").action_space == gymnasium.spaces.Discrete(4)


def test_an_episode_is_the_pure_steps_number_for_number_up_to_the_time_limit():
    """With the noise that the seed names. 3 rounds of all actions are 3 x 28 half-hours; the limit falls in a night."""
    core = hp.make("HeartPole-v1")
    words = threefry.fold_in(jax.random.key(5), 0)
    env = make(max_half_hours=60, heart_attack_proclivity=1.0, heart_attack_threshold=1.0)
    params = env.unwrapped.params
    assert params == hp.heartpole_v1.EnvParams(
        max_half_hours=60, heart_attack_proclivity=1.0, heart_attack_threshold=1.0
    )
    obs, _ = env.reset(seed=5)
    state, step = env.unwrapped.state, jax.jit(core.transition_info)
    np.testing.assert_array_equal(obs, core.observe(state))
    attacks, times = 0, []
    for t in range(20):
        noise = core.sample_noise(threefry.key_at(words, jnp.uint32(0), jnp.uint32(t)))
        state, expected_obs, expected_reward, done, step_info = step(state, t % 8, noise, params)
        obs, reward, terminated, truncated, info = env.step(t % 8)
        np.testing.assert_allclose(obs, expected_obs, rtol=2e-5, atol=2e-6)
        assert reward == pytest.approx(float(expected_reward), rel=2e-5, abs=2e-6)
        expected_info = {name: float(x) for name, x in vars(step_info).items()} | {
            "cost": float(step_info.heart_attack)
        }
        assert info == pytest.approx(expected_info, rel=2e-5, abs=2e-6)
        assert (terminated, truncated) == (False, bool(done))
        attacks += info["heart_attack"]
        times.append(obs[4])
        if truncated:
            break
    # Nothing, coffee, beer; a night and work; nap, exercise; an energy drink; cannabis. Once more, and to the night.
    a_round = [1, 2, 3, 20, 22, 24, 25, 27]
    assert times == a_round + [27 + time for time in a_round] + [55, 56, 57, 74]
    assert attacks > 0
    assert env.reset()[0][4] == 0


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_environments_end_by_the_clock_each_at_its_own_step(mode):
    """Against Gymnasium's vector environment of single ones: nights end an episode of 34 half-hours in 2 steps."""
    ours = gymnasium.make_vec(NAME, num_envs=3, autoreset_mode=mode, max_half_hours=34)
    theirs = SyncVectorEnv([lambda: make(max_half_hours=34)] * 3, autoreset_mode=mode)
    assert type(ours.unwrapped) is VectorEnv
    np.testing.assert_allclose(ours.reset(seed=3)[0], theirs.reset(seed=3)[0], rtol=1e-6)
    ended = np.zeros(3, int)
    for _ in range(18):
        actions = np.array([SLEEP, NOTHING, EXERCISE])
        got, expected = ours.step(actions), theirs.step(actions)
        for x, y in zip(got[:4], expected[:4], strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-6)
        assert got[4].keys() == expected[4].keys()
        ended += got[3]
    # Beginning again takes a step of its own in the mode NextStep.
    assert ended.tolist() == ([6, 0, 1] if mode is AutoresetMode.NEXT_STEP else [9, 0, 1])


def test_pictures_and_texts_are_of_its_menu(menu_file):
    env = make(render_mode="rgb_array", menu=menu_file)
    env.reset(seed=0)
    first = env.render()
    assert (first.dtype, first.shape) == (np.uint8, (576, 800, 3))
    env.step(1)
    assert not np.array_equal(first, env.render())
    env = make(render_mode="ansi", menu=menu_file)
    env.reset(seed=0)
    env.step(1)
    text = env.render()
    assert text.startswith("day 1, 09:30  chose decaffeinate, reward ")
    assert "\n  stimulation    |                    | -0." in text
    env = make(render_mode="human")
    env.reset(seed=0)
    assert env.unwrapped._renderer._window.is_open
    env.close()


@pytest.mark.parametrize(
    ("keywords", "kind", "message"),
    [
        (
            {"stimulation_decai": 0.9},
            TypeError,
            "HeartPole-v1 got an unexpected keyword argument 'stimulation_decai': .*; did you mean 'stimulation_decay'",
        ),
        (
            {"max_steps": 5},
            TypeError,
            "HeartPole-v1 got an unexpected keyword argument 'max_steps': its limit is a time, max_half_hours",
        ),
        ({"max_half_hours": 2.5}, ValueError, "max_half_hours must be a whole number"),
        ({"impairment_decay": [0.5, 0.6]}, (TypeError, ValueError), "impairment_decay must be one number"),
        ({"menu": "nonesuch"}, ValueError, "unknown menu .*'nonesuch'; known: 'heartpole_v0', 'heartpole_v1'"),
        ({"menu": "nonesuch.toml"}, ValueError, r"cannot read the menu nonesuch\.toml"),
        ({"menu": 3}, TypeError, "menu must be a Menu, got 3"),
    ],
)
def test_bad_keywords_are_refused(keywords, kind, message):
    for make_one in (gymnasium.make, gymnasium.make_vec):
        with pytest.raises(kind, match=message):
            make_one(NAME, **keywords)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_a_limit_of_decisions_stands_beside_that_of_time_as_gymnasiums_wrapper_does(mode):
    """Three nights are 51 half-hours, past the limit of 40; three cups are three."""
    limits = {"max_episode_steps": 3, "max_half_hours": 40}
    ours = gymnasium.make_vec(NAME, num_envs=2, autoreset_mode=mode, **limits)
    theirs = gymnasium.vector.SyncVectorEnv([lambda: make(**limits)] * 2, autoreset_mode=mode)
    assert ours.unwrapped.spec.max_episode_steps == 3
    for envs in (ours, theirs):
        envs.reset(seed=5)
    for _ in range(9):
        actions = np.array([SLEEP, NOTHING])
        got, expected = ours.step(actions), theirs.step(actions)
        for x, y in zip(got[:4], expected[:4], strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-6)
        assert got[4].keys() == expected[4].keys()
    for wrong in (0, 2.5, "3"):
        with pytest.raises((TypeError, ValueError), match="max_episode_steps must be"):
            gymnasium.make_vec(NAME, max_episode_steps=wrong)


def test_a_menu_of_version_0_is_refused():
    with pytest.raises(ValueError, match="HeartPole-v0 has no menu, got 'heartpole_v0'"):
        gymnasium.make("heartpole_jax:HeartPole-v0", menu="heartpole_v0")


def test_actions_that_are_not_on_the_menu_are_refused():
    env, envs = make(), gymnasium.make_vec(NAME, num_envs=2)
    env.reset(seed=0)
    envs.reset(seed=0)
    for action in (8, -1, np.int64(8)):
        with pytest.raises(error.InvalidAction, match=rf"in 0 \.\. 7, got {int(action)}"):
            env.step(action)
    with pytest.raises(error.InvalidAction, match=r"whole number in 0 \.\. 7, got 1\.0"):
        env.step(1.0)
    with pytest.raises(error.InvalidAction, match=r"in 0 \.\. 7, got 8 for environment 1"):
        envs.step(np.array([7, 8]))


def test_the_functional_environment_is_the_functional_core_and_reports_its_time_limit(menu_file):
    env, core = FunctionalEnv(env="HeartPole-v1", menu=menu_file), hp.make("HeartPole-v1", menu=menu_file)
    assert env.action_space.n == 2
    params = env.get_default_params(max_half_hours=5)
    first, *keys = jax.random.key_data(jax.random.split(jax.random.key(3), 3))
    state = env.initial(jax.random.wrap_key_data(first))
    patient, obs = core.reset(jax.random.wrap_key_data(first))
    np.testing.assert_array_equal(env.observation(state, None), obs)
    ends = []
    for key in keys:
        state = env.transition(state, 1, jax.random.wrap_key_data(key), params)
        patient, obs, reward, _ = core.step(patient, 1, jax.random.wrap_key_data(key), params)
        np.testing.assert_array_equal(env.observation(state, None), obs)
        assert env.reward(None, 1, state, None) == reward
        ends.append((bool(state.truncated), bool(env.terminal(state, None))))
    assert ends == [(False, False), (True, False)]  # 3 half-hours, and 6 of 5
    with pytest.raises(TypeError, match="params must be an EnvParams"):
        env.initial(jax.random.key(0), hp.EnvParams())
    with pytest.raises(TypeError, match="rng must be a JAX random key, got 0"):
        env.initial(0)
