"""The page about a run: well-formed, by itself, harmless, and with the numbers in it."""

import base64
import csv
import dataclasses
import html.parser
import importlib.util
import io
import re
import sys

import jinja2
import numpy as np
import pytest
import synthetic_sweep
from synthetic_sweep import SUMMARY, trial

from agents.__main__ import main
from agents.commands import report
from agents.reports import html_page
from agents.runs import records, run_folder
from agents.sweeps import result_files, result_text, results
from heartpole_jax import documents

VOID = {"meta", "img", "br", "link", "source"}
HAS_IMPORTANCE = importlib.util.find_spec("sklearn") is not None
EVIL = "<script>alert('&\"')</script>{{ 7 * 7 }}{% raw %}"
RATE = "hyperparams.learning_rate"
RECORD = {
    "env_steps": 4096, "num_updates": 256.0, "loss": 1.25, "q_value": -3.0, "grad_norm": 2.0, "num_episodes": 4.0,
    "episode_return": -150.5, "epsilon": 0.5, "learning_rate": 0.001, "greedy_return": -125.0, "regret": 1.6957,
    "certified": 1.0,
    "seconds": 2.0, "steps_per_second": 123456.7,
}  # fmt: skip
CONFIG = {
    "env": "HeartPole-v0", "recipe": "heartpole-v0", "seed": 3, "num_steps": 8192, "keep": "last",
    "evaluation_episodes": 16,
    "config": {"hidden_sizes": [64, 64]}, "hyperparams": {"learning_rate": 0.001}, "versions": {"jax": "0.10.2"},
    "command": "python -m agents train --seed 3",
}  # fmt: skip


