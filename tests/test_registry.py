"""The environments that agents find by name."""

import hashlib
import importlib.util
import sys

import pytest
from tiny_menu import TEA

import heartpole_jax as hp
from heartpole_jax.envs import registry

needs_gymnax = pytest.mark.skipif(importlib.util.find_spec("gymnax") is None, reason="gymnax pins jax < 0.12")


def test_a_name_without_a_prefix_is_one_of_the_library():
    assert registry.make("HeartPole-v0") is hp.make("HeartPole-v0")


@needs_gymnax
def test_a_name_of_gymnax_gives_the_same_object_again():
    """An environment is hashed by its identity: another object would be compiled for again."""
    env = registry.make("gymnax:CartPole-v1")
    assert registry.make("gymnax:CartPole-v1") is env
    assert registry.make(env.name) is env
    assert (env.num_actions, env.obs_shape, env.most_steps()) == (2, (4,), 500)
    assert registry.make("gymnax:MountainCar-v0") is not env


def test_an_unknown_name_is_an_error_that_names_the_nearest():
    with pytest.raises(ValueError, match="unknown environment 'HartPole-v0'; did you mean 'HeartPole-v0'"):
        registry.make("HartPole-v0")


@needs_gymnax
def test_an_unknown_name_of_gymnax_is_an_error_that_names_the_nearest():
    with pytest.raises(ValueError, match="unknown gymnax environment 'MountainCar'; did you mean 'MountainCar-v0'"):
        registry.make("gymnax:MountainCar")


def test_without_gymnax_its_error_names_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnax", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "heartpole_jax.interop.gymnax", raising=False)
    with pytest.raises(ImportError, match=r"pip install '\.\[gymnax\]' in the clone"):
        registry.make("gymnax:Acrobot-v1")


@pytest.fixture
def menu(tmp_path):
    """Writes a menu file called so; the environment's name with it."""

    def write(name, content):
        (tmp_path / name).write_text(content)
        return f"HeartPole-v1:{tmp_path}/{name}"

    return write


def test_the_digest_of_a_menu_is_of_what_the_patient_feels(menu):
    felt = '[{"half_hours": 0, "hazard": 1.0, "name": "tea", "stimulation": [0.0, 0.4], "wakes_up": false}]'
    digest = hashlib.sha256(felt.encode()).hexdigest()
    assert registry.digest(menu("tea.toml", TEA)) == digest
    noted = TEA.replace("educated guess", "hour of reading") + 'note = "weak"\nhazard = 1  # as before\n'
    assert registry.digest(menu("noted.toml", noted)) == digest
    for changed in (TEA.replace("0.4", "0.41"), TEA.replace('"tea"', '"mate"'), TEA + "hazard = 1.5\n"):
        assert registry.digest(menu(f"{len(changed)}.toml", changed)) != digest


def test_the_rows_of_a_menu_that_is_extended_count(menu):
    alone, more = registry.digest(menu("a.toml", TEA)), 'extends = "heartpole_v0"\n' + TEA
    assert registry.digest(menu("b.toml", more)) not in (alone, None)


@pytest.mark.parametrize("name", ["HeartPole-v0", "HeartPole-v1", "HeartPole-v1:heartpole_v0", "gymnax:CartPole-v1"])
def test_where_no_menu_file_is_named_there_is_no_digest(name):
    assert registry.digest(name) is None
    registry.check_digest(name, None, "ever")


def test_a_menu_that_has_changed_is_refused_and_one_without_a_digest_is_not(menu):
    name = menu("tea.toml", TEA)
    registry.check_digest(name, registry.digest(name), "the run was begun")
    registry.check_digest(name, None, "the run was begun")
    with pytest.raises(ValueError, match=r"^the menu .*/tea\.toml has changed since the run was begun; put it back as"):
        registry.check_digest(name, "0" * 64, "the run was begun")
