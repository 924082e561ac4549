"""The folder of a run, what goes into it while it runs, and what is shown of it."""

import io
import math
import sys

import jax
import numpy as np
import probe_environments
import pytest
from rich.console import Console

import heartpole_jax as hp
from agents import dqn
from agents.commands.sweep_progress import SweepProgress
from agents.dqn.config import DQNConfig, Hyperparams
from agents.reports import learning_curve
from agents.runs import loop, run_folder, scoring
from agents.runs.display import Display
from agents.runs.progress import Progress, line
from agents.sweeps import schedule
from heartpole_jax import disk, documents

pytestmark = [pytest.mark.once, pytest.mark.extras]

RECORD = {
    "env_steps": 4096,
    "num_updates": 256.0,
    "loss": 1.25,
    "q_value": -3.0,
    "grad_norm": 2.0,
    "num_episodes": 4.0,
    "episode_return": -150.5,
    "epsilon": 0.5,
    "learning_rate": 0.001,
    "greedy_return": -125.0,
    "regret": 1.6957,
    "certified": 1.0,
    "seconds": 2.0,
    "steps_per_second": 123456.7,
}
ENV = probe_environments.counter(5)  # compiles fast; test_agents_command_line trains on HeartPole
CONFIG = DQNConfig(hidden_sizes=(8,), buffer_size=512, num_envs=4, batch_size=16)
PLAN = loop.ChunkPlan(num_chunks=3, iterations=32, env_steps=512)
HYPERPARAMS = Hyperparams(learning_starts=64.0, target_period=128.0, epsilon_steps=256.0, ema_rate=0.1)


def test_a_run_is_called_by_environment_recipe_and_seed():
    assert str(run_folder.default_folder("HeartPole-v0", "heartpole-v0", 3)) == "runs/heartpole-v0-seed-3"
    assert str(run_folder.default_folder("HeartPole-v0", "heartpole-v0-raw", 1)) == "runs/heartpole-v0-raw-seed-1"
    assert (
        str(run_folder.default_folder("HeartPole-v0", "heartpole-v01", 1)) == "runs/heartpole-v0-heartpole-v01-seed-1"
    )
    assert str(run_folder.default_folder("HeartPole-v0", "My recipe!", 0)) == "runs/heartpole-v0-my-recipe-seed-0"
    assert str(run_folder.default_folder("gymnax:CartPole-v1", "cp", 1)) == "runs/gymnax-cartpole-v1-cp-seed-1"


