"""Checkpoints: what is saved comes back, whatever happens while it is saved, and what is damaged never comes back."""

import concurrent.futures
import json
import logging
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.runs import checkpoints, manifests, trees
from agents.runs.checkpoints import Damaged, Mismatch

DESCRIPTION = {"study": "abc", "lanes": (0, 1), "config": {"double": True, "n_step": 3}}
ARRAYS = {
    "float32": np.float32([1.5, -0.0, np.inf]),
    "nested": {"float64": np.array([[1e300, np.nan]]), "uint32": np.arange(3, dtype=np.uint32), "empty": {}},
    "int32": np.arange(6, dtype=np.int32).reshape(2, 3),
    "bool": np.array([True, False]),
    "scalar": np.int32(7),
    "nothing": np.zeros((0, 4), np.float32),
    "zeros": np.full(3, -0.0, np.float32),
}


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
    return f"step-{number:012}"


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def assert_same(got, expected):
    if isinstance(expected, dict):
        assert got.keys() == expected.keys()
        for name in expected:
            assert_same(got[name], expected[name])
    else:
        assert isinstance(got, np.ndarray)
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        assert got.tobytes() == np.asarray(expected).tobytes()


def test_what_was_saved_comes_back_to_the_bit(saved):
    found = checkpoints.restore(saved, DESCRIPTION)
    assert (found.step, found.path) == (12288, saved / "step-000000012288")
    assert_same(found.arrays, ARRAYS)


def test_jax_arrays_and_an_empty_tree(tmp_path):
    checkpoints.save(tmp_path, 1, {"a": jnp.arange(3), "b": jnp.float32(2.5)}, {})
    assert_same(checkpoints.restore(tmp_path, {}).arrays, {"a": np.arange(3, dtype=np.int32), "b": np.float32(2.5)})
    checkpoints.save(tmp_path, 2, {}, {})
    assert checkpoints.restore(tmp_path, {}).arrays == {}


def test_where_nothing_was_saved_there_is_nothing(tmp_path):
    assert checkpoints.restore(tmp_path, DESCRIPTION) is None
    assert checkpoints.restore(tmp_path / "nowhere", DESCRIPTION) is None
    checkpoints.remove(tmp_path / "nowhere")


