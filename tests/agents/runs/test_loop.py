"""Runs in chunks: how many iterations a chunk has, and what is refused before anything is written."""

import os
import shlex

import pytest

from agents.__main__ import main
from agents.dqn.config import DQNConfig, Hyperparams
from agents.runs import loop
from heartpole_jax.envs import registry


@pytest.fixture(autouse=True)
def xla_flags(monkeypatch):
    """The command line sets this variable: not beyond the test."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))


def test_exactly_as_many_chunks_have_whole_blocks_of_iterations():
    config = DQNConfig(num_envs=2, steps_per_iteration=4)  # 8 steps an iteration, 128 a block
    assert [loop.iterations_a_chunk(steps, 10, config) for steps in (1255, 1280, 1306, 2560, 12_800)] == [
        16, 16, 16, 32, 160,
    ]  # fmt: skip


@pytest.mark.parametrize(("steps", "near"), [(640, "1,280"), (1900, "1,280 or 2,560"), (1254, "1,280"), (1, "1,280")])
def test_steps_that_would_be_rounded_by_more_than_two_percent_are_refused_with_those_that_would_do(steps, near):
    config = DQNConfig(num_envs=2, steps_per_iteration=4)
    message = f"within 2 % of 10 equal chunks of a multiple of 128 steps, got {steps:,}; take {near}, or fewer evaluati"
    with pytest.raises(ValueError, match=message):
        loop.iterations_a_chunk(steps, 10, config)


def test_steps_that_pass_int32_in_whole_chunks_are_refused():
    config = DQNConfig(num_envs=64, steps_per_iteration=8, buffer_size=128_000)
    with pytest.raises(ValueError, match=r"^num_steps, in whole chunks, must be below 2\^31, got 2,147,4"):
        loop.iterations_a_chunk(2**31 - 1, 1, config)


@pytest.mark.parametrize("num_chunks", [1, 2, 3, 6, 7, 32, 50, 1000])
def test_a_run_is_never_two_percent_off_or_refused_with_steps_that_are_taken(num_chunks):
    config = DQNConfig()  # 64 steps a block
    for steps in [*range(64, 2000, 7), *range(2000, 40_000, 471)]:
        try:
            plan = loop.plan(steps, config, num_chunks)
        except ValueError as error:
            taken = int(str(error).rpartition("take ")[2].replace(",", ""))
            assert loop.plan(taken, config, num_chunks).num_steps == taken
        else:
            assert abs(plan.num_steps - steps) <= 0.02 * steps


@pytest.mark.parametrize(
    ("env", "transform", "message"),
    [
        ("HeartPole-v0", "heartpole-v1", "takes observations of 8 numbers, got HeartPole-v0 with 6; take 'raw'"),
        ("HeartPole-v1", "heartpole", "takes observations of 6 numbers, got HeartPole-v1 with 8; take 'raw'"),
    ],
)
def test_a_transform_of_observations_of_another_size_is_refused(env, transform, message):
    with pytest.raises(ValueError, match=f"^transform '{transform}' {message}$"):
        loop.check(Hyperparams(), DQNConfig(transform=transform), registry.make(env), 5000)


@pytest.mark.parametrize(
    "flags", ["--config.transform heartpole-v1", "--env HeartPole-v1 --recipe heartpole-v0", "--env HeartPole-v1 "
              "--config.transform heartpole-days"]
)  # fmt: skip
def test_a_run_with_the_transform_of_the_other_heartpole_writes_nothing(flags, tmp_path, capsys):
    assert main(shlex.split(f"train {flags} --out {tmp_path}/run")) == 2
    assert "takes observations of" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--space transform=choices:heartpole-days,heartpole-v1", "takes observations of 8 numbers"),
        (
            "--num-steps 100000 --space num_envs=choices:64,2048 buffer_size=262144",
            "equal chunks of a multiple of 32,768 steps, got 100,000; take 1,605,632, or fewer evaluations",
        ),
    ],
)
def test_a_sweep_of_which_a_choice_cannot_be_trained_writes_nothing(flags, message, tmp_path, capsys):
    assert main(shlex.split(f"sweep --recipe heartpole-v0 {flags} --out {tmp_path}/run")) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
