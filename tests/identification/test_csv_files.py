"""Traces from CSV files: units, gaps, any order of columns; what is wrong is named with its line."""

import math
from pathlib import Path

import numpy as np
import pytest

from heartpole_jax.identification import csv_files
from heartpole_jax.identification.__main__ import main

pytestmark = pytest.mark.once

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "patients.csv"
NOISE = ["alertness=0.05", "hypertension=0.05", "intoxication=0.002", "work_done=0.05"]
GOOD = """work_done [hours],patient,action,hypertension [mmHg above normal],intoxication [permille],heart_attack
0,ada,,0,,
0.5,ada,coffee,5.4,,0
,ada,2,,0.2,
0,ben,,,0,
1.5,ben,sleep,2.7,0.1,1
"""


def written(folder, text):
    path = folder / "patients.csv"
    path.write_text(text)
    return path


def test_columns_are_found_by_name_units_are_converted_and_blanks_are_gaps(tmp_path):
    traces = csv_files.read_csv(written(tmp_path, GOOD))
    assert list(traces) == ["ada", "ben"]
    ada, ben = traces.values()
    assert ada.actions.tolist() == [1, 2]
    assert ada.heart_attacks.tolist() == [0, -1]
    np.testing.assert_allclose(ada.work_done, [0.0, 1.0, math.nan])
    np.testing.assert_allclose(ada.hypertension, [0.0, 0.2, math.nan])
    np.testing.assert_allclose(ada.intoxication, [math.nan, math.nan, 0.02])
    assert np.isnan(ada.alertness).all()
    assert ben.actions.tolist() == [3]
    assert ben.heart_attacks.tolist() == [1]
    np.testing.assert_allclose(ben.intoxication, [0.0, 0.01])


def test_without_a_column_of_patients_there_is_one_and_empty_lines_are_none(tmp_path):
    traces = csv_files.read_csv(written(tmp_path, "\ufeffaction,alertness\n,1\n\nnothing,0.98\n,,\n".replace(",,", "")))
    assert list(traces) == ["patient"]
    assert traces["patient"].heart_attacks.tolist() == [-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("action,alertnes\n", "line 1: unknown column 'alertnes'; did you mean 'alertness'?"),
        ("action,alertness,alertness\n", "line 1 names alertness twice"),
        ("patient,action\n", "line 1 must name the columns, action and one of alertness"),
        ("alertness\n1\n", "line 1 must name the columns, action"),
        ("", "line 1 must name the columns"),
        ("action,work_done [days]\n", "line 1: the unit of work_done must be one of half-hours, hours, got 'days'"),
        ("action [h],work_done\n", "line 1: the unit of action must be none, got 'h'"),
        ("action,alertness\n", "has no rows"),
        ("action,alertness\n,1\n", "line 2: patient needs a row after each action"),
        ("action,alertness\ncoffee,1\n", "line 2: the first row of patient is before any action"),
        ("action,alertness\n,1\n,2\n", "line 3: a row after the first of patient must have an action, got none"),
        ("action,alertness\n,1\ntea,2\n", "line 3: action must be one of nothing, coffee, beer, sleep"),
        ("action,alertness\n,1\n4,2\n", "line 3: action must be .* got '4'"),
        ("action,alertness\n,1\n1,high\n", "line 3: alertness must be a number or blank, got 'high'"),
        ("action,alertness\n,1\n1,nan\n", "line 3: alertness must be a number or blank, got 'nan'"),
        ("action,alertness\n,1\n1,1,1\n", "line 3 must have 2 columns as the first line has, got 3"),
        ("action,alertness,heart_attack\n,1,\n1,1,yes\n", "line 3: heart_attack must be 1, 0 or blank"),
        ("action,alertness,patient\n,1,\n", "line 2: patient must be the patient's name, got ''"),
        ('action,alertness\n,"1\n', "is not CSV"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        csv_files.read_csv(written(tmp_path, text))


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        csv_files.read_csv(tmp_path / "no.csv")
    (tmp_path / "latin.csv").write_bytes(b"action,alertness\n\xe4")
    with pytest.raises(ValueError, match="is not UTF-8 text at byte 17"):
        csv_files.read_csv(tmp_path / "latin.csv")


def test_the_command_finds_the_parameters_that_made_the_example(capsys, tmp_path):
    """The example's patients are simulated with a decay of 0.95 and coffees of up to 0.4 (docs/identification.md)."""
    fitted = ["hypertension_decay", "coffee_hypertension_high"]
    options = ["--fit", *fitted, "--noise", *NOISE, "--params", "heart_attack_threshold=3"]
    assert main([str(EXAMPLE), *options, "--out", str(tmp_path / "fit.png")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("3 patients (ada, grace, linus), 144 decisions\n")
    for name, truth in zip(fitted, (0.95, 0.4), strict=True):
        row = next(line for line in printed.splitlines() if line.startswith(name)).split()
        assert float(row[3]) < truth < float(row[5])
        assert float(row[5]) - float(row[3]) < 0.3 * truth
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fit", "hypertension_decay"], "has alertness, and --noise does not say how exact it was"),
        (["--fit", "hypertension_decoy", "--noise", *NOISE], "hypertension_decay"),
        (
            ["--fit", "hypertension_decay", "--noise", "alertnes=1"],
            "unknown quantity in --noise 'alertnes'; did you mean",
        ),
        (["--fit", "hypertension_decay", "--noise", "alertness"], "--noise must be name=value, got 'alertness'"),
        (["--fit", "hypertension_decay", "--noise", *NOISE, "--params", "max_steps=x"], "must be a number"),
        (["--fit", "hypertension_decay", "--noise", *NOISE, "--out", "fit.xyz"], "must end in one of"),
        (["--noise", "alertness=1"], "required: --fit"),
    ],
)
def test_the_command_refuses_bad_input_in_one_line(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([str(EXAMPLE), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
