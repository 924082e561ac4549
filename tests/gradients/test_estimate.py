"""What `estimate` takes and refuses, and that it is a function as others: jit, vmap, blocks, the noise of `rollout`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax import EnvParams, gradients, make, policies, rollout
from heartpole_jax.gradients import Doses, SoftPolicy, objectives

pytestmark = pytest.mark.once

KEY = jax.random.key(7)
COFFEE = policies.always(1)
PARAMS = EnvParams(max_steps=4)


def all_seeing(weights, carry, obs):
    return weights * obs[:4], carry


SOFT = SoftPolicy(all_seeing, jnp.ones(4))
SAME_DOSES = np.full((4, 4), 0.25)


def estimate(policy=COFFEE, wrt="hypertension_decay", estimator="pathwise", params=PARAMS, **options):
    options = {"num_episodes": 4, "objective": "penalty", "key": KEY} | options
    return gradients.estimate(
        options.pop("objective"), options.pop("key"), params, policy=policy, wrt=wrt, estimator=estimator, **options
    )


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("unknown parameter 'hypertension_decy'; did you mean 'hypertension_decay'", {"wrt": "hypertension_decy"}),
        ("unknown parameter 'max_steps'", {"wrt": ["max_steps"]}),
        ("wrt must name at least one parameter", {"wrt": []}),
        ("unknown estimator 'hybird'; did you mean 'hybrid'", {"estimator": "hybird"}),
        ("unknown objective 'retrun'; did you mean 'return'", {"objective": "retrun"}),
        ("num_episodes must be at least 2, for a standard error, got 1", {"num_episodes": 1}),
        ("block_episodes must divide num_episodes = 4", {"block_episodes": 3}),
        ("num_steps must be at least 1", {"num_steps": 0}),
        ("actions jump with its parameters: give a SoftPolicy", {"wrt": "policy", "estimator": "hybrid"}),
        ("relaxed needs probabilities or fractions", {"estimator": "relaxed"}),
        ("window must be at least 2, got 1", {"window": 1, "estimator": "marginal"}),
        ("window is of the marginal estimator, got 5 and hybrid", {"window": 5, "estimator": "hybrid"}),
        ("num_branches must be at least 1, got 0", {"num_branches": 0, "estimator": "branch"}),
        ("num_branches is of the branch estimator, got 3 and pathwise", {"num_branches": 3}),
        ("10,007 has no such divisor: take 9,984, or give block_episodes", {"num_episodes": 10_007}),
        ("order must be 1 or 2, got 3", {"order": 3, "estimator": "marginal"}),
        ("second derivatives are unbiased for the marginal estimator", {"order": 2, "estimator": "hybrid"}),
        ("second derivatives are unbiased", {"order": 2, "estimator": "marginal", "policy": SOFT}),
        ("weights must have num_steps = 3 rows, got 4", {"policy": Doses(SAME_DOSES), "num_steps": 3}),
        (
            "at heart_attack_proclivity = 0 none do: take marginal or branch",
            {"estimator": "hybrid", "params": dataclasses.replace(PARAMS, heart_attack_proclivity=0.0)},
        ),
    ],
)
def test_what_makes_no_sense_is_refused(message, arguments):
    with pytest.raises(ValueError, match=message):
        estimate(**arguments)


def test_marginal_is_refused_for_a_policy_that_depends_on_hypertension_and_hybrid_named():
    with pytest.raises(ValueError, match=r"looks at hypertension, .* take hybrid or branch"):
        estimate(SOFT, estimator="marginal")


@pytest.mark.parametrize("estimator", ["marginal", "hybrid", "branch"])
def test_a_threshold_is_refused_by_those_who_promise_no_bias(estimator):
    with pytest.raises(ValueError, match=r"the policy looks at alertness, .* its actions jump"):
        estimate(policies.rested(alertness=0.4), estimator=estimator)


@pytest.mark.parametrize("estimator", ["relaxed", "hybrid"])
def test_fractions_are_of_heartpole_v0_alone(estimator):
    env = make("HeartPole-v1")
    with pytest.raises(ValueError, match="HeartPole-v1 has no fractional actions"):
        gradients.estimate(
            "return", KEY, policy=Doses(SAME_DOSES), wrt="hypertension_decay", estimator=estimator, num_episodes=2,
            num_steps=4, env=env,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((3, 4)), r"sum to 1, got \[1. 1. 1. 1.\] in row 0"),
        (np.array([[1.0, 0, 0, 0], [1.5, -0.5, 0, 0]]), "in row 1"),
        (np.ones(4) / 4, r"weights must have shape \(num_steps, num_actions\), got \(4,\)"),
    ],
)
def test_doses_must_be_points_of_the_simplex(weights, message):
    with pytest.raises(ValueError, match=message):
        Doses(weights)


def test_doses_of_another_number_of_actions_are_refused():
    with pytest.raises(ValueError, match=r"weights must have shape \(num_steps, 4\), got \(3, 3\)"):
        gradients.estimate("return", KEY, policy=Doses(np.ones((3, 3)) / 3), wrt="policy", num_episodes=2)


def test_a_list_of_doses_is_no_array():
    with pytest.raises(TypeError, match=r"weights must be an array, got a list; jnp\.array\(\.\.\.\) makes one"):
        Doses([[1.0, 0.0, 0.0, 0.0]])


def test_jaxs_default_generator_changes_no_estimate():
    unseen = SoftPolicy(lambda *args: all_seeing(*args), jnp.ones(4))  # the program is made under the other generator
    with jax.default_prng_impl("rbg"):
        found = estimate(unseen, estimator="branch").gradient.mean["hypertension_decay"]
    assert found == estimate(SOFT, estimator="branch").gradient.mean["hypertension_decay"] != 0


def test_values_are_those_of_rollout_under_the_same_key(reused_keys_raise):
    """As many expected attacks on the same noise: 4 envs of `rollout` with the same key."""
    risk = lambda transition: transition.info.heart_attack_risk
    simulated = rollout(COFFEE, KEY, PARAMS, num_envs=4, total=risk).totals
    found = estimate()
    assert float(found.value.mean) == pytest.approx(-100.0 * float(jnp.mean(simulated)), rel=1e-6)
    error = 100.0 * float(jnp.std(simulated, ddof=1)) / 2.0
    assert float(found.value.standard_error) == pytest.approx(error, rel=1e-4)


def test_blocks_change_nothing_and_it_is_jitted_and_mapped_like_any_function():
    """Over three keys and decays at once, as one by one; in float32, and in blocks of two episodes."""

    def derivative(key, decay):
        params = dataclasses.replace(PARAMS, hypertension_decay=decay)
        found = gradients.estimate(
            "penalty", key, params, policy=COFFEE, wrt="hypertension_decay", estimator="pathwise", num_episodes=4
        )
        return found.gradient.mean["hypertension_decay"], found.gradient.standard_error["hypertension_decay"]

    keys = jax.random.split(KEY, 3)
    decays = jnp.array([0.9, 0.97, 0.5])
    means, errors = jax.jit(jax.vmap(derivative))(keys, decays)
    assert means.dtype == jnp.float32
    for key, decay, mean, error in zip(keys, decays, means, errors, strict=True):
        params = dataclasses.replace(PARAMS, hypertension_decay=float(decay))
        alone = gradients.estimate(
            "penalty", key, params, policy=COFFEE, wrt="hypertension_decay", estimator="pathwise", num_episodes=4,
            block_episodes=2,
        ).gradient  # fmt: skip
        assert float(alone.mean["hypertension_decay"]) == pytest.approx(float(mean), rel=1e-4)
        assert float(alone.standard_error["hypertension_decay"]) == pytest.approx(float(error), rel=1e-3)


def test_whole_doses_are_the_actions_that_they_stand_for():
    actions = [1, 3, 2, 0]
    whole = estimate(Doses(np.eye(4)[actions]), estimator="marginal", objective="return")
    acted = estimate(policies.schedule(actions), estimator="marginal", objective="return")
    assert float(whole.value.mean) == pytest.approx(float(acted.value.mean), rel=1e-5)
    one, other = (found.gradient.mean["hypertension_decay"] for found in (whole, acted))
    assert float(one) == pytest.approx(float(other), rel=1e-4)


def test_it_works_on_heartpole_v1():
    """Always coffee: a higher decay factor keeps hypertension up; d E[attacks] as by a central difference."""
    env = make("HeartPole-v1")
    params = env.default_params
    found = gradients.estimate(
        "heart_attacks", KEY, policy=COFFEE, wrt="hypertension_decay", estimator="marginal", num_episodes=64,
        num_steps=6, env=env,
    )  # fmt: skip
    assert found.unbiased
    values = [
        gradients.estimate(
            "heart_attacks", KEY, dataclasses.replace(params, hypertension_decay=decay), policy=COFFEE,
            wrt="hypertension_decay", estimator="marginal", num_episodes=64, num_steps=6, env=env,
        ).value.mean
        for decay in (params.hypertension_decay - 1e-2, params.hypertension_decay + 1e-2)
    ]  # fmt: skip
    difference = float(values[1] - values[0]) / 2e-2
    assert float(found.gradient.mean["hypertension_decay"]) == pytest.approx(difference, rel=1e-2)
    assert difference > 0


def test_the_return_is_taken_as_the_environment_says():
    """HeartPole-v0's rewards telescope, and lose no digits so."""
    assert objectives.as_objective("return", make("HeartPole-v0")) is objectives.SCORE_AND_PENALTY
    assert objectives.as_objective("return", make("HeartPole-v1")) is objectives.RETURN
