"""`python -m heartpole_jax episode --policy FOLDER`: an episode of a saved policy."""

import jax
import pytest

import heartpole_jax as hp
from agents.common import networks
from agents.dqn.config import DQNConfig
from agents.runs.save_policy import save_policy
from heartpole_jax.__main__ import main

pytestmark = [pytest.mark.once, pytest.mark.extras]

CONFIG = DQNConfig(hidden_sizes=(), transform="heartpole")


def save(folder, params=None):
    weights = networks.init_weights(jax.random.key(0), CONFIG)
    save_policy(folder, weights, CONFIG, "HeartPole-v0", {"seed": 3, "num_steps": 64, "params": params})


@pytest.fixture
def folder(tmp_path):
    save(tmp_path)
    return tmp_path


def test_an_episode_of_a_saved_policy_is_drawn_and_printed(folder, capsys):
    out = folder / "episode.png"
    assert main(["episode", "--policy", str(folder), "--steps", "20", "--seed", "5", "--out", str(out)]) == 0
    total = hp.rollout(hp.load_policy(folder), jax.random.key(5), hp.EnvParams(max_steps=20), num_envs=1).totals[0]
    assert f"{folder.name}, seed 5: return {float(total):.3f}, 20 decisions" in capsys.readouterr().out
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_saved_policys_parameters_are_those_of_its_episode(tmp_path, capsys):
    """A heart attack that costs nothing: no half-hour is below the work done in it."""
    params = {"heart_attack_penalty": 0.0, "max_steps": 10}
    save(tmp_path, params)
    assert main(["episode", "--policy", str(tmp_path), "--out", str(tmp_path / "episode.png")]) == 0
    total = hp.rollout(hp.load_policy(tmp_path), jax.random.key(0), hp.EnvParams(**params), num_envs=1).totals[0]
    assert f"return {float(total):.3f}, 10 decisions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "HeartPole-v1"], "is a policy for HeartPole-v0, got --env HeartPole-v1; leave --env out"),
        (["--menu", "heartpole_v0"], "is a policy for HeartPole-v0, whose menu it needs; leave --menu out"),
    ],
)
def test_an_episode_of_a_saved_policy_in_another_environment_is_refused(arguments, message, folder, capsys):
    assert main(["episode", "--policy", str(folder), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_not_taken_for_a_policys_name(capsys):
    assert main(["episode", "--policy", "runs/nowhere"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: runs/nowhere is no folder; name one that `python -m agents train`"
    )


def test_two_policies_on_the_same_noise_are_drawn_in_one_picture(folder, capsys):
    out = folder / "both.png"
    asked = ["episode", "--policy", str(folder), "--versus", "coffee", "--steps", "20", "--seed", "5"]
    assert main([*asked, "--out", str(out)]) == 0
    first, second, written = capsys.readouterr().out.splitlines()
    for line, name, policy in (
        (first, folder.name, hp.load_policy(folder)),
        (second, "coffee", hp.policies.always(hp.Action.COFFEE)),
    ):
        total = hp.rollout(policy, jax.random.key(5), hp.EnvParams(max_steps=20), num_envs=1).totals[0]
        assert line.startswith(f"{name}, seed 5: return {float(total):.3f}, 20 decisions")
    assert written == f"written: {out}"
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_saved_policy_brings_its_environment_and_parameters_to_the_other(tmp_path, capsys):
    save(tmp_path, {"max_steps": 10})
    asked = ["episode", "--policy", "reference", "--versus", str(tmp_path), "--out", str(tmp_path / "episode.png")]
    assert main(asked) == 0
    assert capsys.readouterr().out.count(", 10 decisions") == 2


def test_two_policies_of_different_parameters_are_refused_unless_these_are_given(tmp_path, capsys):
    for name, params in (("a", {"max_steps": 10}), ("b", {"max_steps": 20})):
        (tmp_path / name).mkdir()
        save(tmp_path / name, params)
    both = ["episode", "--policy", str(tmp_path / "a"), "--versus", str(tmp_path / "b")]
    out = tmp_path / "episode.png"
    assert main([*both, "--out", str(out)]) == 2
    assert "were trained with different max_steps" in (message := capsys.readouterr().err)
    assert "give --params max_steps=VALUE" in message
    assert not out.exists()
    assert main([*both, "--params", "max_steps=5", "--out", str(out)]) == 0
    assert capsys.readouterr().out.count(", 5 decisions") == 2


def test_a_second_policy_that_is_none_is_refused_before_anything_is_drawn(folder, capsys):
    assert main(["episode", "--versus", "espresso", "--out", str(folder / "episode.png")]) == 2
    assert "unknown policy 'espresso'" in capsys.readouterr().err
    assert main(["episode", "--versus", str(folder / "nothing"), "--out", str(folder / "episode.png")]) == 2
    assert "is no folder" in capsys.readouterr().err
