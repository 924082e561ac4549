"""The commands, as a shell would run them, in this process where that is enough."""

import csv
import io
import json
import os
import subprocess
import sys
import types

import jax
import pytest

from heartpole_jax.__main__ import main
from heartpole_jax.command_line import use_all_cores

pytestmark = pytest.mark.once

SMALL = ["--policies", "optimal", "reference", "nothing", "--episodes", "512", "--params", "max_steps=50"]


def test_the_leaderboard_prints_a_ranked_table(capsys):
    assert main(["leaderboard", *SMALL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["optimal", "reference", "nothing"]
    assert "512 episodes of 50 decisions" in lines[6]


def test_the_leaderboard_as_json_and_csv_holds_the_same_numbers(capsys):
    assert main(["leaderboard", *SMALL, "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert main(["leaderboard", *SMALL, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == len(report["policies"]) == 3
    for row, record in zip(rows, report["policies"], strict=True):
        assert row["policy"] == record["policy"]
        assert float(row["expected_return"]) == record["expected_return"]
        assert float(row["regret_standard_error"]) == record["regret_standard_error"]
    assert report["heart_attack_floor"] == pytest.approx(50 * 0.0012363115783173872)
    assert report["params"]["max_steps"] == 50
    assert report["run"]["episodes"] == 512


def test_the_leaderboard_writes_a_report(tmp_path, capsys):
    assert main(["leaderboard", *SMALL, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "leaderboard.csv",
        "leaderboard.json",
        "leaderboard.md",
    ]
    assert "| optimal |" in (tmp_path / "out" / "leaderboard.md").read_text()


def test_the_same_seed_prints_the_same_numbers_and_another_one_others(capsys):
    outputs = []
    for seed in ("1", "1", "2"):
        assert main(["leaderboard", "--policies", "reference", *SMALL[4:], "--format", "csv", "--seed", seed]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]


def test_an_episode_is_drawn(tmp_path, capsys):
    path = tmp_path / "episode.png"
    assert main(["episode", "--policy", "reference", "--seed", "0", "--steps", "66", "--out", str(path)]) == 0
    assert "coffee: 2, beer: 0, sleep: 2" in capsys.readouterr().out
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_an_episode_of_the_best_policy_of_heartpole_v1_is_drawn(tmp_path, capsys):
    path = tmp_path / "episode.png"
    asked = ["episode", "--env", "HeartPole-v1", "--policy", "optimal", "--steps", "40", "--out", str(path)]
    assert main(asked) == 0
    assert "optimal, seed 0: return" in capsys.readouterr().out
    assert path.exists()


def test_the_figures_are_drawn(tmp_path, capsys):
    assert main(["figures", "--out", str(tmp_path)]) == 0
    written = capsys.readouterr().out.splitlines()
    assert len(written) == len(list(tmp_path.glob("*.png"))) >= 4


def test_the_coffee_experiment_prints_a_distribution(capsys):
    assert main(["coffee", "--patients", "2000"]) == 0
    out = capsys.readouterr().out
    shares = [
        float(line.split()[-2])
        for line in out.splitlines()
        if (line.endswith("%") and "-" in line) or "or more" in line
    ]
    assert sum(shares) == pytest.approx(100.0, abs=0.6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["leaderboard", "--policies", "referense"], "did you mean 'reference'"),
        (
            ["leaderboard", "--params", "heart_attack_proclivity=1.5"],
            r"heart_attack_proclivity must be in [0, 1], got 1.5",
        ),
        (["leaderboard", "--episodes", "3"], "num_episodes must be at least 4"),
        (["episode", "--policy", "espresso"], "unknown policy 'espresso'"),
        (["episode", "--steps", "2", "--out", "/proc/nowhere/episode.png"], "/proc/nowhere"),
    ],
)
def test_bad_input_ends_with_status_2_and_says_why(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("leaderboard --episodes 0", "argument --episodes: must be at least 1 and below 2^31, got 0"),
        ("leaderboard --episodes 1" + "0" * 30, "argument --episodes: must be at least 1 and below 2^31, got 1"),
        ("leaderboard --params max_steps", "--params must be name=value, got 'max_steps'"),
        ("leaderboard --params max_steps=1 max_steps=2", "--params names max_steps twice"),
        ("leaderboard --params max_step=9", "unknown parameter of HeartPole-v0 'max_step'; did you mean 'max_steps'"),
        ("leaderboard --params max_steps=1" + "0" * 30, "max_steps must be a whole number, within int32"),
        (
            "leaderboard --params heart_attack_proclivity=one",
            "--params heart_attack_proclivity must be a number, got 'one'",
        ),
        ("coffee --seed -1", "argument --seed: must be in 0 .. 2^32 - 1, got -1"),
        ("coffee --seed 1.5", "argument --seed: must be a whole number, got '1.5'"),
        ("coffee --seed 1 --seed=2", "--seed is given twice; give it once, with all of its values after it"),
        ("coffee --seed=", "an argument is empty, got '--seed='; give it a value, or leave it out"),
        ("coffee --patients=--", "an argument is empty, got '--patients=--'"),
        ("episode --out picture.xyz", "picture.xyz must end in one of ."),
        ("sensitivity --out /", "--out must be a file, and '/' is a folder"),
        ("sensitivity --out /dev/null/picture.png", "cannot write to '/dev/null': /dev/null is a file"),
        ("sensitivity --out /dev/null", "--out must be a file, and '/dev/null' is a device"),
        ("figures --out /proc/pictures", "cannot write to '/proc/pictures': /proc is not writable ("),
        (
            "figures --out a\x1b[2J",
            "an argument must have no control characters, got 'a\\x1b[2J'; rename what it names",
        ),
        ("figures --out /dev/null/pictures", "cannot write to '/dev/null/pictures': /dev/null is a file"),
        ("leaderboard --out /dev/null", "cannot write to '/dev/null': /dev/null is a file"),
        ("menu \x1b[31m", "\\x1b[31m"),
        (
            "coffee --pat 10",
            "unrecognized arguments: --pat 10; did you mean --patients?; see `python -m heartpole_jax coffee --help`",
        ),
        ("lottery", "invalid choice: 'lottery'"),
        ("", "the following arguments are required: COMMAND"),
    ],
)
def test_impossible_options_are_refused_in_one_line(arguments, message, capsys):
    assert main(arguments.split()) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert message in printed


@pytest.mark.parametrize(("before", "after"), [(-1, len(os.sched_getaffinity(0))), (3, 3)])
def test_the_number_of_cpu_devices_is_the_cores_unless_somebody_has_said_it(before, after, monkeypatch):
    config = types.SimpleNamespace(jax_num_cpu_devices=before)
    config.update = lambda name, value: setattr(config, name, value)
    monkeypatch.setattr(jax, "config", config)
    monkeypatch.setenv("XLA_FLAGS", "")
    use_all_cores()
    assert config.jax_num_cpu_devices == after


def test_the_module_runs_by_itself_on_every_core():
    command = [sys.executable, "-m", "heartpole_jax", "leaderboard", *SMALL, "--format", "json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert json.loads(result.stdout)["policies"][0]["policy"] == "optimal"