def test_any_tree_becomes_dicts_and_a_tree_again():
    tree = {"state": (jax.random.key(3), [jnp.arange(2), jnp.float32(0.5)]), "more": jnp.array(True)}
    dicts = trees.as_dicts(tree)
    assert_same(dicts["state"]["0"], np.array([0, 3], np.uint32))
    assert_same(dicts["state"]["1"], {"0": np.arange(2, dtype=np.int32), "1": np.float32(0.5)})
    again = trees.from_dicts(dicts, jax.eval_shape(lambda: tree))
    assert jax.tree.structure(again) == jax.tree.structure(tree)
    assert jax.random.uniform(again["state"][0]) == jax.random.uniform(jax.random.key(3))
    with pytest.raises(ValueError, match=r"the checkpoint's more should be float32\[\], got bool\[\]$"):
        trees.from_dicts(dicts, {**tree, "more": jnp.float32(0)})
    with pytest.raises(ValueError, match=r"the checkpoint's other should be bool\[\], got nothing$"):
        trees.from_dicts(dicts, {"other": tree["more"]})
    with pytest.raises(ValueError, match="the checkpoint should hold 1 arrays, got 4"):
        trees.from_dicts(dicts, {"more": tree["more"]})


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"a": {"b": np.zeros(1, np.complex64)}}, TypeError, "b in a must be of one of float32, .*, got complex64"),
        ({"a": [np.zeros(1)]}, TypeError, "a must be a dict of arrays, got list"),
        ({"a/b": np.zeros(1)}, ValueError, "the keys of the tree must be of letters, digits, _ and -, got 'a/b'"),
        (np.zeros(1), TypeError, "the tree must be a dict of arrays, got ndarray"),
        ({"a": np.array([{}])}, TypeError, "a in the tree must be of one of .*, got object"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_anything_is_written(arrays, error, message, tmp_path):
    with pytest.raises(error, match=message):
        checkpoints.save(tmp_path / "new", 1, arrays, {})
    with pytest.raises(ValueError, match="step must be at least 0 and keep at least 1, got 1 and 0"):
        checkpoints.save(tmp_path / "new", 1, {}, {}, keep=0)
    assert not (tmp_path / "new").exists()


def test_the_newest_two_are_kept_and_leftovers_of_a_crash_removed(tmp_path):
    for number in (100, 200, 300):
        checkpoints.save(tmp_path, number, {"a": np.float32(number)}, {})
    assert names(tmp_path) == [step(200), step(300)]
    (tmp_path / f".{step(400)}.partial").mkdir()
    (tmp_path / f".{step(100)}.old" / "arrays").mkdir(parents=True)
    assert checkpoints.restore(tmp_path, {}).step == 300
    checkpoints.save(tmp_path, 1_000_000_000_000, {"a": np.float32(4)}, {}, keep=1)
    assert names(tmp_path) == ["step-1000000000000"]


def test_a_step_saved_again_takes_no_older_one_away_before_it_is_there(tmp_path):
    for value in range(12):
        checkpoints.save(tmp_path, 5, {"a": np.float32(value)}, {}, keep=1)
    assert names(tmp_path) == [f"{step(5)}-11"]
    assert checkpoints.restore(tmp_path, {}).arrays["a"] == 11.0


def refused(folder):
    """The reason for which the checkpoint in the folder is refused. Fails where it is not."""
    with pytest.raises(Damaged) as error:
        checkpoints.restore(folder, DESCRIPTION)
    return str(error.value)


def test_a_truncated_checkpoint_is_never_loaded(folder):
    """Cut at every hundredth of its bytes, the files one behind the other: all after the cut are gone, or empty."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    whole = {path: path.read_bytes() for path in files}
    total = sum(map(len, whole.values()))
    for percent in range(100):
        for keep_empty in (False, True):
            left = total * percent // 100
            for path in files:
                path.write_bytes(whole[path][:left])
                left = max(left - len(whole[path]), 0)
                if not path.read_bytes() and whole[path] and not keep_empty:
                    path.unlink()
            refused(folder)
            for path in files:
                path.write_bytes(whole[path])
    assert_same(checkpoints.restore(folder, DESCRIPTION).arrays, ARRAYS)


def test_each_file_cut_anywhere_is_noticed(folder):
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size):
        content = path.read_bytes()
        for size in {0, len(content) // 2, len(content) - 1}:
            path.write_bytes(content[:size])
            refused(folder)
        path.write_bytes(content)
    checkpoints.restore(folder, DESCRIPTION)


def test_of_a_thousand_single_bits_flipped_none_goes_unnoticed(folder):
    chance = random.Random(20)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    places = [(path, byte) for path in files for byte in range(path.stat().st_size)]
    for path, byte in chance.choices(places, k=1000):
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[byte] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        refused(folder)
        path.write_bytes(content)
    checkpoints.restore(folder, DESCRIPTION)


def test_nothing_is_opened_before_it_is_verified(folder, monkeypatch):
    monkeypatch.setattr(checkpoints, "_orbax", lambda: pytest.fail("opened"))
    (folder / step(12288) / "arrays" / "int32" / "zarr.json").write_text("{}")
    assert refused(folder).startswith(
        f"{folder}/step-000000012288 is damaged: arrays/int32/zarr.json has 2 bytes, and "
    )


def test_a_missing_file_and_one_too_many_are_told(folder):
    (folder / step(12288) / "more").write_text("")
    assert "is damaged: more was not saved with it; there is no other good one: --skip-damaged" in refused(folder)
    (folder / step(12288) / "more").unlink()
    (folder / step(12288) / "arrays" / "bool" / "zarr.json").unlink()
    assert "is damaged: arrays/bool/zarr.json is missing; " in refused(folder)
    (folder / step(12288) / "manifest.json").unlink()
    assert "is damaged: manifest.json is missing; " in refused(folder)


def test_a_link_is_not_followed(folder, tmp_path):
    path = folder / step(12288) / "arrays" / "bool" / "zarr.json"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "is damaged: arrays/bool/zarr.json is no file; " in refused(folder)


def test_an_older_good_one_is_named_and_taken_on_demand(folder, capsys):
    newest = checkpoints.save(folder, 20000, {"a": np.float32(1)}, DESCRIPTION)
    (newest / "manifest.json").write_bytes((newest / "manifest.json").read_bytes()[:-1])
    assert refused(folder) == (
        f"{newest} is damaged: manifest.json is not what was saved ({(newest / 'manifest.json').stat().st_size:,} "
        "bytes); the newest good one is step-000000012288: --skip-damaged goes on from it"
    )
    assert names(folder) == [step(12288), step(20000)]
    found = checkpoints.restore(folder, DESCRIPTION, skip_damaged=True)
    assert found.step == 12288
    assert names(folder) == [f"damaged-{step(20000)}", step(12288)]
    assert capsys.readouterr().err.startswith(f"skipped, and renamed damaged-{step(20000)}: {newest} is damaged: ")
    assert checkpoints.restore(folder, DESCRIPTION).step == 12288


def test_where_no_good_one_is_left_one_starts_from_the_beginning(folder, capsys):
    (folder / step(12288) / "manifest.json").write_text("")
    assert refused(folder).endswith("there is no other good one: --skip-damaged starts from the beginning")
    assert checkpoints.restore(folder, DESCRIPTION, skip_damaged=True) is None
    assert names(folder) == [f"damaged-{step(12288)}"]
    capsys.readouterr()


def rewrite(folder, **changes):
    """The manifest with these entries, and with the checksum that it then has."""
    path = folder / step(12288) / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    manifest["manifest_sha256"] = manifests._checksum(manifest)
    path.write_bytes(manifests._serialized(manifest))


def test_another_schema_version_is_refused_and_not_skipped(folder):
    rewrite(folder, schema_version=3)
    for skip_damaged in (False, True):
        with pytest.raises(Mismatch, match="step-000000012288 has schema version 3, and this code reads 2; go on with"):
            checkpoints.restore(folder, DESCRIPTION, skip_damaged=skip_damaged)


def test_another_version_of_jax_is_refused_and_not_skipped(folder):
    rewrite(folder, versions=manifests._versions() | {"jaxlib": "0.1"})
    for skip_damaged in (False, True):
        with pytest.raises(Mismatch, match=r"was saved with jaxlib 0\.1, and this is .*: its numbers could be others;"):
            checkpoints.restore(folder, DESCRIPTION, skip_damaged=skip_damaged)


def test_another_run_is_refused_with_what_differs(folder):
    other = {"lanes": (0, 1), "config": {"double": 1, "n_step": 4}, "seed": "x"}
    for skip_damaged in (False, True):
        with pytest.raises(Mismatch) as error:
            checkpoints.restore(folder, other, skip_damaged=skip_damaged)
        assert str(error.value) == (
            f"{folder}/step-000000012288 is another run's: config.double was true and is 1; config.n_step was 3 and is "
            '4; seed was nothing and is "x"; study was "abc" and is nothing; name that run\'s folder, or a new one'
        )
    assert names(folder) == [step(12288)]


@pytest.mark.parametrize("stage", ["mkdir", "_save_arrays", "write", "fsync", "rename", "sync", "_remove"])
def test_a_crash_at_any_stage_leaves_one_that_is_whole(stage, folder, monkeypatch):
    class Crash(BaseException):
        """As kill -9: nothing cleans up after it."""

    def crash(*_, **__):
        raise Crash

    owner = {"mkdir": Path, "write": manifests, "sync": manifests, "fsync": os, "rename": os}.get(stage, checkpoints)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.shutil, "rmtree", lambda *_, **__: None)
        patch.setattr(owner, stage, crash)
        with pytest.raises(Crash):
            checkpoints.save(folder, 20000, {"a": np.float32(1)}, DESCRIPTION, keep=1)
    assert checkpoints.restore(folder, DESCRIPTION).step == (20000 if stage == "_remove" else 12288)
    checkpoints.save(folder, 30000, {"a": np.float32(2)}, DESCRIPTION)
    assert checkpoints.restore(folder, DESCRIPTION).step == 30000
    assert not [name for name in names(folder) if name.startswith(".")]


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


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^cannot save a checkpoint in .*/file/below: Not a directory; those before"):
        checkpoints.save(tmp_path / "file" / "below", 1, {}, {})


def test_each_of_two_processes_saves_for_itself(tmp_path):
    """One saves three times and the other once: nobody waits for anybody."""
    code = """
import sys
import jax
import numpy as np
from pathlib import Path
from agents.runs import checkpoints

index, port, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]) / sys.argv[1]
jax.distributed.initialize(f"127.0.0.1:{port}", 2, index)
for step in range(3 if index else 1):
    checkpoints.save(folder, step, {"a": np.full(3, index), "b": jax.numpy.ones(2)}, {"process": index})
