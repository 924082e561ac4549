"""The environments that agents find by name."""

import importlib.util
import sys

import pytest

import heartpole_jax as hp
from agents import environments

needs_gymnax = pytest.mark.skipif(importlib.util.find_spec("gymnax") is None, reason="gymnax pins jax < 0.12")


def test_a_name_without_a_prefix_is_one_of_the_library():
    assert environments.make("HeartPole-v0") is hp.make("HeartPole-v0")


@needs_gymnax
def test_a_name_of_gymnax_gives_the_same_object_again():
    """An environment is hashed by its identity: another object would be compiled for again."""
    env = environments.make("gymnax:CartPole-v1")
    assert environments.make("gymnax:CartPole-v1") is env
    assert environments.make(env.name) is env
    assert (env.num_actions, env.obs_shape, env.default_params.max_steps) == (2, (4,), 500)
    assert environments.make("gymnax:MountainCar-v0") is not env


def test_an_unknown_name_is_an_error_that_tells_the_nearest():
    with pytest.raises(ValueError, match="unknown environment 'HartPole-v0'; did you mean 'HeartPole-v0'"):
        environments.make("HartPole-v0")


@needs_gymnax
def test_an_unknown_name_of_gymnax_is_an_error_that_tells_the_nearest():
    with pytest.raises(ValueError, match="unknown gymnax environment 'MountainCar'; did you mean 'MountainCar-v0'"):
        environments.make("gymnax:MountainCar")


def test_without_gymnax_its_names_tell_which_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnax", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "heartpole_jax.interop.gymnax", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'heartpole-jax\[gymnax\]'"):
        environments.make("gymnax:Acrobot-v1")
