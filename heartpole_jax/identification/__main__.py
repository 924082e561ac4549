"""The command line: parameters of HeartPole-v0 from a CSV of recorded patients, with intervals.

    python -m heartpole_jax.identification examples/patients.csv --fit hypertension_decay coffee_hypertension_high \\
        --noise alertness=0.05 hypertension=0.05 intoxication=0.002 work_done=0.05
"""

import argparse
import sys
import warnings

import jax
import numpy as np

from heartpole_jax import command_line, command_options, identification, validation
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.identification import csv_files
from heartpole_jax.identification.traces import OBSERVED, ObservationNoise
from heartpole_jax.terminal import one_line, printable


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status, 2 for bad input, 1 where JAX failed."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        validation.check_arguments(arguments)
        _fit(_parser().parse_args(arguments))
    except (ValueError, ImportError, OSError) as error:
        return _fail(error, 2)
    except jax.errors.JaxRuntimeError as error:
        return _fail(error, 1)
    return 0


def _fail(error: Exception, status: int) -> int:
    print(f"error: {one_line(error)}", file=sys.stderr)
    return status


def _fit(options: argparse.Namespace) -> None:
    out = command_options.picture_of(options.out) if options.out else None
    traces = csv_files.read_csv(options.file)
    params = env_params.replaced(
        HEARTPOLE_V0, env_params.read(HEARTPOLE_V0, command_line.numbers(options.params, "--params"))
    )
    noise = command_line.numbers(options.noise, "--noise")
    for name in noise:
        validation.look_up(dict.fromkeys(OBSERVED), name, "quantity in --noise")
    for name in OBSERVED:
        if name not in noise and any(np.isfinite(getattr(trace, name)).any() for trace in traces.values()):
            raise ValueError(
                f"{options.file} has {name}, and --noise does not say how exact it was; give the standard deviation of "
                f"its errors, as in --noise {name}=0.05, in the environment's unit"
            )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", identification.IdentificationWarning)
        warnings.simplefilter("always", identification.ConvergenceWarning)
        found = identification.fit(
            list(traces.values()), options.fit, params, observation_noise=ObservationNoise(**noise),
            confidence=options.confidence,
        )  # fmt: skip
    decisions = sum(len(trace.actions) for trace in traces.values())
    print(printable(f"{len(traces)} patients ({', '.join(traces)}), {decisions} decisions\n\n{found}"))
    for warning in caught:
        print(f"warning: {one_line(str(warning.message))}", file=sys.stderr)
    if out:
        from heartpole_jax.drawing.charts import fit, style  # here, since matplotlib is an extra

        name, trace = next(iter(traces.items()))
        style.save(fit.draw_fit(trace, found.params, found.observation_noise, f"{name}: seen and expected"), out)
        print(f"written: {out}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    units = "; ".join(f"{name} [{' or '.join(units)}]" for name, units in csv_files.UNITS.items())
    parser = command_line.Parser(
        prog="python -m heartpole_jax.identification",
        description="Fits constants of HeartPole-v0 to a CSV of recorded patients. The file has a row before a "
        "patient's first action, with none, and one after each. Columns, by name: action, and any of patient, "
        f"heart_attack (1, 0), {units}; blanks are gaps, and a unit in brackets is converted.",
    )
    parser.add_argument("file", help="the CSV")
    parser.add_argument("--fit", nargs="+", required=True, metavar="NAME", help="parameters of the environment")
    parser.add_argument(
        "--noise", nargs="+", default=[], metavar="NAME=SD", help="standard deviations of the errors of what was seen"
    )
    parser.add_argument(
        "--params", nargs="+", default=[], metavar="NAME=VALUE", help="where the search begins, and what is not fitted"
    )
    parser.add_argument("--confidence", type=command_line.share, default=0.95, help="default %(default)s")
    parser.add_argument("--out", metavar="FILE", help="also draw the first patient's fit (a PNG; extra 'plot')")
    return parser


if __name__ == "__main__":
    sys.exit(main())
