"""Estimators against the exact derivative of all paths, for every parameter and a policy's own, in float64.

Each test compares some 40 numbers with a bound of 4 standard errors, which chance passes with 6e-5: a false alarm has a
probability of 0.3 % a test, and the seeds are fixed.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax import gradients, policies
from tests.gradients.enumeration import CERTAIN, expectation, returned, with_values

pytestmark = pytest.mark.once

NAMES = [field.name for field in dataclasses.fields(CERTAIN) if field.name not in ("max_steps", "expected_penalty")]
NUM_STEPS = 4
SCALE = np.array([1.0, 1.0, 20.0])  # of alertness, hypertension, intoxication


def blind_logits(weights, carry, obs):
    return logits(weights, carry, obs.at[1].set(0.0))


def logits(weights, carry, obs):
    features = jnp.concatenate([jnp.ones(1), jnp.tanh(obs[:3] * SCALE)])
    return weights @ features, carry


def weights():
    return jnp.asarray(np.random.default_rng(5).normal(0.0, 0.7, (4, 4)))


@functools.cache  # compiling takes longer than all the rest
def exact(logits):
    """(value, gradient) of all paths under the soft policy."""

    def mean(theta):
        values = {name: theta[name] for name in NAMES}

        def probabilities(obs):
            return jax.nn.softmax(logits(theta["policy"], (), obs)[0])

        return expectation(probabilities, returned, with_values(CERTAIN, values), NUM_STEPS)

    theta = {name: jnp.asarray(getattr(CERTAIN, name), jnp.float64) for name in NAMES} | {"policy": weights()}
    return jax.jit(jax.value_and_grad(mean))(theta)


def deviations(found, truth):
    """Of each number from the truth, in standard errors; 0 where both agree to the digits."""
    off = jax.tree.map(lambda a, b: np.abs(np.asarray(a) - np.asarray(b)), found.mean, truth)
    return jax.tree.map(
        lambda d, e: np.where(d < 1e-12, 0.0, d / np.maximum(np.asarray(e), 1e-12)), off, found.standard_error
    )


def worst(tree):
    return max(float(np.max(leaf)) for leaf in jax.tree.leaves(tree))


def estimate(policy, estimator, seed, num_episodes=100_000, objective="return", **options):
    return gradients.estimate(
        objective, jax.random.key(seed), CERTAIN, policy=policy, estimator=estimator, num_episodes=num_episodes,
        num_steps=NUM_STEPS, block_episodes=min(num_episodes, 4_000), **options,
    )  # fmt: skip


@pytest.mark.parametrize("estimator", ["hybrid", pytest.param("branch", marks=pytest.mark.slow)])
def test_a_soft_policys_gradient_is_that_of_all_paths(estimator, x64):
    value, truth = exact(logits)
    found = estimate(gradients.SoftPolicy(logits, weights()), estimator, seed=4, wrt=[*NAMES, "policy"])
    assert found.unbiased
    assert abs(float(found.value.mean - value)) < 4 * float(found.value.standard_error)
    assert worst(deviations(found.gradient, truth)) < 4.0
    informative = [abs(float(truth[name])) > 20 * float(found.gradient.standard_error[name]) for name in NAMES]
    assert sum(informative) >= 12  # the errors are small enough to show it


@pytest.mark.slow
def test_the_marginal_gradient_of_a_soft_policy_that_is_blind_to_hypertension_is_that_of_all_paths(x64):
    value, truth = exact(blind_logits)
    found = estimate(gradients.SoftPolicy(blind_logits, weights()), "marginal", seed=4, wrt=[*NAMES, "policy"])
    assert found.unbiased
    assert abs(float(found.value.mean - value)) < 4 * float(found.value.standard_error)
    assert worst(deviations(found.gradient, truth)) < 4.0


@pytest.mark.slow
def test_branches_at_some_decisions_alone_are_unbiased_too(x64):
    _, truth = exact(logits)
    found = estimate(
        gradients.SoftPolicy(logits, weights()), "branch", seed=4, wrt=[*NAMES, "policy"], num_branches=2
    )  # fmt: skip
    assert worst(deviations(found.gradient, truth)) < 4.0


@pytest.mark.slow
def test_without_control_variates_the_mean_is_the_same(x64):
    _, truth = exact(logits)
    found = estimate(
        gradients.SoftPolicy(logits, weights()), "hybrid", seed=4, wrt=[*NAMES, "policy"], control_variates=False
    )  # fmt: skip
    assert worst(deviations(found.gradient, truth)) < 4.0


@pytest.mark.parametrize("estimator", ["pathwise", pytest.param("relaxed", marks=pytest.mark.slow)])
def test_what_is_called_biased_is_biased(estimator, x64):
    _, truth = exact(logits)
    found = estimate(gradients.SoftPolicy(logits, weights()), estimator, seed=4, wrt=[*NAMES, "policy"])
    assert not found.unbiased
    far = deviations(found.gradient, truth)
    assert far["hypertension_decay"] > 20
    assert far["heart_attack_threshold"] > 20


def test_first_and_second_marginal_derivatives_of_a_schedule_are_exact_on_every_noise_sequence(x64):
    """No episode differs from another: attacks are integrated out, and doses are certain."""
    actions = [1, 2, 1, 0]

    def mean(theta):
        return expectation(None, returned, with_values(CERTAIN, theta), NUM_STEPS, [actions])

    names = ["hypertension_decay", "heart_attack_threshold", "heart_attack_proclivity", "ballmer_limit"]
    theta = {name: jnp.asarray(getattr(CERTAIN, name), jnp.float64) for name in names}
    value, truth = jax.jit(jax.value_and_grad(mean))(theta)
    second = jax.jit(jax.hessian(mean))(theta)
    found = estimate(policies.schedule(actions), "marginal", seed=3, num_episodes=8, wrt=names, order=2)
    assert found.value.mean == pytest.approx(float(value), abs=1e-12)
    for name in names:
        assert float(found.gradient.mean[name]) == pytest.approx(float(truth[name]), abs=1e-12)
        assert float(found.gradient.standard_error[name]) < 1e-12
        for other in names:
            assert float(found.hessian.mean[name][other]) == pytest.approx(float(second[name][other]), abs=1e-10)


@pytest.mark.parametrize("estimator", ["marginal", pytest.param("branch", marks=pytest.mark.slow)])
def test_an_objective_of_ones_own_that_sees_attacks_and_what_they_leave(estimator, x64):
    """Squares of hypertension after each decision, the attacks, and something at the end."""
    actions = [1, 1, 2, 0]

    def step(transition, params):
        return transition.next_state.hypertension**2 + params.heart_attack_penalty * transition.info.heart_attack

    def final(state, params):
        return jnp.exp(-state.hypertension) * params.ballmer_limit

    def mean(theta):
        params = with_values(CERTAIN, theta)
        total = 0.0
        for t in range(1, NUM_STEPS + 1):  # the square after t decisions, and the attack of the last of them
            number = lambda infos, state, params: (
                state.hypertension**2 + params.heart_attack_penalty * infos[-1].heart_attack
            )
            total += expectation(None, number, params, t, [actions[:t]])
        return total + expectation(
            None, lambda infos, state, params: final(state, params), params, NUM_STEPS, [actions]
        )

    names = ["hypertension_decay", "heart_attack_threshold", "heart_attack_penalty", "ballmer_limit"]
    truth = jax.jit(jax.grad(mean))({name: jnp.asarray(getattr(CERTAIN, name), jnp.float64) for name in names})
    found = estimate(
        policies.schedule(actions), estimator, seed=4, wrt=names, num_episodes=40_000,
        objective=gradients.Objective(step=step, final=final),
    )  # fmt: skip
    assert worst(deviations(found.gradient, truth)) < 4.0
    if estimator == "marginal":
        assert abs(float(found.gradient.mean["hypertension_decay"] - truth["hypertension_decay"])) < 1e-11
