"""Checkpoints: what is saved comes back, whatever happens while it is saved, and what is damaged never comes back."""

import concurrent.futures
import os
import resource
import shutil
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.runs import array_files, checkpoints, trees
from agents.runs.checkpoints import DamagedError, MismatchError

DESCRIPTION = {"study": "abc", "envs": (0, 1), "config": {"double": True, "n_step": 3}}
ARRAYS = {"state/float32": np.float32([1.5, -0.0, np.inf]), "state/int32": np.arange(6, dtype=np.int32).reshape(2, 3)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with one small checkpoint, not to be changed."""
    folder = tmp_path_factory.mktemp("saved")
    checkpoints.save(folder, 12288, ARRAYS, DESCRIPTION)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A folder of one's own with that checkpoint."""
    return shutil.copytree(saved, tmp_path / "checkpoints")


def step(number):
    return f"step-{number:012}.safetensors"


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype


def test_what_was_saved_comes_back(saved):
    found = checkpoints.restore(saved, DESCRIPTION)
    assert (found.step, found.path) == (12288, saved / step(12288))
    assert_same(found.arrays, ARRAYS)


def test_where_nothing_was_saved_there_is_nothing(tmp_path):
    assert checkpoints.restore(tmp_path, DESCRIPTION) is None
    assert checkpoints.restore(tmp_path / "nowhere", DESCRIPTION) is None
    checkpoints.remove(tmp_path / "nowhere")


def test_any_tree_becomes_arrays_and_a_tree_again():
    tree = {"state": (jax.random.key(3), [jnp.arange(2), jnp.float32(0.5)]), "more": jnp.array(True)}
    arrays = trees.as_arrays(tree)
    assert list(arrays) == ["more", "state/0", "state/1/0", "state/1/1"]
    assert_same(
        trees.below(arrays, "state"),
        {"0": np.array([0, 3], np.uint32), "1/0": np.arange(2, dtype=np.int32), "1/1": np.float32(0.5)},
    )
    again = trees.from_arrays(arrays, jax.eval_shape(lambda: tree))
    assert jax.tree.structure(again) == jax.tree.structure(tree)
    assert jax.random.uniform(again["state"][0]) == jax.random.uniform(jax.random.key(3))
    with pytest.raises(ValueError, match=r"the checkpoint's more should be float32\[\], got bool\[\]$"):
        trees.from_arrays(arrays, {**tree, "more": jnp.float32(0)})
    with pytest.raises(ValueError, match=r"the checkpoint's other should be bool\[\], got nothing$"):
        trees.from_arrays(arrays, {"other": tree["more"]})
    with pytest.raises(ValueError, match="the checkpoint should hold 1 arrays, got 4"):
        trees.from_arrays(arrays, {"more": tree["more"]})


def test_what_cannot_be_saved_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match=r"a must be of one of the types .*, got complex64"):
        checkpoints.save(tmp_path, 1, {"a": np.zeros(1, np.complex64)}, {})
    with pytest.raises(ValueError, match="not JSON compliant"):
        checkpoints.save(tmp_path, 1, {}, {"a": float("nan")})
    with pytest.raises(ValueError, match="step must be at least 0 and keep at least 1, got 1 and 0"):
        checkpoints.save(tmp_path, 1, {}, {}, keep=0)
    assert not list(tmp_path.iterdir())


def test_the_newest_two_are_kept(tmp_path):
    for number in (100, 200, 300):
        checkpoints.save(tmp_path, number, {"a": np.float32(number)}, {})
    assert names(tmp_path) == [step(200), step(300)]
    assert checkpoints.restore(tmp_path, {}).step == checkpoints.newest_step(tmp_path) == 300
    checkpoints.save(tmp_path, 1_000_000_000_000, {"a": np.float32(4)}, {}, keep=1)
    assert names(tmp_path) == ["step-1000000000000.safetensors"]


def test_a_step_saved_again_is_replaced(tmp_path):
    for value in range(3):
        checkpoints.save(tmp_path, 5, {"a": np.float32(value)}, {}, keep=1)
    assert names(tmp_path) == [step(5)]
    assert checkpoints.restore(tmp_path, {}).arrays["a"] == 2.0


def refused(folder):
    """The reason for which the checkpoint in the folder is refused. Fails where it is not."""
    with pytest.raises(DamagedError) as error:
        checkpoints.restore(folder, DESCRIPTION)
    return str(error.value)


@pytest.mark.parametrize("size", [0, 8, 500, -1])
def test_a_truncated_checkpoint_is_never_loaded(size, folder):
    path = folder / step(12288)
    path.write_bytes(path.read_bytes()[:size])
    assert refused(folder).startswith(f"{path} is damaged: it is no file of arrays, ")


def test_an_altered_one_is_never_loaded(folder):
    path = folder / step(12288)
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    assert refused(folder) == (
        f"{path} is damaged: it is not what was saved, its checksum is another; there is no other good one: "
        "--skip-damaged starts from the beginning"
    )


def test_a_link_is_not_followed(folder, tmp_path):
    (folder / step(12288)).rename(tmp_path / "elsewhere")
    (folder / step(12288)).symlink_to(tmp_path / "elsewhere")
    assert refused(folder).startswith(f"{folder / step(12288)} is damaged: it is no file; ")


