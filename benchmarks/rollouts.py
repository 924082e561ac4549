"""HeartPole in JAX beside its peers: how many patient-steps a second, in one run on one machine.

    make bench                                                      or, in a virtual environment with the peers:
    python benchmarks/rollouts.py [--rounds 5] [--envs 1 1024 ...] [--quick] [--json PATH]

It prints a table of million patient-steps a second, the ratios that matter, and what a fresh process waits for. A run
with all envs also writes benchmarks/results/rollouts.json and, between its `rollouts` markers, docs/performance.md.

How to read it. A patient-step is one decision of one patient, its random numbers and its random action included; for
CartPole it is one step of one pole. Rates are medians over rounds, in each of which every cell is timed once; beside a
ratio of medians stand the lowest and the highest ratio within a round. The rows (see contenders.py and peers.py):

    rollout      hp.rollout with random actions: the returns of all envs
    step         hp.step vmapped in a scan with a key for every environment, as most JAX code is written
    autoreset    the same with hp.step_autoreset, which draws a new episode at every step as gymnax does
    gymnax       the same loop around CartPole-v1
    envpool      EnvPool's CartPole-v1 in the best of its settings
    tutorial     the tutorial's own package, one patient
    equations    a kernel for this one purpose (see limit_kernel.py), computing what we compute: what the machine can do
    algebra      the same with everything simplified by hand that these constants allow

XLA uses a CPU's cores poorly on work of this kind. So there are two settings, for all JAX rows alike: `default`, and
`tuned`, with a device for every core, the envs spread among them, and two flags. Set JAX_PLATFORMS to measure another
device than the CPU, in the default setting alone.
"""

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import report

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "results" / "rollouts.json"
DOCUMENT = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- rollouts: begin -->", "<!-- rollouts: end -->"
ENVS = (1, 1024, 16_384, 131_072, 1_048_576)
FLAGS = ("--xla_cpu_prefer_vector_width=512", "--xla_backend_extra_options=xla_cpu_use_multi_output_fusion")
_REQUIREMENTS = "pip install --requirement benchmarks/requirements.txt"
PACKAGES = {
    "heartpole_jax": "pip install --editable .",
    "numba": _REQUIREMENTS,
    "gymnax": _REQUIREMENTS,
    "envpool": _REQUIREMENTS,
    "gymnasium": _REQUIREMENTS,
    "heartpole": "pip install --no-deps heartpole==1.2",
}


def check_packages() -> None:
    """Exits with what to install where a package is missing."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        remedies = "\n".join(f"  {name}: {PACKAGES[name]}" for name in missing)
        sys.exit(f"the benchmark needs packages that are not installed (`make bench` installs them all):\n{remedies}")


def python(*arguments: str, flags: str = "", check: bool = True) -> subprocess.CompletedProcess:
    """Runs this Python with `arguments` and XLA's `flags`, on the CPU unless JAX_PLATFORMS says otherwise."""
    environment = {"JAX_PLATFORMS": "cpu", **os.environ}
    environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    if check and done.returncode:
        sys.exit(f"{' '.join(arguments)} failed with XLA_FLAGS={flags!r}:\n{done.stderr}")
    return done


def accepted(flags: tuple[str, ...]) -> list[str]:
    """Those flags that this XLA knows: an unknown one aborts the process."""
    return [flag for flag in flags if not python("-c", "import jax; jax.devices()", flags=flag, check=False).returncode]


def measure(args: argparse.Namespace, flags: list[str], num_devices: int) -> dict:
    """The cells of one setting, from a process of its own (see worker.py)."""
    described = " ".join(filter(None, [" ".join(flags), f"{num_devices} CPU devices" if num_devices > 1 else ""]))
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "cells.json"
        python(
            str(HERE / "worker.py"),
            *("--devices", str(num_devices), "--rounds", str(args.rounds), "--seconds", str(args.seconds)),
            *("--envs", *map(str, args.envs), "--output", str(output)),
            flags=" ".join(flags),
        )
        return {"described": described or "as JAX comes", "flags": flags, **json.loads(output.read_text())}


def measure_startup(trials: int) -> dict[str, float]:
    """Medians over fresh processes (see startup.py)."""
    found = [json.loads(python(str(HERE / "startup.py")).stdout) for _ in range(trials)]
    return {name: statistics.median(trial[name] for trial in found) for name in found[0]}


def cpu_model() -> str:
    """The processor's name."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def num_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Python's and of what is measured."""
    names = ("heartpole-jax", "jax", "jaxlib", "gymnax", "envpool", "heartpole", "numba", "numpy")
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=HERE, capture_output=True, text=True
    )
    found = {"commit": commit.stdout.strip() or "unknown", "python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed, on the path"
    return found


def replace_fragment(document: pathlib.Path, text: str, first: str = BEGIN, last: str = END) -> str:
    """Puts `text` between the markers `first` and `last` of `document`; says what it did."""
    if not document.exists():
        return f"{document} does not exist: no table was put in"
    before, begin, rest = document.read_text().partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        return f"{document} has no {first} ... {last}: no table was put in"
    document.write_text(f"{before}{first}\n\n{text}\n\n{last}{after}")
    return f"wrote the table into {document}"


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="timings of each cell (default: 5)")
    parser.add_argument("--envs", type=int, nargs="+", default=list(ENVS), help="numbers of patients at a time")
    parser.add_argument("--quick", action="store_true", help="does it run? Two rounds, few envs, no files")
    parser.add_argument("--json", type=pathlib.Path, help=f"where to write all numbers (default: {RESULTS.name})")
    args = parser.parse_args()
    if args.rounds < 1 or min(args.envs) < 1:
        parser.error(f"--rounds and --envs must be at least 1, got {args.rounds} and {args.envs}")
    args.seconds = 0.2
    if args.quick:
        args.rounds, args.envs, args.seconds = 2, [1, 1024], 0.02
    return args


def main() -> None:
    args = parse_args()
    check_packages()
    settings = {"default": measure(args, [], 1)}
    if os.environ.get("JAX_PLATFORMS", "cpu") == "cpu":
        settings["tuned"] = measure(args, accepted(FLAGS), num_cores())
    run = {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": cpu_model(), "cores": num_cores(), "system": platform.platform()},
        "versions": versions(),
        "rounds": args.rounds,
        "settings": settings,
        "ratios": {name: report.ratios(setting["cells"]) for name, setting in settings.items()},
        "startup": measure_startup(trials=1 if args.quick else 5),
    }
    print(report.preamble(run))
    for rows in (report.rate_rows(settings), report.ratio_rows(settings), report.startup_rows(run["startup"])):
        print("\n" + report.plain(rows))
    whole = not args.quick and set(args.envs) >= set(ENVS)  # what may stand in the documents
    path = args.json or (RESULTS if whole else None)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(run, indent=1) + "\n")
        print(f"\nwrote {path}")
    if whole:
        print(replace_fragment(DOCUMENT, report.fragment(run)))


if __name__ == "__main__":
    main()
