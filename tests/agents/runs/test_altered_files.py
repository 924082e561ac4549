"""Files of a run and of a sweep that were altered, in many ways: each is refused, and named."""

import contextlib
import json
import os
import random
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from agents.commands import resume as resume_command
from agents.commands import sweep as sweep_command
from agents.dqn.config import DQNConfig
from agents.runs import records, run_folder
from agents.runs.save_policy import save_policy
from agents.sweeps import result_files, results, search, slice_files, study_file, study_folder, sweep
from agents.sweeps.results import Summary
from agents.sweeps.slice_files import CURVES, Result
from agents.sweeps.tasks import Trial
from heartpole_jax import documents
from heartpole_jax.policies import saved_policy

pytestmark = pytest.mark.once

RECORD = {"env_steps": 4096, "loss": 1.25, "episode_return": -150.5, "epsilon": 0.5, "greedy_return": -125.0}
TASK = "batch-0000-program-00-rung-0-slice-0000"


def test_a_document_comes_back_and_no_altered_one_does(tmp_path):
    path = tmp_path / "config.json"
    documents.write(path, {"a": [1.5, None, "x"], "b": {"c": True}})
    content = path.read_bytes()
    assert documents.read(path) == {"a": [1.5, None, "x"], "b": {"c": True}}
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with contextlib.suppress(ValueError):
            assert documents.read(path) == {"a": [1.5, None, "x"], "b": {"c": True}}  # its layout alone changed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "nested deeper than 32 levels"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "nested deeper than 32 levels"),
        (b"[]", "it has no checksum"),
        (b"\xff", "it is no JSON"),
        (b'{"sha256": [], "a": 1}', "its checksum is another"),
    ],
)
def test_a_document_that_is_none_is_refused(content, message, tmp_path):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=f"config.json is damaged.*{message}"):
        documents.read(tmp_path / "config.json")


def test_a_line_that_was_altered_or_is_missing_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    written = [RECORD | {"env_steps": 10 * i, "loss": None if i == 2 else 0.1 * i} for i in range(1, 5)]
    whole, _ = records.encode_all(written, 5)
    lines = whole.splitlines(keepends=True)
    path.write_bytes(whole + b'{"torn')
    assert records.read(path, 5) == written
    assert records.from_arrays(records.as_arrays(written)) == written
    for altered, number in (
        ([*lines[:2], b"\n", *lines[3:]], 3),
        ([lines[0], *lines[2:]], 2),
        ([lines[1], lines[0]], 1),
        ([lines[0], lines[1].replace(b"null", b"0.3")], 2),
        ([lines[0], b"[" * 99_999 + b"\n"], 2),
        ([lines[0], b"7\n"], 2),
        ([*lines, b'{"torn'], 5),
        ([records.encode(RECORD | {"env_steps": None}, 5)[0]], 1),
        ([records.encode(RECORD | {"loss": "1"}, 5)[0]], 1),
    ):
        path.write_bytes(b"".join(altered))
        with pytest.raises(ValueError, match=f"metrics.jsonl is damaged: line {number} is not what was saved"):
            records.read(path, 5, may_be_torn=False)


class Made(NamedTuple):
    """Two runs, or two sweeps, of other seeds."""

    folder: Path
    other: Path


def _run(folder, seed):
    config = {"env": "HeartPole-v0", "seed": seed, "num_steps": 12_288}
    with run_folder.Run(folder, config) as run:
        for i in range(1, 4):
            run.record(RECORD | {"env_steps": 4096 * i, "loss": 0.1 * i + seed, "seconds": 0.5 * i})
    save_policy(folder, np.full(28, seed + 0.5), DQNConfig(hidden_sizes=()), "HeartPole-v0", config)
    run_folder.write_evaluation(folder, {"mean_return": 1.5, "seed": seed})


def _study(seed):
    return sweep_command.study_of(sweep_command.Sweep(space=("discount=0.9,0.99",), seeds=f"{seed}-{seed + 1}"))


def _sweep(folder, seed):
    folder.mkdir()
    study = _study(seed)
    study_folder.prepare(folder, study, "command", 2, None)
    with search.opened(study, folder) as searcher:
        sweep._batch(0, study, folder, searcher)
    numbers = np.arange(2.0) + seed
    arrays = dict.fromkeys(("objective", "mean_return", "standard_error", "weights"), numbers)
    curves = dict.fromkeys(CURVES, numbers[:, None])
    result = Result((Trial(0, seed), Trial(1, seed)), **arrays, diverged_at=np.array([-1, -1]), curves=curves)
    slice_files.write(folder, TASK, study_file.digest(study), result)
    trials = [
        results.TrialResult(i, seed, {"discount": 0.9}, "finished", 4096, 1.0 + seed, 0.5, 0.5, True, None,
                       {name: np.ones(1) for name in ("env_steps", *results.CURVES)})
        for i in range(2)
    ]  # fmt: skip
    summary = Summary(
        "sweep", "HeartPole-v0", 4096, (seed,), ("discount",), frozenset(), "last", {"command": "command"}
    )
    result_files.write(folder, trials, summary)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    for seed, names in enumerate((("run", "sweep"), ("other-run", "other-sweep"))):
        _run(root / names[0], seed)
        _sweep(root / names[1], seed)
    return root


