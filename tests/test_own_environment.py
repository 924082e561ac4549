"""An environment that is defined outside of the package, taken through all of it: examples/caffeine_tolerance.py."""

import dataclasses
import importlib.util
import json
import os
import pickle
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest
from contract import check_environment

import heartpole_jax as hp
from agents.__main__ import main as agents_main
from agents.sweeps import result_files
from heartpole_jax import evaluation, gradients
from heartpole_jax.__main__ import main
from heartpole_jax.envs import registry
from heartpole_jax.gradients.sensitivity import sensitivity

pytestmark = pytest.mark.once

REPOSITORY = Path(__file__).parent.parent
NAME = "own_environment:ENVIRONMENT"
KEY = jax.random.key(3)
TRAINING = f"""
env = "{NAME}"
num_steps = 1_024
num_evaluations = 2
evaluation_episodes = 2
[config]
hidden_sizes = [4]
num_envs = 4
buffer_size = 256
batch_size = 8
steps_per_iteration = 4
updates_per_iteration = 1
[hyperparams]
learning_starts = 64
[params]
max_steps = 20
"""


@pytest.fixture(scope="module", autouse=True)
def own(tmp_path_factory):
    """The example as a module called `own_environment`, as a user has one in the folder where he works."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_environment.py").write_text((REPOSITORY / "examples" / "caffeine_tolerance.py").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # the command line sets this variable
        yield importlib.import_module("own_environment")
        sys.modules.pop("own_environment")


@pytest.fixture(scope="module")
def env(own):
    return registry.make(NAME)


def test_it_is_found_by_its_name_again_and_in_another_process(env, own):
    assert env is own.ENVIRONMENT is registry.make(NAME) is pickle.loads(pickle.dumps(env))


def test_it_keeps_the_contract(env):
    check_environment(env)


def test_a_second_coffee_works_less_and_a_day_later_it_works_again(env):
    state, _ = env.reset(KEY)
    noise = hp.Noise(alertness=0.5, hypertension=0.0, intoxication=0.0, heart_attack=1.0)
    gains = []
    for action in (1, 1, 3, 3, 3, 1):
        before = state.alertness
        state, obs, *_ = env.transition(state, action, noise, env.default_params)
        if action == 1:
            gains.append(float(state.alertness - before))
    # 0.5 of a dose of at most 1, over 1 + tolerance, less a half-hour's fatigue; tolerance (0.5 + 0.495) 0.99 after two
    c = 0.5 * 0.99
    np.testing.assert_allclose(gains[:2], [0.5, 0.5 / (1 + c)], atol=0.03)
    c = (c + 0.5) * 0.99 ** (1 + 3 * 17)
    np.testing.assert_allclose(gains[2], 0.5 / (1 + c), atol=0.03)
    assert float(obs[6]) == pytest.approx((c + 0.5) * 0.99, rel=1e-5)


def test_without_tolerance_it_is_heartpole_v0(env, own):
    policy = hp.policies.coffee_after_waking()
    params = own.EnvParams(tolerance_gain=0.0, max_steps=40)
    ours = hp.rollout(policy, KEY, params, env=env, num_envs=16).totals
    theirs = hp.rollout(policy, KEY, hp.EnvParams(max_steps=40), num_envs=16).totals
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_gradient_with_respect_to_its_own_constant(env, own):
    """Against a difference quotient on the same noise; the score is smooth in the tolerance."""
    params, policy = own.EnvParams(max_steps=6), hp.policies.always(hp.Action.COFFEE)
    found = gradients.estimate(
        "score", KEY, params, policy=policy, wrt="tolerance_gain", estimator="pathwise", num_episodes=64, env=env
    )
    ends = [
        float(
            gradients.estimate(
                "score", KEY, dataclasses.replace(params, tolerance_gain=gain), policy=policy, wrt="tolerance_gain",
                estimator="pathwise", num_episodes=64, env=env,
            ).value.mean
        )
        for gain in (0.49, 0.51)
    ]  # fmt: skip
    derivative = float(found.gradient.mean["tolerance_gain"])
    assert derivative == pytest.approx((ends[1] - ends[0]) / 0.02, rel=0.02)
    assert derivative < -1e-3


def test_its_sensitivity_names_its_own_constants(env, own):
    found = sensitivity(hp.policies.always(hp.Action.COFFEE), KEY, own.EnvParams(max_steps=4), env=env, num_episodes=64)
    assert {"tolerance_gain", "tolerance_decay"} <= set(found.outcomes["return"].influences)
    assert found.outcomes["heart_attacks"].influences["tolerance_gain"].derivative.mean == 0.0
    with pytest.raises(ValueError, match="shows no hypertension, work_done, time_elapsed"):
        sensitivity(hp.policies.always(0), KEY, env=probe_environments.counter(5))


def test_it_is_evaluated_by_its_mean_return(env, own):
    params = own.EnvParams(max_steps=20, tolerance_gain=0.0)
    found = evaluation.evaluate(hp.policies.always(hp.Action.SLEEP), KEY, params, env=env, num_episodes=64)
    theirs = evaluation.evaluate(hp.policies.always(hp.Action.SLEEP), KEY, hp.EnvParams(max_steps=20), num_episodes=64)
    assert found.expected_return.mean == pytest.approx(theirs.expected_return.mean, abs=1e-4)
    assert found.regret is None
    board = evaluation.leaderboard(None, KEY, params, env=env, num_episodes=16)
    assert sorted(row.evaluation.name for row in board) == ["a daily coffee", "rested"]
    assert "No best return is known" in str(board)


def test_parameters_of_another_class_are_refused(env, own):
    """One derived from them as well: it would be taken for HeartPole-v0."""
    with pytest.raises(TypeError, match="params must be an EnvParams of own_environment, got an EnvParams of"):
        evaluation.evaluate(hp.policies.reference(), KEY, hp.EnvParams(), env=env)
    for use in (evaluation.evaluate, hp.rollout):
        with pytest.raises(TypeError, match="a class derived from it, which needs an Environment of its own"):
            use(hp.policies.reference(), KEY, own.EnvParams(), **({"num_envs": 2} if use is hp.rollout else {}))


@pytest.mark.skipif(importlib.util.find_spec("gymnasium") is None, reason="an extra")
def test_it_goes_out_to_gymnasium(env, own):
    from heartpole_jax.interop.gymnasium import Env, VectorEnv

    alone = Env(env=env, render_mode="ansi", tolerance_gain=2.0, max_steps=3)
    obs, _ = alone.reset(seed=1)
    assert alone.observation_space.shape == obs.shape == (7,)
    assert (alone.observation_space.low[6], alone.action_space.n) == (0.0, 4)
    for _ in range(3):
        obs, _, _, truncated, _ = alone.step(1)
    assert truncated
    assert obs[6] == pytest.approx(2.0 * (0.99 + 0.99**2 + 0.99**3), rel=1e-5)
    assert "tolerance      |" in alone.render()
    many = VectorEnv(3, env=env, max_steps=3)
    obs, _ = many.reset(seed=1)
    assert obs.shape == (3, 7)


def test_a_frame_has_a_strip_for_its_gauge(env):
    pytest.importorskip("PIL")
    from heartpole_jax.drawing.frames.frame import draw_frame
    from heartpole_jax.drawing.frames.moment import Moment

    values = dict.fromkeys(env.obs_names, 1.0)
    moment = Moment(values=values, num_steps=1, action=1, reward=0.0, heart_attack=False, heart_attack_risk=0.0,
                    num_heart_attacks=0)  # fmt: skip
    four = draw_frame([moment], env)
    assert four.shape[0] > draw_frame([moment]).shape[0]


def test_every_command_takes_it(tmp_path, capsys):
    small = ["--params", "max_steps=12", "tolerance_gain=1"]
    assert main(["leaderboard", "--env", NAME, "--episodes", "8", "--format", "json", *small]) == 0
    assert len(json.loads(capsys.readouterr().out)["policies"]) == 2
    assert main(["episode", "--env", NAME, "--out", str(tmp_path / "episode.png"), *small]) == 0
    assert "rested, seed 0: return " in capsys.readouterr().out
    assert main(["leaderboard", "--env", "own_environment:ENVIROMENT"]) == 2
    assert "did you mean 'ENVIRONMENT'" in capsys.readouterr().err
    assert main(["leaderboard", "--env", "json:loads"]) == 2
    assert "error: json:loads cannot be made from its name alone" in capsys.readouterr().err
    assert main(["leaderboard", "--env", NAME, "--menu", "heartpole_v0"]) == 2
    assert f"error: {NAME} has no menu, got 'heartpole_v0'" in capsys.readouterr().err
    assert main(["leaderboard", "--env", "no_such_module:ENVIRONMENT"]) == 2
    assert "there is no module 'no_such_module'" in capsys.readouterr().err


def test_an_agent_is_trained_on_it_and_evaluated(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text(TRAINING)
    assert agents_main(["train", "--recipe", "own.toml", "--episodes", "8", "--out", "run"]) == 0
    capsys.readouterr()
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert sorted(row["policy"] for row in report["policies"]) == ["a daily coffee", "rested", "run"]
    assert agents_main(["evaluate", "run", "--episodes", "8"]) == 0
    assert f"run: {NAME}, trained for 1,024 steps" in capsys.readouterr().out
    policy = hp.load_policy(tmp_path / "run")
    returns = hp.rollout(policy, KEY, env=registry.make(NAME), num_envs=2, num_steps=5).totals
    assert jnp.all(jnp.isfinite(returns))


def test_a_sweep_over_its_constant(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = (
        f'search = "grid"\nseeds = 2\nfinal_episodes = 2\n{TRAINING}[space]\ntolerance_gain = {{grid = [0.0, 2.0]}}\n'
    )
    (tmp_path / "study.toml").write_text(study)
    assert agents_main(["sweep", "study.toml", "--out", "swept"]) == 0
    trials, summary = result_files.read(tmp_path / "swept")
    assert summary.swept == ("tolerance_gain",)
    assert [trial.values["tolerance_gain"] for trial in trials] == [0.0, 0.0, 2.0, 2.0]
    assert all(trial.regret is None and np.isfinite(trial.mean_return) for trial in trials)


def test_a_name_is_registered_once_made_anew_and_never_ours(env):
    hp.register("Mine-v0", lambda: env)
    assert hp.make("Mine-v0") is env
    other = dataclasses.replace(env, name="Mine-v0")
    hp.register("Mine-v0", lambda: other)  # as a cell of a notebook that runs again
    assert hp.make("Mine-v0") is other
    with pytest.raises(ValueError, match="'HeartPole-v0' is an environment of this package"):
        hp.register("HeartPole-v0", lambda: env)
    with pytest.raises(ValueError, match="must be a text without a colon, got 'a:b'"):
        hp.register("a:b", lambda: env)
    hp.register("Broken-v0", lambda: 3)
    with pytest.raises(ValueError, match="'Broken-v0' must make an Environment, got 3"):
        hp.make("Broken-v0")
    with pytest.raises(ValueError, match="did you mean 'Mine-v0'"):
        hp.make("Mine-v1")
    with pytest.raises(ValueError, match="HeartPole-v0 has no menu, got 'heartpole_v0'"):
        hp.make("HeartPole-v0", menu="heartpole_v0")


@pytest.mark.parametrize("name", ["HeartPole-v0", "HeartPole-v1"])
def test_a_variant_with_other_dynamics_has_no_regret_against_the_optimum_of_these(name):
    base = hp.make(name)

    def transition_info(*args):
        state, obs, reward, done, info = base.transition_info(*args)
        return state, obs, reward + 1.0, done, info

    changes = {"transition": lambda *args: transition_info(*args)[:4], "transition_info": transition_info}
    with pytest.raises(ValueError, match=f"evaluator, .* of {name} are not true of other dynamics: build a"):
        dataclasses.replace(base, **changes)
    needed = (field.name for field in dataclasses.fields(base) if field.default is dataclasses.MISSING)
    variant = hp.Environment(**{field: getattr(base, field) for field in needed} | changes)
    found = hp.rollout(lambda key, obs: 0, KEY, env=variant, num_envs=2, num_steps=3).totals
    theirs = hp.rollout(lambda key, obs: 0, KEY, env=base, num_envs=2, num_steps=3).totals
    np.testing.assert_allclose(found, theirs + 3.0, rtol=1e-6)
    assert evaluation.evaluator_of(variant).best_known(base.default_params) is None
    assert hp.checked(base).evaluator == base.evaluator  # checks change no value
