"""benchmarks/algorithms.py without training: what is measured, what is resumed, what is refused, and the report."""

import pathlib
import shutil
import sys
import types

import pytest

pytestmark = pytest.mark.once

BENCHMARKS = pathlib.Path(__file__).parent.parent / "benchmarks"
MEASURED = {"standard_error": 0.0, "seconds": 2.0, "decisions": 100_352, "wall_seconds": 3.0}


@pytest.fixture(scope="module")
def modules():
    """(algorithms, algorithms_cells), which are no package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import algorithms
        import algorithms_cells

        yield algorithms, algorithms_cells
    finally:
        sys.path.remove(str(BENCHMARKS))


def measured(cell):
    """As if seed i of the contender had the regret i / 100, and the odd ones a drink a day."""
    seeds = [cell.first_seed - 80_000 + i for i in range(cell.num_seeds)]
    lists = {"regret": [i / 100 for i in seeds], "drinks_a_day": [float(i % 2) for i in seeds]}
    return MEASURED | lists | {"standard_error": [0.0] * cell.num_seeds}


@pytest.fixture
def started(modules, monkeypatch):
    """The cells whose process was started; it writes its file at once, but for those of rejax, which fail."""
    algorithms, cells = modules
    found = []

    def start(cell, core, args):
        found.append(cell)
        if cell.contender.startswith("rejax"):
            args.out.mkdir(parents=True, exist_ok=True)
            cell.path(args.out).with_suffix(".log").write_text("Traceback\nImportError: no rejax\n")
        else:
            cells.write(cell, args.out, measured(cell))
        return types.SimpleNamespace(poll=lambda: 0, terminate=lambda: None, wait=lambda: None)

    monkeypatch.setattr(algorithms, "start", start)
    return found


SMALL = ("--only", "dqn", "sb3-ppo", "--decisions", "100000")


def test_each_contender_comes_with_100_000_decisions_before_any_comes_with_more(modules):
    _, cells = modules
    found = cells.all_cells(cells.CONTENDERS, [100_000, 500_000, 5_000_000])
    lengths = [cell.decisions for cell in found]
    assert lengths == sorted(lengths)
    first = found[: 2 * len(cells.CONTENDERS)]
    assert {(cell.contender, cell.rewards) for cell in first} == {
        (name, rewards) for name in cells.CONTENDERS for rewards in ("expected", "raw")
    }
    assert len(set(found)) == len(found)
    seeds = [cell.num_seeds for cell in found if cell[:3] == ("dqn", "raw", 100_000)]
    assert sum(seeds) == 32


def test_what_is_finished_is_not_measured_again(modules, started, tmp_path):
    algorithms, cells = modules
    arguments = [*SMALL, "--out", str(tmp_path)]
    assert algorithms.main(arguments) == 0
    assert sorted(started) == sorted(cells.all_cells(["dqn", "sb3-ppo"], [100_000]))
    lost = started[3]
    lost.path(tmp_path).unlink()
    started.clear()
    assert algorithms.main(arguments) == 0
    assert started == [lost]
    assert algorithms.main(arguments) == 0
    assert started == [lost]


def test_a_cell_that_fails_is_reported_and_the_others_are_measured(modules, started, tmp_path, capsys):
    algorithms, _ = modules
    arguments = ["--only", "rejax-pqn", "dqn", "--quick", "--out", str(tmp_path)]
    assert algorithms.main(arguments) == 1
    assert "ImportError: no rejax" in capsys.readouterr().err
    assert len(list(tmp_path.glob("dqn-*.json"))) == 2
    assert not list(tmp_path.glob("rejax*.json"))


def test_no_cell_begins_when_the_time_is_over(modules, started, tmp_path, capsys):
    algorithms, _ = modules
    assert algorithms.main([*SMALL, "--minutes", "0", "--out", str(tmp_path)]) == 0
    assert not started
    assert "12 cells are left" in capsys.readouterr().out


def test_the_plan_starts_nothing(modules, started, tmp_path, capsys):
    algorithms, _ = modules
    assert algorithms.main([*SMALL, "--plan", "--out", str(tmp_path)]) == 0
    assert not started
    assert "12 cells are missing" in capsys.readouterr().out


def test_a_damaged_file_and_another_cell_s_are_refused_with_what_to_do(modules, started, tmp_path, capsys):
    algorithms, _ = modules
    arguments = [*SMALL, "--out", str(tmp_path)]
    algorithms.main(arguments)
    first, second = (cell.path(tmp_path) for cell in started[:2])
    whole = first.read_text()
    first.write_text(whole.replace("0.01", "0.02"))
    assert algorithms.main(arguments) == 1
    assert f"{first} is damaged" in capsys.readouterr().err
    first.write_text(whole)
    shutil.copy(first, second)
    assert algorithms.main([*arguments, "--report"]) == 1
    assert f"remove {second}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [{"regret": [0.1]}, {"regret": "none"}, {"drinks_a_day": [None] * 2}, {"seconds": None}, {"cell": {}}],
)
def test_what_is_no_measurement_is_not_written(modules, tmp_path, change):
    _, cells = modules
    cell = cells.Cell("dqn", "raw", 100_000, 80_000, 2)
    with pytest.raises(ValueError, match=r"must be|is not of"):
        cells.write(cell, tmp_path / "out", measured(cell) | change)
    assert not list(tmp_path.iterdir())


def test_the_report_has_quantiles_drinkers_and_rates(modules, started, tmp_path, capsys):
    """Regrets 0.00 to 0.31 of 32 seeds: median 0.155, deciles 0.031 and 0.279; 16 seeds of 100,352 decisions in 2 s."""
    algorithms, _ = modules
    algorithms.main([*SMALL, "--out", str(tmp_path)])
    capsys.readouterr()
    figure = tmp_path / "figure.png"
    assert algorithms.main([*SMALL, "--out", str(tmp_path), "--report", "--figure", str(figure)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("| 0.1550 (0.0310 to 0.2790) | 16 of 32 | 802,816 |") == 2
    assert printed.count("| 0.0350 (0.0070 to 0.0630) | 4 of 8 | 100,352 |") == 2
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_report_of_nothing_says_so(modules, tmp_path, capsys):
    algorithms, _ = modules
    assert algorithms.main([*SMALL, "--out", str(tmp_path), "--report"]) == 1
    assert "no cell is finished" in capsys.readouterr().err


def test_the_process_of_a_cell_is_the_worker_s_with_the_cell_as_its_arguments(modules, monkeypatch, tmp_path):
    algorithms, cells = modules
    worker = tmp_path / "worker.py"
    worker.write_text("import sys\nprint(*sys.argv[1:6])\n")
    monkeypatch.setattr(algorithms, "WORKER", worker)
    args = algorithms.parser().parse_args(["--out", str(tmp_path / "out")])
    cell = cells.Cell("dqn", "raw", 100_000, 80_000, 2)
    assert algorithms.start(cell, 0, args).wait() == 0
    assert cell.path(args.out).with_suffix(".log").read_text() == "dqn raw 100000 80000 2\n"


def test_a_recipe_s_schedules_are_stretched_to_the_decisions_and_defaults_are_left_alone(modules):
    import algorithms_ours

    from agents import dqn

    recipe = algorithms_ours.recipe_of("dqn-recipe", 1.0, 250_000)  # of 2,500,000, a tenth
    assert recipe.hyperparams.learning_rate_steps == 250_000
    assert recipe.hyperparams.epsilon_steps == 10_000
    assert recipe.hyperparams.expected_penalty == 1.0
    assert algorithms_ours.recipe_of("dqn-recipe", 0.0, 250_000).name == "heartpole-v0-raw"
    plain = algorithms_ours.recipe_of("dqn", 0.0, 250_000)
    assert plain.config == dqn.DQNConfig()
    assert vars(plain.hyperparams) == vars(dqn.Hyperparams())
