"""Our DQN beside its peers: environment steps a second of training, in one run on one machine.

    make bench-dqn                                             or, in a virtual environment with the peers:
    python benchmarks/dqn.py [--rounds 3] [--populations 1 16 ...] [--contenders ours sbx ...] [--quick] [--json PATH]

It prints a table for one seed and one for populations of seeds trained at once. A run with all contenders and
populations also writes benchmarks/results/dqn.json and, between its `dqn` markers, docs/performance.md.

How to read it. All train the tutorial's DQN with a gradient step for every four environment steps; dqn_peers.py says
where a peer departs from it. Rates are of all seeds together, in the steady state. In every round each cell is measured
once, in a fresh process (see dqn_worker.py); rates are medians over the rounds, and beside a ratio of medians stand the
lowest and the highest ratio within a round.

A million transitions for each of a thousand seeds do not fit into memory: a population's buffers are smaller, alike for
all contenders, and hold `TRANSITIONS` at most together. Set JAX_PLATFORMS to measure another device than the CPU.
"""

import argparse
import dataclasses
import datetime
import json
import pathlib
import platform
import statistics
import sys

import report
import rollouts
from dqn_peers import CONTENDERS, TUTORIAL_STEPS, Settings

RESULTS = rollouts.HERE / "results" / "dqn.json"
BEGIN, END = "<!-- dqn: begin -->", "<!-- dqn: end -->"
POPULATIONS = (1, 16, 64, 256, 1024)
TRANSITIONS = 64_000_000  # in all buffers: 4 GB at the 60 bytes that the widest of them takes for one

Cell = tuple[str, int]  # contender, population
Cells = dict[Cell, list[dict]]  # what dqn_worker.py found, one for each round