found = checkpoints.restore(folder, {"process": index})
print(jax.process_count(), found.step, found.arrays["a"].tolist(), found.arrays["b"].tolist())
"""
    with subprocess.Popen([sys.executable, "-c", "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); "
                           "print(s.getsockname()[1])"], stdout=subprocess.PIPE, text=True) as free:  # fmt: skip
        port = free.communicate()[0].strip()
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(i), port, str(tmp_path)], stdout=subprocess.PIPE, text=True,
                         env=environment)
        for i in range(2)
    ]  # fmt: skip
    told = [process.communicate(timeout=120)[0] for process in started]
    assert told == ["2 0 [0, 0, 0] [1.0, 1.0]\n", "2 2 [1, 1, 1] [1.0, 1.0]\n"]


def test_several_threads_save_at_once_and_nobody_hears_of_it(tmp_path, caplog):
    """As the workers of a sweep do, each into a folder of its own."""

    def work(name):
        for step in range(3):
            checkpoints.save(tmp_path / name, step, {"x": np.full(4, step)}, {"name": name})
        return checkpoints.restore(tmp_path / name, {"name": name})

    with concurrent.futures.ThreadPoolExecutor(4) as pool, caplog.at_level(logging.WARNING):
        found = list(pool.map(work, "abcd"))
    assert [checkpoint.step for checkpoint in found] == [2, 2, 2, 2]
    assert caplog.records == []
