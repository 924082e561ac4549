"""Derivatives with respect to a menu's doses and hazards: against differences of the same episodes, and each other."""

import dataclasses

import jax
import numpy as np
import pytest

import heartpole_jax as hp
from heartpole_jax import gradients
from heartpole_jax.policies import heartpole_v1 as policies_v1

ENV = hp.make("HeartPole-v1")
# Heart attacks in plenty, and doses that matter to the next one.
PARAMS = dataclasses.replace(ENV.default_params, heart_attack_threshold=1.0)
NAMES = ["menu.coffee.hypertension", "menu.coffee.hazard", "hypertension_decay"]


def found(estimate=gradients.estimate, wrt=NAMES, num_episodes=32, **options):
    policy = policies_v1.always("coffee")
    return estimate(
        "return", jax.random.key(0), PARAMS, policy=policy, wrt=wrt, env=ENV, num_steps=4, num_episodes=num_episodes,
        **options,
    ).gradient  # fmt: skip


def test_the_marginal_is_its_own_central_difference(x64):
    exact, differences = found(estimator="marginal").mean, found(gradients.finite_differences, relative_step=1e-4).mean
    assert set(exact) == set(NAMES)
    assert len(exact["menu.coffee.hypertension"]) == 2  # of the lowest dose and of the highest
    for one, other in zip(jax.tree.leaves(exact), jax.tree.leaves(differences), strict=True):
        assert abs(one) > 1
        np.testing.assert_allclose(one, other, rtol=1e-6)
    whole = found(wrt="menu", estimator="marginal").mean["menu"]
    assert type(whole) is hp.make("HeartPole-v1").default_params.menu.__class__
    coffee = whole.actions[1]
    np.testing.assert_allclose(coffee.hypertension, exact["menu.coffee.hypertension"], rtol=1e-12)
    np.testing.assert_allclose(coffee.hazard, exact["menu.coffee.hazard"], rtol=1e-12)
    assert coffee.impairment is None
    assert whole.actions[2].hazard == 0  # never taken


@pytest.mark.parametrize("estimator", ["hybrid", "branch"])
def test_the_unbiased_ones_agree(estimator):
    one, other = found(estimator=estimator, num_episodes=2048), found(estimator="marginal", num_episodes=2048)
    for x, y, error, other_error in zip(
        *(jax.tree.leaves(part) for part in (one.mean, other.mean, one.standard_error, other.standard_error)),
        strict=True,
    ):
        assert abs(x - y) < 4.5 * np.hypot(error, other_error)


@pytest.mark.parametrize(
    ("wrt", "message"),
    [
        ("menu.coffe.hazard", "did you mean 'menu.coffee.hazard'"),
        ("menu.coffee.impairment", "unknown parameter 'menu.coffee.impairment'"),
        (["menu", "menu.coffee.hazard"], "wrt names the menu and 'menu.coffee.hazard', a part of it"),
    ],
)
def test_what_a_menu_has_not_is_refused(wrt, message):
    with pytest.raises(ValueError, match=message):
        found(wrt=wrt)


def test_a_version_without_a_menu_says_so():
    with pytest.raises(ValueError, match="unknown parameter 'menu'"):
        gradients.estimate("return", jax.random.key(0), policy=hp.policies.always(1), wrt="menu")
