"""What is missing is reported before a run begins, and not where it is first used."""

import shlex
import sys

import pytest

from agents.__main__ import main


@pytest.mark.parametrize(
    ("command", "module", "message"),
    [
        ("train", "matplotlib", "training needs matplotlib: pip install '.[train]' in the clone"),
        ("resume x", "matplotlib", "training needs matplotlib: pip install '.[train]' in the clone"),
        ("sweep --env HeartPole-v0", "pyarrow", "a sweep needs pyarrow: pip install '.[train]' in the clone"),
        (
            "sweep --search optuna --num-configurations 4 --space discount=uniform:0.9,0.99",
            "optuna",
            "search = 'optuna' needs Optuna: pip install '.[optuna]' in the clone",
        ),
    ],
)
def test_a_missing_package_is_reported_before_anything_is_written(
    command, module, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    assert main(shlex.split(command)) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not list(tmp_path.iterdir())
