"""What no policy of HeartPole-v1 exceeds that drinks no beer: the bound of docs/heartpole_v1.md.

    python benchmarks/v1_bound.py [--resolution 1.0] [--half-hours 1344] [--corrections]

Prints the bound, how it came about and the time that it took. With --corrections also what the corrections of each axis
add: the same computation without them, which bounds nothing and takes as long again for each axis. Shorter episodes,
--half-hours 24, take seconds or minutes.
"""

import argparse
import resource
import time

import jax

from heartpole_jax.command_line import use_all_cores
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.optimum.heartpole_v1.bound import lattice as lattices
from heartpole_jax.optimum.heartpole_v1.bound import upper_bound, upper_solution
from heartpole_jax.optimum.heartpole_v1.bound.actions import Excess

AXES = {"hypertension": "tension_excess", "stimulation": "stimulation_excess", "wakefulness": "wakefulness_excess"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=float, default=1.0)
    parser.add_argument("--half-hours", type=int, default=1344)
    parser.add_argument("--corrections", action="store_true")
    options = parser.parse_args()
    use_all_cores()
    started = time.monotonic()
    try:
        params = EnvParams(max_half_hours=options.half_hours)
        found = upper_bound(params, resolution=options.resolution)
    except ValueError as error:
        parser.error(str(error))
    print(f"no policy of {', '.join(found.covered)} exceeds {found.bound:.2f} in {options.half_hours} half-hours")
    print(f"never pays: {', '.join(found.never_pay)}; not covered: {', '.join(found.not_covered)}")
    print(f"{found.half_hours} half-hours one by one", end="")
    print(f", then at most {found.increment:.4f} more for each {found.period}" if found.period else "")
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{time.monotonic() - started:.0f} s, {gigabytes:.1f} GB")
    if options.corrections:
        for axis, field in AXES.items():
            plain = without(params, options.resolution, field)
            print(f"without what {axis} adds: {plain:.2f}, {found.bound - plain:.2f} less")


def without(params: EnvParams, resolution: float, field: str) -> float:
    """The same where one axis of the actions but sleep is interpolated without correction: no bound."""
    made = upper_solution.problem_of

    def problem_of(params, grid):
        problem = made(params, grid)
        actions = [
            each if getattr(each, field) is None else each._replace(**{field: Excess()}) for each in problem.actions
        ]
        return problem._replace(actions=tuple(actions))

    upper_solution.problem_of = problem_of
    try:
        with jax.enable_x64(True):
            rows = list(upper_solution.rows_of(params).values())
            return upper_solution.computed(params, lattices.lattice_of(params, rows, resolution)).bound
    finally:
        upper_solution.problem_of = made


if __name__ == "__main__":
    main()
