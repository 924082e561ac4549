"""Curves as CSV: every number of the results, and nothing where there is none."""

import csv
import io

import numpy as np
from synthetic_sweep import trial

from agents.reports import curve_table
from agents.sweeps.results import CURVES


def test_a_run_has_a_line_for_each_record_with_all_of_its_numbers():
    records = [{"env_steps": 64, "loss": 0.1 + 0.2, "regret": None}, {"env_steps": 128, "loss": 1e-9, "regret": 2.5}]
    assert curve_table.of_run(records) == ("env_steps,loss,regret\n64,0.30000000000000004,\n128,1e-09,2.5\n")


def test_trials_have_a_line_for_each_evaluation():
    first = trial(3, 7, 0.25)
    first.curve["loss"][1] = np.nan
    rows = list(csv.DictReader(io.StringIO(curve_table.of_trials([first, trial(3, 8, 0.5)]))))
    assert list(rows[0]) == ["configuration", "seed", "env_steps", *CURVES]
    assert [(row["configuration"], row["seed"], row["env_steps"], row["regret"]) for row in rows] == [
        ("3", "7", "50", "0.5"), ("3", "7", "100", "0.25"), ("3", "8", "50", "1.0"), ("3", "8", "100", "0.5"),
    ]  # fmt: skip
    assert [row["loss"] for row in rows][:2] == ["0.5", ""]
