"""Parameters from traces: maximum likelihood, standard errors, intervals, and what the data do not identify.

found = fit(traces, ("hypertension_decay", "coffee_alertness_high"), observation_noise=noise)
found.params, found.estimates["hypertension_decay"].low, found.unidentified
"""

import dataclasses
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from heartpole_jax import arguments, validation
from heartpole_jax.envs.heartpole_v0 import EnvParams
from heartpole_jax.identification import coordinates, filtering
from heartpole_jax.identification.estimating import Estimates, estimate
from heartpole_jax.identification.filtering import Rows
from heartpole_jax.identification.traces import OBSERVED, UNKNOWN, ObservationNoise, Trace, make_trace

CONVERGED = 1e-3  # log-likelihood left to gain: 0.045 of a standard error
# Information below which a direction counts as open: a standard error of two coordinate units (see `coordinates`),
# a factor of e^4 upwards and downwards within a 95 % interval.
_IDENTIFIED = 0.25
_SHARE = 0.3  # of a direction, from which on a parameter is named
_SECONDS_A_MESSAGE = 5.0


class IdentificationWarning(UserWarning):
    """The data do not identify some of the parameters."""


class ConvergenceWarning(UserWarning):
    """The search for the highest likelihood has not ended."""


class ParameterEstimate(NamedTuple):
    """A parameter as the data have it."""

    value: float
    standard_error: float  # from the observed information, by the delta method
    robust_standard_error: float  # from the sandwich of scores and information
    low: float  # of the interval; it keeps the parameter's limits
    high: float


@dataclasses.dataclass(frozen=True)
class Fit:
    """What `fit` found."""

    params: EnvParams
    observation_noise: ObservationNoise
    estimates: dict[str, ParameterEstimate]  # by name, in the order of `names`
    confidence: float
    log_likelihood: float  # of what the names bear upon, see `fit`
    unidentified: tuple[tuple[str, ...], ...]  # for each direction that the data leave open, the parameters in it
    converged: bool
    left_to_gain: float  # log-likelihood that another Newton step would add
    num_evaluations: int

    def __str__(self) -> str:
        lines = [f"{'parameter':<26}{'value':>11}{'error':>10}{f'{100 * self.confidence:g} % interval':>26}"]
        for name, found in self.estimates.items():
            interval = f"{found.low:.5g} .. {found.high:.5g}"
            lines.append(f"{name:<26}{found.value:>11.5g}{found.standard_error:>10.2g}{interval:>26}")
        lines += [f"the data do not identify: {', '.join(names)}" for names in self.unidentified]
        return "\n".join(lines)


