"""One setting of the process: times every contender, round by round, and writes JSON. Started by rollouts.py.

A setting is fixed before JAX starts its backend, so each has a process of its own. In every round each cell is timed
once: whatever else the machine does then falls on all contenders alike.
"""

import argparse
import json
import math
import pathlib
import time
import warnings

import jax


def prepare(envs: list[int]) -> list[dict]:
    """Every cell of the table, compiled: {contender, envs, patient_steps, first_call_s, run}."""
    from contenders import CONTENDERS  # after the number of devices is set

    devices, cells = tuple(jax.devices()), []
    for name, contender in CONTENDERS.items():
        for num_envs in filter(contender.envs, envs):
            run, patient_steps = contender.prepare(num_envs, devices)
            cells.append(
                {
                    "contender": name,
                    "envs": num_envs,
                    "patient_steps": patient_steps,
                    "first_call_s": seconds(run, 1) if contender.compiles else None,
                    "run": run,
                }
            )
    return cells


def seconds(run, calls: int) -> float:
    """Seconds that `calls` calls of `run` take, per call."""
    started = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - started) / calls


def measure(cells: list[dict], rounds: int, at_least_s: float) -> list[dict]:
    """The cells with `seconds_a_call`, one number a round; each timing takes `at_least_s` or one call."""
    for cell in cells:
        cell["calls"] = math.ceil(at_least_s / seconds(cell["run"], 1))
        cell["seconds_a_call"] = []
    for i in range(rounds):
        for cell in cells if i % 2 == 0 else reversed(cells):  # there and back, so that a drift cancels
            cell["seconds_a_call"].append(seconds(cell["run"], cell["calls"]))
    return [{name: value for name, value in cell.items() if name != "run"} for cell in cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1, help="CPU devices for JAX")
    parser.add_argument("--envs", type=int, nargs="+", required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="least duration of one timing")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    args = parser.parse_args()
    # gymnasium finds fault with the float64 bounds of its clients' observation spaces
    warnings.filterwarnings("ignore", message=".*precision lowered by casting")
    if args.devices > 1:
        jax.config.update("jax_num_cpu_devices", args.devices)
    cells = measure(prepare(args.envs), args.rounds, args.seconds)
    args.output.write_text(json.dumps({"devices": [str(device) for device in jax.devices()], "cells": cells}))


if __name__ == "__main__":
    main()
