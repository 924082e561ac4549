"""A sweep on a Ray cluster of two nodes that loses them, or its driver, beside the files of a local sweep.

    python benchmarks/ray_nodes.py nodes --rounds 20      a node killed at a random moment; another joins
    python benchmarks/ray_nodes.py driver --rounds 20     kill -9 of the driver at random moments, resumed
    python benchmarks/ray_nodes.py overhead --rounds 3    Ray on one node against the local sweep, in turns

Needs the extra `ray`. All of Ray's processes are on this machine, listen on 127.0.0.1 alone and end with this program.
Every other round checkpoints slices in the run folder (--ray-checkpoints).
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

# Before Ray is imported: no usage statistics, every process on the loopback address, and patience on a busy machine.
os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_raylet_start_wait_time_s": "120",
}

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
STUDY = pathlib.Path("benchmarks") / "survival_study.toml"
_ANSWER = "cluster: "  # how a line that is meant for `Cluster` begins
NUM_NODES = 2
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


class Cluster:
    """A head that trains nothing and two nodes of one CPU each, in a process of its own; a context manager."""

    def __init__(self):
        command = [sys.executable, __file__, "cluster"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self._answer()

    def replace(self, index: int) -> None:
        """Kills a node, 0 or 1, and then adds another."""
        self._process.stdin.write(f"{index}\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> str:
        for line in self._process.stdout:
            if line.startswith(_ANSWER):
                return line.removeprefix(_ANSWER).strip()
        raise RuntimeError(f"Ray's cluster ended with status {self._process.wait()}")

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=120)
        self._process.stdout.close()


def hold_cluster() -> None:
    """The process of `Cluster`: prints the address, and replaces nodes until stdin is closed."""
    from ray.cluster_utils import Cluster as RayCluster

    head = NODE | {"num_cpus": 0, "include_dashboard": False}
    cluster = RayCluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(**NODE) for _ in range(NUM_NODES)]
    print(f"{_ANSWER}{cluster.address}", flush=True)
    for line in sys.stdin:
        cluster.remove_node(nodes.pop(int(line)), allow_graceful=False)
        nodes.append(cluster.add_node(**NODE))
        print(f"{_ANSWER}replaced", flush=True)
    cluster.shutdown()


def start(*arguments, cache: pathlib.Path) -> subprocess.Popen:
    """A command of ours; what is compiled is kept in `cache`, for all of them."""
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PLATFORMS": "cpu",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "agents", *map(str, arguments)], cwd=REPOSITORY, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> None:
    out, err = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(f"status {process.returncode}: {out[-500:]}{err[-1500:]}")


def sweep(folder: pathlib.Path, cluster: Cluster | None, common: bool = False) -> list:
    flags = ["--ray", cluster.address] if cluster else []
    flags += ["--ray-checkpoints", "--checkpoint-every", 1] if common else []
    return ["sweep", STUDY, "--out", folder, "--slice-size", 4, *flags]


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """What must be the same: the table and each slice's result."""
    paths = [folder / "results.csv", *sorted((folder / "slices").iterdir())]
    return {path.name: path.read_bytes() for path in paths}


def lose_a_node(
    folder: pathlib.Path, cluster: Cluster, chance: random.Random, common: bool, cache: pathlib.Path
) -> str:
    """Runs the sweep, and kills a node within it."""
    process = start(*sweep(folder, cluster, common), cache=cache)
    _wait(process, chance.uniform(4.0, 20.0))
    index = chance.randrange(NUM_NODES)
    under_way = process.poll() is None
    cluster.replace(index)
    finish(process)
    return f"node {index} killed{'' if under_way else ' too late'}"


def lose_the_driver(
    folder: pathlib.Path,
    cluster: Cluster,
    chance: random.Random,
    common: bool,
    cache: pathlib.Path,
    most_kills: int = 5,
) -> str:
    """Runs the sweep, kills the driver, and resumes, until it is done."""
    kills = 0
    process = start(*sweep(folder, cluster, common), cache=cache)
    while True:
        if kills < most_kills:
            _wait(process, chance.uniform(4.0, 20.0))
        if process.poll() is not None or kills == most_kills:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        has_begun = (folder / "study.json").exists()
        resumed = ["resume", folder, "--ray", cluster.address, *(["--ray-checkpoints"] if common else [])]
        process = start(*(resumed if has_begun else sweep(folder, cluster, common)), cache=cache)
    finish(process)
    return f"driver killed {kills} times"


def _wait(process: subprocess.Popen, seconds: float) -> None:
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)


def overhead(rounds: int, scratch: pathlib.Path, cache: pathlib.Path) -> None:
    """Seconds of the whole command, in turns; a node of two CPUs against two devices."""
    seconds: dict[str, list[float]] = {"local": [], "Ray": []}
    with Cluster() as cluster:
        for i in range(rounds + 1):
            for name, found in seconds.items():
                folder = scratch / f"{name}-{i}"
                began = time.monotonic()
                finish(start(*sweep(folder, cluster if name == "Ray" else None), cache=cache))
                if i:  # the first compiles
                    found.append(time.monotonic() - began)
    for name, found in seconds.items():
        print(f"{name}: median {statistics.median(found):.1f} s of {', '.join(f'{x:.1f}' for x in found)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["nodes", "driver", "overhead", "cluster"])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.what == "cluster":
        hold_cluster()
        return 0
    scratch = pathlib.Path(tempfile.mkdtemp())
    cache = scratch / "compiled"
    try:
        if args.what == "overhead":
            overhead(args.rounds, scratch, cache)
            return 0
        finish(start(*sweep(scratch / "local", None), cache=cache))
        expected, same = contents(scratch / "local"), 0
        lose = lose_a_node if args.what == "nodes" else lose_the_driver
        with Cluster() as cluster:
            for i in range(args.rounds):
                began, folder = time.monotonic(), scratch / f"round-{i}"
                happened = lose(folder, cluster, random.Random(args.seed + i), i % 2 == 1, cache)
                same += (equal := contents(folder) == expected)
                print(
                    f"round {i}: {happened}; files {'the same' if equal else 'DIFFER'}; "
                    f"{time.monotonic() - began:.0f} s",
                    flush=True,
                )
        print(f"{same} of {args.rounds} the same as the local sweep's files")
        return int(same < args.rounds)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    sys.exit(main())
