"""The claims of the examples of control in small: one gradient leads to sleep, one past it, one nowhere."""

import dataclasses
import importlib.util
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from heartpole_jax import evaluation, gradients

pytestmark = pytest.mark.slow


def example(name):
    """examples/{name}.py as a module."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent.parent / f"examples/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def control():
    return example("optimal_control")


@pytest.fixture(scope="module")
def regret(control):
    """weights -> the regret in whole episodes of the policy that draws its actions."""
    drawn = gradients.SoftPolicy(control.logits).policy()

    def evaluate(weights):
        policy = dataclasses.replace(drawn, params=jnp.asarray(weights, jnp.result_type(float)))
        return evaluation.evaluate(policy, jax.random.key(1), num_episodes=512).regret

    return evaluate


def test_the_unbiased_gradient_alone_leads_from_twelve_drinks_a_day_to_sleep_and_hardly_any_regret(control, regret):
    weights = control.improve(
        "hybrid", control.minus_regret(), jax.random.key(0), num_updates=240, num_episodes=64, num_steps=48
    )
    before, after = regret(jnp.zeros(4)), regret(weights)
    assert before.mean > 400
    # It is the alertness that does it: who never drinks and sleeps by chance alone has 0.139 at best.
    assert after.mean + 3 * after.standard_error < 0.02
    assert weights[2] < -10
    assert weights[3] < -10


def test_the_relaxed_gradient_leads_to_bed_earlier_where_later_is_better(control, regret):
    threshold = 0.5
    weights = jnp.array([3.5, threshold, -14.0, -14.0])
    found = gradients.estimate(
        control.minus_regret(), jax.random.key(2), policy=gradients.SoftPolicy(control.logits, weights), wrt="policy",
        estimator="relaxed", num_episodes=64, num_steps=64, control_variates=False,
    )  # fmt: skip
    assert found.gradient.mean["policy"][1] > 8 * found.gradient.standard_error["policy"][1]
    here, earlier_to_bed = regret(weights), regret(weights.at[1].set(threshold + 0.05))
    assert earlier_to_bed.mean - here.mean > 4 * math.hypot(here.standard_error, earlier_to_bed.standard_error)


def test_a_plain_gradient_of_a_policy_that_draws_is_nothing_at_all(control):
    weights = control.improve(
        "pathwise", control.minus_regret(), jax.random.key(3), num_updates=2, num_episodes=32, num_steps=16
    )
    assert weights.tolist() == [0.0, 0.0, 0.0, 0.0]


def test_on_heartpole_v1_too_a_plain_gradient_leaves_the_script_as_it_is():
    control = example("optimal_control_v1")
    weights = control.improve("pathwise", jax.random.key(0), num_updates=1, num_episodes=2)
    assert weights.tolist() == [*control.THRESHOLDS.tolist(), 0.0, 0.0, 0.0, 0.0]
