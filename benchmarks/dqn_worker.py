"""One DQN in a process of its own: trains it for a while and prints one line of JSON. Started by dqn.py, or by hand:

    python benchmarks/dqn_worker.py CONTENDER [--population P] [--steps N] [--buffer B] [--seed K] (more: --help)

Rates are of environment steps and gradient steps of all seeds together, in the steady state: what a run does once, such
as compiling and clearing its buffer, is measured beside them. Where a whole run is one program, the time of a run of
`SHORT_STEPS` is taken off that of a run of N. Without --steps, N is found such that S seconds are spent on it.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import resource
import statistics
import sys
import time
import warnings

import numpy as np
from dqn_peers import CONTENDERS, TUTORIAL_STEPS, Contender, Settings

SHORT_STEPS = 128  # beyond the first gradient steps, so that none of the program can be left out
WARM_UP_STEPS = 512


def seconds(run, *arguments) -> float:
    """Seconds that `run(*arguments)` takes."""
    started = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - started


def check_trained(before: list, after: list, num_updates: int) -> None:
    """Exits if there was nothing to be measured: no gradient steps, or weights that are as before or not finite."""
    unchanged = any(np.array_equal(x, y) for x, y in zip(before, after, strict=True))
    finite = all(np.isfinite(x).all() for x in after)
    if num_updates < 1 or unchanged or not finite:
        sys.exit(f"nothing was learnt: {num_updates} gradient steps, {unchanged=}, {finite=}")


def measure_stepwise(contender: Contender, settings: Settings, args: argparse.Namespace) -> dict:
    """A contender that goes step by step, with epsilon at its last value, where it is for nine tenths of a run."""
    contender.start(settings, args.seed)  # imports what it needs
    started = time.perf_counter()
    run = contender.start(settings, args.seed)
    start_s = time.perf_counter() - started
    first_s, second_s = seconds(run.learn, WARM_UP_STEPS), seconds(run.learn, WARM_UP_STEPS)
    run.explored()
    num_steps = args.steps or 4 * round(args.seconds / seconds(run.learn, 4 * WARM_UP_STEPS) * WARM_UP_STEPS)
    weights, num_updates = run.parameters(), run.num_updates()
    timed = [seconds(run.learn, num_steps) for _ in range(args.repeats)]
    num_updates = (run.num_updates() - num_updates) // args.repeats
    check_trained(weights, run.parameters(), num_updates)
    taken = statistics.median(timed)
    return {
        "num_steps": num_steps,
        "steps_per_second": num_steps / taken,
        "updates_per_second": num_updates / taken,
        "compile_seconds": first_s - second_s if contender.compiles else None,
        "start_seconds": start_s,
        "seconds": timed,
    }


class Program:
    """A compiled run of `num_steps` steps for each of `keys`."""

    def __init__(self, contender: Contender, settings: Settings, keys, num_steps: int):
        import jax

        started = time.perf_counter()
        self.compiled = jax.jit(contender.build(settings, num_steps)).lower(keys).compile()
        self.compile_s = time.perf_counter() - started
        self.num_steps = num_steps
        self.keys = keys
        self.run()  # the first run asks the system for memory

    def run(self) -> None:
        import jax

        params, num_updates, _ = jax.block_until_ready(self.compiled(self.keys))
        self.weights = [np.asarray(x) for x in jax.tree.leaves(params)]
        self.num_updates = int(np.sum(num_updates))


def find_program(contender: Contender, settings: Settings, keys, short: Program, at_least_s: float) -> Program:
    """A program that takes about `at_least_s` longer than `short`, or does the tutorial's number of steps."""
    num_steps, beyond_s = SHORT_STEPS, 0.0
    short_s = min(seconds(short.run) for _ in range(2))
    while beyond_s < at_least_s / 8:
        num_steps = min(8 * num_steps, TUTORIAL_STEPS) if beyond_s else SHORT_STEPS + 32
        program = Program(contender, settings, keys, num_steps)
        beyond_s = max(seconds(program.run) - short_s, 1e-9)
        if num_steps == TUTORIAL_STEPS:
            return program
    needed = SHORT_STEPS + 64 * max(1, round((num_steps - SHORT_STEPS) * at_least_s / beyond_s / 64))
    return program if needed <= num_steps else Program(contender, settings, keys, min(needed, TUTORIAL_STEPS))


def measure_program(contender: Contender, settings: Settings, args: argparse.Namespace) -> dict:
    """A contender whose whole run is one program."""
    import jax

    keys = jax.random.split(jax.random.key(args.seed), args.population)
    contender.build(settings, SHORT_STEPS)  # imports what it needs
    short = Program(contender, settings, keys, SHORT_STEPS)
    if args.steps:
        program = Program(contender, settings, keys, args.steps)
    else:
        program = find_program(contender, settings, keys, short, args.seconds)
    pairs = [(seconds(short.run), seconds(program.run)) for _ in range(args.repeats)]
    num_updates = program.num_updates - short.num_updates
    for i in range(args.population):
        check_trained([x[i] for x in short.weights], [x[i] for x in program.weights], num_updates)
    taken = statistics.median(long_s - short_s for short_s, long_s in pairs)
    if taken <= 0:
        sys.exit(f"{program.num_steps} steps take no longer than {SHORT_STEPS}: give more --steps or --seconds")
    return {
        "num_steps": program.num_steps,
        "steps_per_second": (program.num_steps - SHORT_STEPS) * args.population / taken,
        "updates_per_second": num_updates / taken,
        "compile_seconds": short.compile_s,
        "start_seconds": statistics.median(short_s for short_s, _ in pairs),
        "seconds": [long_s for _, long_s in pairs],
    }


def peak_rss_mb() -> float:
    """The most memory that this process has had, in 10^6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--population", type=int, default=1, help="seeds trained at once (default: 1)")
    parser.add_argument("--steps", type=int, help="environment steps for each seed")
    parser.add_argument("--seconds", type=float, default=5.0, help="without --steps: duration to aim for (default: 5)")
    parser.add_argument("--buffer", type=int, default=Settings.buffer_size, help="transitions in each seed's buffer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3, help="timings, of which the median counts (default: 3)")
    args = parser.parse_args()
    if args.steps is not None and (args.steps <= SHORT_STEPS or args.steps % Settings.train_every):
        parser.error(f"--steps must be a multiple of {Settings.train_every} above {SHORT_STEPS}, got {args.steps}")
    if not CONTENDERS[args.contender].populations(args.population):
        parser.error(f"{args.contender} does not train a population of {args.population}")
    return args


def prepare_xla() -> None:
    """Our flags and a CPU device for each core, for all whose run is one program: who uses them is another matter."""
    import os

    from agents.commands import xla

    xla.prepare()
    import jax

    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))


def main() -> None:
    args = parse_args()
    # gymnasium finds fault with the float64 bounds of the package's observation space
    warnings.filterwarnings("ignore", message=".*precision lowered by casting")
    contender = CONTENDERS[args.contender]
    measure = measure_stepwise if contender.start else measure_program
    if contender.build:
        prepare_xla()
    measured = measure(contender, dataclasses.replace(Settings(), buffer_size=args.buffer), args)
    result = {
        "contender": args.contender,
        "population": args.population,
        "buffer_size": args.buffer,
        **measured,
        "peak_rss_mb": peak_rss_mb(),
        "versions": {name: importlib.metadata.version(name) for name in contender.packages},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
