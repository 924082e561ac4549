"""`python -m agents leaderboard` and `evaluate` on what policies were trained for: parameters, menus, registry."""

import json
import os
from pathlib import Path

import jax
import pytest

from agents.__main__ import main
from agents.commands import evaluate as evaluate_command
from agents.common import networks
from agents.dqn.config import DQNConfig
from agents.runs.save_policy import save_policy
from heartpole_jax import EnvParams
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs import registry
from heartpole_jax.optimum import sober_optimum
from heartpole_jax.policies import heartpole_v0 as scripted

pytestmark = pytest.mark.once

DRINKS = """
[[action]]
name = "wine"
half_hours = 0
intoxication = [0.0, 0.02]
source = "none"
grade = "assumed"
[[action]]
name = "cider"
half_hours = 1
intoxication = [0.0, 0.01]
source = "none"
grade = "assumed"
"""


@pytest.fixture(autouse=True)
def xla_flags(monkeypatch):
    """The command line sets this variable: not beyond the test."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))


@pytest.fixture(autouse=True)
def one_scripted_policy(monkeypatch):
    """Each takes a second to compile."""
    monkeypatch.setattr(scripted, "SCRIPTED", {"rested below 0.4": scripted.SCRIPTED["rested below 0.4"]})


@pytest.fixture
def save(tmp_path):
    """Saves a policy of fresh weights in a folder called so; the folder."""

    def save(name, env, params):
        (tmp_path / name).mkdir()
        weights = networks.init_weights(jax.random.key(0), DQNConfig(hidden_sizes=()), registry.make(env))
        provenance = {"seed": 0, "num_steps": 64, "params": params}
        save_policy(tmp_path / name, weights, DQNConfig(hidden_sizes=()), env, provenance)
        return str(tmp_path / name)

    return save


def test_the_leaderboard_is_under_the_parameters_that_the_runs_were_trained_with(save, capsys):
    """Days of 48 decisions, and heart attacks that cost a tenth: the scripted policies are evaluated so as well."""
    params = {"max_steps": 48, "heart_attack_penalty": 10.0}
    runs = [save("a", "HeartPole-v0", params), save("b", "HeartPole-v0", params)]
    assert main(["leaderboard", *runs, "--episodes", "64", "--format", "json"]) == 0
    board = json.loads(capsys.readouterr().out)
    assert sorted(row["policy"] for row in board["policies"]) == ["a", "b", "rested below 0.4"]
    assert board["params"] | params == board["params"]
    best = sober_optimum(EnvParams(**params)).expected_return
    assert board["best_known_return"] == pytest.approx(best)
    for row in board["policies"]:
        assert row["regret"] + row["expected_return"] == pytest.approx(best)
        assert row["expected_return"] > -10.0
    assert main(["evaluate", runs[0], "--episodes", "64"]) == 0
    expected = next(row for row in board["policies"] if row["policy"] == "a")["expected_return"]
    assert float(capsys.readouterr().out.splitlines()[1].split()[2]) == pytest.approx(expected, abs=1e-3)


def test_runs_of_other_parameters_are_no_leaderboard(save, capsys):
    runs = [save("a", "HeartPole-v0", {"max_steps": 48}), save("b", "HeartPole-v0", {"max_steps": 48})]
    runs += [save("c", "HeartPole-v0", None)]
    assert main(["leaderboard", *runs]) == 2
    assert capsys.readouterr().err == (
        f"error: the runs must be for the same parameters, got max_steps=48 and, in {runs[2]}, the defaults\n"
    )
    assert main(["leaderboard", runs[0], runs[0]]) == 2
    assert "two of the runs are called 'a': rename a folder" in capsys.readouterr().err


def test_under_a_menu_that_cannot_be_solved_policies_are_ranked_without_regrets(save, tmp_path, capsys):
    (tmp_path / "drinks.toml").write_text(DRINKS)
    env = f"HeartPole-v1:{tmp_path}/drinks.toml"
    run = save("drinker", env, {"max_half_hours": 48})
    assert main(["leaderboard", run, "--episodes", "64"]) == 0
    out = capsys.readouterr().out
    assert "No best policy is known: this menu cannot be solved to 1 %, no action is left when" in out
    first = next(line for line in out.splitlines() if line.startswith("drinker"))
    assert first.split()[4] == "unknown"  # after the expected return
    assert main(["evaluate", run, "--episodes", "64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"expected return       {' '.join(first.split()[1:4])}" in lines
    assert f"{'behind best known':<22}unknown: no best return is known" in lines
    params = env_params.replaced(registry.make(env), {"max_half_hours": 48})
    report = evaluate_command.evaluate_saved(Path(run), registry.make(env), 64, params)
    assert report["best_known_return"] is None
    assert [row["policy"] for row in report["policies"]] == ["drinker"]
    assert "No best policy is known" in capsys.readouterr().out


def test_a_run_elsewhere_is_ranked_by_its_return(save, capsys):
    pytest.importorskip("gymnax")
    run = save("pole", "gymnax:CartPole-v1", {})
    assert main(["leaderboard", run, "--episodes", "64", "--format", "json"]) == 0
    board = json.loads(capsys.readouterr().out)
    assert sorted(row["policy"] for row in board["policies"]) == ["pole", "random"]
    assert "regret" not in board["policies"][0]
