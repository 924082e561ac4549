"""The file of a slice's results: what is in it comes back, and nothing else does."""

import dataclasses

import numpy as np
import pytest

from agents.sweeps import slice_files
from agents.sweeps.slice_files import CURVES, Result
from agents.sweeps.tasks import Trial

STUDY, TASK = "ab" * 32, "batch-0000-program-00-rung-0-slice-0000"


def result():
    generator = np.random.default_rng(0)
    return Result(
        trials=(Trial(0, 3), Trial(0, 2**32 - 1), Trial(7, 3)),
        objective=np.array([0.5, np.inf, 0.25]),
        mean_return=np.array([-1.0, np.nan, -2.0]),
        standard_error=np.ones(3),
        diverged_at=np.array([-1, 4096, -1]),
        weights=generator.random((3, 5), np.float32),
        curves={name: generator.random((3, 4)) for name in CURVES},
    )


@pytest.fixture
def written(tmp_path):
    slice_files.write(tmp_path, TASK, STUDY, result())
    return tmp_path


def test_a_result_comes_back(written):
    found, expected = slice_files.read(written, TASK, STUDY), result()
    assert found.trials == expected.trials
    for field in dataclasses.fields(Result):
        if field.name not in ("trials", "curves"):
            array = getattr(found, field.name)
            np.testing.assert_array_equal(array, getattr(expected, field.name))
            assert array.dtype == getattr(expected, field.name).dtype
    for name in CURVES:
        np.testing.assert_array_equal(found.curves[name], expected.curves[name])


def test_the_same_result_is_the_same_file(written, tmp_path):
    before = slice_files.path_of(written, TASK).read_bytes()
    for _ in range(20):
        slice_files.write(tmp_path, TASK, STUDY, result())
        assert slice_files.path_of(tmp_path, TASK).read_bytes() == before


def test_a_result_that_was_cut_short_or_has_one_bit_flipped_is_never_loaded(written):
    path = slice_files.path_of(written, TASK)
    content = path.read_bytes()
    generator = np.random.default_rng(1)
    for length in range(0, len(content), max(1, len(content) // 100)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"remove it and resume|is of another run"):
            slice_files.read(written, TASK, STUDY)
    for bit in generator.integers(0, 8 * len(content), 1000):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match=r"remove it and resume|is of another run"):
            slice_files.read(written, TASK, STUDY)


def test_a_result_of_another_study_or_task_is_refused(written):
    with pytest.raises(ValueError, match=f"has study '{STUDY}', expected 'cdcd': it is of another run"):
        slice_files.read(written, TASK, "cdcd")
    slice_files.path_of(written, TASK).rename(slice_files.path_of(written, "other"))
    with pytest.raises(ValueError, match=f"has task '{TASK}', expected 'other'"):
        slice_files.read(written, "other", STUDY)
