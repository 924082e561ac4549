"""What a study's trials are compared by: regrets or returns, never the one with the other."""

import math

import pytest

from agents.sweeps import objectives, study_file
from heartpole_jax.envs import registry
from heartpole_jax.envs.heartpole_v0 import EnvParams
from heartpole_jax.optimum import sober_optimum

SMALL = {"env": "HeartPole-v0", "num_steps": 1_000_000, "seeds": 2, "params": {"max_steps": 50}}


def _study(*highs, **changes):
    """Of the most that a patient wakes up with. Of 3.0 the best return is unknown: 1.3 and 2.0 have one."""
    return study_file.read(SMALL | {"space": {"wake_up_alertness_high": {"grid": list(highs)}}} | changes, "x")


def test_regret_is_compared_where_it_is_known_of_all():
    assert objectives.metric(_study(1.3, 2.0)) == "behind best known"  # in 50 decisions a coffee may pay
    assert objectives.metric(_study(1.3, 3.0, 2.0)) == "return"
    assert objectives.metric(study_file.read(SMALL, "x")) == "behind best known"
    assert objectives.metric(study_file.read(SMALL | {"params": {}}, "x")) == "regret"
    dear = {"heart_attack_penalty": {"grid": [1e3, 1e5]}}
    assert objectives.metric(study_file.read(SMALL | {"space": dear}, "x")) == "behind best known"  # the first alone
    dear = {"heart_attack_penalty": {"grid": [3e3, 1e5]}}
    assert objectives.metric(study_file.read(SMALL | {"space": dear}, "x")) == "regret"
    assert objectives.metric(study_file.read(SMALL | {"params": {"wake_up_alertness_high": 3.0}}, "x")) == "return"


def test_an_adaptive_search_is_reported_regrets_where_the_environment_that_is_not_swept_has_one():
    adaptive = {"search": "optuna", "num_configurations": 4}
    assert objectives.metric(_study(1.3, 3.0, **adaptive)) == "behind best known"
    unknown = {"max_steps": 50, "wake_up_alertness_low": 2.9, "wake_up_alertness_high": 3.0}
    assert objectives.metric(_study(3.0, 3.5, **adaptive, params=unknown)) == "return"


def test_an_environment_counts_once_whatever_else_is_swept():
    space = {
        "discount": {"grid": [0.9, 0.99]},
        "heart_attack_penalty": {"grid": [50, 100]},
        "learning_rate": {"grid": [1e-4, 1e-3]},
    }
    penalties = [{"max_steps": 50, "heart_attack_penalty": penalty} for penalty in (50.0, 100.0)]
    assert objectives.environments_of(study_file.read(SMALL | {"space": space}, "x")) == penalties
    assert objectives.environments_of(study_file.read(SMALL, "x")) == [{"max_steps": 50}]


def test_a_loss_is_a_regret_or_a_return_as_the_metric_says():
    env, known, unknown = (
        registry.make("HeartPole-v0"),
        EnvParams(max_steps=50),
        EnvParams(wake_up_alertness_high=3.0),
    )
    best = sober_optimum(known).expected_return
    assert objectives.loss(-20.0, "regret", env, known) == pytest.approx(best + 20.0)
    assert [objectives.loss(-20.0, "return", env, params) for params in (known, unknown)] == [20.0, 20.0]
    assert objectives.loss(-20.0, "regret", env, unknown) == math.inf
