"""What an unfinished sweep has so far is what the finished one has of the same slices."""

import dataclasses
import shutil

import numpy as np
import pytest
import tiny_study

from agents.__main__ import main
from agents.reports import sweep_report
from agents.sweeps import result_files, unfinished
from heartpole_jax import documents

pytestmark = pytest.mark.once
TABLES = ("results.parquet", "results.csv", "configurations.parquet", "configurations.csv", "curves.parquet",
          "manifest.json", "best.toml")  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Four configurations with two seeds: two slices in the first rung, one in the second."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(tiny_study.HALVING + tiny_study.TOML)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", "")
        assert main(["sweep", f"{folder}/tiny.toml", "--slice-size", "4", "--out", f"{folder}/run"]) == 0
    return folder / "run"


def cut(finished, folder, *slices):
    """The sweep as it was after these slices alone."""
    shutil.copytree(finished, folder)
    for path in sorted((folder / "slices").glob("*.safetensors")):
        if path.stem.removeprefix("batch-0000-program-00-") not in slices:
            path.unlink()
    for name in TABLES:
        (folder / name).unlink()
    shutil.rmtree(folder / "best")
    return folder


SEARCH = 'search = "optuna"\nnum_configurations = 4\nbatch_configurations = 2'
FIRST, SECOND, LAST = "rung-0-slice-0000", "rung-0-slice-0001", "rung-1-slice-0000"


def test_all_slices_without_the_tables_are_all_trials(finished, tmp_path):
    found = unfinished.read(cut(finished, tmp_path / "run", FIRST, SECOND, LAST))
    expected, summary = result_files.read(finished)
    assert (found.slices_done, found.slices_known, found.batches_left, found.waiting) == (3, 3, 0, frozenset())
    assert found.summary.swept == summary.swept
    for one, other in zip(found.trials, expected, strict=True):
        for field in dataclasses.fields(one):
            if field.name == "curve":
                for name in one.curve:
                    np.testing.assert_array_equal(one.curve[name], other.curve[name])
            elif field.name == "mean_return":
                assert one.mean_return == pytest.approx(other.mean_return)
            else:
                assert getattr(one, field.name) == getattr(other, field.name), field.name


def test_after_one_slice_its_configurations_wait_and_the_others_are_not_there(finished, tmp_path):
    found = unfinished.read(cut(finished, tmp_path / "run", FIRST))
    assert {trial.configuration for trial in found.trials} == {0, 1}
    assert found.waiting == {0, 1}
    assert (found.num_configurations, found.slices_done, found.slices_known) == (4, 1, 3)
    steps = result_files.read(finished)[1].num_steps // 2
    assert {trial.env_steps for trial in found.trials} == {steps}


def test_after_a_rung_only_those_that_go_on_wait(finished, tmp_path):
    found = unfinished.read(cut(finished, tmp_path / "run", FIRST, SECOND))
    survivors = {trial.configuration for trial in result_files.read(finished)[0] if trial.status == "finished"}
    assert len(survivors) == 2
    assert found.waiting == survivors


def test_before_any_slice_is_done_there_is_a_page_that_says_so(finished, tmp_path):
    folder = cut(finished, tmp_path / "run")
    found = unfinished.read(folder)
    assert (found.trials, found.slices_done) == ([], 0)
    text = sweep_report.build(folder, folder)
    assert "No configuration has all of its seeds yet: there is nothing to compare." in text
    assert "0 of 3 slices of trials" in text
    assert f"<span>{folder}</span>" in text


def test_a_configuration_some_of_whose_seeds_are_missing_is_counted_and_not_compared(tmp_path, finished, monkeypatch):
    whole = unfinished._whole(result_files.read(finished)[0][1:], 2)
    assert {trial.configuration for trial in whole} == {1, 2, 3}


def test_the_page_of_an_unfinished_sweep_says_what_is_missing(finished, tmp_path):
    folder = cut(finished, tmp_path / "run", FIRST)
    text = " ".join(sweep_report.build(folder, folder, refresh=7).split())
    assert '<meta http-equiv="refresh" content="7">' in text
    assert "1 of 3 slices of trials are done" in text
    assert "There is no best configuration yet" in text
    assert "0 finished, 0 stopped early by halving, 0 diverged, 4 between rungs" in text
    assert text.count(">2 between rungs</td>") == 2
    assert "configurations.csv" not in text  # which is written at the end


def test_a_damaged_slice_is_named_with_what_to_do(finished, tmp_path):
    folder = cut(finished, tmp_path / "run", FIRST)
    (path,) = (folder / "slices").glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{path.name} .*remove it and resume: the slice is trained again"):
        unfinished.read(folder)


def test_a_sweep_of_another_machine_can_be_read(finished, tmp_path):
    folder = cut(finished, tmp_path / "run", FIRST)
    content = documents.read(folder / "study.json")
    documents.write(folder / "study.json", content | {"versions": content["versions"] | {"jax": "0.0.1"}})
    assert unfinished.read(folder).slices_done == 1


def test_batches_that_a_search_has_not_proposed_yet_are_counted(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.setenv("XLA_FLAGS", "")
    content = tiny_study.TOML.replace('search = "grid"', SEARCH).replace(
        "{grid = [1e-4, 3e-3]}", "{log_uniform = [1e-4, 1e-2]}"
    )
    (tmp_path / "tiny.toml").write_text(content)
    assert main(["sweep", f"{tmp_path}/tiny.toml", "--slice-size", "4", "--out", f"{tmp_path}/run"]) == 0
    folder = tmp_path / "run"
    for path in [
        folder / "batches" / "0001.json",
        *(folder / "slices").glob("batch-0001*"),
        *(folder / n for n in TABLES),
    ]:
        path.unlink()
    found = unfinished.read(folder)
    assert ({trial.configuration for trial in found.trials}, found.batches_left) == ({0, 1}, 1)
    assert "and 1 batch of configurations not proposed yet" in " ".join(sweep_report.build(folder, folder).split())
