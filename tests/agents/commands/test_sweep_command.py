"""`python -m agents sweep`: what it prints and leaves, and what it refuses."""

import contextlib
import io
import os
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
import tiny_study

from agents.__main__ import _parse, main
from agents.commands import sweep as sweep_command
from agents.common import memory
from agents.runs import recipes, run_folder
from agents.sweeps import result_files, results, study_file
from heartpole_jax import documents
from heartpole_jax.policies import saved_policy

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def xla_flags(monkeypatch):
    """The command line sets this variable: not beyond the test."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))


class Swept(NamedTuple):
    folder: Path
    study: Path
    out: str


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    (folder / "tiny.toml").write_text(tiny_study.TOML)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["sweep", f"{folder}/tiny.toml", "--out", f"{folder}/run"]) == 0
    return Swept(folder / "run", folder / "tiny.toml", out.getvalue())


def fails(command, capsys, status=2):
    assert main(shlex.split(command)) == status
    lines = capsys.readouterr().err.splitlines()
    return lines[-1]


def test_a_sweep_says_what_it_will_do_and_how_long_that_takes(swept):
    lines = swept.out.splitlines()
    assert lines[0] == "tiny: HeartPole-v0, recipe heartpole-v0, grid search of learning_rate, discount"
    assert lines[1] == "4 configurations x 2 seeds = 8 trials"
    assert lines[2] == "8,192 steps each"
    assert lines[3].startswith("memory: 0.1 MiB a trial; slices of 4, ")
    assert lines[4] == f"run folder: {swept.folder}"
    assert sum(line.startswith("estimate: ") for line in lines) == 1
    assert "4 configurations, behind best known over seeds" in swept.out
    assert "8 trials: 8 finished, 0 stopped early by halving, 0 diverged." in swept.out


def test_a_sweep_leaves_tables_a_recipe_and_policies(swept):
    trials, summary = result_files.read(swept.folder)
    assert len(trials) == 8
    assert summary.info["slice_size"] == 4
    assert summary.info["command"].startswith("python -m agents sweep ")
    best = results.best(trials)
    values = next(dict(trial.values) for trial in trials if trial.configuration == best)
    recipe = recipes.load(swept.folder / "best.toml")
    assert recipe.num_steps == 8192
    assert {name: getattr(recipe.hyperparams, name) for name in values} == values
    assert dict(recipe.params) == {"max_steps": 100}
    for seed in range(2):
        policy = saved_policy.load(swept.folder / "best" / f"seed-{seed}")
        assert (policy.provenance["seed"], policy.hidden_sizes) == (seed, (8,))


def test_the_same_command_on_a_finished_sweep_changes_nothing(swept):
    before = (swept.folder / "results.csv").read_bytes()
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["sweep", str(swept.study), "--out", str(swept.folder)]) == 0
        assert main(["resume", str(swept.folder)]) == 0
    assert (swept.folder / "results.csv").read_bytes() == before


def test_the_study_is_kept_as_a_file_that_says_it_all(swept, tmp_path, capsys):
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["sweep", str(swept.folder / "study.toml"), "--out", str(swept.folder)]) == 0


def test_a_report_of_it_is_one_page(swept):
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["report", str(swept.folder)]) == 0
    assert "</html>" in (swept.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--space lerning_rate=1e-3", "unknown name to sweep 'lerning_rate'; did you mean 'learning_rate'?"),
        ("--space num_envs=uniform:1,64", "num_envs sets shapes or the program, and cannot be uniform; give choices"),
        ("--space discount=uniform:0.99,0.9,points=3", "discount must have low below high, got uniform = [0.99, 0.9]"),
        ("--space learning_rate=log_uniform:0,1,points=3", "learning_rate: log_uniform must be above 0 at both ends"),
        ("--space discount=uniform:0.9,1.5,points=3", "discount must be in [0, 1], got 1.5"),
        (
            "--space discount=0.9 discount=0.95,0.99",
            "--space must name what is swept once, got discount twice",
        ),
        (
            "--space transform=heartpole,heartpole-v1",
            "transform 'heartpole-v1' takes observations of 8 numbers",
        ),
        (
            "--num-evaluations 512",
            "num_steps must be within 2 % of 512 equal chunks of a multiple of 64 steps, got 8,192; take 32,768, ",
        ),
        ("--space learning_rate=", "a range must be NAME=VALUE,VALUE"),
        ("--space max_steps=10,20", "max_steps cannot be swept, since it sets loop counts"),
        ("--search random", "num_configurations is missing"),
        (
            "--search optuna --num-configurations 4 --halving 2 2",
            "halving goes with search = 'grid' or 'random': an adaptive search would compare",
        ),
        ("--halving 3 2", "num_evaluations must be a multiple of 3, got 4; give 6"),
        ("--num-steps 100", "learning_starts must be below the run's 100 steps"),
        ("--seeds 7-3", "--seeds must be how many, or the first and the last as in 100-131, got '7-3'"),
        ("--slice-size 0", "slice_size must be at least 1"),
        ("--checkpoint-every 0", "checkpoint_every must be at least 1"),
        ("--ray-checkpoints", "--ray-cpus, --ray-gpus and --ray-checkpoints go with --ray"),
        ("--ray auto --ray-cpus nan", "--ray-cpus must be a number from 0 to 10,000, got nan"),
        ("--ray auto --ray-gpus -1", "--ray-gpus must be a number from 0 to 10,000, got -1"),
        ("--ray auto --ray-cpus 0", "--ray-cpus must be above 0 where a slice takes no GPU, got 0"),
    ],
)
def test_bad_input_ends_with_status_2_one_line_and_nothing_written(flags, message, tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text(tiny_study.TOML)
    assert message in fails(f"sweep {tmp_path}/tiny.toml --out {tmp_path}/run {flags}", capsys)
    assert not (tmp_path / "run" / "study.json").exists()


def test_the_flags_in_the_documentation_are_the_study_beside_them():
    text = (Path(__file__).parents[3] / "docs" / "sweeps.md").read_text()
    (described,), (command,) = (re.findall(rf"```{kind}\n(.*?)```", text, re.S) for kind in ("toml", "bash"))
    arguments = shlex.split(command.replace("\\\n", " "))
    assert arguments[:3] == ["python", "-m", "agents"]
    options, _ = _parse(arguments[3:])
    expected = study_file.read(tomllib.loads(described), "documented")
    assert study_file.digest(sweep_command.study_of(options)) == study_file.digest(expected)


def test_nothing_to_sweep_is_reported(capsys):
    assert "name a study file, as agents/studies/heartpole-v0.toml" in fails("sweep", capsys)


def test_a_folder_of_another_study_is_refused(swept, capsys):
    message = fails(f"sweep {swept.study} --seeds 3 --out {swept.folder}", capsys)
    assert "is of another study: seeds is [0, 1] there, and [0, 1, 2] here; name another folder with --out" in message


def test_a_folder_of_something_else_is_refused(swept, tmp_path, capsys):
    (tmp_path / "mine").write_text("precious")
    assert "is there already, and is no sweep's (mine)" in fails(f"sweep {swept.study} --out {tmp_path}", capsys)
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_folder_in_use_is_refused(swept, capsys):
    with run_folder.lock(swept.folder):
        assert f"is in use by process {os.getpid()} on" in fails(f"resume {swept.folder}", capsys)


def test_other_slices_than_it_was_begun_with_are_refused(swept, capsys):
    message = fails(f"sweep {swept.study} --out {swept.folder} --slice-size 2", capsys)
    assert message == f"error: {swept.folder} was begun with --slice-size 4, got 2"


def test_a_study_of_which_not_one_trial_fits_is_refused(swept, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 50_000)
    message = fails(f"sweep {swept.study} --out {tmp_path}/run", capsys)
    assert "one trial on each of" in message
    assert "take a smaller buffer_size (now 1,024)" in message


def test_a_sweep_begun_with_another_version_of_jax_is_not_resumed(swept, tmp_path, capsys):
    content = documents.read(swept.folder / "study.json")
    content["versions"]["jax"] = "0.0.1"
    documents.write(tmp_path / "study.json", content)
    text = (tmp_path / "study.json").read_text()
    assert "was begun with jax 0.0.1, and this is" in fails(f"resume {tmp_path}", capsys)
    (tmp_path / "study.json").write_text(text.replace("0.0.1", "0.0.2"))
    assert "study.json is damaged: it is not what was saved" in fails(f"resume {tmp_path}", capsys)


def test_without_ray_its_flag_says_so_before_anything_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "agents.sweeps.ray_executor", raising=False)
    (tmp_path / "tiny.toml").write_text(tiny_study.TOML)
    said = fails(f"sweep {tmp_path}/tiny.toml --out {tmp_path}/run --ray auto", capsys)
    assert "--ray needs Ray: pip install '.[ray]' in the clone" in said
    assert not (tmp_path / "run" / "study.json").exists()
