"""The folder of a sweep: what it was begun with, and that it goes on with nothing else."""

import json

import pytest
from tiny_menu import TEA

from agents import environments, study, study_folder


def _study(env):
    return study.read({"env": env, "num_steps": 1_000_000, "seeds": 2}, "tiny")


def _prepare(folder, env):
    folder.mkdir(exist_ok=True)
    return study_folder.prepare(folder, _study(env), "command", 4, None)


def test_a_folder_goes_on_under_the_menu_that_it_was_begun_with_and_no_other(tmp_path):
    path = tmp_path / "tea.toml"
    path.write_text(TEA)
    env = f"HeartPole-v1:{path}"
    kept = _prepare(tmp_path / "run", env)
    assert json.loads((tmp_path / "run" / "study.json").read_text())["menu"] == environments.menu_digest(env)
    assert study_folder.read(tmp_path / "run").study == kept.study
    path.write_text(TEA.replace("0.4", "0.5"))
    environments.make.cache_clear()  # as in another process
    message = rf"^the menu {path} has changed since the sweep in {tmp_path}/run was begun; put it back as it was, or "
    for go_on in (study_folder.read, lambda folder: _prepare(folder, env)):
        with pytest.raises(ValueError, match=message):
            go_on(tmp_path / "run")
    path.write_text(TEA + "# tea\n")
    environments.make.cache_clear()
    assert study_folder.read(tmp_path / "run").study == kept.study


def test_the_folder_of_a_study_without_a_menu_of_its_own_says_nothing_of_menus(tmp_path):
    _prepare(tmp_path / "run", "HeartPole-v0")
    assert "menu" not in json.loads((tmp_path / "run" / "study.json").read_text())
