"""Rollouts do what a Python loop over `transition` with the documented random numbers does, however they are cut up."""

import functools
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest

import heartpole_jax as hp
from heartpole_jax import threefry

pytestmark = pytest.mark.once

KEY = 42
RANDOM = probe_environments.random_policy(4)
ANY_NUMBER = probe_environments.random_policy(2**16)
PURE_NOISE = probe_environments.pure_noise()


def show_all(transition):
    return transition.state, transition.action, transition.reward, transition.info


def show_noise(transition):
    return transition.info, transition.action, transition.obs[..., 0]


def roll(num_envs=4, num_steps=25, seed=KEY, policy=RANDOM, record=show_all, **options):
    return jax.device_get(
        hp.rollout(policy, jax.random.key(seed), num_envs=num_envs, num_steps=num_steps, record=record, **options)
    )


def roll_noise(num_steps=25, policy=ANY_NUMBER, total=None, **options):
    """The random numbers of four patients, a new episode every step: the actions are random numbers as well."""
    return roll(4, num_steps, policy=policy, env=PURE_NOISE, autoreset=True, total=total, record=show_noise, **options)


def same_bits(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def close(a, b):
    """Equal but for the last bits: other shapes make other programs, which may fuse a multiply and an add."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)


def test_a_rollout_is_a_python_loop_over_transitions_with_the_documented_noise():
    result = roll()
    noise, policy, start = (threefry.fold_in(jax.random.key(KEY), purpose) for purpose in range(3))
    wake_up, sample, transition = (jax.jit(f) for f in (hp.heartpole_v0.sample_wake_up, hp.sample_noise, hp.transition))
    choose = jax.jit(functools.partial(threefry.random_int, num=4))
    for index in range(4):
        at = lambda words, time, index=index: threefry.key_at(words, jnp.uint32(index), jnp.uint32(time))
        state, total = hp.initial_state(wake_up(at(start, 0))), 0.0
        for time in range(25):
            action = choose(at(policy, time))
            close(state, jax.tree.map(lambda x, time=time, index=index: x[time, index], result.records[0]))
            assert int(action) == result.records[1][time, index]
            state, _, reward, _ = transition(state, action, sample(at(noise, time)))
            np.testing.assert_allclose(result.records[2][time, index], reward, rtol=1e-5, atol=1e-5)
            total += float(reward)
        assert result.totals[index] == pytest.approx(total, rel=1e-5, abs=1e-5)
        close(state, jax.tree.map(lambda x, index=index: x[index], result.envs.state))


def test_the_noise_is_the_documented_one_bit_for_bit():
    """At times around the ends of chunks. The first start is that of time 0, the one after step t that of t + 1."""
    result = roll_noise(104)
    noise, policy, start = (threefry.fold_in(jax.random.key(KEY), purpose) for purpose in range(3))
    for time in (0, 1, 24, 25, 26, 50, 99, 100, 103):
        for index in (0, 3):
            at = lambda words, index=index, time=time: threefry.key_at(words, jnp.uint32(index), jnp.uint32(time))
            expected = threefry.uniforms(at(noise), 4), threefry.random_int(at(policy), 2**16)
            same_bits([x[time, index] for x in result.records[:2]], [np.array(x) for x in expected])
            assert result.records[2][time, index] == threefry.uniforms(at(start), 1)[0]


@pytest.mark.parametrize("num_steps", [1, 24, 26, 103])
def test_any_number_of_steps_is_the_beginning_of_a_longer_rollout(num_steps):
    """Around the 25 steps whose random numbers are drawn together."""
    whole, beginning = roll_noise(104), roll_noise(num_steps, total=_first_uniform)
    same_bits(beginning.records, jax.tree.map(lambda x: x[:num_steps], whole.records))
    np.testing.assert_allclose(beginning.totals, beginning.records[0][..., 0].sum(axis=0), rtol=1e-6)
    assert (beginning.envs.time == num_steps).all()


def _first_uniform(transition):
    return transition.info[..., 0]


def test_a_patients_episode_does_not_depend_on_how_many_there_are():
    few, many = roll(), roll(num_envs=11)
    same_bits(few.records[1], many.records[1][:, :4])
    close(few.records, jax.tree.map(lambda x: x[:, :4], many.records))
    close(few.totals, many.totals[:4])
    assert len(set(many.totals.tolist())) == 11


def test_blocks_change_no_result():
    """11 patients in blocks of 4: the last is padded. (What is recorded is not divided into blocks.)"""
    whole, blocks = roll(num_envs=11), roll(num_envs=11, record=None, block_envs=4)
    close(whole.totals, blocks.totals)
    close(whole.envs, blocks.envs)
    same_bits(blocks.envs.index, np.arange(11, dtype=np.uint32))


def test_recording_changes_no_result_and_records_are_what_was_summed():
    recorded, plain = roll(), roll(record=None)
    close((plain.totals, plain.envs), (recorded.totals, recorded.envs))
    np.testing.assert_allclose(recorded.records[2].sum(axis=0), plain.totals, rtol=1e-5)


def test_a_rollout_cut_in_two_goes_on_bit_for_bit():
    whole, first = roll(num_steps=50), roll(num_steps=25)
    second = roll(num_steps=25, start=first.envs)
    same_bits(whole.envs, second.envs)
    same_bits(whole.records, jax.tree.map(lambda x, y: np.concatenate([x, y]), first.records, second.records))
    np.testing.assert_allclose(whole.totals, first.totals + second.totals, rtol=1e-6)


def test_a_stream_is_the_rollout_in_pieces():
    key = jax.random.key(KEY)
    pieces = jax.device_get(list(hp.stream(RANDOM, key, num_envs=4, num_steps=50, chunk_steps=25, record=show_all)))
    whole = roll(num_steps=50)
    assert [len(piece.records[1]) for piece in pieces] == [25, 25]
    close(whole.records, jax.tree.map(lambda *x: np.concatenate(x), *[piece.records for piece in pieces]))
    close(whole.totals, sum(piece.totals for piece in pieces))
    close(whole.envs, pieces[-1].envs)


def test_the_last_piece_of_a_stream_is_what_is_left():
    options = {"env": PURE_NOISE, "autoreset": True, "total": None, "record": show_noise}
    stream = hp.stream(ANY_NUMBER, jax.random.key(KEY), num_envs=4, num_steps=26, chunk_steps=24, **options)
    pieces = jax.device_get(list(stream))
    assert [len(piece.records[1]) for piece in pieces] == [24, 2]
    together = jax.tree.map(lambda *x: np.concatenate(x), *[piece.records for piece in pieces])
    same_bits(together, jax.tree.map(lambda x: x[:26], roll_noise(104).records))


def test_a_stream_can_start_where_a_rollout_ended():
    start, key = roll().envs, jax.random.key(KEY)
    options = {"num_envs": 4, "num_steps": 25, "chunk_steps": 25, "record": show_all}
    (piece,) = hp.stream(RANDOM, key, start=start, **options)
    close(roll(num_steps=50).envs, jax.device_get(piece.envs))


def test_two_policies_under_one_key_have_the_same_noise():
    nothing, other_key = roll_noise(policy=probe_environments.always(1)), roll_noise(seed=KEY + 1)
    for column in (0, 2):
        same_bits(roll_noise().records[column], nothing.records[column])
        assert not np.isin(other_key.records[column], nothing.records[column]).any()


def test_a_raw_key_rolls_as_its_typed_key():
    options = {"env": PURE_NOISE, "autoreset": True, "total": None, "record": show_noise}
    raw = hp.rollout(ANY_NUMBER, jax.random.PRNGKey(KEY), num_envs=4, num_steps=1, **options)
    same_bits(jax.device_get(raw.records), jax.tree.map(lambda x: x[:1], roll_noise(104).records))


TWO_DEVICES = """
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
import numpy as np, jax.numpy as jnp
import heartpole_jax as hp, probe_environments
policy, devices = probe_environments.random_policy(4), jax.devices()
assert len(devices) == 2
show = lambda t: (t.info, t.action)
def roll(num_envs, **options):
    return hp.rollout(policy, jax.random.key(0), num_envs=num_envs, num_steps=7, block_envs=2, **options)
for num_envs, options in ((5, dict()), (6, dict(env=probe_environments.pure_noise(), autoreset=True, record=show))):
    one, two = roll(num_envs, **options), roll(num_envs, devices=devices, **options)
    assert jax.tree.structure(one) == jax.tree.structure(two)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two)):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)
assert len(two.totals.sharding.device_set) == 2, two.totals.sharding
two = roll(5, devices=devices).totals
with jax.set_mesh(jax.make_mesh((2,), ("mine",))):  # that of the caller, for work of his own
    np.testing.assert_array_equal(roll(5, devices=devices).totals, two)
sharded = jax.NamedSharding(jax.make_mesh((2,), ("mine",)), jax.P("mine"))
bound = hp.Policy(act=lambda params, carry, obs, draw: (jnp.int32(obs[0] < params[0]), carry),
                  params=jax.device_put(np.full(2, 0.4, np.float32), sharded))  # fmt: skip
totals = lambda devices: hp.rollout(bound, jax.random.key(0), num_envs=2, num_steps=2, devices=devices).totals
np.testing.assert_allclose(totals(devices), totals(devices[1:]), rtol=1e-6)
"""


def test_spreading_patients_over_two_devices_changes_no_result():
    """Five patients on two devices: the last place is padding."""
    path = str(pathlib.Path(__file__).parent)
    subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}){TWO_DEVICES}"], check=True)
