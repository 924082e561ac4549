"""`python -m agents resume`: as if the run had not been left, to the bit."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import probe_environments
import pytest
from tiny_menu import TEA

from agents.__main__ import main
from agents.commands import train as train_command
from agents.dqn.config import DQNConfig, Hyperparams
from agents.reports import learning_curve
from agents.runs import loop, run_folder, scoring
from agents.runs.progress import Progress
from heartpole_jax import documents
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs import registry
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.optimum import sober_optimum
from heartpole_jax.policies import heartpole_v0 as scripted
from heartpole_jax.policies import saved_policy

pytestmark = pytest.mark.once

RECIPE = """
env = "HeartPole-v0"
num_steps = 3_060
keep = "best"
[config]
hidden_sizes = [8]
transform = "heartpole-days"
buffer_size = 1_024
num_envs = 4
batch_size = 16
[hyperparams]
learning_starts = 256
expected_penalty = 1.0
[params]
max_steps = 200
"""
REPOSITORY = Path(__file__).parents[3]
ENV = probe_environments.counter(5)
CONFIG = DQNConfig(hidden_sizes=(8,), buffer_size=512, num_envs=4, batch_size=16)
PLAN = loop.ChunkPlan(num_chunks=4, iterations=32, env_steps=512)
HYPERPARAMS = Hyperparams(learning_starts=64.0, target_period=128.0, epsilon_steps=256.0, ema_rate=0.1)


@pytest.fixture(autouse=True)
def xla_flags(monkeypatch):
    """The command line sets this variable: not beyond the test."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))


@pytest.fixture(scope="module", autouse=True)
def no_scripted_policies():
    """A leaderboard of the run alone: each policy takes a second to compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripted, "SCRIPTED", {})
        yield


def command(folder, flags=""):
    (folder.parent / "tiny.toml").write_text(RECIPE)
    recipe = f"{folder.parent}/tiny.toml"
    return shlex.split(f"train --recipe {recipe} --num-evaluations 6 --episodes 4 --out {folder} {flags}")


@pytest.fixture(scope="module")
def undisturbed(no_scripted_policies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert main(command(folder)) == 0
    return folder


@pytest.fixture(scope="module")
def stopped(no_scripted_policies, tmp_path_factory):
    """A run that was asked to stop in its fourth chunk, and saved after every one. Not to be changed."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_in_chunk(patch, 4)
        assert main(command(folder, "--checkpoint-every 1")) == 143
    return folder


def stop_in_chunk(patch, number):
    update = Progress.update

    def stop(self, record):
        update(self, record)
        if record["env_steps"] == number * 512:
            os.kill(os.getpid(), signal.SIGTERM)

    patch.setattr(Progress, "update", stop)


@pytest.fixture
def folder(stopped, tmp_path):
    """That run in a folder of one's own."""
    return shutil.copytree(stopped, tmp_path / "run")


def records(folder):
    times = dict.fromkeys(("seconds", "steps_per_second"))
    return [record | times for record in run_folder.read_metrics(folder)]


def assert_same_run(folder, other):
    assert (folder / "policy.safetensors").read_bytes() == (other / "policy.safetensors").read_bytes()
    assert records(folder) == records(other)
    assert len(records(folder)) == 6


@pytest.mark.slow
def test_from_the_state_after_any_chunk_the_rest_is_the_same_to_the_bit():
    key = jax.random.key(5)
    states, whole = [], []
    for chunk in loop.train(key, HYPERPARAMS, CONFIG, ENV, PLAN):
        whole.append(chunk)
        states.append(jax.tree.map(np.array, chunk.state()))
    for done in (1, 3, 4):
        rest = list(loop.train(key, HYPERPARAMS, CONFIG, ENV, PLAN, start=states[done - 1], seconds_before=100.0))
        assert [chunk.record["env_steps"] for chunk in rest] == [512 * (i + 1) for i in range(done, 4)]
        for chunk, expected in zip(rest, whole[done:], strict=True):
            np.testing.assert_array_equal(chunk.weights, expected.weights)
            for name in ("loss", "q_value", "greedy_return", "episode_return"):
                assert chunk.record[name] == expected.record[name]
            assert chunk.record["seconds"] > 100.0


