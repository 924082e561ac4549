"""Threefry-2x32: the published known answers, JAX's own, and what is made of its words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.extend.random import threefry_2x32

from heartpole_jax import threefry

# Random123, tests/kat_vectors: rounds, counter, key, result.
KNOWN_ANSWERS = """
13 00000000 00000000 00000000 00000000 9d1c5ec6 8bd50731
13 ffffffff ffffffff ffffffff ffffffff fd36d048 2d17272c
13 243f6a88 85a308d3 13198a2e 03707344 ba3e4725 f27d669e
20 00000000 00000000 00000000 00000000 6b200159 99ba4efe
20 ffffffff ffffffff ffffffff ffffffff 1cb996fc bb002be7
20 243f6a88 85a308d3 13198a2e 03707344 c4923a9c 483df7a0
"""


@pytest.mark.parametrize("line", KNOWN_ANSWERS.split("\n")[1:-1], ids=lambda line: line[:11])
def test_threefry_gives_the_known_answers_of_random123(line):
    rounds, *words = line.split()
    counter_0, counter_1, key_0, key_1, *expected = (jnp.uint32(int(word, 16)) for word in words)
    result = threefry.threefry2x32((key_0, key_1), (counter_0, counter_1), num_rounds=int(rounds))
    assert [int(word) for word in result] == [int(word) for word in expected]
    if rounds == "13":
        assert int(threefry.threefry2x32((key_0, key_1), (counter_0, counter_1))[0]) == int(expected[0])


def test_twenty_rounds_are_the_generator_of_jax():
    key = np.array([0xDEADBEEF, 0x12345678], np.uint32)
    counters = np.random.default_rng(0).integers(0, 2**32, (2, 500), np.uint32)
    ours = threefry.threefry2x32((key[0], key[1]), (jnp.asarray(counters[0]), jnp.asarray(counters[1])), 20)
    jaxs = threefry_2x32(jnp.asarray(key), jnp.asarray(counters.reshape(-1))).reshape(2, 500)
    np.testing.assert_array_equal(jnp.stack(ours), jaxs)


def test_a_raw_key_gives_the_numbers_of_its_typed_key():
    typed, raw = jax.random.key(7), jax.random.PRNGKey(7)
    assert threefry.uniforms(raw, 5) == threefry.uniforms(typed, 5)
    assert threefry.uniforms(np.asarray(raw), 5) == threefry.uniforms(raw, 5)
    assert threefry.random_int(raw, 100) == threefry.random_int(jax.random.key(7), 100)


def test_all_four_words_of_an_rbg_key_matter():
    key = jax.random.key(1, impl="rbg")
    data = np.asarray(jax.random.key_data(key))
    assert data.shape == (4,)
    drawn = {float(threefry.uniforms(key, 1)[0])}
    for i in range(4):
        other = data.copy()
        other[i] += 1
        drawn.add(float(threefry.uniforms(jnp.asarray(other), 1)[0]))
    assert len(drawn) == 5


def test_uniforms_are_multiples_of_their_grain_below_one():
    keys = jax.random.split(jax.random.key(0), 20_000)
    for u in jax.jit(jax.vmap(lambda key: threefry.uniforms(key, 3)))(keys):
        grains = np.asarray(u, float) * 2**24
        assert u.dtype == jnp.float32
        assert ((grains == np.floor(grains)) & (grains >= 0) & (grains < 2**24)).all()
        assert (grains % 2 == 1).any(), "the last of 24 bits is never set"
    assert float(threefry.as_uniform(jnp.uint32(0xFFFFFFFF))) == 1 - 2.0**-24


def test_in_64_bits_uniforms_have_53_bits(x64):
    keys = jax.random.split(jax.random.key(0), 20_000)
    for u in jax.jit(jax.vmap(lambda key: threefry.uniforms(key, 3)))(keys):
        grains = np.asarray(u) * 2.0**53
        assert u.dtype == jnp.float64
        assert ((grains == np.floor(grains)) & (grains >= 0) & (grains < 2**53)).all()
        assert (grains % 2 == 1).any()
        assert scipy.stats.kstest(u, "uniform").pvalue > 1e-7
    assert float(threefry._double(jnp.uint32(0xFFFFFFFF), jnp.uint32(0xFFFFFFFF))) == 1 - 2.0**-53
    assert float(threefry._double(jnp.uint32(2**31), jnp.uint32(0))) == 0.5


def test_uniforms_do_not_depend_on_how_many_are_drawn():
    assert threefry.uniforms(jax.random.key(3), 5)[:2] == threefry.uniforms(jax.random.key(3), 2)
    assert len(set(map(float, threefry.uniforms(jax.random.key(3), 6)))) == 6


def test_random_integers_are_in_range_and_unbiased():
    """Chi-squared at 1e-6, over all four sizes, of 200,000 draws each."""
    keys = jax.random.split(jax.random.key(11), 200_000)
    for num in (2, 4, 7, 1000):
        drawn = np.asarray(jax.jit(jax.vmap(lambda key, num=num: threefry.random_int(key, num)))(keys))
        assert drawn.dtype == np.int32
        assert (drawn.min(), drawn.max()) == (0, num - 1)
        assert scipy.stats.chisquare(np.bincount(drawn, minlength=num)).pvalue > 1e-6 / 4


def test_a_random_integer_is_the_high_half_of_word_times_size():
    for num in (1, 3, 4, 65_535, 65_536):
        for seed in range(20):
            word, _ = threefry.threefry2x32((jnp.uint32(0), jnp.uint32(seed)), (jnp.uint32(0), jnp.uint32(0)))
            assert int(threefry.random_int(jax.random.key(seed), num)) == int(word) * num >> 32


def test_every_purpose_environment_and_time_has_a_key_of_its_own():
    words = [threefry.fold_in(jax.random.key(5), purpose) for purpose in range(3)]
    assert len({(int(x), int(y)) for x, y in words}) == 3
    data = {
        tuple(jax.random.key_data(threefry.key_at(words[0], jnp.uint32(index), jnp.uint32(time))).tolist())
        for index in (0, 1, 2**31, 2**32 - 1)
        for time in (0, 1, 2**31, 2**32 - 1)
    }
    assert len(data) == 16
    assert jnp.issubdtype(threefry.key_at(words[0], jnp.uint32(0), jnp.uint32(0)).dtype, jax.dtypes.prng_key)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
@pytest.mark.parametrize("raw", [False, True])
def test_keys_of_every_kind_draw_inside_jit_and_vmap(impl, raw):
    keys = jax.random.split(jax.random.key(0, impl=impl), 3)
    keys = jax.random.key_data(keys) if raw else keys
    drawn = jax.jit(jax.vmap(lambda key: threefry.uniforms(key, 2)[1]))(keys)
    assert len(set(drawn.tolist())) == 3


@pytest.mark.parametrize(
    ("make_key", "error", "message"),
    [
        (lambda: 0, TypeError, "got 0; make one with jax.random.key"),
        (lambda: [0, 1], TypeError, "got a list of 2"),
        (lambda: None, TypeError, "got None"),
        (lambda: jnp.zeros(2), TypeError, "got dtype float32"),
        (lambda: jnp.zeros(2, jnp.int32), TypeError, "got dtype int32"),
        (lambda: jax.random.split(jax.random.key(0)), ValueError, r"shape \(2,\).*jax.vmap"),
        (lambda: jnp.zeros(3, jnp.uint32), ValueError, r"shape \(3,\)"),
        (lambda: jnp.uint32(3), ValueError, r"shape \(\)"),
    ],
    ids=["int", "list", "None", "floats", "int32", "batch", "three words", "one word"],
)
def test_what_is_no_key_is_refused(make_key, error, message):
    with pytest.raises(error, match=message):
        threefry.uniforms(make_key(), 1)