READERS = {
    "run/config.json": resume_command.read_config,
    "run/metrics.jsonl": run_folder.read_metrics,
    "run/evaluation.json": run_folder.read_evaluation,
    "run/policy.json": saved_policy.load,
    "run/policy.safetensors": saved_policy.load,
    "sweep/study.json": study_folder.read,
    "sweep/batches/0000.json": lambda folder: sweep.read_batch(folder / "batches" / "0000.json", 0, _study(0)),
    f"sweep/slices/{TASK}.safetensors": lambda folder: slice_files.read(folder, TASK, study_file.digest(_study(0))),
    "sweep/manifest.json": result_files.read,
    "sweep/results.parquet": result_files.read,
    "sweep/curves.parquet": result_files.read,
}


def _lines(change):
    """What changes the lines of a file, of which a random one is given."""

    def changed(content, chance):
        lines = content.splitlines(keepends=True)
        change(lines, chance.randrange(len(lines)))
        return b"".join(lines)

    return changed


def _spliced(content, chance, put, removed):
    place = chance.randrange(len(content))
    return content[:place] + put + content[place + removed :]


def _flipped(content, chance):
    place = chance.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]


CONTENTS = {
    "flipped": _flipped,
    "cut": lambda content, chance: content[: chance.randrange(len(content))],
    "a line lost": _lines(lambda lines, i: lines.pop(i)),
    "a line twice": _lines(lambda lines, i: lines.insert(i, lines[i])),
    "lines exchanged": _lines(lambda lines, i: lines.insert(0, lines.pop(i))),
    "bytes put in": lambda content, chance: _spliced(content, chance, chance.randbytes(5), 0),
    "zeros": lambda content, chance: _spliced(content, chance, bytes(16), 16),
    "appended": lambda content, chance: content + chance.randbytes(9),
    "nested": lambda content, chance: b"[" * 100_000,
    "empty": lambda content, chance: b"",
}


def _grown(path):
    os.truncate(path, 2**40)


def _folder(path):
    path.unlink()
    path.mkdir()


def _pipe(path):
    path.unlink()
    os.mkfifo(path)


def _circle(path):
    path.unlink()
    path.symlink_to(path.name)


def _gone(path):
    path.unlink()


def _layout(content):
    """What a text file says, however it is laid out; of others the bytes."""
    try:
        return [json.loads(line) for line in ([content] if content.startswith(b"{\n") else content.splitlines())]
    except ValueError:
        return content


def _refusal(read, folder):
    """What is said where the reader refuses the file in the folder; nothing where it takes it."""
    try:
        read(folder)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    except ValueError as error:
        return str(error)
    return ""


# Where one of two files is altered that must fit each other, the other may be the one that is refused.
NAMED = {"policy.json": "policy.", "manifest.json": "sweep/"}
FREE = {"sweep/study.json", "run/config.json"}  # another's is whole: it is the others that do not fit it


@pytest.mark.parametrize("name", READERS)
def test_a_file_with_other_contents_is_refused_and_named(name, made):
    path, read, folder = made / name, READERS[name], made / name.split("/")[0]
    before, named = path.read_bytes(), NAMED.get(path.name, path.name)
    assert _refusal(read, folder) == ""
    try:
        for how, alter in CONTENTS.items():
            for i in range(8):
                content = alter(before, random.Random(f"{how} {i}"))
                path.write_bytes(content)
                refusal = _refusal(read, folder)
                assert named in refusal or (not refusal and _layout(content) == _layout(before)), f"{how} {i}"
                assert len(refusal) < 1000
        path.write_bytes((made / f"other-{name}").read_bytes())
        assert named in _refusal(read, folder) or name in FREE
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("alter", [_grown, _folder, _pipe, _circle, _gone])
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_or_far_too_large_is_refused_and_named(name, alter, made):
    path, read, before = made / name, READERS[name], (made / name).read_bytes()
    try:
        alter(path)
        assert path.name in _refusal(read, made / name.split("/")[0])
    finally:
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(before)