def test_a_state_of_another_plan_or_network_is_refused():
    key = jax.random.key(5)
    state = next(loop.train(key, HYPERPARAMS, CONFIG, ENV, PLAN)).state()
    plan = PLAN._replace(iterations=64)
    with pytest.raises(ValueError, match="is after 32 iterations, which is no whole number of at most 4 chunks of 64"):
        next(loop.train(key, HYPERPARAMS, CONFIG, ENV, plan, start=state))
    other = DQNConfig(hidden_sizes=(9,), buffer_size=512, num_envs=4, batch_size=16)
    with pytest.raises(ValueError, match=r"the checkpoint's ema_params should be float32\[.*\], got float32"):
        next(loop.train(key, HYPERPARAMS, other, ENV, PLAN, start=state))


def test_a_stopped_run_goes_on_as_if_it_had_not_been_left(folder, undisturbed, capsys):
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
        "step-000000001536.safetensors",
        "step-000000002048.safetensors",
    ]
    before = saved_policy.load(folder).provenance["num_steps"]
    assert main(["resume", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (before, lines[0]) == (2048, f"{folder} goes on after 2,048 of 3,072 steps")
    assert_same_run(folder, undisturbed)
    assert not (folder / "checkpoints").exists()
    seconds = [record["seconds"] for record in run_folder.read_metrics(folder)]
    assert seconds == sorted(seconds)
    assert len(list(folder.glob("events.out.tfevents.*"))) >= 1
    assert main(["resume", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder} is finished; its policy is evaluated in {folder}/evaluation.json\n"


def pretend(monkeypatch, returns, num_weights):
    """Training whose chunk i has weights that are all i + 1, and whose value is returns[i]."""
    record = dict.fromkeys(
        ("num_updates", "loss", "q_value", "grad_norm", "num_episodes", "episode_return", "epsilon", "learning_rate",
         "regret", "certified", "seconds", "steps_per_second"), 1.0,
    )  # fmt: skip

    def train(key, hyperparams, config, env, plan, evaluation_episodes, params, *, start, seconds_before):
        done = 0 if start is None else int(start["done"])
        for i in range(done, plan.num_chunks):
            weights = np.full(num_weights, i + 1, np.float32)
            shown = {**record, "greedy_return": float(returns[i]), "env_steps": (i + 1) * plan.env_steps}
            yield loop.Chunk(shown, weights, lambda i=i: {"done": np.int32(i + 1)})

    monkeypatch.setattr(loop, "train", train)


@pytest.mark.parametrize(("returns", "best"), [((3, 1, 2, 1, 1, 1), 0), ((3, 1, 2, 4, 1, 1), 3)])
def test_the_best_policy_so_far_is_remembered(returns, best, tmp_path, monkeypatch, capsys):
    """The run is stopped in the second chunk."""
    pretend(monkeypatch, returns, 13 * 8 + 8 + 8 * 4 + 4)
    with monkeypatch.context() as patch:
        stop_in_chunk(patch, 2)
        assert main(command(tmp_path / "run")) == 143
    assert main(["resume", str(tmp_path / "run")]) == 0
    weights = saved_policy.load(tmp_path / "run").weights
    assert {float(value) for array in weights.values() for value in array.flat} == {best + 1.0}
    capsys.readouterr()


def test_what_was_written_after_the_checkpoint_is_cut_off_and_done_again(folder, undisturbed, capsys):
    """As after kill -9: records of a chunk that no checkpoint has, a line torn in the middle, halves of files."""
    (folder / "checkpoints" / "step-000000002048.safetensors").rename(
        folder / "checkpoints" / f".step-000000002048.safetensors.{2**22 + 1}"  # of a process that is dead
    )
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"env_steps": 25')
    (folder / ".policy.json.123").write_text("{")
    (folder / ".lock").write_text("123 elsewhere")
    assert main(["resume", str(folder)]) == 0
    assert f"{folder} goes on after 1,536 of 3,072 steps" in capsys.readouterr().out
    assert_same_run(folder, undisturbed)
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_without_a_checkpoint_it_begins_again(folder, undisturbed, capsys):
    shutil.rmtree(folder / "checkpoints")
    assert main(["resume", str(folder)]) == 0
    assert capsys.readouterr().err.startswith(f"{folder} has no checkpoint: from the beginning\n")
    assert_same_run(folder, undisturbed)


def test_what_is_trained_is_only_evaluated(undisturbed, tmp_path, capsys, monkeypatch):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    (folder / "evaluation.json").unlink()
    (folder / "learning_curve.png").unlink()
    monkeypatch.setattr(loop, "train", lambda *_, **__: pytest.fail("trained again"))
    drawn, draw = [], learning_curve.draw
    monkeypatch.setattr(learning_curve, "draw", lambda *arguments: drawn.append(arguments[1:]) or draw(*arguments))
    assert main(["resume", str(folder)]) == 0
    assert drawn == [("run: HeartPole-v0, 3,072 steps", 16)]
    assert (folder / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.startswith(f"{folder} is trained, and is now evaluated\n")
    assert (folder / "evaluation.json").exists()
    assert_same_run(folder, undisturbed)


def test_a_finished_run_that_was_altered_is_reported(undisturbed, tmp_path, capsys):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    for name, altered in (("evaluation.json", b"1"), ("policy.json", b" 1"), ("metrics.jsonl", b'"loss": 1')):
        before = (folder / name).read_bytes()
        middle = before.index(b'"loss": ') if name == "metrics.jsonl" else 0
        (folder / name).write_bytes(before[:middle] + altered + before[middle + len(altered) :])
        assert main(["resume", str(folder)]) == 2
        assert f"{folder}/{name}" in capsys.readouterr().err
        (folder / name).write_bytes(before)
    lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_bytes(b"".join(lines[:-1]))
    assert main(["resume", str(folder)]) == 2
    assert "records are missing at its end" in capsys.readouterr().err


def test_files_beside_the_config_of_another_run_are_refused(undisturbed, tmp_path, capsys):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    documents.write(folder / "config.json", documents.read(folder / "config.json") | {"seed": 9})
    assert main(["resume", str(folder)]) == 2
    assert (
        f"{folder}/policy.json is another run's: its seed is 0, and config.json has 9; put" in capsys.readouterr().err
    )
    assert main(["report", str(folder)]) == 2
    assert f"{folder}/metrics.jsonl is damaged: line 1 is not what was saved, or the rec" in capsys.readouterr().err
    (folder / "metrics.jsonl").unlink()
    assert main(["report", str(folder)]) == 2
    assert (
        "evaluation.json is damaged: it is not what was saved, its checksum is another, or it"
        in capsys.readouterr().err
    )


def test_a_damaged_checkpoint_is_refused_and_skipped_on_demand(folder, undisturbed, capsys):
    damaged = folder / "checkpoints" / "step-000000002048.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"1234")
    assert main(["resume", str(folder)]) == 2
    assert capsys.readouterr().err == (
        f"error: {damaged} is damaged: it is not what was saved, its checksum is another; the newest good one is "
        "step-000000001536.safetensors: --skip-damaged goes on from it\n"
    )
    assert len(records(folder)) == 4
    assert main(["resume", str(folder), "--skip-damaged"]) == 0
    assert_same_run(folder, undisturbed)
    capsys.readouterr()


def test_a_config_that_was_changed_meanwhile_is_refused(folder, capsys):
    path = folder / "config.json"
    before = path.read_text()
    path.write_text(before.replace('"discount": 0.99', '"discount": 0.5'))
    assert main(["resume", str(folder)]) == 2
    assert f"error: {path} is damaged: it is not what was saved, its checksum is an" in capsys.readouterr().err
    path.write_text(before)
    config = documents.read(path)
    config["hyperparams"]["discount"] = 0.5
    documents.write(path, config)
    assert main(["resume", str(folder)]) == 2
    assert "is another run's: hyperparams.discount was 0.99 and is 0.5; name" in capsys.readouterr().err
    del config["num_evaluations"]
    documents.write(path, config)
    assert main(["resume", str(folder)]) == 2
    assert f"error: {folder}/config.json: num_evaluations is missing; the run was begun with" in capsys.readouterr().err
    path.write_text("{")
    assert main(["resume", str(folder)]) == 2
    assert f"error: {folder}/config.json is damaged, it is no JSON: " in capsys.readouterr().err


def test_a_menu_that_was_edited_meanwhile_is_refused(tmp_path, monkeypatch, capsys):
    menu, folder = tmp_path / "tea.toml", tmp_path / "run"
    menu.write_text(TEA)
    pretend(monkeypatch, (1,) * 6, 8 * 8 + 8 + 8 * 1 + 1)
    with monkeypatch.context() as patch:
        stop_in_chunk(patch, 2)
        flags = f"--env HeartPole-v1:{menu} --config.transform raw --params max_half_hours=336"
        assert main(command(folder, flags)) == 143
    assert len(json.loads((folder / "config.json").read_text())["menu"]) == 64
    menu.write_text(TEA.replace("0.4", "4.0"))
    registry._MADE.clear()  # as another process, which reads the menu anew
    capsys.readouterr()
    assert main(["resume", str(folder)]) == 2
    assert f"/config.json: the menu {menu} has changed since the run was begun; put it" in capsys.readouterr().err


def _torn(lines):
    return [*lines[:2], lines[2][:40] + b"\n", *lines[3:]]


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda lines: [], "metrics.jsonl has 0 records, fewer than the 4 of the checkpoint; put"),
        (_torn, "metrics.jsonl is damaged: line 3 is not what was saved, or one before it is missing; put it back, or"),
        (lambda lines: [*lines[:1], *lines[2:]], "metrics.jsonl is damaged: line 2 is not what was saved, or one"),
        (lambda lines: [line.replace(b'"epsilon": ', b'"epsilon": 1') for line in lines], "line 1 is not what was"),
    ],
)  # fmt: skip
def test_records_that_are_damaged_are_named_and_come_from_the_checkpoint_on_demand(
    alter, message, folder, capsys, monkeypatch
):
    path, before = folder / "metrics.jsonl", (folder / "metrics.jsonl").read_bytes()
    path.write_bytes(b"".join(alter(before.splitlines(keepends=True))))
    assert main(["resume", str(folder)]) == 2
    assert message in capsys.readouterr().err
    monkeypatch.setattr(train_command, "go_on", lambda run, task, checkpoint: 7)
    assert main(["resume", str(folder), "--skip-damaged"]) == 7
    assert message.split(";")[0] in capsys.readouterr().err
    assert path.read_bytes() == before


def test_an_unfinished_run_is_no_folder_to_train_in(folder, capsys):
    assert main(command(folder)) == 2
    assert capsys.readouterr().err == (
        f"error: {folder} is there already, and not empty; go on with `python -m agents resume {folder}`, name another "
        "folder with --out, or move that one away\n"
    )


def test_a_folder_is_one_processes_alone(folder, capsys):
    code = f"""
import time
from agents.runs import run_folder
with run_folder.lock({str(folder)!r}):
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        message = f"error: {folder} is in use by process {process.pid} on {os.uname().nodename}; wait for it"
        for arguments in (["resume", str(folder)], command(folder)):
            assert main(arguments) == 2
            assert message in capsys.readouterr().err
        process.kill()
    with run_folder.lock(folder):
        assert (folder / ".lock").read_text() == f"{os.getpid()} {os.uname().nodename}"
    assert not (folder / ".lock").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert main(["resume", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path} is no run: config.json is missing; name a folder that `python -m agents train` has begun\n"
    )


def test_the_environments_parameters_are_the_runs(undisturbed):
    """Regret is against the best there is with them: episodes of 200 decisions, and not of 1,000."""
    assert json.loads((undisturbed / "config.json").read_text())["params"] == {"max_steps": 200}
    best = sober_optimum(env_params.replaced(HEARTPOLE_V0, {"max_steps": 200})).expected_return
    for record in records(undisturbed):
        assert record["regret"] + record["greedy_return"] == pytest.approx(best, abs=1e-6)
    assert best > scoring.regret(HEARTPOLE_V0, 0.0) + 90.0
    report = json.loads((undisturbed / "evaluation.json").read_text())
    assert report["params"]["max_steps"] == 200.0
    assert report["best_known_return"] == pytest.approx(best)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("half=1", "unknown parameter of HeartPole-v0 'half'"),
        ("max_steps", "--params: must be NAME=NUMBER, got 'max_steps'"),
        ("max_steps=1.5", "max_steps must be a whole number, got 1.5"),
        ("max_steps=100 max_steps=200", "--params: must name a parameter once, got max_steps twice: max_steps=100"),
        ("expected_penalty=1", "expected_penalty is a hyperparameter"),
    ],
)
def test_parameters_that_cannot_be_are_refused(params, message, tmp_path, capsys):
    assert main(command(tmp_path / "run", f"--params {params}")) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_a_run_is_the_same():
    done = subprocess.run(
        [sys.executable, "benchmarks/survival.py", "--runs", "1", "--seed", "1", "--usual-s", "6"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert re.fullmatch(r"1 of 1 are the same to the byte, after \d+ kills", done.stdout.splitlines()[-1]), done
    assert done.returncode == 0
