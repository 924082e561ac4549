"""Files of arrays: the format is the library's to the byte, what was written comes back, and nothing altered does."""

import json
import os
import random

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from agents.runs import array_files

ARRAYS = {
    "float32": np.float32([1.5, -0.0, np.inf]),
    "nested/float64": np.array([[1e300, np.nan]]),
    "uint32": np.arange(3, dtype=np.uint32),
    "int32": np.arange(6, dtype=np.int32).reshape(2, 3),
    "int64": np.array([-1, 2**40]),
    "bool": np.array([True, False]),
    "scalar": np.int32(7),
    "nothing": np.zeros((0, 4), np.float32),
}
DESCRIPTION = {"study": 'a"b\\c é', "envs": [0, 1.5, None], "config": {"double": True}}


def assert_same(got, expected):
    """The same arrays, to the bit."""
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        array = np.asarray(array)
        assert isinstance(got[name], np.ndarray)
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape)
        assert got[name].tobytes() == array.tobytes()


@pytest.fixture
def path(tmp_path):
    array_files.write(tmp_path / "arrays.safetensors", ARRAYS, DESCRIPTION)
    return tmp_path / "arrays.safetensors"


def test_what_was_written_comes_back_to_the_bit(path):
    description, arrays = array_files.read(path)
    assert description == DESCRIPTION
    assert_same(arrays, ARRAYS)
    array_files.write(path, {}, {})
    assert array_files.read(path) == ({}, {})


def test_the_file_is_the_librarys_to_the_byte(path):
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    arrays = {name: np.asarray(array) for name, array in ARRAYS.items()}
    assert path.read_bytes() == safetensors.numpy.save(arrays, metadata)
    assert_same(safetensors.numpy.load_file(path), ARRAYS)


def test_arrays_of_jax_and_views_are_written_as_what_they_show(tmp_path):
    strided = np.arange(12.0).reshape(3, 4)[::2, ::-1]
    array_files.write(tmp_path / "a", {"jax": jnp.arange(3), "strided": strided, "turned": strided.T}, {})
    expected = {"jax": np.arange(3, dtype=np.int32), "strided": strided.copy(), "turned": strided.T.copy()}
    assert_same(array_files.read(tmp_path / "a")[1], expected)


@pytest.mark.parametrize("array", [np.zeros(1, np.complex64), np.array([{}]), np.zeros(1, np.float16), "text"])
def test_an_array_of_another_type_is_refused_and_nothing_written(array, tmp_path):
    with pytest.raises(TypeError, match=r"^b must be of one of the types int64, float64, float32, .*, got "):
        array_files.write(tmp_path / "a", {"a": np.zeros(1), "b": array}, {})
    assert not list(tmp_path.iterdir())


def test_a_file_cut_anywhere_or_too_long_is_refused(path):
    content = path.read_bytes()
    for size in [*range(0, len(content), 7), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"^it is no file of arrays, "):
            array_files.read(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match=r"^it is no file of arrays, "):
        array_files.read(path)
    path.write_bytes(content)
    os.truncate(path, 2**40)  # of nothing: it takes no room on the disk
    with pytest.raises(ValueError, match=r"^it is no file of arrays, "):
        array_files.read(path)


def test_of_a_thousand_single_bits_flipped_none_goes_unnoticed(path):
    chance, content = random.Random(20), path.read_bytes()
    for _ in range(1000):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(
            ValueError, match=r"^it is (no file of arrays, |not what was saved, its checksum is another$)"
        ):
            array_files.read(path)


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"manifest": "{"}, {"manifest": "[]"}, {"manifest": '{"description": 1, "sha256": ""}'},
     {"manifest": "[" * 5000}, {"manifest": json.dumps({"description": {}, "sha256": "ab"})}],
)  # fmt: skip
def test_a_file_of_the_library_without_a_manifest_of_ours_is_refused(metadata, path):
    safetensors.numpy.save_file({"a": np.zeros(2)}, path, metadata)
    with pytest.raises(ValueError, match=r"^it is no(t what was saved| file of arrays)"):
        array_files.read(path)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nowhere"):
        with pytest.raises(OSError, match=r"regular file|directory"):
            array_files.read(path)
