"""The folder of a sweep: what it was begun with, and that it goes on with nothing else."""

import json

import pytest
from tiny_menu import TEA

from agents.commands.resume import Resume, resume
from agents.sweeps import study_file, study_folder
from heartpole_jax import documents
from heartpole_jax.envs import registry


def _study(env):
    return study_file.read({"env": env, "num_steps": 1_000_000, "seeds": 2}, "tiny")


def _prepare(folder, env):
    folder.mkdir(exist_ok=True)
    return study_folder.prepare(folder, _study(env), "command", 4, None)


def test_a_folder_goes_on_under_the_menu_that_it_was_begun_with_and_no_other(tmp_path):
    path = tmp_path / "tea.toml"
    path.write_text(TEA)
    env = f"HeartPole-v1:{path}"
    kept = _prepare(tmp_path / "run", env)
    assert json.loads((tmp_path / "run" / "study.json").read_text())["menu"] == registry.digest(env)
    assert study_folder.read(tmp_path / "run").study == kept.study
    path.write_text(TEA.replace("0.4", "0.5"))
    registry._MADE.clear()  # as in another process
    message = rf"^the menu {path} has changed since the sweep in {tmp_path}/run was begun; put it back as it was, or "
    for go_on in (study_folder.read, lambda folder: _prepare(folder, env)):
        with pytest.raises(ValueError, match=message):
            go_on(tmp_path / "run")
    path.write_text(TEA + "# tea\n")
    registry._MADE.clear()
    assert study_folder.read(tmp_path / "run").study == kept.study


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slice_size": 10**12}, r"slice_size must be at least 1 and below 2\^31"),
        ({"slice_size": None}, "slice_size must be a whole number"),
        ({"slice_size": 2**30}, "slices of 1,073,741,824 trials on .* GiB: begin with a smaller --slice-size"),
        ({"checkpoint_every": "x"}, "checkpoint_every must be a whole number"),
        ({"versions": []}, "has not what a study has"),
        ({"study": {}}, "space must be a list of ranges"),
        ({"schema_version": [1]}, "is of another version of this project"),
    ],
)
def test_a_study_that_somebody_made_is_refused_before_anything_is_allocated(changes, message, tmp_path):
    _prepare(tmp_path / "run", "HeartPole-v0")
    path = tmp_path / "run" / "study.json"
    documents.write(path, documents.read(path) | changes)
    with pytest.raises(ValueError, match=message):
        resume(Resume(str(tmp_path / "run")))


def test_the_folder_of_a_study_without_a_menu_of_its_own_says_nothing_of_menus(tmp_path):
    _prepare(tmp_path / "run", "HeartPole-v0")
    assert "menu" not in json.loads((tmp_path / "run" / "study.json").read_text())
