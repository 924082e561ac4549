"""How far from optimal are the standard algorithms? Exact regret of ours, rejax's and Stable-Baselines3's.

    make bench-algorithms                                      or, in a virtual environment with the peers:
    python benchmarks/algorithms.py [--only dqn rejax-ppo ...] [--decisions 100000 ...] [--seeds N] [--minutes M]
    python benchmarks/algorithms.py --plan                     what is missing, and about how long it takes
    python benchmarks/algorithms.py --report                   the tables, and docs/algorithms.png

Every contender is trained with raw rewards and with expected penalties, for several numbers of decisions. The cells are
measured in processes of their own, one on each core, the shortest first. Each finished cell is one file in --out: run
it again after Ctrl-C, and it does what is missing. docs/algorithms.md explains the results.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import algorithms_cells
from algorithms_cells import CONTENDERS, LENGTHS, SHORT, Cell

from heartpole_jax import command_line

HERE = Path(__file__).resolve().parent
WORKER = HERE / "algorithms_worker.py"
FIGURE = HERE.parent / "docs" / "algorithms.png"
OVERHEAD_S = 8.0  # of a cell, roughly: imports, compiling, evaluation
EVALUATION_S = 0.6  # of a seed


def seconds_of(cell: Cell) -> float:
    """About how long the cell takes on one core."""
    return OVERHEAD_S + cell.num_seeds * (EVALUATION_S + cell.decisions / CONTENDERS[cell.contender].rate)


def missing(cells: Sequence[Cell], folder: Path) -> list[Cell]:
    """The cells without a file. Raises ValueError for a file that is damaged or another cell's."""
    return [cell for cell in cells if algorithms_cells.read(cell, folder) is None]


def start(cell: Cell, core: int, args: argparse.Namespace) -> subprocess.Popen:
    """The process that measures the cell. What it prints goes into a log of its own."""
    command = [sys.executable, str(WORKER), *map(str, cell), "--out", str(args.out), "--core", str(core)]
    args.out.mkdir(parents=True, exist_ok=True)
    environment = {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(args.out / "compiled"), **os.environ}
    with open(cell.path(args.out).with_suffix(".log"), "w") as log:
        return subprocess.Popen(
            [*command, "--episodes", str(args.episodes)], stdout=log, stderr=subprocess.STDOUT, env=environment
        )


def run(cells: Sequence[Cell], args: argparse.Namespace) -> list[Cell]:
    """Measures the cells, a process on each core; returns those that failed. --minutes ends it between cells."""
    waiting, failed = list(cells), []
    running: dict[int, tuple[Cell, subprocess.Popen]] = {}
    cores = sorted(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
    cores, started = cores[: args.processes], time.monotonic()
    try:
        while waiting or running:
            in_time = time.monotonic() - started < 60 * args.minutes
            for core in cores:
                if waiting and core not in running and in_time:
                    cell = waiting.pop(0)
                    running[core] = cell, start(cell, core, args)
            if not running:
                break
            time.sleep(0.2)
            for core, (cell, process) in list(running.items()):
                if process.poll() is not None:
                    del running[core]
                    failed += [] if finished(cell, args, len(waiting)) else [cell]
    finally:
        for _, process in running.values():
            process.terminate()
            process.wait()
    if waiting:
        print(f"time is over: {len(waiting)} cells are left; the same command goes on with them")
    return failed


def finished(cell: Cell, args: argparse.Namespace, left: int) -> bool:
    """Prints a line on a cell whose process has ended; returns whether it has a result."""
    content = algorithms_cells.read(cell, args.out)
    name = cell.path(args.out).stem
    if content is None:
        log = cell.path(args.out).with_suffix(".log")
        lines = log.read_text().strip().splitlines() or ["nothing"]
        print(f"{name}: failed: {lines[-1]}; all of it is in {log}", file=sys.stderr, flush=True)
        return False
    regrets = sorted(content["regret"])
    print(
        f"{name}: regret {regrets[0]:.4f} to {regrets[-1]:.4f}, "
        f"{content['decisions'] * cell.num_seeds / content['seconds']:,.0f} decisions/s, "
        f"{content['wall_seconds']:.0f} s in all; {left} cells to go",
        flush=True,
    )
    return True


def show_plan(cells: Sequence[Cell], num_processes: int) -> None:
    """Prints the missing cells' time by contender, and of all."""
    total = sum(map(seconds_of, cells))
    for name in dict.fromkeys(cell.contender for cell in cells):
        mine = [cell for cell in cells if cell.contender == name]
        print(f"{name:12} {len(mine):3} cells, about {sum(map(seconds_of, mine)) / 60:5.1f} minutes of one core")
    print(f"{len(cells)} cells are missing: about {total / 60 / num_processes:.0f} minutes on {num_processes} cores")


def show_report(cells: Sequence[Cell], folder: Path, figure: Path) -> None:
    """Prints the tables and writes the figure."""
    import algorithms_report

    from heartpole_jax.drawing.charts import style

    found = algorithms_report.groups(cells, folder)
    if not found:
        raise ValueError(f"no cell is finished in {folder}; run without --report first")
    print(algorithms_report.markdown(found))
    style.save(algorithms_report.draw(found), figure)
    print(f"\nwritten: {figure}; {len(missing(cells, folder))} of {len(cells)} cells are missing", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    by_default = [name for name, contender in CONTENDERS.items() if not contender.only_by_name]
    made.add_argument("--only", nargs="+", choices=CONTENDERS, metavar="CONTENDER", default=by_default)
    made.add_argument("--decisions", nargs="+", type=int, choices=LENGTHS, default=LENGTHS)
    made.add_argument("--seeds", type=command_line.count, help="at most so many of each contender")
    made.add_argument("--quick", action="store_true", help="two seeds of each contender, 100,000 decisions")
    made.add_argument("--minutes", type=float, default=float("inf"), help="no cell begins later")
    made.add_argument(
        "--processes", type=command_line.count, default=os.cpu_count() or 1, help="at a time (default: one a core)"
    )
    made.add_argument("--episodes", type=command_line.count, default=1024, help="to evaluate by (default: 1024)")
    made.add_argument("--out", type=Path, default=Path("out/algorithms"))
    made.add_argument("--plan", action="store_true", help="only print what is missing, and how long it takes")
    made.add_argument("--report", action="store_true", help="only print the tables and draw the figure")
    made.add_argument("--figure", type=Path, default=FIGURE)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    decisions, seeds = ([SHORT], 2) if args.quick else (args.decisions, args.seeds)
    cells = algorithms_cells.all_cells(args.only, decisions, seeds)
    try:
        if args.report:
            show_report(cells, args.out, args.figure)
            return 0
        left = missing(cells, args.out)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    show_plan(left, args.processes)
    if args.plan:
        return 0
    try:
        return 1 if run(left, args) else 0
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on with what is missing", file=sys.stderr)
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the processes of the cells end as well
    sys.exit(main())
