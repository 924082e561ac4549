"""The tests of tests/playground/test_playground_model.py once more, in Chromium and not in Node.js."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "playground"))
import node
from test_playground_model import *  # noqa: F403

import heartpole_jax.playground as playground

pytestmark = []  # not those of the tests that need Node.js
_NAMES = ("threefry", "model", "network", "optimum", "words", "game")


@pytest.fixture(autouse=True)
def in_chromium(chromium, monkeypatch):
    page = chromium.new_page()
    exported = re.compile(r"^export (?:const|function\*?) (?:\{)?(\w+)", re.MULTILINE)
    spaces = {name: exported.findall((playground.FOLDER / f"{name}.mjs").read_text("utf-8")) for name in _NAMES}
    objects = "".join(f"const {name} = {{ {', '.join(names)} }};\n" for name, names in spaces.items())

    def run(code, given=None):
        inner = f"((given, {', '.join(_NAMES)}) => {{ {code} }})(given, {', '.join(f'_{name}' for name in _NAMES)})"
        renamed = re.sub(r"^const (\w+) =", r"const _\1 =", objects, flags=re.MULTILINE)
        return page.evaluate(f"(given) => {{ {playground.script(_NAMES)}\n{renamed} return {inner}; }}", given)

    monkeypatch.setattr(node, "run", run)
    yield
    page.close()
