"""Rollouts refuse sizes, policies and devices that make no sense, by name and value."""

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest

import heartpole_jax as hp

NOTHING = probe_environments.always(0)


def roll(policy=NOTHING, seed=0, params=None, **options):
    return hp.rollout(policy, jax.random.key(seed), params, **({"num_envs": 2, "num_steps": 2} | options))


@pytest.mark.parametrize("name", ["num_envs", "num_steps", "block_envs"])
@pytest.mark.parametrize(
    ("size", "error"),
    [(0, ValueError), (-3, ValueError), (2**31, ValueError), (True, TypeError), (2.0, TypeError), ("2", TypeError)],
    ids=repr,
)
def test_a_bad_size_is_refused_by_name_and_value(name, size, error):
    with pytest.raises(error, match=f"{name} must be") as raised:
        roll(**{name: size})
    assert str(size) in str(raised.value)


def test_a_traced_size_is_refused():
    with pytest.raises(TypeError, match="num_envs must be a whole number known before tracing"):
        jax.jit(lambda n: roll(num_envs=n).totals)(2)


def test_sizes_of_numpy_are_sizes():
    assert roll(num_envs=np.int64(3), num_steps=np.int32(2)).totals.shape == (3,)


def test_a_rollout_too_large_to_hold_is_refused_before_it_runs():
    with pytest.raises(ValueError, match=r"would return [\d.]+ GiB.*record less.*stream"):
        roll(num_envs=2**20, num_steps=2**20, record=hp.everything)


@pytest.mark.parametrize("chunk_steps", [0, 2.5])
def test_a_bad_piece_of_a_stream_is_refused(chunk_steps):
    with pytest.raises((TypeError, ValueError), match="chunk_steps must be"):
        list(hp.stream(NOTHING, jax.random.key(0), num_envs=2, num_steps=4, chunk_steps=chunk_steps))


@pytest.mark.parametrize("policy", [3, None, "sleep"], ids=repr)
def test_what_is_no_policy_is_refused(policy):
    with pytest.raises(TypeError, match=f"policy must be a Policy or a function.*got {policy!r}"):
        roll(policy)


def test_a_policy_of_floats_is_refused():
    with pytest.raises(TypeError, match="action must be an integer"):
        roll(lambda key, obs: obs[0])


def test_a_batch_of_keys_is_refused():
    with pytest.raises(ValueError, match=r"key must be one key.*jax\.vmap"):
        hp.rollout(NOTHING, jax.random.split(jax.random.key(0), 2), num_envs=2, num_steps=2)


def test_the_number_of_steps_is_needed_where_the_time_limit_is_not_known():
    with pytest.raises(ValueError, match="num_steps is needed"):
        roll(params=hp.EnvParams(max_steps=jnp.array([3, 4])), num_steps=None)
    with pytest.raises(ValueError, match="num_steps is needed"):
        jax.jit(lambda limit: roll(params=hp.EnvParams(max_steps=limit), num_steps=None).totals)(3)


def test_no_devices_are_refused():
    with pytest.raises(ValueError, match="devices must name at least one"):
        roll(devices=[])


def test_environments_of_another_number_of_patients_are_refused():
    envs = roll(num_envs=4).envs
    for num_envs in (2, 8):
        with pytest.raises((TypeError, ValueError)):
            roll(num_envs=num_envs, start=envs)
