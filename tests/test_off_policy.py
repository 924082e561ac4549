"""Soft policies, the probabilities of their actions, and the exact values of target policies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax import EnvParams, Policy, evaluation, make, policies, rollout
from heartpole_jax.envs.heartpole_v0 import Action

pytestmark = pytest.mark.once


def taken(transition):
    return {"obs": transition.obs, "action": transition.action}


def test_a_soft_policy_takes_each_other_action_with_its_share_of_epsilon():
    soft = policies.epsilon_soft(policies.always(Action.SLEEP), 0.4)
    actions = rollout(soft, jax.random.key(0), num_envs=2_000, num_steps=20, record=taken).records["action"]
    shares = np.bincount(np.asarray(actions).ravel(), minlength=4) / actions.size
    np.testing.assert_allclose(shares, [0.1, 0.1, 0.1, 0.7], atol=4 * np.sqrt(0.1 * 0.9 / actions.size) * 1.6)


def test_a_soft_policy_without_epsilon_is_the_policy_itself():
    hard, soft = (
        rollout(policy, jax.random.key(0), num_envs=3, num_steps=70, record=taken).records
        for policy in (policies.reference(), policies.epsilon_soft(policies.reference(), 0.0))
    )
    np.testing.assert_array_equal(hard["action"], soft["action"])
    assert np.sum(hard["action"] == Action.COFFEE) == 9


def test_probabilities_follow_what_the_policy_carries():
    """The reference strategy counts decisions: a coffee, 31 of nothing, sleep, whatever was done instead."""
    found = policies.action_probabilities(policies.reference(), jnp.zeros((34, 6)), epsilon=0.2)
    assert found.shape == (34, 4)
    likeliest = [Action.COFFEE, *[Action.NOTHING] * 31, Action.SLEEP, Action.COFFEE]
    np.testing.assert_array_equal(found.argmax(axis=1), likeliest)
    np.testing.assert_allclose(np.sort(found, axis=1), np.tile([0.05, 0.05, 0.05, 0.85], (34, 1)), rtol=1e-6)


def test_probabilities_follow_what_is_observed():
    obs = jnp.zeros((3, 6)).at[:, 0].set(jnp.array([1.0, 0.3, 0.5]))
    found = policies.action_probabilities(policies.rested(alertness=0.4), obs)
    np.testing.assert_array_equal(found, np.eye(4)[[Action.NOTHING, Action.SLEEP, Action.NOTHING]])


def test_the_random_policy_has_uniform_probabilities_whatever_epsilon():
    found = policies.action_probabilities(policies.uniformly_random(), jnp.zeros((2, 6)), epsilon=0.3)
    np.testing.assert_array_equal(found, np.full((2, 4), 0.25))


@pytest.mark.parametrize(
    "policy",
    [
        lambda key, obs: jax.random.randint(key, (), 0, 4),
        lambda key, obs: key,
        policies.make("coffee and exercise", env=make("HeartPole-v1")),
        Policy(act=lambda params, carry, obs, draw: (draw, carry)),
    ],
)
def test_a_policy_whose_probabilities_are_unknown_is_refused(policy):
    with pytest.raises(ValueError, match=r"must decide from observations of shape \(6,\) alone"):
        policies.action_probabilities(policy, jnp.zeros((2, 6)))


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, float("nan")])
def test_a_share_outside_of_zero_and_one_is_refused(epsilon):
    with pytest.raises(ValueError, match="epsilon must be a number in"):
        policies.epsilon_soft(policies.reference(), epsilon)


def test_exact_values_of_targets_agree_with_hand_results():
    """One decision: sleep earns 0.8091 / 17 of score for the 1.0 that all wake up with, and nothing 0.8091."""
    params = EnvParams(max_steps=1, wake_up_alertness_low=1.0, wake_up_alertness_high=1.0)
    found = evaluation.target_values(jax.random.key(0), params, targets=[("sleep", 0.0), ("nothing", 0.0)])
    risk = 50.0 / (1.0 + np.exp(6.0))  # 100 times the risk at rest
    sleep, nothing = (value.expected_return.mean + risk for value in found)
    assert sleep == pytest.approx(nothing / 17, rel=1e-4)
    assert [(value.policy, value.epsilon, value.num_episodes) for value in found] == [
        ("sleep", 0.0, 4096),
        ("nothing", 0.0, 4096),
    ]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([("sleeep", 0.0)], "did you mean 'sleep'"),
        ([("sleep", 1.5)], "the epsilon of a target must be a number in"),
        ([("coffee", 0.0)], "takes more than 1,000 episodes for a standard error of 0.02; leave it out"),
    ],
)
def test_targets_without_a_value_are_refused(targets, message, monkeypatch):
    monkeypatch.setattr(evaluation.targets, "MOST_EPISODES", 1_000)
    monkeypatch.setattr(evaluation.targets, "_PILOT_EPISODES", 600)
    with pytest.raises(ValueError, match=message):
        evaluation.target_values(jax.random.key(0), EnvParams(max_steps=60), targets=targets)


def test_ones_own_policies_come_first_and_the_random_one_is_not_mixed_with_itself():
    candidates = list(evaluation.targets._candidates(make("HeartPole-v0"), ["mine"]))
    assert candidates[:4] == [("mine", 0.0), ("mine", 0.1), ("mine", 0.3), ("reference", 0.0)]
    assert len(candidates) == len(set(candidates)) >= 12
