"""Scripted policies, decision by decision."""

import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax import policies, rollout
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0, Action

pytestmark = pytest.mark.once

TRACES = Path(__file__).parent / "data" / "heartpole_v0_traces.npz"


@pytest.mark.parametrize("name", policies.of(HEARTPOLE_V0))
def test_a_policy_survives_pickling_with_its_compiled_program(name):
    """A process that is spawned gets it so. Equal functions and form are what jit finds a program by."""
    policy = policies.make(name)
    twin = pickle.loads(pickle.dumps(policy))
    assert jax.tree.structure(twin) == jax.tree.structure(policy)
    for ours, theirs in zip(jax.tree.leaves(policy), jax.tree.leaves(twin), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def action_of(transition):
    return transition.action


def obs_of(transition):
    return transition.obs


def act(policy, alertness=1.0, intoxication=0.0, time_since_slept=5.0):
    obs = jnp.array([alertness, 0.0, intoxication, time_since_slept, 100.0, 30.0])
    return int(policy.act(policy.params, policy.carry, obs, None)[0])


def test_the_reference_strategy_is_the_packages():
    actions = rollout(policies.reference(), jax.random.key(0), num_envs=2, num_steps=400, record=action_of).records
    with np.load(TRACES) as traces:
        np.testing.assert_array_equal(actions[:, 0], traces["actions"][32])
    np.testing.assert_array_equal(actions[:, 0], actions[:, 1])


def test_rested_developers_sleep_when_tired_or_long_awake():
    assert act(policies.rested(alertness=0.4), alertness=0.41) == Action.NOTHING
    assert act(policies.rested(alertness=0.4), alertness=0.39) == Action.SLEEP
    assert act(policies.rested(time_since_slept=16), time_since_slept=15.0) == Action.NOTHING
    assert act(policies.rested(time_since_slept=16), time_since_slept=16.0) == Action.SLEEP
    assert act(policies.rested(), alertness=-100.0, time_since_slept=1e6) == Action.NOTHING


def test_coffee_comes_once_after_each_night():
    policy = policies.coffee_after_waking(alertness=0.4)
    actions, obs = (
        rollout(policy, jax.random.key(1), num_envs=1, num_steps=200, record=record).records[:, 0]
        for record in (action_of, obs_of)
    )
    after_night = np.concatenate([[True], np.asarray(actions[:-1]) == Action.SLEEP])
    assert np.all(actions[after_night] == Action.COFFEE)
    assert np.sum(actions == Action.COFFEE) == np.sum(after_night)
    assert np.all(obs[actions == Action.SLEEP, 0] < 0.4)


def test_the_ballmer_peak_is_approached_from_below():
    policy = policies.ballmer_peak(intoxication=0.125, alertness=0.4)
    assert act(policy, intoxication=0.12) == Action.BEER
    assert act(policy, intoxication=0.13) == Action.NOTHING
    assert act(policy, alertness=0.3, intoxication=0.0) == Action.SLEEP


def test_random_actions_are_uniform_and_independent_of_the_body():
    actions = np.asarray(
        rollout(policies.uniformly_random(), jax.random.key(2), num_envs=1000, num_steps=100, record=action_of).records
    )
    counts = np.bincount(actions.ravel(), minlength=4)
    # chi-squared with 3 degrees of freedom, exceeded with probability 1e-6
    assert np.sum((counts - 25_000) ** 2 / 25_000) < 30.66
    assert len(np.unique(actions[:, :50], axis=1).T) == 50


@pytest.mark.parametrize("name", policies.of(HEARTPOLE_V0))
def test_every_scripted_policy_runs_under_jit_and_gives_actions(name):
    actions = rollout(policies.make(name), jax.random.key(3), num_envs=4, num_steps=60, record=action_of).records
    assert actions.dtype == jnp.int32
    assert np.all((np.asarray(actions) >= 0) & (np.asarray(actions) < 4))


def test_a_sweep_of_a_policys_threshold_is_one_vmap():
    thresholds = jnp.array([0.2, 0.4, 0.6])

    def nights(threshold):
        policy = policies.rested(alertness=threshold)
        return rollout(policy, jax.random.key(4), num_envs=8, num_steps=100, total=_slept).totals

    swept = jax.jit(jax.vmap(nights))(thresholds)
    for threshold, row in zip(thresholds, swept, strict=True):
        np.testing.assert_array_equal(row, nights(threshold))
    assert np.all(np.diff(np.asarray(swept).sum(axis=1)) > 0)


def _slept(transition):
    return transition.action == Action.SLEEP


def test_a_policy_of_no_action_is_refused():
    with pytest.raises(TypeError, match=r"action must be an integer in 0 \.\. 3, got 1\.7"):
        policies.always(1.7)
    with pytest.raises(ValueError, match="got 7"):
        policies.always(7)


def test_an_unknown_policy_is_refused_with_a_suggestion():
    with pytest.raises(ValueError, match="unknown policy 'referense'; did you mean 'reference'"):
        policies.make("referense")


def test_a_policy_on_the_host_acts_as_the_same_one_in_jax():
    with pytest.warns(UserWarning, match="is called at each step, outside of the compiled program"):
        policy = policies.from_host(lambda obs: np.where(obs[:, 0] < 0.4, 3, 0))
    ours, theirs = (
        rollout(each, jax.random.key(0), num_envs=16, num_steps=60, record=action_of)
        for each in (policy, policies.rested(alertness=0.4))
    )
    np.testing.assert_array_equal(ours.records, theirs.records)
    np.testing.assert_array_equal(ours.totals, theirs.totals)


@pytest.mark.parametrize("answer", [lambda obs: obs[:, 0], lambda obs: np.zeros((2, 1), int), lambda obs: 3])
@pytest.mark.filterwarnings("ignore:a policy on the host")
def test_a_policy_on_the_host_that_returns_no_actions_is_refused(answer):
    with pytest.raises(Exception, match=r"must return whole numbers of shape \(2,\), got "):
        jax.block_until_ready(rollout(policies.from_host(answer), jax.random.key(0), num_envs=2, num_steps=2).totals)


def test_what_is_no_function_is_no_policy_on_the_host():
    with pytest.raises(TypeError, match="function must be a function of observations, got 3"):
        policies.from_host(3)


def test_an_object_with_a_policy_is_one():
    """As `saved_policy.load` gives."""

    class Saved:
        def as_policy(self):
            return policies.always(Action.SLEEP)

    actions = rollout(Saved(), jax.random.key(0), num_envs=2, num_steps=3, record=action_of).records
    assert np.all(np.asarray(actions) == Action.SLEEP)


@pytest.mark.filterwarnings("ignore:a policy on the host")
def test_a_policy_on_the_host_is_asked_for_a_flat_batch_under_a_nested_vmap():
    shapes = []

    def rested(obs):
        shapes.append(obs.shape)
        return np.where(obs[..., 0] < 0.4, 3, 0)

    policy, keys = policies.from_host(rested), jax.random.split(jax.random.key(0), 3)
    several = jax.vmap(lambda key: rollout(policy, key, num_envs=2, num_steps=4, record=action_of).records)(keys)
    assert (several.shape, set(shapes)) == ((3, 4, 2), {(6, 6)})
