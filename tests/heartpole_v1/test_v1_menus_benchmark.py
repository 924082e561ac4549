"""benchmarks/heartpole_v1.py without training: when an agent or a routine is called better than the grid's policy."""

import importlib.util
import pathlib
import types

import pytest

from heartpole_jax.envs import menu
from heartpole_jax.evaluation.estimates import Estimate
from heartpole_jax.evaluation.heartpole_v1 import Best

pytestmark = pytest.mark.once

FILE = pathlib.Path(__file__).parents[2] / "benchmarks" / "heartpole_v1.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("heartpole_v1_benchmark", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def agent(mean, work):
    actions = {row.name: Estimate(0.25, 0.0) for row in menu.default().actions}
    return types.SimpleNamespace(
        expected_return=Estimate(mean, 0.1), work_done=Estimate(work, 0.1), actions_a_day=actions
    )


@pytest.mark.parametrize(
    ("mean", "work", "achieved", "routine", "above", "per_cent"),
    [
        (203.0, 500.0, 200.0, 190.0, ["agent"], "+1.5 %"),
        (201.0, 500.0, 200.0, 190.0, [], "+0.5 %"),
        (-203.0, 500.0, -200.0, -190.0, ["routine"], "-1.5 %"),
        (103.0, 500.0, 100.0, 102.0, ["agent", "routine"], "+3.0 %"),
        (9.0, 500.0, 8.4, 8.6, ["agent"], "+1.2 %"),  # of 50, a tenth of the work
        (8.8, 500.0, 8.4, 8.6, [], "+0.8 %"),
    ],
)
def test_above_by_one_per_cent_of_the_return_or_of_a_tenth_of_the_work(
    benchmark, capsys, mean, work, achieved, routine, above, per_cent
):
    best = Best(None, on_grid=achieved, achieved=achieved, routine=routine)
    assert benchmark.compare(agent(mean, work), best, menu.default()) == above
    # Beer is the shipped menu's only action that intoxicates.
    assert f"0.25 drinks a day, {per_cent} of the grid's policy" in capsys.readouterr().out


def test_without_a_grid_nothing_is_compared(benchmark, capsys):
    assert benchmark.compare(agent(203.0, 500.0), Best(None, routine=190.0), menu.default()) == []
    assert "of the grid's policy" not in capsys.readouterr().out
