"""What a rollout sums and records: episodes, policies with a memory, sweeps, gradients, memory."""

import dataclasses
import gc
import sys
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest

import heartpole_jax as hp

pytestmark = pytest.mark.once

RANDOM = probe_environments.random_policy(4)
KEY = 42


def everything_of(policy, num_envs=3, num_steps=25, seed=KEY, **options):
    result = hp.rollout(
        policy, jax.random.key(seed), num_envs=num_envs, num_steps=num_steps, record=hp.everything, **options
    )
    return jax.device_get(result)


def test_totals_end_with_the_episode_and_records_go_on():
    result = everything_of(RANDOM, params=hp.EnvParams(max_steps=7))
    assert result.records.reward.shape == (25, 3)
    np.testing.assert_allclose(result.totals, result.records.reward[:7].sum(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(result.records.done.sum(axis=0), 25 - 6)
    assert not result.envs.running.any()
    assert (result.envs.state.num_steps == 25).all()


def test_a_whole_episode_is_the_default_number_of_steps():
    params = hp.EnvParams(max_steps=9)
    result = hp.rollout(RANDOM, jax.random.key(0), params, num_envs=2, record=lambda t: t.done)
    assert result.records.shape == (9, 2)
    assert result.records[-1].all()
    assert not result.records[:-1].any()


def test_autoreset_hands_back_the_true_last_observation_and_starts_again():
    """Episodes of 7 steps, 25 steps: three ends, and a fourth episode under way."""
    result = everything_of(RANDOM, params=hp.EnvParams(max_steps=7), autoreset=True)
    t = result.records
    ends = np.zeros(25, bool)
    ends[[6, 13, 20]] = True
    np.testing.assert_array_equal(t.done, np.repeat(ends[:, None], 3, axis=1))
    starts = t.obs[1:][ends[:-1]]
    np.testing.assert_array_equal(starts[..., 1:], 0)
    assert ((starts[..., 0] >= 0.7) & (starts[..., 0] <= 1.3)).all()
    assert np.unique(starts[..., 0]).size == starts[..., 0].size
    assert not np.isin(starts[..., 0], t.obs[0, :, 0]).any()
    # XLA may compute what is recorded and what is carried in two places, with and without a fused multiply-add.
    np.testing.assert_allclose(t.next_obs[:-1][~ends[:-1]], t.obs[1:][~ends[:-1]], rtol=3e-7)
    np.testing.assert_array_equal(t.next_state.num_steps[ends], 7)
    np.testing.assert_array_equal(t.next_obs[ends][..., 4], t.next_state.time_elapsed[ends])
    assert (t.next_obs[ends][..., 4] >= 7).all()
    assert result.envs.running.all()
    np.testing.assert_array_equal(result.envs.state.num_steps, 4)
    np.testing.assert_allclose(result.totals, t.reward.sum(axis=0), rtol=1e-5, atol=1e-5)


def test_a_true_end_ends_an_episode_as_the_time_limit_does():
    counter = probe_environments.counter(3)
    result = everything_of(probe_environments.always(0), env=counter, num_steps=8)
    np.testing.assert_array_equal(result.totals, 3.0)
    result = everything_of(probe_environments.always(0), env=counter, num_steps=8, autoreset=True)
    np.testing.assert_array_equal(result.totals, 8.0)
    np.testing.assert_array_equal(result.records.obs[:, 0, 1], [0, 1, 2, 0, 1, 2, 0, 1])
    np.testing.assert_array_equal(result.records.next_obs[:, 0, 1], [1, 2, 3, 1, 2, 3, 1, 2])


def test_a_transition_is_whole():
    """Everything recorded fits together, step by step."""
    t = everything_of(RANDOM).records
    assert isinstance(t, hp.Transition)
    for before, after in zip(jax.tree.leaves(t.state), jax.tree.leaves(t.next_state), strict=True):
        np.testing.assert_array_equal(before[1:], after[:-1])
    np.testing.assert_array_equal(t.obs, np.stack([getattr(t.state, name) for name in hp.heartpole_v0.OBS_NAMES], -1))
    np.testing.assert_array_equal(t.info.half_hours, np.where(t.action == hp.Action.SLEEP, 17, 1))
    np.testing.assert_array_equal(t.next_state.hypertension[t.info.heart_attack], 0)
    assert (t.action.dtype, t.reward.dtype, t.done.dtype) == (np.int32, np.float32, np.bool_)


def _take_turns(params, carry, obs, draw):
    """Sleep at every `params`th decision; the carry counts them."""
    return jnp.where(carry % params == params - 1, hp.Action.SLEEP, hp.Action.NOTHING), carry + 1


TURNS = hp.Policy(act=_take_turns, params=4, carry=0)


def test_a_policy_remembers_through_its_carry_and_forgets_at_a_reset():
    going_on = everything_of(TURNS, params=hp.EnvParams(max_steps=6))
    expected = np.where(np.arange(25) % 4 == 3, hp.Action.SLEEP, hp.Action.NOTHING)
    np.testing.assert_array_equal(going_on.records.action[:, 0], expected)
    np.testing.assert_array_equal(going_on.envs.carry, 25)
    anew = everything_of(TURNS, params=hp.EnvParams(max_steps=6), autoreset=True)
    np.testing.assert_array_equal(anew.records.action[:, 1], np.tile([0, 0, 0, 3, 0, 0], 5)[:25])
    np.testing.assert_array_equal(anew.envs.carry, 1)


@pytest.mark.slow
def test_the_carry_survives_a_cut():
    first = everything_of(TURNS, num_steps=25)
    second = everything_of(TURNS, num_steps=25, start=first.envs)
    np.testing.assert_array_equal(second.records.action[:, 0] == hp.Action.SLEEP, (np.arange(25) + 25) % 4 == 3)


def test_a_plain_function_is_a_policy_with_a_key_of_its_own_each_step():
    def act(key, obs):
        return jnp.where(obs[0] < 0.9, hp.Action.COFFEE, jax.random.randint(key, (), 0, 4))

    t = everything_of(act).records
    assert (t.action[t.obs[..., 0] < 0.9] == hp.Action.COFFEE).all()
    assert len(np.unique(t.action)) == 4


def test_swept_parameters_compile_once_and_match_a_loop():
    """Over the policy's and the environment's: nothing is traced again for other values."""
    traces = []

    def act(params, carry, obs, draw):
        traces.append(1)
        return jnp.where(obs[0] < params, hp.Action.SLEEP, hp.Action.NOTHING), carry

    def totals(threshold, decay):
        params = hp.EnvParams(hypertension_decay=decay, fatigue_onset=20.0)
        policy = hp.Policy(act=act, params=threshold)
        return hp.rollout(policy, jax.random.key(1), params, num_envs=2, num_steps=6).totals

    thresholds, decays = jnp.array([0.2, 0.5, 0.8]), jnp.array([0.9, 0.97, 0.5])
    jitted = jax.jit(totals)
    loop = [jitted(x, y) for x, y in zip(thresholds, decays, strict=True)]
    traced_once = len(traces)
    loop_again = [jitted(x * 1.1, y) for x, y in zip(thresholds, decays, strict=True)]
    assert len(traces) == traced_once
    together = jax.jit(jax.vmap(totals))(thresholds, decays)
    np.testing.assert_allclose(together, jnp.stack(loop), rtol=1e-5)
    assert len(np.unique(together[:, 0])) == 3
    assert not np.array_equal(loop, loop_again)


def test_parameters_that_are_arrays_run_the_same_program():
    """The policy's, and the environment's as arrays; plain numbers of the environment are compiled in."""
    traces = []

    def act(params, carry, obs, draw):
        traces.append(1)
        return jnp.where(obs[0] < params, hp.Action.SLEEP, hp.Action.NOTHING), carry

    def roll(threshold, onset):
        params = jax.tree.map(jnp.asarray, hp.EnvParams(fatigue_onset=onset))
        policy = hp.Policy(act=act, params=threshold)
        totals = hp.rollout(policy, jax.random.key(1), params, num_envs=2, num_steps=2).totals
        return totals.tolist(), len(traces)

    first, num_traces = roll(0.3, 40.0)
    second, num_traces_again = roll(0.4, 3.0)
    assert num_traces == num_traces_again
    assert first != second


def test_parameters_compiled_in_give_what_parameters_as_arrays_give():
    params = hp.EnvParams(fatigue_onset=3.0, max_steps=4)
    plain, arrays = (everything_of(TURNS, num_steps=6, params=p) for p in (params, jax.tree.map(jnp.asarray, params)))
    for x, y in zip(jax.tree.leaves(plain), jax.tree.leaves(arrays), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_parameters_compiled_in_are_distinguished_by_their_type():
    """1 equals 1.0 in Python, but an environment may make an integer of the one and a float of the other."""
    env = probe_environments.pure_noise()
    env = dataclasses.replace(env, initial_state=lambda start, params: jnp.asarray(params.scale))
    for scale, dtype in ((2, jnp.int32), (2.0, jnp.float32)):
        params = probe_environments.Params(scale=scale)
        envs = hp.rollout(TURNS, jax.random.key(0), params, env=env, num_envs=2, num_steps=1, total=None).envs
        assert envs.state.dtype == dtype


def test_rollouts_sweep_over_keys():
    totals = jax.vmap(lambda key: hp.rollout(RANDOM, key, num_envs=2, num_steps=6).totals)
    keys = jax.random.split(jax.random.key(3), 3)
    together = jax.jit(totals)(keys)
    alone = [hp.rollout(RANDOM, key, num_envs=2, num_steps=6).totals for key in keys]
    np.testing.assert_allclose(together, jnp.stack(alone), rtol=1e-5)


def test_the_gradient_of_a_rollout_is_its_finite_difference(x64):
    """With the penalty's noise integrated out, no random numbers decide what fatigue does to the return."""
    params = hp.EnvParams(expected_penalty=1.0, heart_attack_proclivity=0.0)

    def mean_return(fatigue_onset):
        varied = dataclasses.replace(params, fatigue_onset=fatigue_onset)
        return hp.rollout(RANDOM, jax.random.key(0), varied, num_envs=3, num_steps=6).totals.mean()

    value, slope = jax.jit(jax.value_and_grad(mean_return))(40.0)
    higher, lower = (jax.jit(mean_return)(40.0 + step) for step in (1e-4, -1e-4))
    assert float(slope) != 0
    assert float(slope) == pytest.approx(float(higher - lower) / 2e-4, rel=1e-5)
    assert value.dtype == jnp.float64


def test_totals_and_records_can_be_trees_and_can_be_left_out():
    tree = lambda t: {"attacks": t.info.heart_attack, "sum": (t.obs, t.info.half_hours)}
    result = jax.device_get(
        hp.rollout(RANDOM, jax.random.key(KEY), num_envs=2, num_steps=25, total=tree, record=hp.everything)
    )
    np.testing.assert_allclose(result.totals["sum"][0], result.records.obs.sum(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(result.totals["sum"][1], result.records.info.half_hours.sum(axis=0))
    np.testing.assert_array_equal(result.totals["attacks"], result.records.info.heart_attack.sum(axis=0))
    nothing = hp.rollout(RANDOM, jax.random.key(KEY), num_envs=2, num_steps=1, total=None)
    assert nothing.totals is None
    assert nothing.records is None


def test_memory_does_not_grow_with_steps_that_are_not_recorded():
    """Beyond the four bytes a step of the time itself; recorded rewards alone would take 4 * 512."""

    def temporary_bytes(num_steps):
        roll = jax.jit(lambda key: hp.rollout(RANDOM, key, num_envs=512, num_steps=num_steps).totals)
        return roll.lower(jax.random.key(0)).compile().memory_analysis().temp_size_in_bytes

    assert temporary_bytes(2500) - temporary_bytes(250) <= 16 * 2250


def test_no_tracer_leaks_out_of_a_rollout(leaks_raise):
    def mean_return(onset, key):
        params = hp.EnvParams(fatigue_onset=onset, max_steps=2)
        return hp.rollout(TURNS, key, params, num_envs=2, num_steps=3, autoreset=True).totals.mean()

    assert jnp.isfinite(jax.jit(jax.grad(mean_return))(40.0, jax.random.key(0)))


def test_a_true_end_is_distinguished_from_a_time_limit():
    """The counter ends after 3 steps by itself, HeartPole after 3 by its time limit."""
    ends = hp.rollout(
        RANDOM, jax.random.key(0), env=probe_environments.counter(3), num_envs=2, num_steps=5, autoreset=True,
        record=lambda t: (t.done, t.terminated),
    ).records  # fmt: skip
    np.testing.assert_array_equal(ends[0][:, 0], [False, False, True, False, False])
    np.testing.assert_array_equal(ends[0], ends[1])
    done, terminated = (
        everything_of(RANDOM, params=hp.EnvParams(max_steps=3)).records.done,
        everything_of(RANDOM, params=hp.EnvParams(max_steps=3)).records.terminated,
    )
    assert done[2:].all()
    assert not terminated.any()


def test_environments_of_another_number_are_refused():
    envs = hp.rollout(RANDOM, jax.random.key(0), num_envs=8, num_steps=2).envs
    with pytest.raises(ValueError, match="start must hold num_envs environments, got 8 and num_envs 4"):
        hp.rollout(RANDOM, jax.random.key(0), num_envs=4, num_steps=2, start=envs)


def test_programs_of_parameters_long_gone_are_not_kept():
    """Nothing is compiled: a program is made at its first call."""
    module = sys.modules["heartpole_jax.rollout"]
    first = weakref.ref(module._program(("first",)))
    assert first() is module._program(("first",))
    for number in range(module._MOST_CONSTANTS):
        module._program((number,))
    gc.collect()
    assert first() is None
