"""Kills runs at random moments, resumes them, and counts whose results are the same to the byte: "200 of 200".

    python benchmarks/survival.py                  # single runs
    python benchmarks/survival.py --start "sweep study.toml --out {out}" --compare results.csv

Each run is started, killed (kill -9) at a moment drawn uniformly from what an undisturbed one takes, and resumed; half
of the resumed ones are killed again, and so on. The files to compare are those of an undisturbed run; lines
of JSON are compared without their times. All runs share a compilation cache, or compiling would take most of the time.
"""

import argparse
import concurrent.futures
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parent.parent
# The command line, but for the scripted policies that a run is evaluated beside: each takes a while to compile.
PROGRAM = """
import sys
from heartpole_jax.policies import heartpole_v0
heartpole_v0.SCRIPTED = {}
from agents.__main__ import main
sys.exit(main())
"""
RECIPE = """
env = "HeartPole-v0"
num_steps = 5_120
keep = "best"
[config]
hidden_sizes = [8]
transform = "heartpole-days"
buffer_size = 1_024
num_envs = 4
batch_size = 16
[hyperparams]
learning_starts = 256
expected_penalty = 1.0
"""
START = "train --recipe {recipe} --num-evaluations 20 --episodes 4 --checkpoint-every 1 --out {out}"
TIMES = ("seconds", "steps_per_second", "crc32")  # the checksum of a line is of its times too


class Killed(NamedTuple):
    """What came of a run."""

    kills: int
    differing: list[str]  # what is not as in the undisturbed run


def main(arguments: list[str] | None = None) -> int:
    """Prints how many survive; 0 where all do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=2, help="runs at a time")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--usual-s", type=float, help="moments are within it; by default what a run is seen to take")
    parser.add_argument("--start", default=START, help="arguments of python -m agents; {out} is the run's folder")
    parser.add_argument("--resume", default="resume {out}")
    parser.add_argument("--compare", nargs="+", default=["policy.safetensors", "metrics.jsonl"], metavar="FILE")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tiny.toml").write_text(RECIPE)
        undisturbed = folder / "undisturbed" / "run"
        _run(options, folder, undisturbed, None)  # fills the cache
        expected = {file: content(undisturbed / file) for file in options.compare}
        usual_s = options.usual_s
        if usual_s is None:
            began = time.perf_counter()
            _run(options, folder, folder / "timed" / "run", None)
            usual_s = (time.perf_counter() - began) * min(options.parallel, os.cpu_count() or 1)
        print(f"killed in the first {usual_s:.1f} s", flush=True)
        with concurrent.futures.ThreadPoolExecutor(options.parallel) as pool:
            results = []
            for result in pool.map(lambda i: _survive(i, options, folder, usual_s, expected), range(options.runs)):
                results.append(result)
                outcome = f"differs in {', '.join(result.differing)}" if result.differing else "the same"
                print(f"{len(results):4} of {options.runs}: {result.kills} kills, {outcome}", flush=True)
    same = sum(not result.differing for result in results)
    print(f"{same} of {options.runs} are the same to the byte, after {sum(r.kills for r in results)} kills")
    return 0 if same == options.runs else 1


def content(path: Path) -> bytes | list[dict]:
    """What is compared of a file: its bytes, or the objects of its lines without times."""
    if path.suffix != ".jsonl":
        return path.read_bytes()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def _survive(i: int, options: argparse.Namespace, folder: Path, usual_s: float, expected: dict) -> Killed:
    """One run, killed at least once."""
    chance = random.Random(f"{options.seed} {i}")
    out, kills = folder / f"{i:04}" / "run", 0
    try:
        while kills == 0 or chance.random() < 0.5:
            if _run(options, folder, out, chance.uniform(0.0, usual_s)):
                kills += 1
            elif kills == 0:
                shutil.rmtree(out)  # it was done before: once more
            else:
                break
        _run(options, folder, out, None)  # to the end, where it is not there yet
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return Killed(kills, ["its end"])
    return Killed(kills, [file for file in expected if content(out / file) != expected[file]])


def _run(options: argparse.Namespace, folder: Path, out: Path, kill_after_s: float | None) -> bool:
    """Starts the run or goes on with it; True where it was killed. Raises RuntimeError where it fails by itself."""
    begun = any((out / name).exists() for name in ("config.json", "study.json"))
    command = (options.resume if begun else options.start).format(out=out, recipe=folder / "tiny.toml")
    environment = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        **os.environ,
    }
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *shlex.split(command)], cwd=REPOSITORY, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            _, printed = process.communicate(timeout=kill_after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return True
    if process.returncode:
        raise RuntimeError(f"{command!r} ended with status {process.returncode}: {printed}")
    return False


if __name__ == "__main__":
    sys.exit(main())