def test_one_under_the_name_of_another_step_is_never_loaded(folder):
    (folder / step(12288)).rename(folder / step(20000))
    assert refused(folder).startswith(f"{folder / step(20000)} is damaged: it is of step 12288; ")


def test_an_older_good_one_is_named_and_taken_on_demand(folder, capsys):
    newest = checkpoints.save(folder, 20000, {"a": np.float32(1)}, DESCRIPTION)
    newest.write_bytes(newest.read_bytes()[:-1])
    assert refused(folder).endswith(f"; the newest good one is {step(12288)}: --skip-damaged goes on from it")
    assert names(folder) == [step(12288), step(20000)]
    found = checkpoints.restore(folder, DESCRIPTION, skip_damaged=True)
    assert found.step == 12288
    assert names(folder) == [f"damaged-{step(20000)}", step(12288)]
    assert capsys.readouterr().err.startswith(f"skipped, and renamed damaged-{step(20000)}: {newest} is damaged: ")
    assert checkpoints.restore(folder, DESCRIPTION).step == 12288


def test_where_no_good_one_is_left_one_starts_from_the_beginning(folder, capsys):
    for name in (f"damaged-{step(12288)}", f"damaged-{step(12288)}-1"):
        (folder / step(12288)).write_text("")
        assert checkpoints.restore(folder, DESCRIPTION, skip_damaged=True) is None
        assert (folder / name).exists()
    assert not checkpoints._found(folder)
    capsys.readouterr()


def rewrite(folder, **changes):
    """The checkpoint with these entries in its description, and with the checksum that it then has."""
    path = folder / step(12288)
    described, arrays = array_files.read(path)
    array_files.write(path, arrays, described | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "has schema version 2, and this code reads 3; go on with"),
        (
            {"versions": checkpoints._versions() | {"jaxlib": "0.1"}},
            r'was saved with other versions, its numbers could be others: jaxlib was "0\.1" and is "',
        ),
        ({"versions": None}, "was saved with other versions"),
    ],
)
def test_another_version_is_refused_and_not_skipped(changes, message, folder):
    rewrite(folder, **changes)
    for skip_damaged in (False, True):
        with pytest.raises(MismatchError, match=message):
            checkpoints.restore(folder, DESCRIPTION, skip_damaged=skip_damaged)


def test_one_that_says_less_than_it_must_is_damaged(folder):
    array_files.write(folder / step(12288), {}, {"schema_version": 3})
    assert refused(folder).startswith(f"{folder / step(12288)} is damaged: it lacks 'description'; ")


def test_another_run_is_refused_with_what_differs(folder):
    other = {"envs": (0, 1), "config": {"double": 1, "n_step": 4}, "seed": "x"}
    for skip_damaged in (False, True):
        with pytest.raises(MismatchError) as error:
            checkpoints.restore(folder, other, skip_damaged=skip_damaged)
        assert str(error.value) == (
            f"{folder / step(12288)} is another run's: config.double was true and is 1; config.n_step was 3 and is "
            '4; seed was nothing and is "x"; study was "abc" and is nothing; name that run\'s folder, or a new one'
        )
    assert names(folder) == [step(12288)]


@pytest.mark.parametrize("stage", ["mkdir", "open", "fsync", "replace", "sync", "unlink"])
def test_a_crash_at_any_stage_leaves_one_that_is_whole(stage, folder, monkeypatch):
    class Crash(BaseException):
        """As kill -9: nothing cleans up after it."""

    def crash(*_, **__):
        raise Crash

    owner = {"mkdir": Path, "unlink": Path, "sync": checkpoints.disk}.get(stage, os)
    with monkeypatch.context() as patch:
        patch.setattr(owner, stage, crash)
        with pytest.raises(Crash):
            checkpoints.save(folder, 20000, {"a": np.float32(1)}, DESCRIPTION, keep=1)
    assert checkpoints.restore(folder, DESCRIPTION).step == (20000 if stage == "sync" else 12288)
    checkpoints.save(folder, 30000, {"a": np.float32(2)}, DESCRIPTION)
    assert checkpoints.restore(folder, DESCRIPTION).step == 30000


def test_a_full_disk_leaves_those_of_before(folder):
    """The limit on a file's size is met as the end of a disk is, in the middle of writing."""
    before, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(
            OSError, match=r"^cannot save a checkpoint in [^:]*: File too large; those before it are kept$"
        ):
            checkpoints.save(folder, 20000, {"a": np.zeros(100_000, np.float32)}, DESCRIPTION)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert names(folder) == [step(12288)]
    assert checkpoints.restore(folder, DESCRIPTION).step == 12288


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^cannot save a checkpoint in .*/file/below: Not a directory; those before"):
        checkpoints.save(tmp_path / "file" / "below", 1, {}, {})


def test_several_threads_save_at_once(tmp_path):
    """As the workers of a sweep do, each into a folder of its own."""

    def work(name):
        for step in range(3):
            checkpoints.save(tmp_path / name, step, {"x": np.full(4, step)}, {"name": name})
        return checkpoints.restore(tmp_path / name, {"name": name})

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, "abcd"))
    assert [checkpoint.step for checkpoint in found] == [2, 2, 2, 2]
