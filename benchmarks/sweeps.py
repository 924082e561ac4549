"""A sweep beside the bare population: 1,024 trials of the tutorial's DQN, 200,000 steps each.

    python benchmarks/sweeps.py [--trials 1024] [--steps 200000] [--rounds 1]

The bare population is `dqn.train_population`, one program without evaluation, files or progress, on the
same devices and in the same slices. The sweep is the command, in a process of its own: evaluations, results, progress.
Rates are without compiling; that of the sweep is over all that the command does after its programs are compiled and
before its tables. The memory is what the sweep's process has resident at a quarter, a half and three quarters of its
time, and at the end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
STUDY = """
env = "HeartPole-v0"
num_steps = {steps}
seeds = {seeds}
num_evaluations = 4
[config]
hidden_sizes = [16, 16]
buffer_size = {buffer}
num_envs = 1
steps_per_iteration = 4
batch_size = 32
transform = "raw"
double = false
time_limit_is_terminal = true
[hyperparams]
learning_rate = 1e-4
final_learning_rate = 1.0
learning_rate_steps = 1.0
discount = 0.99
epsilon_end = 0.05
epsilon_steps = 50_000.0
learning_starts = 100.0
target_period = 10_000.0
target_tau = 1.0
ema_rate = 1.0
reward_shift = 0.0
reward_scale = 1.0
expected_penalty = 0.0
[space]
learning_rate = {{log_uniform = [3e-5, 1e-3], points = {configurations}}}
"""
BARE = """
import json, sys, time
from agents.commands import xla
xla.prepare()
from heartpole_jax.command_line import use_all_cores
use_all_cores()
import jax, numpy as np
from agents import dqn
trials, steps, buffer = map(int, sys.argv[1:])
config = dqn.DQNConfig(hidden_sizes=(16, 16), buffer_size=buffer, time_limit_is_terminal=True)
rates = dqn.Hyperparams(learning_rate=np.geomspace(3e-5, 1e-3, trials).astype(np.float32))
keys = jax.random.split(jax.random.key(0), trials)
def run(steps):
    train = lambda keys, rates: dqn.train_population(
        keys, rates, config, num_chunks=1, iterations_per_chunk=steps // 4, devices=tuple(jax.devices()))
    return jax.jit(train).lower(keys, rates).compile()
program = run(steps)
began = time.perf_counter()
jax.block_until_ready(program(keys, rates))
print(json.dumps({"seconds": time.perf_counter() - began}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    steps, buffer = args.steps // 256 * 256, 62_500
    ratios = []
    for _ in range(args.rounds):
        bare = measure_bare(args.trials, steps, buffer)
        sweep = measure_sweep(args.trials, steps, buffer)
        total = args.trials * steps
        ratios.append(bare / sweep["seconds"])
        print(f"bare population: {total / bare:,.0f} steps/s, {bare:.1f} s")
        print(f"sweep: {total / sweep['seconds']:,.0f} steps/s, {sweep['seconds']:.1f} s without compiling, "
              f"{sweep['whole']:.1f} s with, estimated at the start {sweep['estimated']:.1f} s "
              f"({100 * (sweep['whole'] / sweep['estimated'] - 1):+.0f} %)")  # fmt: skip
        print(f"sweep / bare: {ratios[-1]:.3f}; checkpoints {100 * sweep['saved'] / sweep['whole']:.1f} % of the time")
        print("memory of the sweep, MB: " + ", ".join(f"{mb:,.0f}" for mb in sweep["memory_mb"]), flush=True)
    print(f"median ratio of {args.rounds}: {sorted(ratios)[len(ratios) // 2]:.3f}")


def measure_bare(trials: int, steps: int, buffer: int) -> float:
    """Seconds."""
    command = [sys.executable, "-c", BARE, str(trials), str(steps), str(buffer)]
    printed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    return json.loads(printed)["seconds"]


def measure_sweep(trials: int, steps: int, buffer: int) -> dict:
    """Seconds with and without compiling, the estimate, and the resident memory at even times, in MB."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study.toml"
        study.write_text(STUDY.format(steps=steps, buffer=buffer, seeds=8, configurations=trials // 8))
        command = [sys.executable, "-m", "agents", "sweep", str(study), "--out", f"{folder}/run"]
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, text=True)
        memory = []
        while process.poll() is None:
            memory.append(_resident_mb(process.pid))
            time.sleep(1.0)
        if process.returncode:
            sys.exit(f"the sweep failed with {process.returncode}")
        info = _info(Path(folder) / "run")
    quarters = [memory[min(len(memory) * quarter // 4, len(memory) - 2)] for quarter in (1, 2, 3, 4)]
    return {
        "seconds": info["seconds"] - info["compiling_seconds"],
        "whole": info["seconds"],
        "estimated": info["estimated_seconds"],
        "saved": info["checkpoint_seconds"],
        "memory_mb": quarters,
    }


def _info(folder: Path) -> dict:
    sys.path.insert(0, str(REPOSITORY))
    from agents.sweeps import result_files

    return dict(result_files.read(folder)[1].info)


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
