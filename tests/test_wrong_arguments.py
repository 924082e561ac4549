"""Arguments of the wrong kind: mixed-up tuples, swapped places, another version's: each told by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heartpole_jax as hp
from heartpole_jax import evaluation, evaluation_v1

KEY = jax.random.key(0)
V1 = hp.make("HeartPole-v1")


class Trained:
    """What `agents.saved_policy.load` returns, as far as it matters here."""

    weights = np.zeros(1000)

    def as_policy(self): ...


@pytest.fixture(scope="module")
def start():
    return hp.reset(KEY)


@pytest.fixture(scope="module")
def start_v1():
    return V1.reset(KEY)


CASES = {
    "mixed-up tuple": (
        lambda v0, v1: hp.step(v0[1], 0, KEY),
        "state must be an EnvState, got an array of float32 of shape "
        "(6,); reset and step return the state first, then obs",
    ),
    "the pair of a reset": (lambda v0, v1: hp.step(v0, 0, KEY), "state must be an EnvState, got a tuple of 2; "),
    "v1's state": (
        lambda v0, v1: hp.step(v1[0], 0, KEY),
        "state must be an EnvState of heartpole_jax.heartpole_v0, got an EnvState of heartpole_jax.heartpole_v1",
    ),
    "v0's state": (lambda v0, v1: V1.step(v0[0], 0, KEY), "state must be an EnvState of heartpole_jax.heartpole_v1"),
    "key and action": (lambda v0, v1: hp.step(v0[0], KEY, 0), "key must be a JAX random key, got 0; make one with"),
    "a key as noise": (
        lambda v0, v1: hp.transition(v0[0], 0, KEY),
        "noise must be a Noise, got random keys of shape ()",
    ),
    "params as key": (lambda v0, v1: hp.reset(hp.EnvParams()), "key must be a JAX random key, got an EnvParams"),
    "v1's params": (
        lambda v0, v1: hp.reset(KEY, V1.default_params),
        "params must be an EnvParams of heartpole_jax.heartp",
    ),
    "v0's params": (
        lambda v0, v1: V1.reset(KEY, hp.EnvParams()),
        "params must be an EnvParams of heartpole_jax.heartpole_v1",
    ),
    "a key as params": (
        lambda v0, v1: V1.step(v1[0], 0, KEY, KEY),
        "params must be an EnvParams, got random keys of sh",
    ),
    "params of a rollout": (
        lambda v0, v1: hp.rollout(lambda k, o: 0, KEY, KEY, num_envs=1),
        "params must be an EnvParams",
    ),
    "an environment's name": (
        lambda v0, v1: hp.rollout(lambda k, o: 0, KEY, env="HeartPole-v0", num_envs=1),
        "env must be an Environment, got 'HeartPole-v0'; heartpole_jax.make(name) finds one",
    ),
    "a trained policy": (
        lambda v0, v1: evaluation.evaluate(Trained(), KEY),
        "policy must be a Policy or a function (key, obs) -> action, got a Trained; give its as_policy()",
    ),
    "policy and key": (
        lambda v0, v1: evaluation.evaluate(KEY, hp.policies.reference()),
        "policy must be a Policy or a fun",
    ),
    "key and params": (
        lambda v0, v1: evaluation.evaluate(hp.policies.reference(), hp.EnvParams(), KEY),
        "key must be a JAX",
    ),
    "params of evaluate": (
        lambda v0, v1: evaluation.evaluate(hp.policies.reference(), KEY, KEY),
        "params must be an EnvPar",
    ),
    "params of evaluate_v1": (
        lambda v0, v1: evaluation_v1.evaluate(lambda k, o: 0, KEY, hp.EnvParams()),
        "params must be an EnvParams of heartpole_jax.heartpole_v1",
    ),
    "half an episode": (
        lambda v0, v1: evaluation.evaluate(hp.policies.reference(), KEY, num_episodes=4.5),
        "num_episodes must be a whole number",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_argument_of_the_wrong_kind_is_told_by_name(case, start, start_v1):
    call, message = CASES[case]
    with pytest.raises(TypeError) as raised:
        call(start, start_v1)
    assert message in str(raised.value)
    assert len(str(raised.value)) < 250


def test_a_batch_of_states_without_vmap_is_refused(start):
    batch = jax.tree.map(lambda x: jnp.stack([x, x]), start[0])
    with pytest.raises(ValueError, match=r"state must be one patient's, of leaves of shape \(\), got \(2,\); jax.vmap"):
        hp.step(batch, 0, KEY)


def _nothing(key, obs):
    return jnp.int32(0)


@pytest.fixture(scope="module")
def lanes():
    return {
        env.name: hp.rollout(_nothing, KEY, env=env, num_envs=2, num_steps=1).lanes
        for env in (hp.make("HeartPole-v0"), V1)
    }


@pytest.mark.parametrize(("own", "other"), [("HeartPole-v0", "HeartPole-v1"), ("HeartPole-v1", "HeartPole-v0")])
def test_a_rollout_does_not_go_on_from_lanes_of_another_environment(own, other, lanes):
    with pytest.raises(ValueError, match="start must hold the lanes of this environment, got those of another"):
        hp.rollout(_nothing, KEY, env=hp.make(own), num_envs=2, num_steps=1, start=lanes[other])


def test_a_rollout_does_not_go_on_from_lanes_of_another_policy_or_from_a_rollout(lanes):
    with pytest.raises(ValueError, match="start must hold the lanes of this policy, got those of another"):
        hp.rollout(hp.policies.reference(), KEY, num_envs=2, num_steps=1, start=lanes["HeartPole-v0"])
    with pytest.raises(TypeError, match="start must be a Lanes, got a dict; give the `lanes` of a rollout"):
        hp.rollout(_nothing, KEY, num_envs=2, num_steps=1, start={})
