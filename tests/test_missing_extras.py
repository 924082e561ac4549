"""What importing brings along, and what it says where an extra is missing: all of it found in one fresh process."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.once

# Package: modules that need it, how their message begins, the extra that it names.
NEEDED = {
    "gymnasium": (("interop.gymnasium", "interop.tutorial"), "this needs Gymnasium: ", "gym"),
    "gymnax": (("interop.gymnax",), "gymnax's environments need gymnax: ", "gymnax"),
    "gymnax.": (("interop.to_gymnax", "interop.to_gymnax_legacy"), "to_gymnax needs gymnax: ", "gymnax"),
    "stable_baselines3": (("interop.stable_baselines3",), "this needs Stable-Baselines3: ", "sb3"),
    "brax": (("interop.brax",), "to_brax needs brax: ", "brax"),
    "stoa": (("interop.stoa",), "to_stoa needs stoa: ", "stoa"),
    "minari": (("interop.minari",), "datasets need Minari: ", "minari"),
    "matplotlib": (("drawing.charts.curves", "drawing.charts.strip_chart"), "drawing needs matplotlib: ", "plot"),
    "PIL": (("drawing.frames.frame",), "drawing frames needs Pillow: ", "render"),
    "pygame": (("drawing.frames.window",), "a window needs pygame: ", "render"),
}
CODE = """
import json, os, sys
import heartpole_jax, heartpole_jax.drawing, heartpole_jax.interop
needed = json.loads(sys.argv[1])
found = {"brought": [package for package in needed if package in sys.modules], "messages": {}}
for package, modules in needed.items():
    sys.modules[package] = None  # as if it were not installed
    for module in modules:
        try:
            __import__(f"heartpole_jax.{module}")
        except ImportError as error:
            found["messages"][module] = str(error)
    del sys.modules[package]

os.environ.pop("PYGAME_HIDE_SUPPORT_PROMPT", None)  # Gymnasium sets it too
from heartpole_jax.drawing.charts import curves, strip_chart
from heartpole_jax.drawing.frames import window
curves.overview_figure()
found["pygame"] = "pygame" in sys.modules
found["pyplot"] = "matplotlib.pyplot" in sys.modules
import gymnasium, heartpole_jax.interop.tutorial
found["registered"] = sorted(name for name in gymnasium.registry if "HeartPole" in name)
env = gymnasium.make("heartpole_jax:HeartPole-v0", max_steps=2)
found["made"] = [list(env.reset(seed=0)[0].shape), type(env.unwrapped).__module__]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(warnings_raise):
    """What the process found; whatever else it prints, as pygame's greeting, is an error."""
    needed = {}
    for package, (modules, *_) in NEEDED.items():
        needed.setdefault(package.rstrip("."), []).extend(modules)
    done = subprocess.run(
        [sys.executable, *warnings_raise, "-c", CODE, json.dumps(needed)], capture_output=True, text=True, timeout=300,
        env=os.environ | {"SDL_VIDEODRIVER": "dummy"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_importing_the_library_brings_no_extra(found):
    assert found["brought"] == []


@pytest.mark.parametrize("package", NEEDED)
def test_where_a_package_is_missing_the_error_names_its_extra(package, found):
    modules, beginning, extra = NEEDED[package]
    for module in modules:
        assert found["messages"][module].startswith(beginning)
        assert f"[{extra}]'" in found["messages"][module]


def test_drawing_leaves_pyplot_alone_and_the_window_silences_the_greeting_of_pygame(found):
    assert (found["pyplot"], found["pygame"]) == (False, True)


def test_one_string_makes_an_environment_of_gymnasiums(found):
    assert found["made"] == [[6], "heartpole_jax.interop.gymnasium.env"]


def test_gymnasium_knows_both_versions_though_it_was_imported_after_the_library(found):
    assert found["registered"] == ["HeartPole-v0", "HeartPole-v1"]
