"""`report --watch`: the page follows the results of a run that goes on, and stops at its end or at Ctrl-C."""

import json

import pytest

from agents.__main__ import main
from agents.commands import report
from agents.runs import records, run_folder
from heartpole_jax import documents

CONFIG = {"env": "HeartPole-v0", "recipe": "heartpole-v0", "seed": 3, "num_steps": 300, "evaluation_episodes": 16}
REFRESH = '<meta http-equiv="refresh" content="5">'


def _records(number):
    return [
        {"env_steps": 100 * (i + 1), "loss": 1.0, "episode_return": -150.5, "epsilon": 0.5, "learning_rate": 0.001,
         "greedy_return": -125.0 - i, "regret": 1.5 + i, "certified": 1.0}
        for i in range(number)
    ]  # fmt: skip


def _progress(folder, number):
    (folder / "metrics.jsonl").write_bytes(records.encode_all(_records(number), records.origin(CONFIG))[0])


def _finish(folder):
    row = {"policy": folder.name, "num_episodes": 64, "expected_return": -126.0, "certified": True, "regret": 2.7,
           "expected_return_standard_error": 0.1, "regret_standard_error": 0.1}  # fmt: skip
    run_folder.write_evaluation(folder, {"evaluated": folder.name, "best_known_return": -123.3, "policies": [row]})


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    documents.write(folder / "config.json", CONFIG)
    _progress(folder, 1)
    return folder


def _steps(text):
    return next(f"{number} of 300" for number in (300, 200, 100) if f"{number} of 300" in text)


def test_the_page_is_written_again_whenever_there_are_results_until_the_run_is_finished(run, capsys):
    pages, events = [], [lambda: None, lambda: _progress(run, 2), lambda: (_progress(run, 3), _finish(run))]

    def sleep(seconds):
        assert seconds >= 5
        pages.append((run / "report.html").read_text())
        events.pop(0)()

    assert report.watch(run, sleep=sleep) == run / "report.html"
    assert [_steps(page) for page in pages] == ["100 of 300", "100 of 300", "200 of 300"]
    assert all(REFRESH in page for page in pages)
    last = (run / "report.html").read_text()
    assert "300 of 300" in last
    assert "refresh" not in last
    out = capsys.readouterr().out.splitlines()
    assert out == [
        f"written: {run}/report.html", f"written again: {run}/report.html", f"written again: {run}/report.html",
        "the run is finished",
    ]  # fmt: skip


def test_ctrl_c_ends_it_with_a_page_that_no_longer_loads_itself(run, capsys):
    def sleep(_):
        assert REFRESH in (run / "report.html").read_text()
        raise KeyboardInterrupt

    report.watch(run, sleep=sleep)
    assert "refresh" not in (run / "report.html").read_text()
    assert "no longer watched; the page stays as it is" in capsys.readouterr().err


def test_a_file_that_is_damaged_for_a_moment_leaves_the_page_as_it_is(run, capsys):
    page = []

    def tear():
        lines = (run / "metrics.jsonl").read_text().splitlines()
        (run / "metrics.jsonl").write_text(json.dumps(json.loads(lines[0]) | {"loss": 7}) + "\n")

    events = [tear, lambda: None, lambda: (_progress(run, 3), _finish(run))]

    def sleep(_):
        page.append((run / "report.html").read_bytes())
        events.pop(0)()

    report.watch(run, sleep=sleep)
    assert page[0] == page[1] == page[2]
    printed = capsys.readouterr()
    assert printed.err.count("not written: ") == 1
    assert "metrics.jsonl is damaged: line 1" in printed.err
    assert printed.out.endswith("the run is finished\n")


def test_a_finished_run_is_written_once(run, capsys):
    _progress(run, 3)
    _finish(run)
    assert main(["report", str(run), "--watch"]) == 0
    assert capsys.readouterr().out == f"written: {run}/report.html\nthe run is finished\n"


def test_what_is_no_run_is_refused_as_without_watching(tmp_path, capsys):
    assert main(["report", str(tmp_path), "--watch"]) == 2
    assert "is no run" in capsys.readouterr().err
