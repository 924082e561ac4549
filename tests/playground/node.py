"""Runs a few lines of JavaScript over the playground's modules, in Node.js."""

import json
import pathlib
import shutil
import subprocess

import pytest

import heartpole_jax.playground

MODULES = pathlib.Path(heartpole_jax.playground.__file__).parent
NODE = shutil.which("node")
NEEDED = pytest.mark.skipif(
    NODE is None, reason="no node on the path; install Node.js 20 or newer to hold the page's JavaScript to the Python"
)


def run(code, given=None):
    """What `code` returns, given `given` as JSON: the body of a function with all exports of all modules in reach."""
    names = ("threefry", "model", "network", "optimum", "words", "game")
    imports = "".join(f"import * as {name} from {json.dumps((MODULES / f'{name}.mjs').as_uri())};\n" for name in names)
    program = f"""{imports}
import {{ readFileSync }} from "node:fs";
const given = JSON.parse(readFileSync(0, "utf8"));
const run = () => {{ {code} }};
process.stdout.write(JSON.stringify(run()));
"""
    command = [NODE, "--input-type=module", "--eval", program]
    found = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)