def buffer_size(population: int) -> int:
    """Transitions in each seed's buffer."""
    return min(Settings.buffer_size, TRANSITIONS // population)


def measure(args: argparse.Namespace) -> tuple[Cells, dict[Cell, str]]:
    """The cells, and what went wrong where: a cell that fails once is not tried again."""
    keys = [(name, n) for n in args.populations for name in args.contenders if CONTENDERS[name].populations(n)]
    cells, failures = {key: [] for key in keys}, {}
    for i in range(args.rounds):
        for key in keys if i % 2 == 0 else reversed(keys):  # there and back, so that a drift cancels
            if key in failures:
                continue
            name, population = key
            # the first round finds a number of steps, the others do as many
            length = ["--steps", str(cells[key][0]["num_steps"])] if cells[key] else ["--seconds", str(args.seconds)]
            repeats = 3 if population == 1 else 1  # those of populations are long, and there are the rounds
            done = rollouts.python(
                *(str(rollouts.HERE / "dqn_worker.py"), name, "--population", str(population), "--seed", str(i)),
                *("--buffer", str(buffer_size(population)), "--repeats", str(repeats), *length),
                check=False,
            )
            if done.returncode:
                lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
                failures[key] = lines[-1]
                print(f"{name}, {population}: failed: {lines[-1]}", file=sys.stderr)
                continue
            cells[key].append(json.loads(done.stdout.splitlines()[-1]))
            rate = report.number(cells[key][-1]["steps_per_second"])
            print(f"round {i + 1}: {name}, {population}: {rate} steps a second", file=sys.stderr)
    return {key: found for key, found in cells.items() if key not in failures}, failures


def median(cells: Cells, key: Cell, name: str) -> float | None:
    """The median of what is called `name` over the rounds, None where it was not measured."""
    found = [cell[name] for cell in cells.get(key, []) if cell[name] is not None]
    return statistics.median(found) if found else None


def ratio(cells: Cells, name: str, population: int) -> dict[str, float] | None:
    """How many times as fast ours is: {ratio of the medians, low and high among the rounds}."""
    a, b = cells.get(("ours", population)), cells.get((name, population))
    if not a or not b:
        return None
    rounds = [x["steps_per_second"] / y["steps_per_second"] for x, y in zip(a, b, strict=True)]
    medians = [median(cells, (contender, population), "steps_per_second") for contender in ("ours", name)]
    return {"ratio": medians[0] / medians[1], "low": min(rounds), "high": max(rounds)}


def ratio_text(found: dict[str, float] | None) -> str:
    """The ratio and its range."""
    return (
        f"{report.number(found['ratio'])} ({report.number(found['low'])} to {report.number(found['high'])})"
        if found
        else ""
    )


def tutorial_seconds(cells: Cells, key: Cell) -> float:
    """What a run of the tutorial's number of steps takes, with all that is done once."""
    once = (median(cells, key, "compile_seconds") or 0.0) + median(cells, key, "start_seconds")
    return once + TUTORIAL_STEPS * key[1] / median(cells, key, "steps_per_second")


def one_seed_rows(cells: Cells) -> list[list[str]]:
    """Header and rows: what training one seed takes."""
    rows = [
        ["one seed", "steps/s", "updates/s", "ours / it (range of the rounds)", "compile, s"]
        + [f"{TUTORIAL_STEPS:,} steps in all, s", "peak memory, MB"]
    ]
    for name, contender in CONTENDERS.items():
        key = (name, 1)
        if key in cells:
            compile_s = median(cells, key, "compile_seconds")
            rows.append(
                [
                    contender.title,
                    *(report.number(median(cells, key, rate)) for rate in ("steps_per_second", "updates_per_second")),
                    "" if name == "ours" else ratio_text(ratio(cells, name, 1)),
                    "" if compile_s is None else f"{compile_s:.1f}",
                    report.number(tutorial_seconds(cells, key)),
                    report.number(median(cells, key, "peak_rss_mb")),
                ]
            )
    return rows


def population_rows(cells: Cells, title: str, cell_text) -> list[list[str]]:
    """Header and rows: `cell_text(contender, population)` for those that train populations."""
    populations = sorted({population for _, population in cells})
    rows = [[title, *(f"{n:,}" for n in populations)]]
    for name, contender in CONTENDERS.items():
        shown = [cell_text(name, n) if (name, n) in cells else "" for n in populations]
        if contender.build and any(shown):
            rows.append([contender.title, *shown])
    return rows


def tables(cells: Cells) -> list[list[list[str]]]:
    """All tables: one seed, then rates, ratios and memory of populations."""
    rates = population_rows(
        cells, "steps/s of all seeds, seeds:", lambda *key: report.number(median(cells, key, "steps_per_second"))
    )
    populations = sorted({population for _, population in cells})
    rates.append(["transitions in each seed's buffer", *(f"{buffer_size(n):,}" for n in populations)])
    ratios = population_rows(
        cells, "ours / it, seeds:", lambda name, n: "" if name == "ours" else ratio_text(ratio(cells, name, n))
    )
    memory = population_rows(
        cells, "peak memory, MB, seeds:", lambda *key: report.number(median(cells, key, "peak_rss_mb"))
    )
    return [rows for rows in (one_seed_rows(cells), rates, ratios, memory) if len(rows) > 1]


def notes(run: dict) -> str:
    """Where, when and how the numbers came about, what each contender does otherwise, and what failed."""
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    preamble = (
        f"`{run['command']}`, {run['date']}, {run['machine']['cpu']}, {run['machine']['cores']} cores; {versions}. "
        f"Medians of {run['rounds']} rounds, each cell in a process of its own."
    )
    departs = [f"{contender.title}: {contender.departs}." for contender in CONTENDERS.values() if contender.departs]
    failures = [f"Failed: {failure['contender']}, {failure['population']} seeds." for failure in run["failures"]]
    return "\n\n".join([preamble, "Departures from the settings. " + " ".join(departs), *failures])


def replace_fragment(document: pathlib.Path, text: str) -> str:
    """Puts `text` between the markers of `document`; says what it did."""
    before, begin, rest = document.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return f"{document} has no {BEGIN} ... {END}: no table was put in"
    document.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
    return f"wrote the tables into {document}"


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each cell (default: 3)")
    parser.add_argument("--populations", type=int, nargs="+", default=list(POPULATIONS), help="seeds trained at once")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of one timing to aim for (default: 5)")
    parser.add_argument("--quick", action="store_true", help="does it run? One round, two populations, no files")
    parser.add_argument("--json", type=pathlib.Path, help=f"where to write all numbers (default: {RESULTS.name})")
    args = parser.parse_args()
    if args.rounds < 1 or min(args.populations) < 1 or args.seconds <= 0:
        parser.error("--rounds and --populations must be at least 1, --seconds greater than 0")
    if args.quick:
        args.rounds, args.populations, args.seconds = 1, [1, 16], 0.5
    return args


def main() -> None:
    args = parse_args()
    cells, failures = measure(args)
    if not cells:
        sys.exit("nothing was measured")
    found = {name: version for rounds in cells.values() for name, version in rounds[0]["versions"].items()}
    run = {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": rollouts.cpu_model(), "cores": rollouts.num_cores(), "system": platform.platform()},
        "versions": {"commit": rollouts.versions()["commit"], "python": platform.python_version(), **found},
        "rounds": args.rounds,
        "settings": dataclasses.asdict(Settings()),
        "cells": [{"contender": name, "population": n, "rounds": rounds} for (name, n), rounds in cells.items()],
        "failures": [{"contender": name, "population": n, "error": error} for (name, n), error in failures.items()],
    }
    print(notes(run))
    for rows in tables(cells):
        print("\n" + report.markdown(rows))
    whole = not args.quick and set(args.contenders) == set(CONTENDERS) and set(args.populations) >= set(POPULATIONS)
    path = args.json or (RESULTS if whole and not failures else None)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(run, indent=1) + "\n")
        print(f"\nwrote {path}")
    if whole and not failures:  # what may stand in the documents
        text = "\n\n".join([notes(run), *map(report.markdown, tables(cells))])
        print(replace_fragment(rollouts.DOCUMENT, text))
    if failures:
        sys.exit(f"{len(failures)} of {len(failures) + len(cells)} cells failed")


if __name__ == "__main__":
    main()