def test_a_run_keeps_its_config_its_metrics_and_tensorboards_events(tmp_path):
    folder = tmp_path / "deep" / "run"
    with run_folder.Run(folder, {"seed": 7}) as run:
        assert documents.read(folder / "config.json") == {"seed": 7}
        run.record(RECORD)
        assert run_folder.read_metrics(folder) == [RECORD]  # before it is closed: a line is whole when it is there
        run.record({**RECORD, "env_steps": 8192, "loss": None})
    assert [record["env_steps"] for record in run_folder.read_metrics(folder)] == [4096, 8192]
    (events,) = folder.glob("events.out.tfevents.*")
    assert events.read_bytes().count(b"steps_per_second") == 2
    assert events.read_bytes().count(b"loss") == 1  # None is not recorded


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path):
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(ValueError, match="is there already, and not empty; name another folder with --out"):
        run_folder.Run(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    with pytest.raises(ValueError, match="precious is there already"):
        run_folder.Run(tmp_path / "precious", {})
    assert (tmp_path / "precious").read_text() == "mine"


def test_an_empty_folder_is_taken(tmp_path):
    with run_folder.Run(tmp_path, {}):
        pass
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_a_folder_that_cannot_be_made_is_named():
    message = r"^cannot make the run folder /proc/nowhere/run: No such file or directory; see --out$"
    with pytest.raises(ValueError, match=message):
        run_folder.Run("/proc/nowhere/run", {})


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    disk.write_atomic(tmp_path / "a", b"first")
    disk.write_atomic(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"second"
    with pytest.raises(OSError, match="No such file"):
        disk.write_atomic(tmp_path / "nowhere" / "a", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_record_in_one_line():
    assert line(RECORD, 1_000_000) == (
        "    4,096 of 1,000,000 steps  steps/s   123,457  return  -150.50  regret    1.6957  loss     1.25"
        "  epsilon 0.500  8:06 left"
    )
    elsewhere = {**RECORD, "regret": None, "loss": None, "seconds": 3600.0, "env_steps": 10_000}
    assert line(elsewhere, 20_000) == (
        "10,000 of 20,000 steps  steps/s   123,457  return  -150.50  greedy return -125.0000  loss        -"
        "  epsilon 0.500  1:00:00 left"
    )


def test_a_line_for_every_chunk_where_there_is_no_terminal_and_the_last_known_return():
    printed = io.StringIO()
    with Display(Console(file=printed, width=40)) as display:
        progress = Progress(8192, display)
        progress.update({**RECORD, "env_steps": 2048, "episode_return": None})
        progress.update(RECORD)
        progress.update({**RECORD, "env_steps": 8192, "episode_return": None})
    lines = printed.getvalue().splitlines()
    assert [text.split(" of ")[0] for text in lines] == ["2,048", "4,096", "8,192"]
    assert [text.split("return")[1].split()[0] for text in lines] == ["-", "-150.50", "-150.50"]
    assert lines[-1].endswith("0:00 left")


def test_of_a_thousand_chunks_a_line_for_every_hundredth_of_the_run():
    printed = io.StringIO()
    with Display(Console(file=printed, width=40)) as display:
        progress = Progress(1000, display)
        for env_steps in range(1, 1001):
            progress.update({**RECORD, "env_steps": env_steps})
    steps = [int(text.split(" of ")[0].replace(",", "")) for text in printed.getvalue().splitlines()]
    assert steps == [1, *range(10, 1001, 10)]


@pytest.mark.parametrize("shown", [Progress, lambda _, display: SweepProgress(1, "regret", display)])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(shown):
    printed = io.StringIO()
    console = Console(file=printed, width=80, force_terminal=True, color_system=None, _environ={"TERM": "dumb"})
    with Display(console) as display:
        progress = shown(8192, display)
        progress.update(RECORD if isinstance(progress, Progress) else schedule.Progress(1, 1, 1.0, 0, 0, 0.5))
    assert "\x1b" not in printed.getvalue()
    assert "steps/s" in printed.getvalue()


def test_a_pipe_is_no_terminal_whatever_force_color_says(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not Display().is_live


def test_a_live_display_on_a_terminal():
    printed = io.StringIO()
    with Display(Console(file=printed, width=80, force_terminal=True, color_system=None)) as display:
        progress = Progress(8192, display)
        progress.update(RECORD)
    assert "compiling ..." in printed.getvalue()
    assert "4,096 of 8,192 steps, 0:02 left" in printed.getvalue()
    assert "steps/s 123,457  return -150.50  regret 1.6957  loss 1.25  epsilon 0.500" in printed.getvalue()


@pytest.mark.parametrize(
    ("num_steps", "num_chunks", "expected"),
    [
        (2_000_000, 50, (50, 10_000, 40_000)),  # 500,000 iterations of 4 steps
        (64, 50, (1, 16, 64)),
        (1010, 50, (16, 16, 64)),  # 1024: the nearest
        (64 * 99, 6, (7, 14 * 16, 14 * 64)),  # 6 chunks of 16 or 17 would be 3 % off
        (100_000, 7, (7, 3568, 14_272)),  # 99,904
        (2**31 - 1, 50, (49, 10_737_424, 42_949_696)),  # 50 would pass int32
        (2**31 - 1, 2**31 - 1, (33_554_431, 16, 64)),
    ],
)
def test_a_run_is_cut_into_equal_chunks(num_steps, num_chunks, expected):
    plan = loop.plan(num_steps, DQNConfig(), num_chunks)
    assert plan == expected
    assert plan.iterations % 16 == 0
    assert plan.num_steps == plan.num_chunks * plan.env_steps
    assert abs(plan.num_steps - num_steps) <= 0.02 * num_steps


def test_a_run_smaller_than_a_chunk_is_refused():
    with pytest.raises(ValueError, match="at least one chunk, 16 iterations of 4 steps = 64, got 63"):
        loop.plan(63, DQNConfig())
    with pytest.raises(ValueError, match=r"num_evaluations must be at least 1 and below 2\^31, got 0"):
        loop.plan(640, DQNConfig(), 0)


def test_a_run_that_would_learn_nothing_is_refused():
    env = hp.make("HeartPole-v0")
    with pytest.raises(ValueError, match="below the run's 5,000 steps, or nothing is learned, got 5,000"):
        loop.check(Hyperparams(learning_starts=5000), DQNConfig(), env, 5000)
    loop.check(Hyperparams(learning_starts=4999), DQNConfig(), env, 5000)
    with pytest.raises(ValueError, match="'heartpole' is of HeartPole-v0's observations, got counter"):
        loop.check(Hyperparams(), DQNConfig(transform="heartpole"), probe_environments.counter(3), 5000)


def test_watching_a_run_changes_nothing():
    """In chunks with donated memory, or in one program: the same weights and the same greedy policy's returns."""
    watched = list(loop.train(jax.random.key(5), HYPERPARAMS, CONFIG, ENV, PLAN))
    whole = dqn.train(
        jax.random.key(5), HYPERPARAMS, CONFIG, ENV, num_chunks=3, iterations_per_chunk=32,
        evaluation_episodes=16,
    )  # fmt: skip
    np.testing.assert_allclose(watched[-1][1], whole.train_state.ema_params, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose([record["greedy_return"] for record, *_ in watched], whole.mean_return, rtol=1e-5)
    np.testing.assert_allclose([record["loss"] for record, *_ in watched], whole.metrics.loss, rtol=1e-4)
    assert [record["env_steps"] for record, *_ in watched] == [512, 1024, 1536]
    assert [record["num_updates"] for record, *_ in watched] == [28.0, 32.0, 32.0]  # 64 steps, 4 iterations, of chance
    assert [record["regret"] for record, *_ in watched] == [None] * 3  # the best return is not known here
    assert not np.array_equal(watched[0][1], watched[1][1])


@pytest.mark.slow
def test_a_seed_is_a_policy():
    plan = loop.ChunkPlan(num_chunks=1, iterations=32, env_steps=512)
    weights = []
    for seed in (1, 1, 2):
        weights += [weights for _, weights, _ in loop.train(jax.random.key(seed), HYPERPARAMS, CONFIG, ENV, plan)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.any(weights[0] == weights[2])


def test_a_run_that_diverges_stops_after_its_record():
    wild = Hyperparams(**{**vars(HYPERPARAMS), "learning_rate": 1e30})
    records = []
    with pytest.raises(loop.DivergedError, match=r"loss, grad_norm, weights no longer finite after 512 steps; take a"):
        records.extend(record for record, *_ in loop.train(jax.random.key(5), wild, CONFIG, ENV, PLAN))


def test_without_a_number_a_policy_is_evaluated_in_as_many_episodes_as_the_environment_says():
    """As `train`, `evaluate` and `leaderboard` are without --episodes."""
    env, short = hp.make("HeartPole-v0"), hp.EnvParams(max_steps=2)
    nothing = hp.policies.make("nothing")
    found = scoring.evaluate(nothing, env, num_episodes=None, seed=0, name="idle", params=short)
    assert found.num_episodes == 65_536
    board = scoring.leaderboard({"idle": nothing}, env, num_episodes=None, seed=0, params=short)
    assert {row.evaluation.num_episodes for row in board} == {65_536}


def test_the_evaluation_of_an_environment_whose_return_is_known():
    env = probe_environments.counter(5)
    found = scoring.evaluate(hp.Policy(act=lambda *_: (0, ())), env, num_episodes=4, seed=0, name="first")
    assert (found.expected_return, found.regret) == ((5.0, 0.0), None)
    assert scoring.regret(env, 5.0) is None


def test_regret_is_what_lacks_to_the_best_known_return():
    assert scoring.regret(hp.make("HeartPole-v0"), -124.304) == pytest.approx(1.0, abs=5e-4)


def test_an_agent_cannot_take_the_name_of_a_scripted_policy():
    with pytest.raises(ValueError, match="cannot have the name of a scripted policy, got 'optimal'"):
        scoring.leaderboard({"optimal": hp.policies.reference()}, hp.make("HeartPole-v0"), num_episodes=4, seed=0)


def records(num, **changes):
    return [{**RECORD, "env_steps": 4096 * (i + 1), "regret": 10.0 ** (2 - i), **changes} for i in range(num)]


def lines_of(axes):
    return [artist.get_ydata().tolist() for artist in axes.get_lines()]


def test_a_learning_curve_draws_the_numbers():
    figure = learning_curve.draw(records(8), "a run", 64)
    regret_axes, loss, epsilon, learning_rate = figure.axes
    assert lines_of(regret_axes) == [
        [100.0, 10.0, 1.0, 0.1, 0.01, 1e-3, 1e-3, 1e-3]
    ]  # the lowest that few episodes distinguish
    assert regret_axes.get_title(loc="left").startswith("regret of the greedy policy, 64 episodes after each chunk")
    assert regret_axes.get_yscale() == "log"
    assert regret_axes.get_lines()[0].get_xdata().tolist() == [4096.0 * (i + 1) for i in range(8)]
    assert lines_of(loss) == [[1.25] * 8]
    assert lines_of(epsilon) == [[0.5] * 8]
    assert lines_of(learning_rate) == [[0.001] * 8]
    assert "a run" in [text.get_text() for text in figure.texts]


def test_a_learning_curve_without_regret_draws_returns():
    regret_axes = learning_curve.draw(records(3, regret=None, episode_return=None), "a run", 16).axes[0]
    assert regret_axes.get_yscale() == "linear"
    exploring, greedy = lines_of(regret_axes)
    assert greedy == [-125.0] * 3
    assert all(math.isnan(value) for value in exploring)


def test_a_learning_curve_of_one_chunk_without_updates_is_drawn(tmp_path):
    figure = learning_curve.draw(records(1, loss=None), "a run", 16)
    figure.savefig(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="needs at least one record, got none"):
        learning_curve.draw([], "a run", 16)
