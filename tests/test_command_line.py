"""The commands, as a shell would run them, in this process where that is enough."""

import csv
import io
import json
import subprocess
import sys

import pytest

from heartpole_jax.__main__ import main

pytestmark = pytest.mark.once

SMALL = ["--policies", "optimal", "reference", "nothing", "--episodes", "512", "--max-steps", "50"]


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
    assert "coffees: 2, beers: 0, nights: 2" in capsys.readouterr().out
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
        (["leaderboard", "--heart-attack-proclivity", "1.5"], r"heart_attack_proclivity must be in [0, 1], got 1.5"),
        (["leaderboard", "--episodes", "3"], "num_episodes must be at least 4"),
        (["episode", "--policy", "espresso"], "unknown policy 'espresso'"),
        (["episode", "--steps", "2", "--out", "/proc/nowhere/episode.png"], "/proc/nowhere"),
    ],
)
def test_bad_input_ends_with_status_2_and_says_why(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["leaderboard", "--episodes", "0"], ["coffee", "--seed", "-1"], ["lottery"]])
def test_impossible_options_are_refused_by_the_parser(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2


def test_the_module_runs_by_itself_on_every_core():
    command = [sys.executable, "-m", "heartpole_jax", "leaderboard", *SMALL, "--format", "json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert json.loads(result.stdout)["policies"][0]["policy"] == "optimal"
