"""What README and the pages of docs/ show is run, and prints what they say."""

import contextlib
import functools
import io
import re
import shlex
import tomllib
from pathlib import Path

import compiling
import pytest

from agents import __main__ as agents_main
from heartpole_jax import __main__ as library_main

pytestmark = pytest.mark.once

REPOSITORY = Path(__file__).parent.parent
TEXTS = {
    str(page.relative_to(REPOSITORY)): page.read_text("utf-8")
    for page in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md")))
}
RUN = (
    "README.md",
    "docs/guide.md",
    "docs/own-environment.md",
)  # the pages whose commands are run, and not parsed alone


def blocks(pattern):
    """[(page, what `pattern` finds in it)]."""
    found = [
        (page, block) for page, text in TEXTS.items() for block in re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    ]
    return [pytest.param(page, block, id=f"{page}-{number}") for number, (page, block) in enumerate(found)]


PYTHON = blocks(r"^```python\n(.*?^```\n(?:\n(?:[^\n`#]+\n)+\n```\n.*?^```)?)")
COMMANDS = r"^(?: {4})?\$? ?python -m %s ((?:[^\n]*\\\n)*[^\n]+)$"


@pytest.mark.parametrize(("page", "block"), PYTHON)
def test_python_runs_and_prints_what_the_page_says(page, block, tmp_path, monkeypatch):
    code, _, after = block.partition("```\n")
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, page, "exec"), {})
    comments = [match.strip() for match in re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)]
    shown = re.search(r"^```\n(.*?)^```", after, re.MULTILINE | re.DOTALL)
    expected = comments or (shown[1].splitlines() if shown else [])
    assert [line.rstrip() for line in printed.getvalue().splitlines()] == expected


def commands(name, pages=TEXTS):
    """[(page, a command of `python -m name`)], without its comment."""
    found = {
        (page, re.sub(r"\\\n\s*", "", command).partition("  #")[0].strip())
        for page in pages
        for command in re.findall(COMMANDS % name, TEXTS[page], re.MULTILINE)
    }
    return sorted(found)


def as_parameter(page, command):
    """The long ones are what tests/test_sensitivity.py and tests/heartpole_v1 look at more closely."""
    long = command.startswith("sensitivity") or "HeartPole-v1" in command or command == "menu"
    return pytest.param(command, marks=[pytest.mark.slow] if long else [])


@pytest.mark.parametrize("command", [as_parameter(*found) for found in commands("heartpole_jax", RUN)])
def test_the_commands_of_the_first_pages_run(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with compiling.optimised() if command.startswith(("coffee", "sensitivity")) else contextlib.nullcontext():
        assert library_main.main(shlex.split(command)) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(("page", "command"), commands("heartpole_jax"))
def test_a_command_of_the_library_is_understood(page, command):
    assert callable(library_main._parser().parse_args(shlex.split(command)).command)


@pytest.mark.parametrize(("page", "command"), commands("agents"))
def test_a_command_of_the_agents_is_understood(page, command):
    options, run = agents_main._parse(shlex.split(command))
    assert callable(run)
    assert type(options).__name__.lower() == command.split()[0]


@pytest.mark.parametrize(("page", "block"), blocks(r"^```toml\n(.*?)^```"))
def test_toml_is_toml(page, block):
    assert tomllib.loads(block)


@functools.cache
def pages_of_the_site():
    """The pages in the navigation of the site, but for those of names and sources alone."""
    nav = tomllib.loads((REPOSITORY / "docs/site/zensical.toml").read_text("utf-8"))["project"]["nav"]

    def files(entry):
        if isinstance(entry, str):
            return [entry]
        return [file for value in (entry.values() if isinstance(entry, dict) else entry) for file in files(value)]

    return [file for file in files(nav) if not file.startswith(("api/", "source/", "notebooks/", "index.md"))]


@pytest.mark.parametrize("page", pages_of_the_site())
def test_every_page_of_the_site_shows_something_that_is_run(page):
    shown = [found for found in PYTHON if found.values[0] == f"docs/{page}"]
    assert shown or [found for name in ("heartpole_jax", "agents") for found in commands(name, [f"docs/{page}"])]


def test_the_pages_have_something_to_run_and_the_readme_is_short():
    assert len(PYTHON) >= 25
    assert len(commands("heartpole_jax", RUN)) >= 7
    assert len(commands("agents", ["README.md"])) >= 5
    assert len(TEXTS["README.md"].splitlines()) <= 130
