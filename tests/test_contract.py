"""The contract of contract.py, held by HeartPole-v0 and by the probe environments, and broken by broken ones."""

import dataclasses

import jax
import jax.numpy as jnp
import probe_environments
import pytest
from contract import check_environment

import heartpole_jax as hp

pytestmark = pytest.mark.usefixtures("reused_keys_raise")

HEARTPOLE = hp.make("HeartPole-v0")
PROBES = {
    env.name: env
    for env in (
        probe_environments.one_step_reward(),
        probe_environments.reward_seen(),
        probe_environments.reward_by_action(),
        probe_environments.reward_by_action_and_obs(),
        probe_environments.counter(3),
        probe_environments.delayed_reward(),
        probe_environments.time_limit_only(4),
        probe_environments.pure_noise(),
    )
}


def test_heartpole_v0_keeps_the_contract():
    check_environment(HEARTPOLE)


def test_heartpole_v0_keeps_the_contract_with_a_time_limit_within_reach():
    check_environment(HEARTPOLE, hp.EnvParams(max_steps=4))


def test_heartpole_v0_keeps_the_contract_in_64_bits(x64):
    check_environment(HEARTPOLE)


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_environment_keeps_the_contract(name):
    check_environment(PROBES[name])


def _broken(**functions):
    return dataclasses.replace(PROBES["counter"], **functions)


def _with_transition(change):
    """The counter, its transition's (state, obs, reward, done) put through `change`."""
    env = PROBES["counter"]

    def transition_info(*args):
        *result, info = env.transition_info(*args)
        return *change(*result), info

    return _broken(transition=lambda *args: transition_info(*args)[:4], transition_info=transition_info)


BROKEN = {
    "compiled again|weak type": _with_transition(
        lambda state, obs, reward, done: (state._replace(sign=1.0 * jnp.where(done, 1.0, 2.0)), obs, reward, done)
    ),
    "reward of shape": _with_transition(lambda state, obs, reward, done: (state, obs, reward[None], done)),
    "obs is not what observe says": _with_transition(lambda state, obs, reward, done: (state, obs + 1, reward, done)),
    "done is": _with_transition(lambda state, obs, reward, done: (state, obs, reward, ~done)),
    "not finite": _with_transition(lambda state, obs, reward, done: (state, obs, reward / 0, done)),
    "transition_info differs": _broken(
        transition_info=lambda *args: (*PROBES["counter"].transition(*args)[:2], jnp.zeros(()), jnp.array(True), ())
    ),
    "obs of shape": _broken(obs_shape=(3,)),
    "terminated must": _broken(terminated=lambda state: state.num_steps),
}


@pytest.mark.parametrize("message", BROKEN)
def test_the_contract_finds_what_is_broken(message):
    with pytest.raises(AssertionError, match=message):
        check_environment(BROKEN[message])


def test_probe_rewards_add_up_to_their_known_values():
    """One episode each, by the rollout: returns of the probes with gamma = 1."""

    def returns(env, action, num_steps=8):
        result = hp.rollout(
            probe_environments.always(action), jax.random.key(3), env=env, num_envs=5, num_steps=num_steps
        )
        return result.totals.tolist()

    assert returns(PROBES["one-step-reward"], 0) == [1.0] * 5
    assert returns(PROBES["reward-by-action"], 0) == [-1.0] * 5
    assert returns(PROBES["reward-by-action"], 1) == [1.0] * 5
    assert returns(PROBES["counter"], 0) == [3.0] * 5
    assert returns(PROBES["delayed-reward"], 0) == [1.0] * 5
    assert returns(PROBES["time-limit-only"], 0) == [4.0] * 5
    assert set(returns(PROBES["reward-seen"], 0)) == {-1.0, 1.0}
    seen, undone = returns(PROBES["reward-by-action-and-obs"], 1), returns(PROBES["reward-by-action-and-obs"], 0)
    assert [-x for x in seen] == undone
