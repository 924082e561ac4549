"""What the README, the guide and the page on gradients show is run, and prints what they say."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import compiling
import pytest

from agents import __main__ as agents_main
from heartpole_jax.__main__ import main

pytestmark = pytest.mark.once

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text()
GUIDE, GRADIENTS, OWN = (
    (REPOSITORY / "docs" / name).read_text() for name in ("guide.md", "gradients.md", "own-environment.md")
)
PYTHON = re.findall(r"```python\n(.*?)```", README + GUIDE + GRADIENTS + OWN, re.DOTALL)
COMMANDS = re.findall(r"^\$? ?python -m heartpole_jax (.+?)(?:  #.*)?$", README + GUIDE + OWN, re.MULTILINE)


@pytest.mark.parametrize("block", PYTHON)
def test_their_python_runs_and_prints_what_it_says(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block, "page", "exec"), {})
    expected = [match.strip() for match in re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)]
    assert printed.getvalue().splitlines() == expected


def as_parameter(command):
    """The long ones are what tests/test_sensitivity.py and tests/heartpole_v1 look at more closely."""
    long = command.startswith("sensitivity") or "HeartPole-v1" in command or command == "menu"
    return pytest.param(command, marks=[pytest.mark.slow] if long else [])


@pytest.mark.parametrize("command", [as_parameter(command) for command in COMMANDS])
def test_the_commands_of_the_readme_run(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with compiling.optimised() if command.startswith(("coffee", "sensitivity")) else contextlib.nullcontext():
        assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", re.findall(r"^python -m agents (.+?)(?:  +#.*)?$", README, re.MULTILINE))
def test_the_agents_commands_of_the_readme_are_understood(command):
    options, run = agents_main._parse(shlex.split(command))
    assert callable(run)
    assert type(options).__name__.lower() == command.split()[0]


def test_the_pages_have_something_to_run_and_the_readme_is_short():
    assert len(PYTHON) >= 8
    assert len(COMMANDS) >= 7
    assert len(README.splitlines()) <= 130