class Page(html.parser.HTMLParser):
    """A page taken apart: every tag that is opened is closed, in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def addresses(self) -> list[str]:
        return [
            own[name] for _, own in self.tags for name in ("src", "href", "srcset", "data", "action") if name in own
        ]


def _sweep(folder, trials, summary=SUMMARY):
    folder.mkdir(exist_ok=True)
    (folder / "study.json").write_text("{}")
    result_files.write(folder, trials, summary)
    return folder


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = _sweep(tmp_path_factory.mktemp("runs") / "sweep", synthetic_sweep.trials(24, num_seeds=4))
    (folder / "best.toml").write_text("")
    (folder / "best" / "seed-0").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def page(sweep):
    return Page(report.write(sweep).read_text())


def test_the_page_of_a_sweep_has_the_answer_first(sweep, page):
    best = results.rank(result_files.read(sweep)[0])[0]
    number = result_text.number_text(best.interquartile_mean.value)
    assert page.text.index(f"The best of 24 is configuration {best.index}") < page.text.index(
        "The configurations in order"
    )
    _, answer = page.text.split("The best of 24 is", 1)
    low, high = map(result_text.number_text, best.interquartile_mean[1:])
    assert f"Regret {number} 95 % interval {low} to {high}" in answer
    assert f"python -m agents train --recipe {sweep}/best.toml python -m agents evaluate {sweep}/best/seed-0" in answer
    optimum = -123.304
    assert (
        f"expected return of {optimum - best.interquartile_mean.value:.3f}; the best known policy has -123.304"
        in answer
    )


def test_the_page_has_all_its_parts_in_order_and_its_numbers_explained(page):
    parts = ["The configurations in order", "What each value does", "All names together", "Learning curves",
             "Trials that diverged or were stopped", "How it was run"]  # fmt: skip
    assert [tag for tag, _ in page.tags if tag in ("h1", "h2", "h3")] == ["h1"] + 7 * ["h2"]
    assert [page.text.index(part) for part in parts] == sorted(page.text.index(part) for part in parts)
    assert "Regret is what a policy's expected return lacks of the optimum's, so 0 is optimal" in page.text
    for text in ("python -m agents sweep study.toml", "jax 0.10.2", "slice size 16", "seconds 1,234.5"):
        assert text in page.text


def test_the_page_needs_nothing_else_and_links_only_files_that_are_there(sweep, page):
    assert "script" not in {tag for tag, _ in page.tags}
    assert "link" not in {tag for tag, _ in page.tags}
    for address in page.addresses():
        held = ("data:image/svg+xml;base64,", "data:text/csv;charset=utf-8;base64,")
        assert address.startswith(held) or (sweep / address).exists()
    (css,) = re.findall(r"<style>(.*?)</style>", (sweep / "report.html").read_text(), re.S)
    assert "url(" not in css
    assert "@import" not in css


def test_the_csv_of_a_sweep_has_the_curves_of_the_best_as_its_files_have_them(sweep, page):
    (link,) = [own for tag, own in page.tags if tag == "a" and "download" in own]
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(link["href"].split(",")[1]).decode())))
    trials = result_files.read(sweep)[0]
    best = [configuration.index for configuration in results.rank(trials)[:4]]
    assert {int(row["configuration"]) for row in rows} == set(best)
    for own in trials:
        if own.configuration in best:
            found = [
                row for row in rows if (int(row["configuration"]), int(row["seed"])) == (own.configuration, own.seed)
            ]
            for name in ("env_steps", *results.CURVES):
                values = [float(row[name] or "nan") for row in found]
                np.testing.assert_array_equal(values, own.curve[name], err_msg=name)


def test_the_table_of_configurations_is_that_of_the_files(sweep, page):
    cells = [" ".join(text.split()) for text in page.texts if text.strip()]
    first = cells.index("steps", cells.index("The configurations in order")) + 1
    ranked = results.rank(result_files.read(sweep)[0])
    width = 3 + 1 + 4 + 2  # rank, three numbers, four names, seeds and steps
    for place, one in enumerate(ranked[:20]):
        row = cells[first + place * width : first + (place + 1) * width]
        assert row[:4] == [
            str(place + 1),
            result_text.interval_text(one.interquartile_mean),
            result_text.number_text(one.median.value),
            result_text.number_text(one.worst.value),
        ]
        assert row[4:8] == [result_text.value_text(one.values[name]) for name in SUMMARY.swept]


def test_without_scikit_learn_the_page_says_how_to_get_the_importance(sweep, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    found = Page(report.write(sweep, tmp_path / "page.html").read_text())
    line = "Parameter importance needs Optuna and scikit-learn: pip install '.[optuna]' in the clone."
    assert found.text.count(line) == 1
    assert "fANOVA" not in found.text
    assert len([tag for tag, _ in found.tags if tag == "img"]) == 4 + 4 + 1 + 1


def test_of_more_configurations_than_rows_the_rest_is_named_with_its_file(page):
    assert "Regret over seeds, the best 20 of 24; the others are in configurations.csv" in page.text


def test_every_figure_has_a_text_in_its_place_and_every_table_headers(page):
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    # Swept names, best configurations, overview, parallel coordinates, importance.
    assert len(pictures) == 4 + 4 + 1 + 1 + HAS_IMPORTANCE
    assert all(len(attributes["alt"]) > 20 for attributes in pictures)
    assert all(attributes["scope"] in ("col", "row") for tag, attributes in page.tags if tag == "th")
    assert ("html", {"lang": "en"}) in page.tags


def test_names_and_values_are_escaped_and_are_no_templates(tmp_path):
    summary = dataclasses.replace(
        SUMMARY, name=EVIL, env=EVIL, swept=(EVIL,), info={EVIL: EVIL, "versions": {EVIL: EVIL}}
    )
    trials = [trial(i, s, 1.0 + i, values={EVIL: EVIL + str(i)}) for i in range(3) for s in range(2)]
    text = report.write(_sweep(tmp_path / "run", trials, summary)).read_text()
    assert "<script" not in text
    assert Page(text).text.count(EVIL) > 10


def test_so_are_those_of_a_training_run(tmp_path):
    folder = tmp_path / EVIL.replace("/", "")
    folder.mkdir()
    names = {"env": EVIL, "recipe": EVIL, "seed": EVIL, "config": {EVIL: EVIL}, "versions": {EVIL: EVIL}}
    config = CONFIG | names | {"num_steps": 4096}
    documents.write(folder / "config.json", config)
    (folder / "metrics.jsonl").write_bytes(records.encode_all([RECORD], records.origin(config))[0])
    run_folder.write_evaluation(folder, {"evaluated": EVIL, "best_known_return": None, "policies": [_row(EVIL, 0.5)]})
    text = report.write(folder).read_text()
    assert "<script" not in text
    assert Page(text).text.count(EVIL) > 8


@pytest.mark.parametrize("path", sorted(html_page.TEMPLATES.glob("*.*")), ids=lambda path: path.name)
def test_no_template_takes_a_text_as_html_or_loads_anything(path):
    for word in ("safe", "Markup", "autoescape", "<script", "<link", "http:", "https:", "url(", "@import"):
        assert word not in path.read_text()


def test_what_a_template_asks_for_and_is_not_given_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="'name' is undefined"):
        html_page.render("run.html", refresh=None)


def test_diverged_trials_are_reported_with_their_values(tmp_path):
    trials = [*(trial(0, s, 0.2) for s in range(2)), trial(1, 0, 0.1, "diverged", diverged_at=50), trial(1, 1, 0.1)]
    summary = dataclasses.replace(SUMMARY, swept=(RATE,))
    text = Page(report.write(_sweep(tmp_path / "run", trials, summary)).read_text()).text
    assert "The best of 2 is configuration 0" in text
    assert "Of 4 trials: 3 finished, 0 stopped early by halving, 1 diverged." in text
    assert "configuration seed at step learning_rate 1 0 50 0.002" in text


def test_a_sweep_without_a_best_says_so(tmp_path):
    summary = dataclasses.replace(SUMMARY, swept=(RATE,))
    folder = _sweep(tmp_path / "run", [trial(0, 0, np.nan, "diverged", diverged_at=0)], summary)
    text = Page(report.write(folder).read_text()).text
    assert "There is no best configuration" in text
    assert "Of 1 trial: 0 finished, 0 stopped early by halving, 1 diverged." in text


def test_where_no_best_return_is_known_the_page_shows_mean_returns(tmp_path):
    folder = _sweep(tmp_path / "run", synthetic_sweep.trials(8, num_seeds=3, regret=False))
    text = Page(report.write(folder).read_text()).text
    assert "Mean return -123." in text
    assert "optimal" not in text


def test_the_same_results_make_the_same_page(tmp_path):
    folder = _sweep(tmp_path / "run", synthetic_sweep.trials(6, num_seeds=2))
    first = report.write(folder).read_bytes()
    assert report.write(folder, tmp_path / "again.html").read_bytes().replace(b'"./run/', b'"./') == first


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "a<b"
    folder.mkdir()
    documents.write(folder / "config.json", CONFIG)
    written = [RECORD, RECORD | {"env_steps": 8192, "regret": 0.5, "loss": None}]
    lines, _ = records.encode_all(written, records.origin(CONFIG))
    (folder / "metrics.jsonl").write_bytes(lines)
    return folder


def _row(name, regret):
    numbers = {"expected_return": -123.3 - regret, "regret": regret, "score": 0.3, "heart_attacks": 1.2,
               "excess_heart_attacks": 0.0, "drinks_a_day": 0.25, "share_asleep": 0.5, "behind_first": 0.0}  # fmt: skip
    return (
        {"policy": name, "num_episodes": 65536, "certified": True}
        | numbers
        | {f"{name}_standard_error": 0.0001 for name in numbers}
    )


def test_the_page_of_a_training_run_has_its_regret_and_its_place(run):
    rows = [_row("optimal", 0.0), _row("a<b", 0.0162)]
    evaluation = {"evaluated": "a<b", "best_known_return": -123.304, "policies": rows}
    run_folder.write_evaluation(run, evaluation)
    found = Page(report.write(run).read_text())
    assert "Regret 0.01620 ± 0.00010 0 is optimal" in found.text
    assert "a<b (this one)" in found.text
    assert "It is certified: no policy has more than the best known return." in found.text
    assert f"python -m agents evaluate '{run}'" in found.text
    assert "recipe heartpole-v0, seed 3, 8,192 of 8,192 steps" in found.text
    for text in ("hidden_sizes [64, 64]", "learning_rate 0.001", "python -m agents train --seed 3"):
        assert text in found.text
    assert all(address.startswith("data:") or (run / address).exists() for address in found.addresses())


def test_the_page_of_a_training_run_elsewhere_has_the_expected_return_alone(run):
    row = {
        "policy": "a<b",
        "num_episodes": 1024,
        "expected_return": 498.5,
        "certified": False,
        "expected_return_standard_error": 0.25,
    }
    run_folder.write_evaluation(run, {"evaluated": "a<b", "policies": [row]})
    text = Page(report.write(run).read_text()).text
    assert "Expected return 498.50 ± 0.25" in text
    assert "Regret 0" not in text


def test_the_page_of_a_run_whose_menu_cannot_be_solved_says_that_regret_is_unknown(run):
    row = {"policy": run.name, "num_episodes": 128, "expected_return": 512.5, "expected_return_standard_error": 0.25,
           "certified": False, "work_done": 700.0, "heart_attacks": 2.0, "decisions": 720.0}  # fmt: skip
    run_folder.write_evaluation(run, {"evaluated": run.name, "best_known_return": None, "policies": [row]})
    found = Page(report.write(run).read_text())
    assert "Behind best known unknown no best return is known" in found.text
    assert "certified" not in found.text
    assert "Expected return 512.50 ± 0.25" in found.text


@pytest.mark.parametrize(
    ("without", "missing"),
    [("num_episodes", "num_episodes"), ("evaluated", "evaluated"), ("policies", "policies")],
)
def test_an_evaluation_that_lacks_something_is_named_with_it(run, without, missing):
    row = {name: value for name, value in _row(run.name, 0.5).items() if name != without}
    evaluation = {"evaluated": run.name, "policies": [_row("optimal", 0.0), row]}
    run_folder.write_evaluation(run, {name: value for name, value in evaluation.items() if name != without})
    with pytest.raises(ValueError, match=f"a<b has not what a run has written: '{missing}' is missing"):
        report.write(run)


def test_an_unfinished_training_run_is_reported_to_be_one(run):
    text = Page(report.write(run).read_text()).text
    assert "It is unfinished, and its policy not evaluated yet." in text
    assert "The policy is saved when the run is finished." in text


def test_a_finished_run_without_its_policy_says_what_is_missing_and_shows_all_else(run):
    evaluation = {"evaluated": "a<b", "best_known_return": -123.304, "policies": [_row("a<b", 0.0162)]}
    run_folder.write_evaluation(run, evaluation)
    found = Page(report.write(run).read_text())
    assert f"There are no pictures of the policy: no saved policy in {run}: policy.json is missing; name" in found.text
    assert len([tag for tag, _ in found.tags if tag == "img"]) == 4  # return, regret, loss, schedules


def test_the_curve_of_a_run_is_there_as_csv(run):
    found = Page(report.write(run).read_text())
    (link,) = [own for tag, own in found.tags if tag == "a" and "download" in own]
    assert link["download"] == "a<b-curve.csv"
    lines = base64.b64decode(link["href"].split(",")[1]).decode().splitlines()
    assert lines[0].split(",")[:3] == ["env_steps", "certified", "episode_return"]
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    assert [(row["env_steps"], row["regret"], row["loss"]) for row in rows] == [
        ("4096", "1.6957", "1.25"), ("8192", "0.5", ""),
    ]  # fmt: skip


def test_every_cell_of_a_table_has_its_columns_name_for_the_cards_of_a_phone(page):
    cells = [own for tag, own in page.tags if tag == "td" and "data-name" in own]
    names = ["interquartile mean [95 %]", "median", "worst", "learning_rate", "discount", "hidden_sizes", "double_q",
             "seeds", "steps"]  # fmt: skip
    assert [own["data-name"] for own in cells[: len(names)]] == names


@pytest.mark.parametrize("number", [1, 6, 14])
def test_a_study_has_a_picture_and_a_column_for_each_of_any_number_of_names(number, tmp_path):
    swept = tuple(f"hyperparams.name_{i}" for i in range(number))
    trials = [
        trial(i, s, 1.0 + i, values={name: 0.001 * (i + j) for j, name in enumerate(swept)})
        for i in range(9)
        for s in range(2)
    ]
    summary = dataclasses.replace(SUMMARY, swept=swept, log_scaled=frozenset())
    found = Page(report.write(_sweep(tmp_path / "run", trials, summary)).read_text())
    names = [own["data-name"] for tag, own in found.tags if tag == "td" and "data-name" in own][: 3 + number + 2]
    assert names[3:-2] == [f"name_{i}" for i in range(number)]
    figures = number + 4 + 1 + (1 + HAS_IMPORTANCE if number > 1 else 0)
    assert len([tag for tag, _ in found.tags if tag == "img"]) == figures


def test_the_command_writes_the_page_where_it_is_reported(sweep, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["report", str(sweep), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"written: {out}\n"
    for address in Page(out.read_text()).addresses():
        assert address.startswith("data:") or (out.parent / address).resolve().exists()


def test_what_is_no_run_or_has_no_results_is_an_error(tmp_path, capsys):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "study.json").write_text("{}")
    (tmp_path / "train").mkdir()
    documents.write(tmp_path / "train" / "config.json", CONFIG)
    (tmp_path / "odd").mkdir()
    odd: dict = {"num_steps": []}
    documents.write(tmp_path / "odd" / "config.json", odd)
    (tmp_path / "odd" / "metrics.jsonl").write_bytes(records.encode_all([RECORD], records.origin(odd))[0])
    for folder, message in (
        ("", "is no run: it has neither config.json nor study.json; name a run's folder"),
        ("nowhere", "nowhere is no folder; name the folder of a run, as in runs/"),
        ("sweep", "sweep/study.json is damaged: it has no checksum, and was written with one; restore it from a"),
        ("train", "train has no results yet: no chunk is finished; go on with `python -m agents resume"),
        ("odd", "odd has not what a run has written: 'env' is missing"),
    ):
        assert main(["report", str(tmp_path / folder)]) == 2
        assert f"{message}" in capsys.readouterr().err
        assert not (tmp_path / folder / "report.html").exists()
