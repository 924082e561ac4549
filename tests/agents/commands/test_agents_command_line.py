"""`python -m agents`, as a shell would run it, in this process where that is enough."""

import contextlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

from agents.__main__ import main
from agents.common import networks
from agents.dqn.config import DQNConfig, Hyperparams
from agents.runs import loop, run_folder
from agents.tutorial import tutorial
from heartpole_jax import evaluation
from heartpole_jax.__main__ import main as library_main
from heartpole_jax.policies import heartpole_v0 as scripted
from heartpole_jax.policies import saved_policy

pytestmark = [pytest.mark.once, pytest.mark.extras]

RECIPE = """
env = "HeartPole-v0"
num_steps = 3_060
[config]
hidden_sizes = [8]
transform = "heartpole-days"
buffer_size = 1_024
num_envs = 4
batch_size = 16
[hyperparams]
learning_starts = 256
expected_penalty = 1.0
"""
FILES = ["config.json", "evaluation.json", "events", "learning_curve.png", "metrics.jsonl", "policy.json",
         "policy.safetensors"]  # fmt: skip
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def xla_flags(monkeypatch):
    """The command line sets this variable: not beyond the test."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def few_policies():
    """A leaderboard of two scripted policies: each takes a second to compile."""
    with pytest.MonkeyPatch.context() as patch:
        few = {name: scripted.SCRIPTED[name] for name in ("rested below 0.4", "reference")}
        patch.setattr(scripted, "SCRIPTED", few)
        yield


class Trained(NamedTuple):
    """A run of 3,072 steps by the command line: its folder and what was printed."""

    folder: Path
    out: str
    err: str


@pytest.fixture(scope="module")
def trained(few_policies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.toml").write_text(RECIPE)
    command = f"train --recipe {folder}/tiny.toml --num-evaluations 6 --seed 4 --episodes 128 --out {folder}/tiny"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(shlex.split(command)) == 0
    return Trained(folder / "tiny", out.getvalue(), err.getvalue())


def test_training_leaves_a_folder_with_all_of_it(trained):
    folder, _, err = trained
    assert sorted(path.name.partition(".out.")[0] for path in folder.iterdir()) == FILES
    assert (folder / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    config = json.loads((folder / "config.json").read_text())
    assert (config["env"], config["seed"], config["num_steps"]) == ("HeartPole-v0", 4, 3072)
    assert config["config"]["hidden_sizes"] == [8]
    assert DQNConfig(**config["config"]).batch_size == 16
    assert vars(Hyperparams(**config["hyperparams"]))["learning_starts"] == 256.0
    assert set(config["versions"]) >= {"python", "jax", "flax", "heartpole-jax", "device"}
    assert config["command"].startswith("python -m agents train --recipe ")
    assert err.splitlines()[-1].startswith(f"written: {folder}/{{config.json,evaluation.json,events.out.tfevents.")


def test_training_prints_what_it_does(trained):
    folder, out, _ = trained
    lines = out.splitlines()
    assert lines[0].endswith("tiny.toml, seed 4")
    assert lines[1] == "3,072 steps in 6 chunks of 512, 3,060 rounded to whole chunks"
    assert lines[2] == "memory: 0.1 MiB, with buffer_size 1,024"
    assert lines[3] == f"run folder: {folder}"
    steps = [line.split(" steps  ")[0] for line in lines[4:10]]
    assert steps == [f"{done:5,} of 3,072" for done in (512, 1024, 1536, 2048, 2560, 3072)]
    assert lines[10] == f"trained; the policy is saved in {folder}"
    assert sorted(line.split("  ")[0] for line in lines[14:17]) == ["reference", "rested below 0.4", "tiny"]


def test_the_metrics_are_a_line_a_chunk(trained):
    records = run_folder.read_metrics(trained[0])
    assert [record["env_steps"] for record in records] == [512 * (i + 1) for i in range(6)]
    assert [record["num_updates"] for record in records] == [16.0] + [32.0] * 5  # 256 steps of chance: 16 iterations
    assert all(record["regret"] == pytest.approx(-123.30429 - record["greedy_return"], abs=2e-4) for record in records)
    assert all(record["loss"] > 0 for record in records)


def test_evaluating_a_run_again_gives_the_figures_of_its_training(trained, capsys):
    folder, _, _ = trained
    agent = agent_in(json.loads((folder / "evaluation.json").read_text()))
    assert main(["evaluate", str(folder), "--episodes", "128"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny: HeartPole-v0, trained for 3,072 steps, seed 4"
    assert lines[-1] == "128 episodes; ± is one standard error"
    said = {line[:22].strip(): line[22:] for line in lines[1:-1]}
    assert list(said) == [
        "expected return", "regret", "score", "heart attacks", "excess heart attacks", "drinks a day", "asleep",
    ]  # fmt: skip
    for label, field in (
        ("expected return", "expected_return"),
        ("regret", "regret"),
        ("drinks a day", "drinks_a_day"),
    ):
        mean, error = (float(text) for text in said[label].split(" ± "))
        assert mean == pytest.approx(agent[field], abs=1e-5 + agent[f"{field}_standard_error"] / 2)
        assert error == pytest.approx(agent[f"{field}_standard_error"], rel=0.1, abs=1e-5)
    assert said["asleep"].endswith(" % of the time")
    assert float(said["asleep"].split()[0]) == pytest.approx(100 * agent["share_asleep"], abs=1.0)


def test_the_leaderboard_ranks_agents_among_the_scripted_policies(trained, tmp_path, capsys):
    folder, _, _ = trained
    options = ["--episodes", "128", "--format", "json", "--out", str(tmp_path / "out")]
    assert main(["leaderboard", str(folder), *options]) == 0
    board = json.loads(capsys.readouterr().out)
    assert {"evaluated": folder.name, **board} == run_folder.read_evaluation(folder)
    assert agent_in(board)["num_episodes"] == 128
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "leaderboard.csv", "leaderboard.json", "leaderboard.md",
    ]  # fmt: skip


def agent_in(board):
    (agent,) = (record for record in board["policies"] if record["policy"] == "tiny")
    return agent


def test_the_module_runs_by_itself_without_a_warning(trained):
    command = [sys.executable, "-W", "error", "-m", "agents", "evaluate", str(trained.folder), "--episodes", "128"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=REPOSITORY)
    assert (result.returncode, result.stderr) == (0, "")
    agent = agent_in(json.loads((trained.folder / "evaluation.json").read_text()))
    said = float(result.stdout.splitlines()[1].split()[2])
    assert said == pytest.approx(agent["expected_return"], abs=agent["expected_return_standard_error"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --sed 3", "train has no option --sed; did you mean --seed?"),
        ("train --config.batch-sise 3", "did you mean --config.batch-size?"),
        ("train --learning-rate 1", "train has no option --learning-rate; did you mean --hyperparams.learning-rate?"),
        ("train --hyperparams.gamma=0.9", "train has no option --hyperparams.gamma; see `python -m agents train "),
        ("sweep --config.dueling", "sweep has no option --config.dueling; train has it; see `python -m agents sweep "),
        ("train --seed 1 --seed=2", "--seed is given twice; give it once, with all of its values after it"),
        ("train --config.dueling --config.no-dueling", "--config.dueling is given twice"),
        ("train --params max_steps=9 --params fatigue_onset=2", "--params is given twice"),
        ("sweep --space discount=0.9 --space learning_rate=1e-3", "--space is given twice"),
        ("resume x --skip-damaged --skip_damaged", "--skip-damaged is given twice"),
        ("train --out ''", "an argument is empty, got ''; give it a value, or leave it out"),
        ("leaderboard --out /dev/null", "cannot write to '/dev/null': /dev/null is a file"),
        ("evaluate --epsiodes 3 x", "evaluate has no option --epsiodes; did you mean --episodes?"),
        ("train --seed four", "--seed: must be a whole number, got 'four'; see `python -m agents train --help`"),
        ("train --seed -1", "seed must be in 0 .. 2^32 - 1, got -1"),
        ("train --recipe", "Missing value for argument '--recipe'. Expected 1 values; see `python -m agents train "),
        ("train --recipe hartpole-v0", "unknown recipe 'hartpole-v0'; did you mean 'heartpole-v0'? known: "),
        ("train --recipe nowhere.toml", "cannot read the recipe nowhere.toml: No such file or directory"),
        ("train --env HartPole-v0", "unknown environment 'HartPole-v0'; did you mean 'HeartPole-v0'?"),
        ("train --recipe {recipe} --num-steps 0", "num_steps must be at least 1 and below 2^31, got 0"),
        ("train --recipe {recipe} --num-steps 255",
         "num_steps must be at least one chunk, 16 iterations of 16 steps = 256, got 255"),
        ("train --recipe {recipe} --num-steps 640",
         "num_steps must be within 2 % of about 50 equal chunks of a multiple of 256 steps, got 640; take 512"),
        ("train --recipe {recipe} --num-evaluations 0", "num_evaluations must be at least 1 and below 2^31, got 0"),
        ("train --recipe {recipe} --episodes 3", "episodes must be at least 4 and below 2^31, got 3"),
        ("train --recipe {recipe} --config.num-envs 0", "num_envs must be at least 1 and below 2^31, got 0"),
        ("train --recipe {recipe} --config.hidden-sizes 64 -1", "each of hidden_sizes must be at least 1"),
        ("train --recipe {recipe} --config.hidden-sizes 64 x", "--config.hidden-sizes: "),
        ("train --recipe {recipe} --config.batch-size 2048", "batch_size must not exceed buffer_size 1024, got 2048"),
        ("train --recipe {recipe} --config.buffer-size 1023", "buffer_size must be a multiple of num_envs * "
                                                              "steps_per_iteration = 16, got 1023; take 1024"),
        ("train --recipe {recipe} --config.buffer-size 2147483632", "GiB: take a smaller buffer_size"),
        ("train --recipe {recipe} --config.transform raww", "unknown transform 'raww'; did you mean 'raw'?"),
        ("train --recipe {recipe} --hyperparams.discount 1.5", "Hyperparams.discount must be in [0, 1], got 1.5"),
        ("train --recipe {recipe} --hyperparams.learning-rate nan", "learning_rate must be finite, got nan"),
        ("train --recipe {recipe} --hyperparams.learning-starts 4000",
         "learning_starts must be below the run's 3,072 steps, or nothing is learned, got 4,000"),
        ("train --recipe {recipe} --hyperparams.learning-rate 1e-300",
         "learning_rate must be greater than 0, or nothing is learned, got 1e-300"),
        ("train --recipe {recipe} --hyperparams.ema-rate 0", "ema_rate must be greater than 0, or nothing is"),
        ("train --recipe {recipe} --out a\x1b[31m", "an argument must have no control characters, got 'a\\x1b[31m'"),
        ("evaluate a\x1b[31m", "an argument must have no control characters, got 'a\\x1b[31m'; rename what it names"),
        ("train --recipe {recipe} --out {tmp}", "{tmp} is there already, and not empty; name another folder"),
        ("train --recipe {recipe} --out /proc/nowhere", "cannot make the run folder /proc/nowhere: "),
        ("evaluate", "Missing from python -m agents evaluate: RUN"),
        ("evaluate nowhere", "no saved policy in nowhere: policy.json is missing; name a folder that"),
        ("evaluate {tmp}", "policy.json has schema version None, and this code reads 1"),
        ("evaluate {tmp} --episodes 0", "episodes must be at least 4 and below 2^31, got 0"),
        ("leaderboard {tmp}", "policy.json has schema version None, and this code reads 1"),
        ("leaderboard --format tabel", "invalid choice 'tabel' for argument '--format'"),
        ("leaderboard --episodes 2", "episodes must be at least 4"),
        ("lottery", "unknown command 'lottery'; known: 'train', 'sweep', 'resume', "),
        ("trian --seed 1", "unknown command 'trian'; did you mean 'train'? known: 'train', 'sweep', "),
        ("--seed 1 train", "unknown command '--seed'; "),
        ("train --hyperparams.discount x", "--hyperparams.discount: must be a number, got 'x'; see `python -m agents "),
        ("sweep --checkpoint-every often", "--checkpoint-every: must be auto or a whole number, got 'often'; see "),
        ("sweep --halving 2", "see `python -m agents sweep --help`"),
        ("evaluate x y", "Unrecognized options: y; see `python -m agents evaluate --help`"),
        ("resume nowhere --ray auto", "nowhere is no run: config.json is missing"),
        ("", "Expected one of {{train, sweep, resume, evaluate, leaderboard, report, tutorial}}"),
    ],
)  # fmt: skip
def test_bad_input_ends_with_status_2_one_line_and_nothing_written(
    arguments, message, recipe, tmp_path, monkeypatch, capsys
):
    (tmp_path / "policy.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(arguments.format(recipe=recipe, tmp=tmp_path))) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert message.format(tmp=tmp_path) in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy.json", "tiny.toml"]


def test_an_environment_with_continuous_actions_is_refused(capsys):
    pytest.importorskip("gymnax")
    assert main(["train", "--env", "gymnax:Pendulum-v1"]) == 2
    assert "actions of gymnax's 'Pendulum-v1' must be Discrete" in capsys.readouterr().err


def test_a_transform_of_another_environment_is_refused(recipe, capsys):
    pytest.importorskip("gymnax")
    assert main(["train", "--recipe", recipe, "--env", "gymnax:CartPole-v1"]) == 2
    message = "transform 'heartpole-days' is of HeartPole-v0's observations, got gymnax:CartPole-v1"
    assert message in capsys.readouterr().err


def pretend(monkeypatch, end, num_records):
    """Training that hands over some records and ends with an exception, or a signal and one more record."""
    record = dict.fromkeys(
        ("num_updates", "loss", "q_value", "grad_norm", "num_episodes", "episode_return", "epsilon", "learning_rate",
         "greedy_return", "regret", "certified", "seconds", "steps_per_second"), 1.0,
    )  # fmt: skip

    def train(key, hyperparams, config, env, plan, evaluation_episodes, params, **start):
        for i in range(plan.num_chunks):
            if i == num_records:
                if isinstance(end, Exception):
                    raise end
                os.kill(os.getpid(), end)
            state = lambda: {"buffer": np.zeros(2)}
            weights = np.ones(networks.num_weights(config, env), np.float32)
            yield loop.Chunk({**record, "env_steps": (i + 1) * plan.env_steps}, weights, state)

    monkeypatch.setattr(loop, "train", train)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_after_a_signal_the_chunk_is_finished_and_saved(number, status, recipe, tmp_path, monkeypatch, capfd):
    pretend(monkeypatch, number, 1)
    out = tmp_path / "run"
    assert main(["train", "--recipe", recipe, "--num-evaluations", "6", "--out", str(out)]) == status
    assert capfd.readouterr().err == (
        f"{number.name}: stopping after this chunk; a second signal stops at once\n"
        f"stopped after 1,024 of 3,072 steps: the policy so far and a checkpoint are saved in {out}; "
        f"go on with `python -m agents resume {out}`\n"
    )
    policy = saved_policy.load(out)
    assert policy.provenance["num_steps"] == 1024
    assert np.all(policy.weights["params/Dense_0/kernel"] == 1.0)
    assert (out / "learning_curve.png").exists()
    assert len(run_folder.read_metrics(out)) == 2
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-000000001024.safetensors"]


def test_a_run_that_diverges_ends_with_status_1_and_keeps_its_folder(recipe, tmp_path, monkeypatch, capsys):
    pretend(monkeypatch, loop.DivergedError("training diverged: loss no longer finite"), 1)
    assert main(["train", "--recipe", recipe, "--out", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err == "error: training diverged: loss no longer finite\n"
    assert len(run_folder.read_metrics(tmp_path / "run")) == 1
    assert not (tmp_path / "run" / "policy.json").exists()


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unable to initialize backend 'cuda'")])
@pytest.mark.parametrize("run", [main, library_main])
def test_a_machine_without_the_devices_that_were_asked_for_is_reported_in_one_line(run, error, monkeypatch, capsys):
    def devices(*_):
        raise error

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    for name in ("devices", "local_devices"):
        monkeypatch.setattr(jax, name, devices)
    monkeypatch.setattr(evaluation, "coffees_until_heart_attack", devices)
    monkeypatch.setattr(tutorial, "train", devices)
    assert run(["tutorial"] if run is main else ["coffee"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: JAX finds no device with JAX_PLATFORMS='cuda'")
    assert line.endswith("unset it, or set JAX_PLATFORMS=cpu\n")
    assert str(error) in line


def test_flags_override_the_recipe(recipe, tmp_path, monkeypatch, capsys):
    pretend(monkeypatch, signal.SIGINT, 0)
    monkeypatch.chdir(tmp_path)
    flags = "--num-steps 515 --seed 9 --config.hidden-sizes 3 5 --config.dueling --hyperparams.discount 0.5"
    assert main(["train", "--recipe", recipe, *flags.split()]) == 130
    config = json.loads((tmp_path / "runs" / "heartpole-v0-tiny-seed-9" / "config.json").read_text())
    assert config["num_steps"] == 512  # the nearest of 256 steps a chunk
    assert config["num_evaluations"] == 2
    assert config["config"] | {"hidden_sizes": [3, 5], "dueling": True, "num_envs": 4} == config["config"]
    assert config["hyperparams"] | {"discount": 0.5, "learning_starts": 256.0} == config["hyperparams"]
    capsys.readouterr()


@pytest.mark.parametrize(("flags", "num_evaluations"), [("", 3), ("--num-evaluations 6", 6)])
def test_a_run_is_evaluated_as_often_as_the_recipe_says_unless_set_otherwise(
    flags, num_evaluations, recipe, tmp_path, monkeypatch, capsys
):
    Path(recipe).write_text(RECIPE.replace("num_steps = 3_060", "num_steps = 3_072\nnum_evaluations = 3"))
    pretend(monkeypatch, signal.SIGINT, 0)
    assert main(["train", "--recipe", recipe, "--out", str(tmp_path / "run"), *flags.split()]) == 130
    assert json.loads((tmp_path / "run" / "config.json").read_text())["num_evaluations"] == num_evaluations
    assert f"3,072 steps in {num_evaluations} chunks of {3072 // num_evaluations:,}\n" in capsys.readouterr().out


def test_the_help_describes_every_field_with_its_comment_and_the_recipes_value(recipe, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["train", "--recipe", recipe, "--help"])
    assert exit.value.code == 0
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    source = (REPOSITORY / "agents" / "dqn" / "config.py").read_text()
    for prefix, cls in (("config", DQNConfig), ("hyperparams", Hyperparams)):
        for name in cls.__dataclass_fields__:
            comment = re.search(rf"^    {name}: .*?  # (.+)$", source, re.MULTILINE)
            flag = f"--{prefix}.{name.replace('_', '-')}"
            assert flag in printed
            assert comment is None or comment[1].split()[-1] in printed.partition(flag)[2].partition("(default")[0]
    assert "--config.buffer-size INT transitions kept, of all environments together (default: 1024)" in printed
    learning_starts = printed.partition("--hyperparams.learning-starts FLOAT")[2]
    assert learning_starts.partition("(default: ")[2].startswith("256)")


def test_xla_gets_the_flag_for_small_loops_unless_it_is_set_otherwise(monkeypatch, capsys):
    eigen, loops = "--xla_cpu_multi_thread_eigen", "--xla_backend_extra_options"
    small = f"{loops}=xla_cpu_small_while_loop_byte_threshold=20000"
    for before, after in (
        ("", f"{eigen}=false {small}"),
        ("--xla_x=1", f"--xla_x=1 {eigen}=false {small}"),
        (f"{eigen}=true", f"{eigen}=true {small}"),
        (f"{loops}=xla_cpu_y", f"{loops}=xla_cpu_y {eigen}=false"),
    ):
        monkeypatch.setenv("XLA_FLAGS", before)
        main(["lottery"])
        assert os.environ["XLA_FLAGS"] == after
    capsys.readouterr()