def _to_stderr(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


@arguments.typed(confidence=validation.check_share)
def fit(
    traces: Trace | Sequence[Trace],
    names: str | Sequence[str],
    init_params: EnvParams | None = None,
    *,
    observation_noise: ObservationNoise,
    confidence: float = 0.95,
    progress: Callable[[str], None] = _to_stderr,
) -> Fit:
    """The parameters called `names` that make `traces` most likely, all others being as in `init_params`.

    The likelihood is that of `filtering`. Alertness, intoxication and work on the one hand, hypertension and heart
    attacks on the other share no parameter: each is fitted for itself, and `log_likelihood` counts only what the names
    bear upon.

    Args:
      traces: of one or several patients with the same parameters; they may be noisy, partly observed, with gaps.
      names: fields of `EnvParams`, or `noise_alertness`, `noise_hypertension`, `noise_intoxication`, `noise_work_done`.
      init_params: where the search begins, and the values of what is not named. `EnvParams()` by default.
      observation_noise: standard deviations, greater than 0 for all that is observed.
      confidence: of the intervals.
      progress: is called with a message after every five seconds of work, of which there may be minutes. By default it
        prints to standard error; `lambda message: None` keeps quiet.

    Returns:
      A `Fit`. Intervals of range ends are from the profile likelihood, the others from the observed information on the
      scale of `coordinates`.

    Warns:
      IdentificationWarning: where the data do not identify a parameter, with the names.
      ConvergenceWarning: where the search has not ended.

    Raises:
      ValueError: for unknown names, no traces, noise of 0, a start at a limit or where the traces are impossible.
      TypeError: for traces that are none.
    """
    init_params = EnvParams() if init_params is None else init_params
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, exclusive, got {confidence}")
    names = (names,) if isinstance(names, str) else tuple(names)
    values = dict(coordinates.coordinates(names, init_params, observation_noise).fixed)
    rows, unknown = stack(traces, observation_noise)
    parts: list[Estimates] = []
    found: dict[str, ParameterEstimate] = {}
    unidentified: tuple[tuple[str, ...], ...] = ()
    for part in filter(None, coordinates.split(names)):
        space = coordinates.coordinates(part, init_params, observation_noise)
        batch = jax.tree.map(lambda x: x[None], rows)
        estimates = estimate(
            batch, space, confidence=confidence, unknown_attacks=unknown, evaluated=_watch(part, progress)
        )
        if not np.isfinite(estimates.maximum.value[0]):
            raise ValueError(
                "init_params cannot have made these traces, whose likelihood is 0: start from others; "
                "check_trace(trace, init_params, observation_noise) names the row"
            )
        columns = zip(*(x[0].tolist() for x in estimates[1:]), strict=True)
        found |= {name: ParameterEstimate(*column) for name, column in zip(part, columns, strict=True)}
        found_open = open_directions(part, estimates.maximum.observed[0])
        unidentified += tuple(names for names in dict.fromkeys(found_open) if names not in unidentified)
        parts.append(estimates)
    values |= {name: estimate.value for name, estimate in found.items()}
    noise = {name: values.pop(coordinates.NOISE_PREFIX + name) for name in OBSERVED}
    left = max(float(part.maximum.left_to_gain[0]) for part in parts)
    result = Fit(
        params=EnvParams(**values),
        observation_noise=ObservationNoise(**noise),
        estimates={name: found[name] for name in names},
        confidence=confidence,
        log_likelihood=sum(float(part.maximum.value[0]) for part in parts),
        unidentified=unidentified,
        converged=left < CONVERGED,
        left_to_gain=left,
        num_evaluations=sum(part.maximum.evaluations for part in parts),
    )
    _warn(result)
    return result


def stack(traces: Trace | Sequence[Trace], noise: ObservationNoise) -> tuple[Rows, bool]:
    """The traces as the filters take them, leaves of shape (N, ...), and whether a heart attack is unknown.

    Raises as `fit`.
    """
    traces = [traces] if isinstance(traces, Trace) else list(traces)
    if not traces:
        raise ValueError("traces must be at least one, got none")
    traces = [make_trace(**vars(trace)) for trace in traces]
    for name in OBSERVED:
        seen = any(np.isfinite(getattr(trace, name)).any() for trace in traces)
        deviation = float(getattr(noise, name))
        if seen and not deviation > 0:
            raise ValueError(
                f"observation_noise.{name} must be greater than 0, got {deviation}; give the standard deviation of its "
                "errors (a small one where it is exact), or leave it out of the traces"
            )
    longest = max(len(trace.actions) for trace in traces)
    rows = [filtering.rows_of(trace, longest) for trace in traces]
    unknown = any((trace.heart_attacks == UNKNOWN).any() for trace in traces)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *rows), unknown


def _watch(names: Sequence[str], progress: Callable[[str], None]) -> Callable[[], None]:
    """What is to be called after each evaluation of the likelihood: it calls `progress` every five seconds."""
    began = reported = time.monotonic()
    count = 0

    def evaluated() -> None:
        nonlocal reported, count
        count, now = count + 1, time.monotonic()
        if now - reported >= _SECONDS_A_MESSAGE:
            reported = now
            progress(f"fitting {', '.join(names)}: {count} evaluations of the likelihood in {now - began:.0f} s")

    return evaluated


def open_directions(names: tuple[str, ...], information: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """For each direction of (p, p) `information` that has next to none, the names that it is made of."""
    informations, directions = np.linalg.eigh(information)
    return tuple(
        tuple(name for name, share in zip(names, direction, strict=True) if abs(share) > _SHARE)
        for direction in directions.T[informations < _IDENTIFIED]
    )


def _warn(result: Fit) -> None:
    for names in result.unidentified:
        if len(names) == 1:
            what = f"{names[0]} is not identified by these traces: the likelihood hardly depends on it; fix it, "
        else:
            what = (
                f"{' and '.join(names)} are not identified apart from each other by these traces: the likelihood "
                "hardly changes where they change together; fix one of them, "
            )
        warnings.warn(
            f"{what}or add traces in which {'it shows' if len(names) == 1 else 'they show'}",
            IdentificationWarning,
            stacklevel=4,  # the caller's line: `_warn`, `fit` and what checks its arguments are in between
        )
    if not result.converged:
        warnings.warn(
            f"the search has not ended: another step promises {result.left_to_gain:.2g} of log-likelihood; start it "
            "elsewhere (init_params), or fit fewer parameters",
            ConvergenceWarning,
            stacklevel=4,  # the caller's line: `_warn`, `fit` and what checks its arguments are in between
        )
